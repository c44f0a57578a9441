"""Promise: until the first event a failure is a status, after it an event, and never both."""

from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import msgspec
import pytest

from ocpd.api.intake import Conditions, Intake
from ocpd.api.sessions import Sessions
from ocpd.api.turns import Turns
from ocpd.dialects.openai_chat.dialect import OPENAI_CHAT
from ocpd.errors import Gone, Overloaded, Unauthorized, Upstream
from ocpd.settings.values import Settings
from ocpd.turn.caller import Caller
from ocpd.turn.events import Event, Failed, TextDelta
from ocpd.turn.outcome import TurnState
from tests.unit.api.stage import MODELS, Link, make_exchange
from tests.unit.dispatch.stage import FINISHED, STARTED, Puppet, Scene
from tests.unit.http.stage import run

SETTINGS = Settings(max_body_bytes=1000)
BROKEN = Failed(Upstream("it broke", code="broke_off"))


def turns_of(scene: Scene, settings: Settings = SETTINGS) -> Turns:
    nobody = cast("Sessions", None)
    intake = Intake(OPENAI_CHAT, lambda _: Caller(), Conditions(settings, MODELS))
    return Turns(OPENAI_CHAT, scene.hall, nobody, intake)


def body(**fields: object) -> bytes:
    messages = [{"role": "user", "content": "hello"}]
    return msgspec.json.encode({"model": "sonnet", "messages": messages, **fields})


def ask(
    *batches: Sequence[Event], settings: Settings = SETTINGS, **fields: object
) -> tuple[Link, Scene]:
    """Put one request to a child that says ``batches``."""
    puppet = Puppet(1, *batches)
    scene = Scene(puppet)
    puppet.settle()
    return ask_on(scene, body(**fields), settings), scene


def ask_on(
    scene: Scene, data: bytes, settings: Settings = SETTINGS, link: Link | None = None
) -> Link:
    found = link or Link()

    async def main() -> None:
        async with scene.hall:
            await turns_of(scene, settings).handle(make_exchange(found, data))
            await scene.hall.wait_idle()

    run(main())
    scene.assert_at_rest()
    return found


def frames(link: Link) -> list[str]:
    text = link.sent.decode()
    assert text.endswith("\n\n")
    return [frame.removeprefix("data: ") for frame in text.removesuffix("\n\n").split("\n\n")]


HELLO = ([STARTED], [TextDelta("Hel"), TextDelta("lo")], [FINISHED])


def test_a_plain_answer_is_sent_whole_and_once() -> None:
    link, scene = ask(*HELLO)
    assert (link.status, len(link.chunks), link.is_ended) == (200, 1, True)
    assert link.json["choices"][0]["message"]["content"] == "Hello"
    assert link.headers["content-type"] == "application/json"
    assert link.json["id"] == f"chatcmpl-{link.headers['x-request-id']}"
    assert [outcome.state for outcome in scene.closed] == [TurnState.FINISHED]


def test_a_streamed_answer_is_one_write_for_each_batch() -> None:
    link, _ = ask(*HELLO, stream=True)
    assert (link.status, link.is_ended) == (200, True)
    # The beginning waits for the first word: until then a failure can still be a status.
    assert len(link.chunks) == 2
    assert link.headers["content-type"] == "text/event-stream"
    assert link.headers["x-accel-buffering"] == "no"
    *_, finish, done = frames(link)
    assert '"finish_reason":"stop"' in finish
    assert done == "[DONE]"


def test_a_failure_as_the_first_word_is_a_status() -> None:
    for stream in (False, True):
        link, _ = ask([BROKEN], stream=stream)
        assert (link.status, link.json["error"]["code"]) == (502, "broke_off")
        assert link.headers["x-request-id"]


def test_a_failure_in_the_first_batch_is_a_status_though_something_was_said() -> None:
    # Nothing of it is on the wire yet, and a status is the better answer.
    link, _ = ask([STARTED, TextDelta("Hel"), BROKEN], stream=True)
    assert link.status == 502
    assert b"Hel" not in link.sent


def test_a_failure_later_is_the_last_event_of_the_stream() -> None:
    link, scene = ask([STARTED], [TextDelta("Hel")], [BROKEN], stream=True)
    assert (link.status, link.is_ended) == (200, True)
    *_, error, done = frames(link)
    assert msgspec.json.decode(error)["error"]["code"] == "broke_off"
    assert done == "[DONE]"
    assert [outcome.state for outcome in scene.closed] == [TurnState.FAILED]


def test_a_plain_answer_that_breaks_is_never_half_an_answer() -> None:
    link, _ = ask([STARTED], [TextDelta("Hel")], [BROKEN])
    assert link.status == 502
    assert set(link.json) == {"error"}


def test_the_headers_of_a_refusal_tell_what_to_do() -> None:
    link, _ = ask([Failed(Overloaded("later", retry_after_s=7))])
    assert (link.status, link.headers["retry-after"]) == (429, "7")
    link, _ = ask([Failed(Unauthorized("sign in"))])
    assert (link.status, link.headers["www-authenticate"]) == (401, "Bearer")


def test_what_has_no_effect_is_named() -> None:
    link, _ = ask(*HELLO, seed=1, temperature=0.5)
    assert link.headers["x-ocpd-ignored"] == "seed, temperature"
    assert link.headers["x-proxy-unsupported"] == "seed, temperature"
    link, _ = ask(*HELLO)
    assert "x-ocpd-ignored" not in link.headers


@pytest.mark.parametrize(
    ("data", "status", "param"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (body(messages=[]), 400, "messages"),
        (body(model="gpt-5"), 404, "model"),
        (body(model=5), 400, "model"),
        (body(n=2), 400, "n"),
        (body(response_format={"type": "odd"}), 400, "response_format.type"),
        (body(user="x" * 2000), 413, None),
    ],
)
def test_a_request_that_cannot_run_costs_nothing(
    data: bytes, status: int, param: str | None
) -> None:
    scene = Scene()
    link = ask_on(scene, data)
    assert (link.status, link.json["error"]["param"]) == (status, param)
    assert link.headers["x-request-id"]
    assert scene.closed == []
    assert scene.puppets.leased == []


def test_the_model_that_runs_is_the_one_that_was_meant() -> None:
    _, scene = ask(*HELLO, model="openai/Opus")
    assert scene.puppets.leased == [("claude-opus-5-5", True)]
    _, scene = ask(*HELLO, model="claude-of-tomorrow")
    assert scene.puppets.leased == [("claude-of-tomorrow", False)]
    link, scene = ask(
        *HELLO, model="gpt-5", settings=Settings(default_model="haiku", unknown_model="default")
    )
    assert scene.puppets.leased == [("claude-haiku-5-5", True)]
    assert link.json["model"] == "claude-haiku-5-5"


def test_a_client_that_is_gone_while_it_is_told_interrupts_the_turn() -> None:
    puppet = Puppet(1, [STARTED, TextDelta("Hel")], [TextDelta("lo")], [FINISHED])
    scene = Scene(puppet)
    puppet.settle()
    with suppress(Gone):
        ask_on(scene, body(stream=True), link=Link(leave_after=1))
    scene.assert_at_rest()
    assert puppet.interrupts == 1
    assert [outcome.state for outcome in scene.closed] == [TurnState.CANCELLED]
