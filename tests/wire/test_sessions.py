"""A client that names its conversation sends only what is new; it survives the daemon."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from ocpd.api.sessions import MOST_WAITING
from ocpd.errors import Overloaded
from ocpd.store.conversations import Conversations
from tests.kit.canned import Canned
from tests.kit.script import Fail, Hang, Say
from tests.kit.upstream import Upstream
from tests.wire.operator import Operator
from tests.wire.stage import (
    Asked,
    Caller,
    Stage,
    body_of,
    conversation,
    open_stage,
    quick,
    say,
)

pytestmark = pytest.mark.real_cli

SYSTEM = {"role": "system", "content": "Be brief."}


def tell(stage: Stage, asked: Asked, session: str = "s", **more: Any) -> str:
    """Ask within a session; returns the answer."""
    told = stage.ask(asked, extra_body={"session_id": session}, **more)
    return told.choices[0].message.content or ""


def last(stage: Stage) -> list[tuple[str, list[str]]]:
    return conversation(stage.upstream.requests[-1])


def test_only_the_new_message_is_sent_and_the_model_hears_all(stage: Stage) -> None:
    first = tell(stage, [SYSTEM, *say("one")])
    second = tell(stage, "two")
    tell(stage, "three")
    assert last(stage) == [
        ("user", ["one"]),
        ("assistant", [first]),
        ("user", ["two"]),
        ("assistant", [second]),
        ("user", ["three"]),
    ]
    assert stage.daemon.wait_quiet().processes.sources == {"spawned": 1, "continued": 2}


def test_a_header_names_it_too_and_the_body_wins(stage: Stage) -> None:
    first = tell(stage, "one", session="body")
    stage.ask("two", extra_headers={"X-Session-Id": "body"})
    assert last(stage)[:2] == [("user", ["one"]), ("assistant", [first])]
    tell(stage, "three", session="other", extra_headers={"X-Session-Id": "body"})
    assert last(stage) == [("user", ["three"])]


def test_a_whole_history_replaces_what_was_kept(stage: Stage) -> None:
    tell(stage, "one")
    tell(stage, say("uno", "eins", "two"))
    assert last(stage) == [("user", ["uno"]), ("assistant", ["eins"]), ("user", ["two"])]
    tell(stage, "three")
    assert last(stage)[:2] == [("user", ["uno"]), ("assistant", ["eins"])]


def test_the_first_request_again_is_another_answer_and_no_second_one(stage: Stage) -> None:
    tell(stage, "one")
    tell(stage, "one")
    assert last(stage) == [("user", ["one"])]


def test_side_requests_under_the_same_name_do_not_mix_in(stage: Stage) -> None:
    """Some clients ask for a title with a prompt of its own and the same id."""
    tell(stage, [{"role": "system", "content": "Make a title."}, *say("one")])
    tell(stage, [SYSTEM, *say("one")])
    assert last(stage) == [("user", ["one"])]
    tell(stage, [SYSTEM, *say("two")])
    assert len(last(stage)) == 3


def test_another_model_hears_the_same_conversation(stage: Stage) -> None:
    tell(stage, "one")
    tell(stage, "two", model="opus")
    assert len(last(stage)) == 3
    assert stage.upstream.requests[-1].body["model"].startswith("claude-opus")


def test_it_survives_the_daemon(upstream: Upstream, real_cli: Path, tmp_path: Path) -> None:
    with open_stage(upstream, tmp_path / "home", real_cli) as stage:
        first = tell(stage, [SYSTEM, *say("one")])
    with open_stage(upstream, tmp_path / "home", real_cli) as stage:
        tell(stage, "two")
        assert last(stage) == [("user", ["one"]), ("assistant", [first]), ("user", ["two"])]
        assert stage.upstream.requests[-1].body["system"][-1]["text"] == "Be brief."


def test_a_failed_first_turn_leaves_nothing_behind(stage: Stage) -> None:
    stage.upstream.script_default(Fail(400))
    with pytest.raises(openai.APIStatusError):
        tell(stage, "this goes wrong")
    stage.upstream.script_default(Canned())
    tell(stage, "one")
    assert last(stage) == [("user", ["one"])]


def test_one_that_was_forgotten_is_404_for_what_is_new_and_begins_with_a_history(
    upstream: Upstream, real_cli: Path, tmp_path: Path
) -> None:
    with open_stage(
        upstream, tmp_path / "home", real_cli, settings=quick(session_ttl_ms=1)
    ) as stage:
        tell(stage, "one")
        with pytest.raises(openai.NotFoundError) as caught:
            tell(stage, "two")
        assert caught.value.code == "session_not_found"
        assert caught.value.param == "session_id"
        tell(stage, say("one", "eins", "two"))
        assert len(last(stage)) == 3


def test_two_at_once_come_one_after_the_other(stage: Stage) -> None:
    tell(stage, "zero")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda text: tell(stage, text), ["one", "two"]))
    assert len(last(stage)) == 5
    asked = [texts for role, texts in last(stage) if role == "user"]
    assert sorted(map(tuple, asked)) == [("one",), ("two",), ("zero",)]


def test_clearing_forgets_them_and_the_next_message_begins_anew(
    stage: Stage, tmp_path: Path
) -> None:
    tell(stage, "one")
    # It is kept behind the last byte of its answer.
    stage.wait_report(lambda _: stage.get("/sessions").json()["sessions"] != [])
    listed = stage.get("/sessions").json()["sessions"]
    assert [(each["id"], each["messages"]) for each in listed] == [("s", 2)]
    stage.daemon.wait_quiet()
    operator = Operator(stage.daemon.socket, tmp_path)
    operator.does("clear")
    tell(stage, "two")
    assert last(stage) == [("user", ["two"])]


def test_what_the_store_could_not_keep_is_not_gone_on_with_unawares(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> bool:
        raise Overloaded("the disk is full", status=503, code="store_unavailable")

    tell(stage, "one")
    with monkeypatch.context() as broken:
        broken.setattr(Conversations, "keep", refuse)
        assert tell(stage, "two")
    with pytest.raises(openai.NotFoundError):
        tell(stage, "three")
    tell(stage, say("one", "eins", "two"))
    tell(stage, "three")
    assert len(last(stage)) == 5


def test_a_whole_history_needs_nothing_of_the_store(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise Overloaded("locked", status=503, code="store_unavailable")

    monkeypatch.setattr(Conversations, "find", refuse)
    assert tell(stage, say("one", "eins", "two"))


def test_clearing_is_not_undone_by_a_turn_that_ran_meanwhile(stage: Stage, tmp_path: Path) -> None:
    stage.upstream.script(Say(["a", "b"], delay_s=0.5))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(tell, stage, "one")
        stage.upstream.wait_for_requests(1, 10)
        Operator(stage.daemon.socket, tmp_path).does("clear")
        assert running.result() == "ab"
    assert stage.get("/sessions").json()["sessions"] == []


def test_a_crowd_for_one_session_is_turned_away(stage: Stage) -> None:
    stage.upstream.script(Hang())
    body = body_of("one", session_id="s")
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_WAITING + 1):
            stack.enter_context(Caller(stage.daemon.port, body))
        stage.upstream.wait_for_requests(1, 10)
        stage.daemon.wait_until(lambda _: fetch_status(stage, body) == 429)


def fetch_status(stage: Stage, body: bytes) -> int:
    """What one more is told; one that would wait is cut short."""
    with Caller(stage.daemon.port, body) as caller:
        caller.socket.settimeout(0.3)
        try:
            return int(caller.read_until(b"\r\n").split()[1])
        except TimeoutError:
            return 0
