"""The OpenAI Agents SDK as it comes: its loop runs tools in five rounds, one after the other's
result, and all of them are one conversation in one process of the CLI.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import agents
import openai
import pytest

from tests.kit.journal import Received
from tests.kit.script import Call, CallTools, Reply, Say
from tests.wire.stage import Stage, conversation
from tests.wire.tooling import blocks, results_heard, tools_heard

pytestmark = pytest.mark.real_cli

PRICES = {"tea": 3, "cake": 5}


@agents.function_tool
def list_goods() -> list[str]:
    """List what there is."""
    return sorted(PRICES)


@agents.function_tool
async def find_price(good: str) -> int:
    """Find the price of one good."""
    return PRICES[good]


@agents.function_tool
def add(numbers: list[int]) -> dict[str, int]:
    """Add numbers up."""
    return {"sum": sum(numbers)}


@agents.function_tool
def pay(amount: int, currency: str = "EUR") -> str:
    """Pay an amount."""
    if currency != "EUR":
        raise ValueError(f"no {currency} in the till")
    return f"  paid {amount} {currency}\n"


TOOLS: list[agents.Tool] = [list_goods, find_price, add, pay]


def shop(request: Received) -> Reply:
    """A model that needs each result for its next call."""
    heard = [content[0]["text"] for content in results_heard(request).values()]
    match heard:
        case []:
            return CallTools((Call("list_goods"),), text="Let me see.")
        case [goods]:
            wanted = ("cake", "tea") if goods == "['cake', 'tea']" else ()
            return CallTools(tuple(Call("find_price", {"good": good}) for good in wanted))
        case [_, one, two]:
            return CallTools((Call("add", {"numbers": [int(one), int(two)]}),))
        case [_, _, _, total]:
            amount = int(total.removeprefix("{'sum': ").removesuffix("}"))
            return CallTools((Call("pay", {"amount": amount, "currency": "USD"}),))
        case [*_, total, error] if "Please try again" in error:
            amount = int(total.removeprefix("{'sum': ").removesuffix("}"))
            return CallTools((Call("pay", {"amount": amount}),), text="In euros then.")
        case [*_, paid]:
            return Say(["All done:", paid])
    raise AssertionError(heard)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The hosts that Python code looks up or connects to."""
    hosts: set[str] = set()
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_noted(self: socket.socket, address: Any) -> None:
        hosts.add(address[0] if isinstance(address, tuple) else address)
        connect(self, address)

    def look_up_noted(host: Any, *rest: Any, **more: Any) -> Any:
        hosts.add(host)
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket.socket, "connect", connect_noted)
    monkeypatch.setattr(socket, "getaddrinfo", look_up_noted)
    return hosts


async def run(stage: Stage, asked: str, *, streamed: bool) -> Sequence[Any]:
    """Let the framework work on ``asked``; returns its answer and what the tools said."""
    quiet = agents.RunConfig(tracing_disabled=True)
    base = f"{stage.daemon.url}/v1"
    async with openai.AsyncOpenAI(base_url=base, api_key="unused", max_retries=0) as client:
        model = agents.OpenAIChatCompletionsModel("sonnet", client)
        clerk = agents.Agent("clerk", instructions="Sell.", tools=TOOLS, model=model)
        if streamed:
            result: agents.RunResultBase = agents.Runner.run_streamed(
                clerk, asked, run_config=quiet
            )
            async for _ in result.stream_events():
                pass
        else:
            result = await agents.Runner.run(clerk, asked, run_config=quiet)
    said = [item.output for item in result.new_items if isinstance(item, agents.ToolCallOutputItem)]
    return [result.final_output, *said]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_agent_works_through_five_rounds_of_tools_in_one_process(
    stage: Stage, reached: set[str], streamed: bool
) -> None:
    stage.upstream.script_default(shop)
    answer, *said = asyncio.run(run(stage, "Tea and cake, please.", streamed=streamed))
    assert answer == "All done:  paid 8 EUR\n"
    assert [said[0], *said[1:4], said[5]] == [
        ["cake", "tea"],
        5,
        3,
        {"sum": 8},
        "  paid 8 EUR\n",
    ]
    assert "Please try again" in said[4]

    requests = stage.upstream.requests
    assert len(requests) == 6
    assert [block["name"] for block in blocks(requests[-1], "tool_use")] == [
        "list_goods",
        "find_price",
        "find_price",
        "add",
        "pay",
        "pay",
    ]
    heard = [content for (content,) in results_heard(requests[-1]).values()]
    assert [content["text"] for content in heard] == [str(one) for one in said]
    assert conversation(requests[-1])[0] == ("user", ["Tea and cake, please."])
    assert tools_heard(requests[-1]) == sorted(found.name for found in TOOLS)

    processes = stage.daemon.wait_quiet().processes
    assert processes.spawned == 1
    assert processes.sources == {"spawned": 1, "continued": 5}
    assert processes.rebuilt_messages == 0
    assert reached == {"127.0.0.1"}
