"""The real CLI takes the outline of every schema, and every good answer through it.

It says nothing when it does not: it offers no tool. So this is asked of each version anew. All
outlines go into one schema: a process for each would cost a third of a second.
"""

from typing import Any

import msgspec
import pytest

from ocpd.turn.schema import Checker, compile_schema
from tests.kit.script import Call, CallTools
from tests.unit.turn.schema_corpus import SAMPLES, make_object, write_call

# As ocpd's own children have it: without it the CLI adds a placeholder to the tools.
ENVIRONMENT = {"ENABLE_TOOL_SEARCH": "false"}

NAMES = {f"s{number}": name for number, name in enumerate(SAMPLES)}


def compiled(name: str) -> Checker:
    sample = SAMPLES[name]
    return compile_schema(msgspec.Raw(msgspec.json.encode(sample.schema)), strict=sample.strict)


def moved(node: Any, place: str) -> Any:
    """``node`` with its references leading to where it stands now."""
    if isinstance(node, list):
        return [moved(each, place) for each in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    here = {"$ref": place + reference[1:]} if isinstance(reference, str) else {}
    return {name: moved(each, place) for name, each in node.items()} | here


@pytest.mark.real_cli
def test_the_cli_takes_every_outline_and_every_good_answer(start_cli, upstream):
    outlines, answers = {}, {}
    for key, name in NAMES.items():
        checker = compiled(name)
        place = f"#/properties/{key}"
        outlines[key] = moved(msgspec.json.decode(checker.outline.schema), place)
        call = write_call(checker, msgspec.json.encode(SAMPLES[name].good).decode())
        answers[key] = msgspec.json.decode(call)
    cli = start_cli(environment=ENVIRONMENT)
    cli.initialize(jsonSchema=make_object(outlines))
    upstream.script(CallTools((Call("StructuredOutput", answers),)))
    result = cli.ask("hi")[-1]
    (request,) = upstream.requests
    assert [tool["name"] for tool in request.body["tools"]] == ["StructuredOutput"]
    assert result["structured_output"] == answers


@pytest.mark.real_cli
@pytest.mark.parametrize("name", ["zod", "pydantic tuple", "words of other tools"])
def test_the_cli_takes_no_such_schema_as_its_client_wrote_it(start_cli, upstream, name):
    """The day this fails, an outline may say more."""
    cli = start_cli(environment=ENVIRONMENT)
    cli.initialize(jsonSchema=SAMPLES[name].schema)
    cli.ask("hi")
    assert not upstream.requests[0].body.get("tools")
