"""Body bytes to a Turn.

What may live here: the order in which a request is read, and how the pieces make a Turn.
"""

import msgspec

from ocpd.dialects.body import read_body
from ocpd.dialects.interface import Context
from ocpd.dialects.openai_chat import wire
from ocpd.dialects.openai_chat.conversation import Conversation, read_conversation
from ocpd.dialects.openai_chat.options import (
    list_ignored,
    read_effort,
    read_format,
    read_limits,
    read_metadata,
    read_sampling,
    read_session,
    refuse_impossible,
)
from ocpd.dialects.openai_chat.servers import read_servers
from ocpd.dialects.openai_chat.tools import is_older_form, read_tools
from ocpd.dialects.tally import counting
from ocpd.errors import BadRequest
from ocpd.turn.blank import is_blank
from ocpd.turn.request import Message, Role, Text, Turn

_REQUEST: msgspec.json.Decoder[wire.Request] = msgspec.json.Decoder(wire.Request)
_INPUT: msgspec.json.Decoder[str | list[wire.Message] | None] = msgspec.json.Decoder(
    str | list[wire.Message] | None
)
_PROMPT: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)


def decode_request(body: bytes, context: Context) -> Turn:
    """Read a request. Raises BadRequest naming the field that does not fit, and otherwise only what
    ``context`` raises."""
    request = _read_request(body)
    refuse_impossible(request)
    tools, policy = read_tools(request)
    options = request.stream_options
    model = context.resolve(_check_model(request.model))
    conversation = _read_messages(request)
    metadata = read_metadata(request)
    effort, reasoning_field = read_effort(request, metadata, context.effort)
    return Turn(
        id=context.turn_id,
        model=model,
        messages=conversation.messages,
        system=conversation.system,
        stream=request.stream or False,
        include_usage=(options is not None and options.include_usage) or False,
        tools=tools,
        tool_policy=policy,
        calls_as_functions=is_older_form(request),
        servers=read_servers(metadata, context),
        format=read_format(request),
        limits=read_limits(request),
        sampling=read_sampling(request),
        effort=effort,
        reasoning_field=reasoning_field,
        session=read_session(request, context.session),
        user=request.user,
        ignored=list_ignored(request, tools),
    )


def _read_request(body: bytes) -> wire.Request:
    try:
        with counting("messages"):
            return read_body(body, _REQUEST)
    except BadRequest as refusal:
        if refusal.param == "model":
            raise BadRequest("model must be a string", param="model") from None
        raise


def _check_model(name: str | None) -> str | None:
    if name is not None and not name.strip():
        raise BadRequest("model must not be empty", param="model")
    return name


def _read_messages(request: wire.Request) -> Conversation:
    # The first of the three that says anything is the conversation.
    if request.messages:
        return read_conversation(request.messages, "messages")
    if request.input and (said := _read_input(request.input)):
        if isinstance(said, str):
            return _ask(said, "input")
        return read_conversation(said, "input")
    if request.prompt and (text := read_body(request.prompt, _PROMPT, "prompt")):
        return _ask(text, "prompt")
    raise BadRequest("messages: required, but missing or empty", param="messages")


def _read_input(raw: msgspec.Raw) -> str | list[wire.Message] | None:
    with counting("input"):
        return read_body(raw, _INPUT, "input")


def _ask(text: str, field: str) -> Conversation:
    if is_blank(text):
        raise BadRequest(f"{field} must not be empty", param=field)
    return Conversation("", (Message(Role.USER, (Text(text),)),))
