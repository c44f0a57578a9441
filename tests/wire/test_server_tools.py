"""Tools that run on this machine: the CLI's own, and those of MCP servers. The caller hears only
what the model says, and runs its own tools beside them. The real CLI, and the upstream's view.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocpd.claude.argv import Lane
from ocpd.pool.reaper import Patience
from ocpd.turn.own_tools import UNFIT
from tests.kit.daemon import scripted_lane
from tests.kit.leaks import descendants
from tests.kit.mcp_server import digest_of
from tests.kit.script import Call, CallTools, Say, Usage
from tests.kit.upstream import Upstream
from tests.wire.conftest import OpenStage
from tests.wire.operator import Operator, ask_with
from tests.wire.servers import Pids, here, server, write_servers
from tests.wire.stage import Caller, Stage, body_of, in_background, quick, say
from tests.wire.tooling import (
    Chat,
    blocks,
    called,
    calls_in,
    result,
    results_heard,
    shape,
    tool,
    tools_heard,
)

pytestmark = pytest.mark.real_cli

LOOKUP = tool("lookup")
FILES = {"x-mcp-servers": "files"}
KEY = "hush-6c1f"


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """A file on this machine."""
    path = tmp_path / "note.txt"
    path.write_text("the word is zebra\n")
    return path


@pytest.fixture
def pids(tmp_path: Path) -> Pids:
    """The processes of servers."""
    return Pids(tmp_path / "pids")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """What the tool ``wait`` waits for."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture
def registry(tmp_path: Path, pids: Pids, gate: Path) -> str:
    """A registry of two servers."""
    about = {"KEY": KEY, "PIDS": str(pids.folder), "GATE": str(gate)}
    entries = {"files": server("digest", "wait", **about), "web": server("fetch", **about)}
    return write_servers(tmp_path / "mcp-servers.json", entries)


@pytest.fixture
def served(open_real: OpenStage, registry: str) -> Iterator[Stage]:
    """A daemon with that registry."""
    with open_real(settings=quick(mcp_registry=registry)) as running:
        yield running


def read_file(path: Path, **more: Any) -> CallTools:
    """An answer that reads a file."""
    return CallTools((Call("Read", {"file_path": str(path)}),), **more)


def call(*names: str, text: str = "") -> CallTools:
    """An answer that calls these tools; the first with key 0, and so on."""
    return CallTools(tuple(Call(name, {"key": at}) for at, name in enumerate(names)), text=text)


def texts_heard(stage: Stage) -> list[str]:
    """The results in the newest request to the upstream, as texts."""
    told = results_heard(stage.upstream.requests[-1]).values()
    return [text if isinstance(text, str) else text[0]["text"] for text in told]


def sources(stage: Stage) -> dict[str, int]:
    return stage.daemon.wait_quiet().processes.sources


def open_gate(gate: Path) -> None:
    with gate.open("w") as pipe:
        pipe.write("x")


# The CLI's own tools.


@pytest.mark.parametrize("streamed", [True, False])
def test_a_tool_of_the_clis_runs_here_and_the_caller_sees_text_only(
    open_real: OpenStage, note: Path, streamed: bool
) -> None:
    with open_real(settings=quick(allowed_tools="Read")) as stage:
        stage.upstream.script(
            read_file(note, text="Let me look. ", usage=Usage(100, 10)),
            Say("It is zebra.", usage=Usage(200, 20)),
            Say("Still zebra."),
        )
        if streamed:
            told = stage.stream("what word?", stream_options={"include_usage": True})
            assert not calls_in(told)
            text, finish, usage = told.text, told.finish, told.usages[0]
        else:
            answer = stage.ask("what word?")
            choice = answer.choices[0]
            assert choice.message.tool_calls is None
            text, finish, usage = choice.message.content, [choice.finish_reason], answer.usage
        assert (text, finish) == ("Let me look. It is zebra.", ["stop"])
        assert (usage.prompt_tokens, usage.completion_tokens) == (300, 30)
        first, second = stage.upstream.requests
        assert tools_heard(first) == ["Read"]
        assert len(blocks(second, "tool_use")) == 1
        assert texts_heard(stage) == ["1\tthe word is zebra\n2\t"]
        # It goes on in the same process, which still knows what it read.
        chat = say("what word?", text, "and now?")
        assert stage.ask(chat).choices[0].message.content == "Still zebra."
        assert texts_heard(stage) == ["1\tthe word is zebra\n2\t"]
        assert sources(stage) == {"spawned": 1, "continued": 1}


def test_a_new_conversation_knows_nothing_of_what_was_read_in_another(
    open_real: OpenStage, note: Path
) -> None:
    with open_real(settings=quick(allowed_tools="Read,Bash")) as stage:
        stage.upstream.script(read_file(note), Say("Zebra."))
        stage.ask("what word?")
        note.write_text("the word is giraffe\n")
        stage.upstream.script(CallTools((Call("Bash", {"command": "echo hi"}),)), Say("Hi."))
        stage.ask("say hi")
        assert texts_heard(stage) == ["hi"]
        heard = stage.upstream.requests[-1].raw.decode()
        assert "zebra" not in heard
        assert "giraffe" not in heard
        assert sources(stage) == {"spawned": 1, "recycled": 1}


def test_each_key_has_its_own_tools_and_the_books_have_all_they_used(
    open_real: OpenStage, note: Path, tmp_path: Path
) -> None:
    with open_real(settings=quick(allowed_tools="Bash")) as stage:
        operator = Operator(stage.daemon.socket, tmp_path)
        reader = operator.add_key("reader", "--allowed-tools", "Read")
        bare = operator.add_key("bare", "--allowed-tools", "")
        usual = operator.add_key("usual")
        stage.upstream.script(read_file(note, usage=Usage(100, 10)), Say("x", usage=Usage(200, 20)))
        for key in (reader, bare, usual):
            assert ask_with(stage.daemon.port, key).status == 200
        first, _, second, third = stage.upstream.requests
        assert [tools_heard(r) if r.body.get("tools") else [] for r in (first, second, third)] == [
            ["Read"],
            [],
            ["Bash"],
        ]
        assert sources(stage) == {"spawned": 3}
        rows = operator.told("usage", "--by-key")["byKey"]
        (row,) = [row for row in rows if row["key_name"] == "reader"]
        assert (row["requests"], row["input_tokens"], row["output_tokens"]) == (1, 300, 30)


def test_without_a_word_of_the_operators_there_are_no_tools(stage: Stage, note: Path) -> None:
    stage.upstream.script(read_file(note), Say("No such tool."))
    assert stage.ask("what word?").choices[0].message.content == "No such tool."
    first, second = stage.upstream.requests
    assert not first.body.get("tools")
    assert "zebra" not in second.raw.decode()


def test_no_command_goes_on_after_the_answer(open_real: OpenStage) -> None:
    with open_real(settings=quick(allowed_tools="Bash")) as stage:
        given = {"command": "echo hi", "run_in_background": True}
        stage.upstream.script(CallTools((Call("Bash", given),)), Say("Done."))
        assert stage.ask("run it").choices[0].message.content == "Done."
        # Else the CLI would tell the model of its end, in a request that nobody made.
        assert "run_in_background" in texts_heard(stage)[0]
        assert "unexpected parameter" in texts_heard(stage)[0]
        (offered,) = stage.upstream.requests[0].body["tools"]
        assert "run_in_background" not in offered["input_schema"]["properties"]


def test_without_permissions_there_are_all_but_those_that_go_on_after_the_answer(
    open_real: OpenStage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither ocpd nor the CLI would do this as root.
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    scripted = scripted_lane(upstream.url).environment
    lane = Lane("scripted", (*scripted, ("IS_SANDBOX", "1")))
    with open_real(settings=quick(skip_permissions=True), lane=lane) as stage:
        upstream.script(CallTools((Call("Bash", {"command": "echo hi"}),)), Say("Done."))
        answer = stage.ask("go", tools=[tool("Read")])
        assert answer.choices[0].message.content == "Done."
        offered = set(tools_heard(upstream.requests[0]))
        assert offered >= {"Bash", "Read", "Write", "mcp__c__Read"}
        assert not offered & UNFIT
        assert texts_heard(stage) == ["hi"]
        assert stage.daemon.report().config.allowed_tools == ["all"]


# Servers.


def test_a_server_joins_who_names_it_and_nobody_else(served: Stage, pids: Pids) -> None:
    for more in ({"extra_headers": FILES}, {"metadata": {"mcp_servers": ["files"]}}):
        served.upstream.script(call("mcp__files__digest"), Say("Done."))
        answer = served.ask("go", **more)
        choice = answer.choices[0]
        assert (choice.message.content, choice.message.tool_calls) == ("Done.", None)
        offered, _ = served.upstream.requests
        assert tools_heard(offered) == ["mcp__files__digest", "mcp__files__wait"]
        (pid,) = pids.all()
        assert texts_heard(served) == [f'digest of {pid} with {digest_of(KEY)}: {{"key": 0}}']
        served.upstream.forget()
    served.ask("go")
    assert not served.heard().body.get("tools")
    assert sources(served) == {"spawned": 2, "rewound": 1}


@pytest.mark.parametrize("order", [("mcp__files__digest", "lookup"), ("lookup", "mcp__web__fetch")])
def test_one_answer_may_call_tools_of_both_sides(served: Stage, order: tuple[str, str]) -> None:
    names = {"extra_headers": {"x-mcp-servers": "files,web"}, "tools": [LOOKUP]}
    served.upstream.script(call(*order, text="Both."), Say("Done."), Say("Bye."))
    chat: Chat = say("go")
    first = served.stream(chat, **names)
    (own,) = calls_in(first)
    assert (first.text, first.finish, own["function"]["name"]) == (
        "Both.",
        ["tool_calls"],
        "lookup",
    )
    assert own["function"]["arguments"] == f'{{"key":{order.index("lookup")}}}'
    chat += [called(first), result(own, "one")]
    second = served.stream(chat, **names)
    assert (second.text, second.finish) == ("Done.", ["stop"])
    heard = served.upstream.requests[-1]
    assert [block["name"] for block in blocks(heard, "tool_use")] == list(order)
    told = dict(zip(order, texts_heard(served), strict=True))
    assert told.pop("lookup") == "one"
    assert here(*told.values())
    assert shape(heard) == [
        ("user", ["text"]),
        ("assistant", ["text", "tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result"]),
    ]
    chat += [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "bye"}]
    assert served.ask(chat, **names).choices[0].message.content == "Bye."
    assert sources(served) == {"spawned": 1, "continued": 2}


def test_a_caller_that_is_faster_than_the_server_waits_for_it(served: Stage, gate: Path) -> None:
    names = {"extra_headers": FILES, "tools": [LOOKUP]}
    served.upstream.script(call("mcp__files__wait", "lookup"), Say("Done."))
    chat: Chat = say("go")
    first = served.ask(chat, **names)
    chat += [called(first), result(calls_in(first)[0], "one")]
    with in_background() as callers:
        asking = callers.submit(served.ask, chat, **names)
        served.wait_report(lambda report: report.processes.waiting == 1)
        open_gate(gate)
        assert asking.result().choices[0].message.content == "Done."
    assert here(texts_heard(served)[0])
    assert texts_heard(served)[1] == "one"
    assert sources(served) == {"spawned": 1, "continued": 1}


def test_a_server_that_takes_its_time_is_waited_for_too(
    served: Stage, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = served.daemon.daemon._handles.hall
    monkeypatch.setattr(hall, "_patience", Patience(interrupt_s=0.0))
    names = {"extra_headers": FILES, "tools": [LOOKUP]}
    served.upstream.script(call("mcp__files__wait", "lookup"), Say("Done."))
    chat: Chat = say("go")
    first = served.ask(chat, **names)
    chat += [called(first), result(calls_in(first)[0], "one")]
    with in_background() as callers:
        asking = callers.submit(served.ask, chat, **names)
        served.wait_report(lambda report: report.processes.waiting + report.processes.spawned == 2)
        if served.daemon.report().processes.waiting:
            open_gate(gate)
        assert asking.result().choices[0].message.content == "Done."
    assert sources(served) == {"spawned": 1, "continued": 1}


def test_a_caller_that_leaves_while_a_server_works_leaves_nothing_behind(
    served: Stage, pids: Pids
) -> None:
    served.upstream.script(call("mcp__files__wait", text="Wait."))
    body = body_of("go", stream=True, metadata={"mcp_servers": ["files"]})
    with Caller(served.daemon.port, body) as caller:
        caller.read_until(b"Wait.")
        pids.wait_running(1)
    served.daemon.wait_quiet()
    assert served.ask("hello", extra_headers=FILES).choices[0].finish_reason == "stop"
    assert shape(served.upstream.requests[-1]) == [("user", ["text"])]
    assert sources(served) == {"spawned": 1, "recycled": 1}


@pytest.mark.parametrize("name", ["Read", "mcp__files__digest"])
def test_a_tool_of_the_callers_may_have_the_name_of_one_that_runs_here(
    open_real: OpenStage, registry: str, name: str
) -> None:
    names = {"extra_headers": FILES, "tools": [tool(name)]}
    with open_real(settings=quick(mcp_registry=registry, allowed_tools="Read")) as stage:
        stage.upstream.script(call(f"mcp__c__{name}"), Say("Done."))
        chat: Chat = say("go")
        first = stage.stream(chat, **names)
        offered = tools_heard(stage.upstream.requests[0])
        assert {name, f"mcp__c__{name}"} <= set(offered)
        (own,) = calls_in(first)
        assert own["function"] == {"name": name, "arguments": '{"key":0}'}
        chat += [called(first), result(own, "one")]
        assert stage.ask(chat, **names).choices[0].message.content == "Done."
        assert texts_heard(stage) == ["one"]
        assert sources(stage) == {"spawned": 1, "continued": 1}
        # The same where the conversation begins anew in another process.
        stage.upstream.script(Say("Done."))
        chat[0] = {"role": "user", "content": "go again"}
        assert stage.ask(chat, **names).choices[0].message.content == "Done."
        (block,) = blocks(stage.upstream.requests[-1], "tool_use")
        assert block["name"] == f"mcp__c__{name}"


def test_a_server_of_the_operators_joins_every_request(
    open_real: OpenStage, tmp_path: Path, pids: Pids, registry: str
) -> None:
    base = server("note", PIDS=str(pids.folder))
    always = write_servers(tmp_path / "always.json", {"base": base})
    settings = quick(mcp_config=always, mcp_registry=registry)
    with open_real(settings=settings) as stage:
        stage.upstream.script(call("mcp__base__note"), Say("Done."))
        assert stage.ask("go").choices[0].message.content == "Done."
        assert tools_heard(stage.upstream.requests[0]) == ["mcp__base__note"]
        assert here(*texts_heard(stage))
        stage.ask("go", tools=[LOOKUP], extra_headers={"x-mcp-servers": "web"})
        offered = tools_heard(stage.upstream.requests[-1])
        assert offered == ["lookup", "mcp__base__note", "mcp__web__fetch"]
        assert stage.daemon.report().config.mcp_servers == ["base"]


# Their processes.


def test_other_servers_are_another_process_and_end_with_it(
    open_real: OpenStage, registry: str, pids: Pids
) -> None:
    with open_real(settings=quick(mcp_registry=registry, max_processes=1)) as stage:
        stage.ask("go", extra_headers=FILES)
        (files,) = pids.wait_running(1)
        stage.ask("go", extra_headers={"x-mcp-servers": "web"})
        pids.wait_running(1)
        assert files not in pids.running()
        stage.ask("go")
        pids.wait_running(0)
        stage.ask("go", extra_headers={"x-mcp-servers": "web,files"})
        pids.wait_running(2)
        assert sources(stage) == {"spawned": 4}
    assert pids.running() == set()


def test_a_server_that_works_ends_with_a_process_that_crashes(served: Stage, pids: Pids) -> None:
    served.upstream.script(call("mcp__files__wait", text="Wait."))
    body = body_of("go", stream=True, metadata={"mcp_servers": ["files"]})
    with Caller(served.daemon.port, body) as caller:
        caller.read_until(b"Wait.")
        (running,) = pids.wait_running(1)
        for pid in descendants(os.getpid()):
            if running in descendants(pid):
                os.kill(pid, 9)
        assert b"cli_died" in caller.read_until(b"[DONE]")
    pids.wait_running(0)
