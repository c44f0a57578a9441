"""A conversation stays alive in its process: what the real CLI sends upstream, turn after turn."""

import itertools
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.kit.canned import Canned
from tests.kit.journal import Received
from tests.kit.leaks import descendants
from tests.kit.script import Fail, Hang, Say
from tests.kit.upstream import Upstream
from tests.wire.operator import Operator
from tests.wire.stage import Stage, conversation, open_stage, quick, say

pytestmark = pytest.mark.real_cli

Chat = list[dict[str, Any]]
SYSTEM = {"role": "system", "content": "Be brief."}


def sources(stage: Stage) -> dict[str, int]:
    return stage.daemon.wait_quiet().processes.sources


def go_on(stage: Stage, chat: Chat, text: str, **more: Any) -> str:
    """Ask ``text`` after ``chat`` and append both."""
    chat.append({"role": "user", "content": text})
    answer = stage.stream(chat, **more).text
    chat.append({"role": "assistant", "content": answer})
    return answer


def said(request: Received) -> list[tuple[str, list[str]]]:
    return conversation(request)


def asked(chat: Chat) -> list[tuple[str, list[str]]]:
    """What a fresh process would send for ``chat``."""
    return [(m["role"], [m["content"]]) for m in chat if m["role"] != "system"]


@pytest.fixture
def roomy(upstream: Upstream, real_cli: Path, tmp_path: Path) -> Iterator[Stage]:
    """A daemon that may keep many conversations, and answers that all differ."""
    upstream.script_default(Canned())
    with open_stage(upstream, tmp_path / "home", real_cli, settings=quick()) as stage:
        yield stage


def test_twenty_turns_are_one_process_and_every_message_is_sent_once(stage: Stage) -> None:
    chat: Chat = [SYSTEM]
    for number in range(20):
        go_on(stage, chat, f"question {number}")
        assert said(stage.upstream.requests[-1]) == asked(chat[:-1])
    report = stage.daemon.wait_quiet()
    assert report.processes.sources == {"spawned": 1, "continued": 19}
    assert report.processes.spawned == 1
    assert report.processes.misses == {}


def test_earlier_messages_are_byte_for_byte_what_they_were(stage: Stage) -> None:
    chat: Chat = [SYSTEM]
    for number in range(4):
        go_on(stage, chat, f"question {number}")
    bodies = [request.body for request in stage.upstream.requests]
    for before, after in itertools.pairwise(bodies):
        assert after["system"] == before["system"]
        assert after["tools"] == before["tools"]
        kept = [{**m, "content": _bare(m["content"])} for m in before["messages"]]
        now = [{**m, "content": _bare(m["content"])} for m in after["messages"]]
        assert now[: len(kept)] == kept


def _bare(content: Any) -> Any:
    """Without the cache marks, which move on to the newest message."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [{k: v for k, v in block.items() if k != "cache_control"} for block in content]


def test_another_answer_and_an_edited_question_stay_in_their_process(stage: Stage) -> None:
    chat: Chat = [SYSTEM]
    go_on(stage, chat, "one")
    go_on(stage, chat, "two")
    stage.ask(chat[:-1])
    assert said(stage.upstream.requests[-1]) == asked(chat[:-1])
    edited = [*chat[:-2], {"role": "user", "content": "zwei"}]
    stage.ask(edited)
    assert said(stage.upstream.requests[-1]) == asked(edited)
    assert sources(stage) == {"spawned": 1, "continued": 1, "rewound": 2}


def test_a_branch_leaves_the_other_one_alone(stage: Stage) -> None:
    chat: Chat = [SYSTEM]
    for text in ("one", "two", "three"):
        go_on(stage, chat, text)
    branch = [*chat[:3], {"role": "user", "content": "other"}]
    stage.ask(branch)
    assert said(stage.upstream.requests[-1]) == asked(branch)
    go_on(stage, chat, "four")
    assert said(stage.upstream.requests[-1]) == asked(chat[:-1])
    told = stage.daemon.wait_quiet().processes
    assert told.sources == {"spawned": 2, "continued": 3}
    assert told.misses == {"unknown": 1}
    assert told.rebuilt_messages == 3


def test_two_requests_from_the_same_beginning_at_once_are_both_right(roomy: Stage) -> None:
    chat: Chat = [SYSTEM]
    go_on(roomy, chat, "one")
    go_on(roomy, chat, "two")
    branches = [[*chat, {"role": "user", "content": f"branch {n}"}] for n in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(roomy.ask, branches))
    heard = [said(request) for request in roomy.upstream.requests[2:]]
    assert sorted(map(str, heard)) == sorted(str(asked(branch)) for branch in branches)
    for branch, answer in zip(branches, answers, strict=True):
        grown = [*branch, {"role": "assistant", "content": answer.choices[0].message.content}]
        go_on(roomy, grown, "and then?")
        assert said(roomy.upstream.requests[-1]) == asked(grown[:-1])


def test_a_new_conversation_of_the_same_caller_uses_the_process_without_a_trace(
    stage: Stage,
) -> None:
    """The privacy law: no byte of the old conversation is in a request of the new one."""
    secret = "the blue heron lands at dawn"
    stage.ask([SYSTEM, *say(secret)])
    stage.ask([SYSTEM, *say("hello")])
    assert sources(stage) == {"spawned": 1, "recycled": 1}
    first, second = stage.upstream.requests
    assert secret.encode() in first.raw
    for told in (secret, "heron"):
        assert told.encode() not in second.raw
    assert said(second) == [("user", ["hello"])]


def test_callers_never_share_a_process(stage: Stage) -> None:
    key = {"Authorization": "Bearer none-of-ours"}
    stage.ask([SYSTEM, *say("hello")], extra_headers=key)
    stage.ask([{"role": "system", "content": "Another."}, *say("hello")])
    stage.ask([SYSTEM, *say("hello")], model="opus")
    assert sources(stage) == {"spawned": 3}


@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_failed_turn_leaves_no_trace(stage: Stage, status: int) -> None:
    chat: Chat = [SYSTEM]
    go_on(stage, chat, "one")
    stage.upstream.script_default(Fail(status))
    stage.refusal([*chat, {"role": "user", "content": "this goes wrong"}])
    stage.daemon.wait_quiet()
    stage.upstream.script_default(Canned())
    go_on(stage, chat, "two")
    assert said(stage.upstream.requests[-1]) == asked(chat[:-1])
    assert stage.daemon.wait_quiet().processes.spawned == 1


def test_a_cancelled_turn_leaves_no_trace(stage: Stage) -> None:
    chat: Chat = [SYSTEM]
    go_on(stage, chat, "one")
    stage.upstream.script(Hang())
    with stage.call([*chat, {"role": "user", "content": "never mind"}], stream=True):
        stage.upstream.wait_for_requests(2, 10)
    stage.daemon.wait_quiet()
    go_on(stage, chat, "two")
    assert said(stage.upstream.requests[-1]) == asked(chat[:-1])
    assert stage.daemon.wait_quiet().processes.spawned == 1


def test_a_length_stop_costs_its_process_and_nothing_else(stage: Stage) -> None:
    chat: Chat = [SYSTEM]
    go_on(stage, chat, "one")
    stage.upstream.script(Say("cut sho", stop_reason="max_tokens"))
    answer = go_on(stage, chat, "two", max_tokens=7)
    assert answer == "cut sho"
    go_on(stage, chat, "three")
    assert said(stage.upstream.requests[-1]) == asked(chat[:-1])
    assert stage.upstream.requests[-1].body["max_tokens"] > 7
    # Whether its process was gone by then or on its way out is chance.
    assert sum(stage.daemon.wait_quiet().processes.misses.values()) == 1


def test_a_limit_holds_for_its_turn_only(stage: Stage) -> None:
    chat: Chat = [SYSTEM]
    for limit in (None, 77, 77, None, 99):
        go_on(stage, chat, "go on", **({} if limit is None else {"max_tokens": limit}))
    limits = [request.body["max_tokens"] for request in stage.upstream.requests]
    assert limits == [limits[0], 77, 77, limits[0], 99]
    assert limits[0] > 99


def test_a_process_that_is_killed_between_turns_is_made_up_for(stage: Stage) -> None:
    chat: Chat = [SYSTEM]
    go_on(stage, chat, "one")
    stage.daemon.wait_quiet()
    for pid in descendants(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    stage.wait_report(lambda report: report.processes.resting == 0)
    go_on(stage, chat, "two")
    assert said(stage.upstream.requests[-1]) == asked(chat[:-1])


def test_a_conversation_that_rested_for_too_long_is_built_anew(
    upstream: Upstream, real_cli: Path, tmp_path: Path
) -> None:
    settings = quick(session_ttl_ms=100)
    with open_stage(upstream, tmp_path / "home", real_cli, settings=settings) as stage:
        chat: Chat = [SYSTEM]
        go_on(stage, chat, "one")
        stage.daemon.wait_quiet()
        stage.wait_report(lambda report: report.processes.resting == 0)
        go_on(stage, chat, "two")
        assert said(stage.upstream.requests[-1]) == asked(chat[:-1])
        assert stage.daemon.wait_quiet().processes.misses == {"unknown": 1}


def test_without_room_the_oldest_conversation_makes_place(
    upstream: Upstream, real_cli: Path, tmp_path: Path
) -> None:
    settings = quick(max_processes=2)
    with open_stage(upstream, tmp_path / "home", real_cli, settings=settings) as stage:
        chats: list[Chat] = [[{"role": "system", "content": f"Number {n}."}] for n in range(3)]
        for chat in (*chats, *chats):
            go_on(stage, chat, "go on")
            assert said(stage.upstream.requests[-1]) == asked(chat[:-1])
            processes = stage.daemon.wait_quiet().processes
            assert processes.resting <= 2


def test_one_shots_at_once_share_few_processes(roomy: Stage) -> None:
    def one(number: int) -> None:
        roomy.ask([SYSTEM, *say(f"question {number}")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))
    told = roomy.daemon.wait_quiet().processes
    assert told.spawned <= 12
    assert sum(told.sources.values()) == 40
    heard = sorted(said(request)[0][1][0] for request in roomy.upstream.requests)
    assert heard == sorted(f"question {number}" for number in range(40))


def test_an_answer_that_a_client_puts_in_between_does_not_stay_when_the_turn_fails(
    stage: Stage,
) -> None:
    chat: Chat = [SYSTEM]
    go_on(stage, chat, "one")
    stage.upstream.script_default(Fail(400))
    odd = [*chat, {"role": "assistant", "content": "the heron"}, *say("two")]
    stage.refusal(odd)
    stage.upstream.script_default(Canned())
    stage.daemon.wait_quiet()
    go_on(stage, chat, "three")
    assert said(stage.upstream.requests[-1]) == asked(chat[:-1])


def test_the_bounds_hold_for_models_that_are_not_listed_and_when_they_shrink(
    upstream: Upstream, real_cli: Path, tmp_path: Path
) -> None:
    with open_stage(upstream, tmp_path / "home", real_cli, settings=quick()) as stage:
        for number in range(3):
            stage.ask([{"role": "system", "content": f"{number}"}, *say("hello")])
        stage.wait_report(lambda report: report.processes.resting == 3)
        operator = Operator(stage.daemon.socket, tmp_path)
        operator.does("settings", "maxProcesses", "1")
        stage.wait_report(lambda report: report.processes.resting == 1)
        # The scripted API does not know it either; what counts is that it took a place.
        stage.refusal("hello", model="claude-of-tomorrow")
        processes = stage.daemon.wait_quiet().processes
        assert processes.resting == 0
