"""Promise: a conversation the API would not take is refused, the CLI's own habits are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.conversation import refusal_for_messages


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def text(words):
    return {"type": "text", "text": words}


def call(name):
    return {"type": "tool_use", "id": name, "name": "t", "input": {}}


def result(name, content="done"):
    return {"type": "tool_result", "tool_use_id": name, "content": content}


HI = {"role": "user", "content": "hi"}
YES = {"role": "assistant", "content": "yes"}

GOOD = {
    "one question": [HI],
    "a dialogue": [HI, YES, HI],
    "users in a row": [HI, HI, YES, HI],
    "a last word of the assistant": [HI, YES],
    "a tool turn": [HI, assistant(text("let me"), call("1")), user(result("1"))],
    "two calls in one message": [
        HI,
        assistant(call("1"), call("2")),
        user(result("2"), result("1"), text("and?")),
    ],
    "results over two messages": [
        HI,
        assistant(call("1")),
        assistant(call("2")),
        user(result("1")),
        user(result("2")),
    ],
    "a result without content": [
        HI,
        assistant(call("1")),
        user({"type": "tool_result", "tool_use_id": "1"}),
    ],
    "an image in a result": [
        HI,
        assistant(call("1")),
        user(result("1", [{"type": "image", "source": {}}])),
    ],
    "thinking before the answer": [
        HI,
        assistant({"type": "thinking", "thinking": "", "signature": "s"}, text("yes")),
        HI,
    ],
    "system messages anywhere": [
        {"role": "system", "content": []},
        HI,
        {"role": "system", "content": "about today"},
        assistant(call("1")),
        {"role": "system", "content": [text("")]},
        user(result("1")),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_conversation_passes(name):
    assert refusal_for_messages(GOOD[name]) is None


BAD = {
    "no messages": ([], "at least one message"),
    "messages of a wrong type": ("hi", "at least one message"),
    "a message of a wrong type": (["hi"], "Input should be an object"),
    "an unknown role": ([{"role": "tool", "content": "x"}], "messages.0.role"),
    "nothing but system": ([{"role": "system", "content": "x"}], "first message must use the user"),
    "the assistant first": ([YES, HI], "first message must use the user role"),
    "an empty text": ([{"role": "user", "content": ""}], "non-empty"),
    "a blank text": ([{"role": "user", "content": " \n"}], "non-empty"),
    "no blocks": ([user()], "non-empty content"),
    "an empty block": ([user(text(""))], "text content blocks must be non-empty"),
    "a blank block": ([user(text("a"), text(" "))], "non-whitespace"),
    "an empty block of the assistant": ([HI, assistant(text("")), HI], "must be non-empty"),
    "an empty block in a result": (
        [HI, assistant(call("1")), user(result("1", [text("")]))],
        "must be non-empty",
    ),
    "a block without a type": ([user({"text": "x"})], "messages.0.content.0"),
    "a block that is none": ([user("x")], "messages.0.content.0"),
    "a blank at the very end": ([HI, {"role": "assistant", "content": "yes "}], "trailing white"),
    "a blank block end": ([HI, assistant(text("yes\n"))], "trailing whitespace"),
    "a result nobody asked for": ([user(result("1"))], "unexpected `tool_use_id`"),
    "a result of an older call": (
        [HI, assistant(call("1")), user(result("1")), YES, user(result("1"))],
        "unexpected `tool_use_id`",
    ),
    "a call without a result": ([HI, assistant(call("1")), HI], "without `tool_result` blocks"),
    "a call at the end": ([HI, assistant(call("1"))], "without `tool_result` blocks"),
    "one result for two calls": (
        [HI, assistant(call("1"), call("2")), user(result("1"))],
        "after: 2.",
    ),
    "two results for one call": (
        [HI, assistant(call("1")), user(result("1"), result("1"))],
        "a single result",
    ),
    "two calls of one id": ([HI, assistant(call("1"), call("1"))], "ids must be unique"),
    "an id used again": (
        [HI, assistant(call("1")), user(result("1")), assistant(call("1")), user(result("1"))],
        "ids must be unique",
    ),
    "text before the results": (
        [HI, assistant(call("1")), user(text("well"), result("1"))],
        "must come first",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_conversation_is_refused_with_its_reason(name):
    messages, reason = BAD[name]
    assert reason in (refusal_for_messages(messages) or "passed")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_block = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_use", "tool_result", "image", 3])},
    optional={"text": _json, "id": _json, "tool_use_id": _json, "content": _json, "input": _json},
)
_message = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "tool", None]),
        "content": _json | st.text() | st.lists(_block, max_size=3),
    },
)


@given(_json | st.lists(_message, max_size=5))
def test_any_json_is_judged_without_a_crash(messages):
    assert isinstance(refusal_for_messages(messages), str | None)
