"""Each failure of the CLI becomes the error that tells its caller what to do."""

import pytest

from ocpd.claude.faults import RETRY_OVERLOADED_S, STATUS_OF_WORD, Fault, explain_fault
from ocpd.errors import BadRequest, OcpdError, Overloaded, Refused, Unauthorized, Upstream

MODEL = "claude-sonnet-5-5"
SIGN_IN = "claude auth login"

ROWS: list[tuple[Fault, type[OcpdError], int, str | None]] = [
    # By status.
    (Fault(400, "invalid_request_error", "unknown"), BadRequest, 400, "invalid_request_error"),
    (Fault(400), BadRequest, 400, None),
    (Fault(401, "authentication_error"), Unauthorized, 401, "not_signed_in"),
    (Fault(402, "billing_error", "unknown"), Refused, 403, "billing_error"),
    (
        Fault(403, "permission_error", "authentication_failed"),
        Refused,
        403,
        "authentication_failed",
    ),
    (Fault(403, "permission_error"), Refused, 403, "permission_error"),
    (Fault(404, "not_found_error", "model_not_found"), BadRequest, 404, "model_not_found"),
    (Fault(408, "timeout_error"), Upstream, 504, "upstream_timeout"),
    (Fault(409, "conflict"), BadRequest, 409, "conflict"),
    (Fault(422, "invalid_request_error"), BadRequest, 400, "invalid_request_error"),
    (Fault(413, terminal_reason="image_error"), BadRequest, 413, "request_too_large"),
    (Fault(429, "rate_limit_error", "rate_limit"), Overloaded, 429, "rate_limit_exceeded"),
    (Fault(500, "api_error", "server_error"), Upstream, 502, "upstream_error"),
    (Fault(503), Upstream, 502, "upstream_error"),
    (Fault(504, "timeout_error"), Upstream, 504, "upstream_timeout"),
    (Fault(529, "overloaded_error", "server_error"), Overloaded, 503, "overloaded"),
    (Fault(302), Upstream, 502, "upstream_error"),
    # Without a status the CLI's word decides.
    (Fault(word="authentication_failed"), Unauthorized, 401, "not_signed_in"),
    (Fault(word="oauth_org_not_allowed"), Refused, 403, "oauth_org_not_allowed"),
    (Fault(word="billing_error"), Refused, 403, "billing_error"),
    (Fault(word="rate_limit"), Overloaded, 429, "rate_limit_exceeded"),
    (Fault(word="overloaded"), Overloaded, 503, "overloaded"),
    (Fault(word="invalid_request"), BadRequest, 400, None),
    (Fault(word="model_not_found"), BadRequest, 404, "model_not_found"),
    (Fault(word="server_error"), Upstream, 502, "upstream_error"),
    (Fault(word="never_heard"), Upstream, 502, "upstream_error"),
    (Fault(), Upstream, 502, "upstream_error"),
    (Fault(0), Upstream, 502, "upstream_error"),
    # Too long a conversation, in each way the CLI says it.
    (Fault(terminal_reason="blocking_limit"), BadRequest, 400, "context_length_exceeded"),
    (Fault(413, terminal_reason="prompt_too_long"), BadRequest, 400, "context_length_exceeded"),
    (Fault(400, text="Prompt is too long"), BadRequest, 400, "context_length_exceeded"),
    (
        Fault(400, text="API Error: 400 prompt is too long: 210000 tokens > 200000 maximum"),
        BadRequest,
        400,
        "context_length_exceeded",
    ),
    (
        Fault(400, text="API Error: input length and `max_tokens` exceed context limit: 1 + 2 > 3"),
        BadRequest,
        400,
        "context_length_exceeded",
    ),
    (Fault(text="Context limit reached"), BadRequest, 400, "context_length_exceeded"),
    # Words of another failure that only mention it.
    (Fault(529, text="Prompt is too long"), Overloaded, 503, "overloaded"),
    (Fault(400, "k", text="tools[3]: not in the context window beta"), BadRequest, 400, "k"),
    (Fault(400, "k", text="API Error: 400 a context limit must be a number"), BadRequest, 400, "k"),
    (Fault(400, "k", text="title: this prompt is too long, say it shorter"), BadRequest, 400, "k"),
    (Fault(text="exceeds the context window"), Upstream, 502, "upstream_error"),
    (
        Fault(word="authentication_failed", text="context limit"),
        Unauthorized,
        401,
        "not_signed_in",
    ),
]


@pytest.mark.parametrize(("fault", "kind", "status", "code"), ROWS)
def test_each_failure_has_its_error(
    fault: Fault, kind: type[OcpdError], status: int, code: str | None
) -> None:
    error = explain_fault(fault, model=MODEL, sign_in=SIGN_IN)
    assert (type(error), error.status, error.code) == (kind, status, code)


@pytest.mark.parametrize("word", STATUS_OF_WORD)
def test_every_word_of_the_table_has_a_row(word: str) -> None:
    assert any(fault.word == word and fault.status is None for fault, *_ in ROWS)


@pytest.mark.parametrize(("fault", "kind", "status", "code"), ROWS)
def test_what_the_cli_said_stands_in_the_detail_for_the_log(
    fault: Fault, kind: type[OcpdError], status: int, code: str | None
) -> None:
    detail = explain_fault(fault, model=MODEL, sign_in=SIGN_IN).detail
    for said in (fault.kind, fault.word, fault.terminal_reason, fault.text):
        assert str(said) in detail


def test_who_is_not_signed_in_hears_how_to() -> None:
    fault = Fault(word="authentication_failed", text="Not logged in · Please run /login")
    error = explain_fault(fault, model=MODEL, sign_in=SIGN_IN)
    assert "Not logged in" in error.message
    assert error.message.endswith(f"Sign in with: {SIGN_IN}")


def test_a_used_up_plan_says_when_it_resets() -> None:
    fault = Fault(429, text="You've hit your limit", resets_at=4_102_444_800.0)
    error = explain_fault(fault, model=MODEL, sign_in=SIGN_IN)
    assert (error.message, error.retry_at) == ("You've hit your limit", 4_102_444_800.0)


def test_a_limit_without_a_reset_promises_no_time() -> None:
    error = explain_fault(Fault(429), model=MODEL, sign_in=SIGN_IN)
    assert (error.retry_at, error.retry_after_s) == (None, None)


def test_an_overloaded_upstream_asks_for_a_moment() -> None:
    error = explain_fault(Fault(529), model=MODEL, sign_in=SIGN_IN)
    assert error.retry_after_s == RETRY_OVERLOADED_S


def test_a_conversation_that_is_too_long_blames_the_messages() -> None:
    fault = Fault(terminal_reason="blocking_limit", text="Prompt is too long")
    error = explain_fault(fault, model=MODEL, sign_in=SIGN_IN)
    assert error.param == "messages"
    assert MODEL in error.message


@pytest.mark.parametrize("reason", [None, "prompt_too_long"])
def test_the_numbers_of_a_conversation_that_is_too_long_are_passed_on(reason: str | None) -> None:
    fault = Fault(400, terminal_reason=reason, text="prompt is too long: 210000 tokens > 200000")
    error = explain_fault(fault, model=MODEL, sign_in=SIGN_IN)
    assert error.message == (
        f"the conversation is too long for {MODEL} (prompt is too long: 210000 tokens > 200000)"
    )


def test_a_conversation_that_is_too_long_without_a_word_has_no_empty_brackets() -> None:
    error = explain_fault(Fault(terminal_reason="blocking_limit"), model=MODEL, sign_in=SIGN_IN)
    assert error.message == f"the conversation is too long for {MODEL}"


@pytest.mark.parametrize("status", [408, 409, 504])
def test_what_another_try_may_mend_keeps_its_text(status: int) -> None:
    error = explain_fault(Fault(status, text="why"), model=MODEL, sign_in=SIGN_IN)
    assert error.message == "why"


def test_an_unknown_model_is_named_and_no_flag_of_the_cli_is() -> None:
    fault = Fault(404, text="Run --model to pick a different model.")
    error = explain_fault(fault, model=MODEL, sign_in=SIGN_IN)
    assert error.param == "model"
    assert MODEL in error.message
    assert "--model" not in error.message


def test_a_failure_without_a_word_still_says_something() -> None:
    assert "without saying" in explain_fault(Fault(), model=MODEL, sign_in=SIGN_IN).message
