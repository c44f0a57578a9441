"""The chat examples of the programs that ocpd stands in for: what the model hears of them, and what
their clients read. The real curl, the official CLI, the upstream's view."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.wire import seed_shapes as shapes
from tests.wire.conftest import OpenStage
from tests.wire.operator import ask_with
from tests.wire.seed_home import ANONYMOUS_KEY, Home, open_home
from tests.wire.seeds import (
    EXAMPLES,
    Example,
    NotYet,
    Terminal,
    needs_curl,
    wait_for,
    write_program,
)
from tests.wire.servers import server
from tests.wire.stage import conversation, fetch, quick
from tests.wire.tooling import tools_heard

pytestmark = pytest.mark.real_cli

LEAKS_PER_MODULE = True

NOT_YET = (NotYet("message with an MCP server", "the Messages dialect is not built yet"),)

WITH_SERVER: dict[str, type[msgspec.Struct]] = {
    "chat with an MCP server": shapes.Completion,
    "message with an MCP server": shapes.AnthropicMessage,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Without keys: whatever a client sends as one counts as none."""
    yield from open_home(tmp_path_factory.mktemp("chat"))


@needs_curl
def test_the_model_hears_what_the_command_line_asks(home: Home) -> None:
    home.run("chat")
    request = home.stage.upstream.requests[-1]
    assert conversation(request) == [("user", ["Hello!"])]
    assert request.body["model"] == "claude-opus-4-7"


NAMES = sorted({name for names in EXAMPLES.models.values() for name in names})
OLD_NAMES = {
    "claude-opus-4": "claude-opus-4-7",
    "claude-sonnet-4": "claude-sonnet-4-6",
    "claude-haiku-4": "claude-haiku-4-5-20251001",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_model_still_means_one(home: Home, name: str) -> None:
    page = home.stage.post("hello", model=name)
    assert page.status == 200, page.text
    heard = home.stage.upstream.requests[-1].body["model"]
    plain = name.rpartition("/")[2]
    if plain.startswith("claude-"):
        assert heard == OLD_NAMES.get(plain, plain)
    else:
        # The family's newest.
        assert heard.startswith(f"claude-{plain}-")


def test_a_stream_is_a_role_then_text_then_stop_then_done(home: Home) -> None:
    page = ask_with(home.stage.daemon.port, ANONYMOUS_KEY, "Write a haiku", stream=True)
    assert page.headers["content-type"].startswith("text/event-stream")
    assert page.headers["x-accel-buffering"] == "no"
    *frames, done, rest = page.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [msgspec.json.decode(frame.removeprefix("data: ")) for frame in frames]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"]["role"] == "assistant"
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert "".join(choice["delta"].get("content") or "" for choice in choices).startswith("Hello!")


@pytest.mark.parametrize("by", ["body", "header"])
def test_the_example_of_a_session_is_kept_listed_and_cleared(open_real: OpenStage, by: str) -> None:
    body: dict[str, Any] = msgspec.json.decode(EXAMPLES.text["session"])
    name = body["session_id"]
    headers = {"content-type": "application/json"}
    if by == "header":
        headers["X-Session-Id"] = body.pop("session_id")
    with open_real(settings=quick(loopback_admin="full")) as stage:
        port, path = stage.daemon.port, "/v1/chat/completions"
        page = fetch(port, "POST", path, msgspec.json.encode(body), headers)
        told = msgspec.json.decode(page.body, type=shapes.Completion)
        heard = [("user", ["Hello"]), ("assistant", ["Hi!"]), ("user", ["What did I just say?"])]
        assert conversation(stage.upstream.requests[-1]) == heard
        # Only what is new is sent from now on.
        more = body | {"messages": [{"role": "user", "content": "And now?"}]}
        assert fetch(port, "POST", path, msgspec.json.encode(more), headers).status == 200
        heard += [("assistant", [told.choices[0].message.content]), ("user", ["And now?"])]
        assert conversation(stage.upstream.requests[-1]) == heard
        (kept,) = msgspec.json.decode(
            fetch(port, "GET", "/sessions").body, type=shapes.Sessions
        ).sessions
        assert (kept.id, kept.model, kept.messages) == (name, "claude-sonnet-4-6", 6)
        assert fetch(port, "DELETE", "/sessions").json() == {"cleared": 1}
        assert fetch(port, "GET", "/sessions").json() == {"sessions": []}


@needs_curl
@pytest.mark.parametrize("name", WITH_SERVER)
def test_the_example_of_an_mcp_server_offers_the_tools_of_that_server(
    open_real: OpenStage, tmp_path: Path, name: str
) -> None:
    registry = tmp_path / "mcp-servers.json"
    registry.write_text(EXAMPLES.text["mcp-servers.json"])
    registry.chmod(0o600)
    # The one thing that is not the example's: what npx would fetch.
    programs = tmp_path / "programs"
    programs.mkdir()
    stand_in = server("tables")
    write_program(programs / "npx", stand_in["command"], *stand_in["args"])
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    with open_real(settings=quick(mcp_registry=str(registry)), environ=path) as stage:
        terminal = Terminal(tmp_path / "terminal", stage.daemon.port)
        page = terminal.curl(EXAMPLES.curl_of(name).run)
        wait_for(name, page, NOT_YET)
        assert page.status == 200, page.text
        msgspec.json.decode(page.body, type=WITH_SERVER[name])
        assert "mcp__neon__tables" in tools_heard(stage.heard())


@pytest.mark.parametrize("example", EXAMPLES.python, ids=lambda example: example.name)
def test_a_program_of_the_readme_runs_as_it_stands(home: Home, example: Example) -> None:
    shown = "print(completion.choices[0].message.content)\n"
    done = home.terminal.run_python(example.run + shown)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Hello!")
    request = home.stage.upstream.requests[-1]
    assert conversation(request) == [("user", ["Hello!"])]
    assert request.body["model"] == "claude-sonnet-4-6"
