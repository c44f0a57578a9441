"""What holds for one turn becomes settings of the CLI, and only what differs is written."""

import itertools

import msgspec
import pytest

from ocpd.claude.limits import Applied, Sheet, find_limits, write_limits
from ocpd.turn.request import (
    ALL_TOOLS,
    Limits,
    Sampling,
    Tool,
    ToolMode,
    ToolPolicy,
    Turn,
)
from tests.unit.claude.stage import LOOKUP, Frame, ask, written

KNOWN = Sheet(64_000)
UNKNOWN = Sheet()
BUDGET = Sheet(64_000, thinks_on_budget=True)
SKILL = Tool("Skill", "", msgspec.Raw(b"{}"))


def turn(
    policy: ToolPolicy | None = None,
    *,
    tools: tuple[Tool, ...] = (LOOKUP,),
    sampling: Sampling | None = None,
    max_tokens: int | None = None,
    own_tools: tuple[str, ...] = (),
) -> Turn:
    return msgspec.structs.replace(
        ask(tools=tools),
        tool_policy=policy or ToolPolicy(),
        sampling=sampling or Sampling(),
        limits=Limits(max_tokens),
        own_tools=own_tools,
    )


def body(asked: Turn, sheet: Sheet = UNKNOWN) -> Frame:
    """What goes into each request of the turn."""
    found = find_limits(asked, sheet).body
    return {} if found is None else msgspec.json.decode(found)


# What a turn needs...


def test_a_turn_that_wants_nothing_needs_nothing() -> None:
    for sheet in (UNKNOWN, KNOWN, BUDGET):
        assert find_limits(turn(), sheet) == Applied()


@pytest.mark.parametrize(
    ("wanted", "sheet", "expected"),
    [
        # A model whose limit is known: in each request.
        (100, KNOWN, Applied(body='{"max_tokens":100}')),
        (64_000, KNOWN, Applied(body='{"max_tokens":64000}')),
        (64_001, KNOWN, Applied(body='{"max_tokens":64000}')),
        (1, KNOWN, Applied(body='{"max_tokens":1}')),
        # Else the CLI keeps to what the model can.
        (100, UNKNOWN, Applied(max_tokens=100)),
        (10**9, UNKNOWN, Applied(max_tokens=10**9)),
        # One that thinks on a budget: the CLI makes it fit, if it can.
        (5_000, BUDGET, Applied(max_tokens=5_000)),
        (1_025, BUDGET, Applied(max_tokens=1_025)),
        (1_024, BUDGET, Applied(max_tokens=1_024, thinks=False)),
        (99_999, BUDGET, Applied(max_tokens=64_000)),
        (5_000, Sheet(1_000, thinks_on_budget=True), Applied(max_tokens=1_000, thinks=False)),
        (5_000, Sheet(None, thinks_on_budget=True), Applied(max_tokens=5_000)),
        (None, Sheet(100, thinks_on_budget=True), Applied()),
    ],
)
def test_a_limit_goes_where_it_holds(wanted: int | None, sheet: Sheet, expected: Applied) -> None:
    assert find_limits(turn(max_tokens=wanted), sheet) == expected


@pytest.mark.parametrize("effort", [None, "low", "max"])
@pytest.mark.parametrize("thinks", [True, False])
def test_how_hard_to_think_is_the_sheet_s_to_say(effort: str | None, thinks: bool) -> None:
    found = find_limits(turn(), Sheet(effort=effort, thinks=thinks))
    assert found == Applied(effort=effort, thinks=thinks)


@pytest.mark.parametrize(
    ("sheet", "is_signed", "thinks"),
    [
        (BUDGET, True, True),
        (BUDGET, False, False),
        (KNOWN, False, True),
        (UNKNOWN, False, True),
        (msgspec.structs.replace(KNOWN, thinks=False), True, False),
        (msgspec.structs.replace(BUDGET, thinks=False), True, False),
    ],
)
def test_a_model_with_a_budget_cannot_go_on_thinking_where_its_thoughts_are_lost(
    sheet: Sheet, is_signed: bool, thinks: bool
) -> None:
    for wanted in (None, 5_000):
        found = find_limits(turn(max_tokens=wanted), sheet, is_signed=is_signed)
        assert found.thinks is thinks


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), {}),
        (Sampling(temperature=0.0), {"temperature": 0.0}),
        (Sampling(top_p=0.5), {"top_p": 0.5}),
        (Sampling(top_k=0), {"top_k": 0}),
        (Sampling(0.5, 1.0, 3), {"temperature": 0.5, "top_p": 1.0, "top_k": 3}),
    ],
)
def test_sampling_goes_into_each_request(sampling: Sampling, expected: Frame) -> None:
    assert body(turn(sampling=sampling)) == expected


@pytest.mark.parametrize(
    ("policy", "choice"),
    [
        (ToolPolicy(), None),
        (ToolPolicy(ToolMode.AUTO), None),
        (ToolPolicy(ToolMode.NONE), {"type": "none"}),
        (ToolPolicy(ToolMode.REQUIRED), {"type": "any"}),
        (ToolPolicy(ToolMode.NAMED, "lookup"), {"type": "tool", "name": "lookup"}),
        (ToolPolicy(ToolMode.NAMED, "Skill"), {"type": "tool", "name": "mcp__c__Skill"}),
        # One call at a time; who may not call at all cannot be told so.
        (
            ToolPolicy(parallel=False),
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
        (ToolPolicy(ToolMode.NONE, parallel=False), {"type": "none"}),
        (
            ToolPolicy(ToolMode.REQUIRED, parallel=False),
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        (
            ToolPolicy(ToolMode.NAMED, "lookup", parallel=False),
            {"type": "tool", "name": "lookup", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_a_choice_of_tools_is_spelled_as_the_upstream_has_it(
    policy: ToolPolicy, choice: Frame | None
) -> None:
    asked = turn(policy, tools=(LOOKUP, SKILL))
    assert body(asked) == ({} if choice is None else {"tool_choice": choice})
    # Without tools there is nothing to choose, and the upstream refuses to be told.
    assert body(msgspec.structs.replace(asked, tools=())) == {}


def test_the_tool_that_must_be_called_is_told_by_the_name_that_the_model_knows() -> None:
    asked = turn(ToolPolicy(ToolMode.NAMED, "lookup"), own_tools=ALL_TOOLS)
    assert body(asked)["tool_choice"]["name"] == "mcp__c__lookup"


def test_all_of_it_goes_together() -> None:
    asked = turn(ToolPolicy(ToolMode.REQUIRED), sampling=Sampling(temperature=0.5), max_tokens=10)
    assert body(asked, KNOWN) == {
        "max_tokens": 10,
        "tool_choice": {"type": "any"},
        "temperature": 0.5,
    }


# ... and the frames that say so.

NOTHING = Applied()
ALL = Applied(7, False, "low", '{"temperature":0.5}')


def requests(wanted: Applied, before: Applied = NOTHING) -> list[Frame]:
    frames = written(write_limits(wanted, before))
    assert all(frame["type"] == "control_request" for frame in frames)
    return [{"id": frame["request_id"], **frame["request"]} for frame in frames]


def settings(wanted: Applied, before: Applied = NOTHING) -> Frame:
    (request,) = requests(wanted, before)
    assert (request["id"], request["subtype"]) == ("limits", "apply_flag_settings")
    found: Frame = request["settings"]
    return found


@pytest.mark.parametrize(
    ("wanted", "before", "expected"),
    [
        (Applied(max_tokens=7), NOTHING, {"env": {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "7"}}),
        (NOTHING, Applied(max_tokens=7), {"env": {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": None}}),
        (Applied(max_tokens=8), Applied(7), {"env": {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "8"}}),
        (Applied(body="{}"), NOTHING, {"env": {"CLAUDE_CODE_EXTRA_BODY": "{}"}}),
        (NOTHING, Applied(body="{}"), {"env": {"CLAUDE_CODE_EXTRA_BODY": None}}),
        (Applied(effort="low"), NOTHING, {"effortLevel": "low"}),
        (Applied(effort="low"), Applied(effort="max"), {"effortLevel": "low"}),
        (NOTHING, Applied(effort="max"), {"effortLevel": None}),
        (
            Applied(7, True, "low", '{"a":"é"}'),
            NOTHING,
            {
                "env": {
                    "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "7",
                    "CLAUDE_CODE_EXTRA_BODY": '{"a":"é"}',
                },
                "effortLevel": "low",
            },
        ),
        (
            Applied(7, True, "max", "{}"),
            Applied(7, True, "low", "{}"),
            {"effortLevel": "max"},
        ),
    ],
)
def test_only_what_differs_is_written_and_null_takes_it_back(
    wanted: Applied, before: Applied, expected: Frame
) -> None:
    assert settings(wanted, before) == expected


@pytest.mark.parametrize(("thinks", "tokens"), [(False, 0), (True, None)])
def test_thinking_is_switched_and_stays_readable(thinks: bool, tokens: int | None) -> None:
    (request,) = requests(Applied(thinks=thinks), Applied(thinks=not thinks))
    assert request == {
        "id": "thinking",
        "subtype": "set_max_thinking_tokens",
        "max_thinking_tokens": tokens,
        "thinking_display": "summarized",
    }


def test_thinking_is_switched_before_the_rest() -> None:
    assert [request["id"] for request in requests(ALL)] == ["thinking", "limits"]


SOME = [NOTHING, ALL, Applied(7), Applied(thinks=False), Applied(effort="low"), Applied(body="{}")]


@pytest.mark.parametrize("applied", SOME)
def test_what_is_in_force_is_not_written_again(applied: Applied) -> None:
    assert write_limits(applied, applied) == b""


def put(applied: Applied, request: Frame) -> Applied:
    """What is in force once the CLI has heard it."""
    if request["id"] == "thinking":
        return msgspec.structs.replace(applied, thinks=request["max_thinking_tokens"] is None)
    found: Frame = request["settings"]
    env = found.get("env", {})
    if "CLAUDE_CODE_MAX_OUTPUT_TOKENS" in env:
        tokens = env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"]
        applied = msgspec.structs.replace(applied, max_tokens=tokens and int(tokens))
    if "CLAUDE_CODE_EXTRA_BODY" in env:
        applied = msgspec.structs.replace(applied, body=env["CLAUDE_CODE_EXTRA_BODY"])
    return msgspec.structs.replace(applied, effort=found.get("effortLevel", applied.effort))


@pytest.mark.parametrize(("before", "wanted"), list(itertools.product(SOME, SOME)))
def test_from_anything_to_anything_else_the_frames_lead_there(
    before: Applied, wanted: Applied
) -> None:
    now = before
    for request in requests(wanted, before):
        now = put(now, request)
    assert now == wanted


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (NOTHING, True),
        (Applied(effort="low"), True),
        (Applied(body='{"max_tokens":9}'), True),
        (Applied(max_tokens=9), False),
        (Applied(thinks=False), False),
    ],
)
def test_what_each_request_asks_for_can_change_while_calls_are_held(
    wanted: Applied, holds: bool
) -> None:
    assert NOTHING.holds_at_once(wanted) is holds
    assert wanted.holds_at_once(NOTHING) is holds
