"""What the scripted API can be told to answer, as a closed set of structs.

What may live here: replies and the numbers they carry. How a reply becomes bytes is in ``frames``;
who chooses it is in ``upstream`` and ``canned``.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct, field

from tests.kit.journal import Received

ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

Window = Literal["five_hour", "seven_day"]
Standing = Literal["allowed", "allowed_warning", "rejected"]


class Usage(Struct, frozen=True):
    """Token counts of an answer. None means: a quarter of the characters."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    thinking_tokens: int = 0


class Say(Struct, frozen=True):
    """A text answer. ``text`` as a list is one delta per item, as a string one delta.

    ``first_delay_s`` passes before the response head, ``delay_s`` between two deltas. ``thinking``
    puts a thinking block with a signature before the text. ``ping`` sends the one ping that the
    real API sends after the first block has started; the CLI does not pass it on. ``headers`` are
    added to the response. An empty text makes the CLI ask the model a second time.
    """

    text: str | Sequence[str] = "Hello there."
    delay_s: float = 0.0
    first_delay_s: float = 0.0
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    thinking: str | Sequence[str] = ""
    usage: Usage = Usage()
    ping: bool = True
    headers: Mapping[str, str] = {}


class Call(Struct, frozen=True):
    """One tool call. An empty ``id`` is filled in; ``fragments`` is how many input deltas it takes.

    ``raw`` replaces the JSON of ``arguments`` on the wire, for input that is not valid JSON.
    """

    name: str
    arguments: Mapping[str, Any] = {}
    id: str = ""
    fragments: int = 2
    raw: str | None = None


class CallTools(Struct, frozen=True):
    """An answer that ends in tool calls, with text before them if there is any."""

    calls: Sequence[Call]
    text: str | Sequence[str] = ""
    delay_s: float = 0.0
    first_delay_s: float = 0.0
    thinking: str | Sequence[str] = ""
    usage: Usage = Usage()
    stop_reason: str = "tool_use"
    headers: Mapping[str, str] = {}


class Fail(Struct, frozen=True):
    """An HTTP error with the API's error body. An empty ``type`` follows from the status.

    How often CLI 2.1.330 asks before it gives up, with one retry allowed: 400 three times, without
    a word, each time with fewer optional features; 404 twice, the second time with
    ``stream: false``; 401, 429 without plan headers, 5xx and 529 twice, announced by
    ``api_retry``; 402, 403, 413 and a 429 with plan headers once. A failure meant to last has to
    be scripted that often.
    """

    status: int
    type: str = ""
    message: str = "scripted failure"
    headers: Mapping[str, str] = {}


class ErrorEvent(Struct, frozen=True):
    """An ``error`` event inside a 200 stream, after ``after`` deltas (None: as the first event).

    As the first event the CLI retries it like a status. After a delta it closes the message
    (``message_stop`` without ``message_delta``) and asks again at once with ``stream: false``; that
    answer comes as an ``assistant`` frame and in the result, without stream events.
    """

    type: str = "overloaded_error"
    message: str = "Overloaded"
    after: int | None = 0
    answer: Say | CallTools = Say(["Hello", " there."])
    delay_s: float = 0.0


class Cut(Struct, frozen=True):
    """The connection ends in the middle: after ``after`` deltas, or before the head if None.

    ``after=0`` is right behind ``message_start``. ``delay_s`` passes before the cut, so that what
    was sent before it really arrives: a reset makes the receiver drop what it has not read yet.
    The CLI closes the cut message (``message_stop`` without ``message_delta``) and retries; when
    retries are used up, it asks once more with ``stream: false``.
    """

    after: int | None = 0
    how: Literal["reset", "fin"] = "reset"
    delay_s: float = 0.05
    answer: Say | CallTools = Say(["Hello", " there", ", friend."])


class Hang(Struct, frozen=True):
    """Goes silent after ``after`` deltas (None: before the head) until released or left alone.

    ``Upstream.release`` lets it finish the answer.
    """

    after: int | None = 0
    answer: Say | CallTools = Say(["Hello", " there", ", friend."])


Reply = Say | CallTools | Fail | ErrorEvent | Cut | Hang
Brain = Callable[[Received], Reply]


def _in_hours(hours: float) -> int:
    return int((datetime.now(UTC) + timedelta(hours=hours)).timestamp())


class PlanHeaders(Struct, frozen=True):
    """The plan usage that subscription answers carry in their headers.

    Utilization is a share from 0 to 1, ``*_resets_at`` are epoch seconds, ``claim`` is the window
    that decides. None leaves a window out. What CLI 2.1.330 makes of the headers
    ``anthropic-ratelimit-unified-*`` in its ``rate_limit_event``:

    * ``status`` alone gives ``{status, isUsingOverage}``; without any of the headers a good answer
      still gives ``{"status": "allowed", "isUsingOverage": false}``.
    * ``reset`` and ``representative-claim`` give ``resetsAt`` and ``rateLimitType``.
    * ``5h-utilization`` with ``5h-reset`` (and the same for ``7d``) give
      ``unifiedWindows.five_hour {utilization, resetsAt}``; ``5h-status`` and
      ``5h-surpassed-threshold`` add ``status`` and ``surpassedThreshold`` there. A window whose
      reset is past, or decades ahead, is left out.
    * The top-level ``utilization`` comes only with a warning: when the deciding window has a
      ``surpassed-threshold``, or when the CLI itself finds the window fuller than the time of day
      allows (95 % two hours before the end became ``allowed_warning`` with ``status`` allowed).
    * ``overage-status: allowed`` on a rejected window gives ``isUsingOverage: true`` and a good
      answer; ``overage-disabled-reason`` is passed on.
    * The event comes only when something changed since the last one of that process.
    * A 429 gives ``status: rejected``, is not retried and reads "You've hit your 5-hour limit" if
      it carries ``representative-claim`` (``limit_reached``). A bare 429 is retried, and reads as
      a passing limit of the server; with ``retry-after`` over a minute it is not retried.
    """

    five_hour_utilization: float | None = 0.25
    five_hour_resets_at: int = field(default_factory=lambda: _in_hours(2))
    five_hour_status: Standing = "allowed"
    seven_day_utilization: float | None = 0.1
    seven_day_resets_at: int = field(default_factory=lambda: _in_hours(100))
    seven_day_status: Standing = "allowed"
    claim: Window = "five_hour"
    overage_status: str | None = None
    overage_disabled_reason: str | None = None
    surpassed_threshold: float | None = None

    @property
    def _deciding(self) -> tuple[Standing, int, str]:
        if self.claim == "five_hour":
            return self.five_hour_status, self.five_hour_resets_at, "5h"
        return self.seven_day_status, self.seven_day_resets_at, "7d"

    def headers(self) -> dict[str, str]:
        """The headers for this state of the plan."""
        status, resets_at, short = self._deciding
        five_hour = self.five_hour_utilization is not None
        seven_day = self.seven_day_utilization is not None
        found: dict[str, object | None] = {
            "status": status,
            "reset": resets_at,
            "representative-claim": self.claim,
            "5h-status": self.five_hour_status if five_hour else None,
            "5h-reset": self.five_hour_resets_at if five_hour else None,
            "5h-utilization": self.five_hour_utilization,
            "7d-status": self.seven_day_status if seven_day else None,
            "7d-reset": self.seven_day_resets_at if seven_day else None,
            "7d-utilization": self.seven_day_utilization,
            f"{short}-surpassed-threshold": self.surpassed_threshold,
            "overage-status": self.overage_status,
            "overage-disabled-reason": self.overage_disabled_reason,
        }
        return {
            f"anthropic-ratelimit-unified-{name}": str(value)
            for name, value in found.items()
            if value is not None
        }


def limit_reached(
    resets_at: int, *, window: Window = "five_hour", retry_after_s: int = 3600
) -> Fail:
    """The 429 of a plan whose ``window`` is used up until ``resets_at`` (epoch seconds)."""
    if window == "five_hour":
        plan = PlanHeaders(
            five_hour_utilization=1.0,
            five_hour_resets_at=resets_at,
            five_hour_status="rejected",
        )
    else:
        plan = PlanHeaders(
            seven_day_utilization=1.0,
            seven_day_resets_at=resets_at,
            seven_day_status="rejected",
            claim="seven_day",
        )
    return Fail(
        429,
        message="This request would exceed your account's rate limit. Please try again later.",
        headers={
            **plan.headers(),
            "retry-after": str(retry_after_s),
            "x-should-retry": "false",
        },
    )
