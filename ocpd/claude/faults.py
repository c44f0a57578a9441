"""What the CLI's failures mean: one table from its reports to our errors.

What may live here: meaning only. The facts come as a ``Fault``; who hears them is decided by
``ocpd.errors``. Written against Claude Code 2.1.330.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from ocpd.errors import BadRequest, OcpdError, Overloaded, Refused, Unauthorized, Upstream


class Fault(msgspec.Struct, frozen=True):
    """What the CLI said when a turn failed.

    ``status`` is the upstream's HTTP status, ``kind`` its error type, ``word`` the CLI's own
    category (``assistant.error`` or ``api_retry.error``), ``resets_at`` epoch seconds.
    """

    status: int | None = None
    kind: str | None = None
    word: str | None = None
    terminal_reason: str | None = None
    text: str = ""
    resets_at: float | None = None


_MOST_NAMED = 5
"""How many tools a refusal names."""

STATUS_OF_WORD = {
    "authentication_failed": 401,
    "oauth_org_not_allowed": 403,
    "billing_error": 403,
    "rate_limit": 429,
    "overloaded": 529,
    "invalid_request": 400,
    "model_not_found": 404,
    "server_error": 502,
}
"""For failures that come without a status, such as "Not logged in"."""

RETRY_OVERLOADED_S = 5

_CONTEXT_REASONS = ("blocking_limit", "prompt_too_long")
# The words of the upstream and of the CLI as they open their reports. Others may mention a context
# window and mean something else.
_CONTEXT_TEXT = re.compile(
    r"(API Error: )?(400 )?(prompt is too long|context limit reached"
    r"|input length and `max_tokens` exceed context limit)",
    re.IGNORECASE,
)


def explain_fault(fault: Fault, *, model: str, sign_in: str) -> OcpdError:
    """Turn a failure of the CLI into what a caller may hear.

    ``sign_in`` is the command that signs in. The CLI's text is passed on as it is where it is
    written for the user; where it talks of the CLI's own flags we say it ourselves.
    """
    text = fault.text or "the Claude CLI reported a failure without saying which"
    detail = f"{fault.terminal_reason} {fault.kind} {fault.word}: {fault.text}"
    if _is_context(fault):
        return _too_long(fault.text, model, detail)
    status = fault.status or STATUS_OF_WORD.get(fault.word or "")
    match status:
        case 401:
            what = f"Claude is not signed in, or the login was refused ({text})"
            return Unauthorized(
                f"{what}. Sign in with: {sign_in}", code="not_signed_in", detail=detail
            )
        case 402 | 403:
            return Refused(text, code=_category(fault) or "permission_denied", detail=detail)
        case 404:
            return BadRequest(
                f"the model {model!r} does not exist or this login may not use it",
                status=404,
                code="model_not_found",
                param="model",
                detail=detail,
            )
        case 408 | 504:
            # The upstream, or a proxy before it, waited too long for somebody; not for our caller.
            return Upstream(text, status=504, code="upstream_timeout", detail=detail)
        case 409 | 413:
            code = "request_too_large" if status == 413 else fault.kind
            return BadRequest(text, status=status, code=code, detail=detail)
        case 429:
            return Overloaded(
                text, code="rate_limit_exceeded", retry_at=fault.resets_at, detail=detail
            )
        case 529:
            return Overloaded(
                text,
                status=503,
                code="overloaded",
                retry_after_s=RETRY_OVERLOADED_S,
                detail=detail,
            )
        case int() if 400 <= status < 500:
            return BadRequest(text, code=fault.kind, detail=detail)
        case _:
            return Upstream(text, code="upstream_error", detail=detail)


def _category(fault: Fault) -> str | None:
    """The CLI's own word where it has one; else the upstream's type."""
    return fault.kind if fault.word in (None, "unknown") else fault.word


def _too_long(said: str, model: str, detail: str) -> BadRequest:
    # What was said often has the numbers.
    return BadRequest(
        f"the conversation is too long for {model}" + (f" ({said})" if said else ""),
        code="context_length_exceeded",
        param="messages",
        detail=detail,
    )


def _is_context(fault: Fault) -> bool:
    if fault.terminal_reason in _CONTEXT_REASONS:
        return True
    if fault.status not in (400, None) or fault.word == "authentication_failed":
        return False
    return _CONTEXT_TEXT.match(fault.text) is not None


def explain_servers(failed: Mapping[str, str]) -> Upstream:
    """Say that these MCP servers did not start; why is for the operator."""
    return Upstream(
        f"MCP servers that did not start: {', '.join(sorted(failed))} (the daemon's log says why)",
        code="mcp_server_failed",
        detail="; ".join(f"{name}: {text}" for name, text in sorted(failed.items())),
    )


def explain_missing(names: Sequence[str], *, lacks_form: bool) -> BadRequest | None:
    """Say that the model would not get these tools, or the form that its answer must have; None if
    it gets all."""
    if lacks_form:
        return _quoting(
            "response_format: the Claude CLI does not take this JSON schema",
            code="invalid_json_schema",
            param="response_format",
        )
    if not names:
        return None
    shown = ", ".join(names[:_MOST_NAMED])
    return _quoting(
        f"tools: the Claude CLI does not take {shown}: look at the JSON schema of its parameters"
        " (names of properties are letters, digits, '_', '.' and '-', 64 at most)",
        code="invalid_tool_schema",
        param="tools",
    )


def _quoting(message: str, *, code: str, param: str) -> BadRequest:
    """Refuse with words of the caller's, which are not for the log."""
    error = BadRequest(message, code=code, param=param)
    error.quotes = True
    return error
