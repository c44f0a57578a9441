"""Structs of the child's stdout and of the frames we write, exactly as the CLI spells them.

What may live here: shapes and their decoding; no meaning. Written against Claude Code 2.1.330.
The protocol is not promised stable, so unknown types, subtypes and fields are ignored, and
everything we can live without has a default.
"""

import msgspec
from msgspec import Raw, Struct


class WireUsage(Struct):
    """Token counts of the Messages API; null counts appear."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: "TokenDetails | None" = None


class TokenDetails(Struct):
    """What output tokens were spent on."""

    thinking_tokens: int | None = None


class Block(Struct):
    """One content block of an assistant message."""

    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw()


class WireMessage(Struct):
    """An assistant message, whole or as ``message_start`` announces it."""

    id: str = ""
    model: str = ""
    content: list[Block] | str = ""
    stop_reason: str | None = None
    usage: WireUsage | None = None


class Delta(Struct):
    """The ``delta`` of content_block_delta and of message_delta."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class StreamEvent(Struct):
    """A raw event of the Messages API's stream."""

    type: str
    index: int = 0
    delta: Delta | None = None
    content_block: Block | None = None
    message: WireMessage | None = None
    usage: WireUsage | None = None


class StreamFrame(Struct):
    """``stream_event``."""

    event: StreamEvent
    parent_tool_use_id: str | None = None
    user_message_uuids: list[str] = []


class AssistantFrame(Struct):
    """``assistant``: a completed block, or a synthetic message that carries an error."""

    message: WireMessage
    error: str | None = None
    parent_tool_use_id: str | None = None
    user_message_uuids: list[str] = []


class ResultFrame(Struct):
    """``result``: the end of one turn. ``subtype`` says success even when ``is_error``."""

    subtype: str = ""
    is_error: bool = False
    result: str | None = None
    stop_reason: str | None = None
    terminal_reason: str | None = None
    api_error_status: int | None = None
    api_error_type: str | None = None
    errors: list[str] = []
    usage: WireUsage | None = None
    structured_output: Raw = Raw()
    total_cost_usd: float = 0.0
    credential_expires_at: float | str | None = None
    user_message_uuids: list[str] = []


class SystemFrame(Struct):
    """``system``: status, init, api_retry and many more; only some fields are ours."""

    subtype: str = ""
    status: str | None = None
    error_status: int | None = None
    error: str | None = None
    tools: list[str] = []


class PlanWindow(Struct):
    """One window of the plan. ``utilization`` is a share of it, ``resetsAt`` epoch seconds."""

    utilization: float | None = None
    resetsAt: float | None = None  # noqa: N815 - the CLI's spelling
    status: str | None = None


class RateLimitInfo(Struct):
    """What the CLI knows of the plan's windows. ``resetsAt`` is epoch seconds."""

    status: str = ""
    resetsAt: float | None = None  # noqa: N815 - the CLI's spelling
    rateLimitType: str | None = None  # noqa: N815
    utilization: float | None = None
    isUsingOverage: bool = False  # noqa: N815
    overageStatus: str | None = None  # noqa: N815
    overageDisabledReason: str | None = None  # noqa: N815
    unifiedWindows: dict[str, PlanWindow] = {}  # noqa: N815


class RateLimitFrame(Struct):
    """``rate_limit_event``: comes when the values changed on this process."""

    rate_limit_info: RateLimitInfo


class ControlAnswer(Struct):
    """The inner part of a control_response."""

    subtype: str
    request_id: str
    response: Raw = Raw()  # never "Raw | None": msgspec then takes null only
    error: str | None = None


class ControlResponseFrame(Struct):
    """``control_response``: the answer to a request of ours."""

    response: ControlAnswer


class McpMeta(Struct):
    """``_meta`` of a call: which block of the answer it is."""

    tool_use_id: str = msgspec.field(name="claudecode/toolUseId", default="")


class McpParams(Struct):
    """``params`` of what the CLI says to an MCP server; the arguments of a call were streamed."""

    protocolVersion: str = ""  # noqa: N815 - MCP's spelling
    requestId: int | str | None = None  # noqa: N815
    meta: McpMeta = msgspec.field(name="_meta", default_factory=McpMeta)


class McpMessage(Struct):
    """A JSON-RPC message to an MCP server; without ``id`` it is a notification."""

    method: str = ""
    id: int | str | None = None
    params: McpParams = msgspec.field(default_factory=McpParams)


class ControlAsk(Struct):
    """The inner part of a control_request of the CLI's."""

    subtype: str = ""
    server_name: str = ""
    message: McpMessage | None = None


class ControlRequestFrame(Struct):
    """``control_request``: the CLI wants something of us."""

    request_id: str
    request: ControlAsk


class IgnoredFrame(Struct):
    """Whatever else the CLI says."""

    type: str


KEEP_ALIVE = IgnoredFrame("keep_alive")
"""It says that the pipe is there, and nothing of the turn."""


class OfferedModel(Struct):
    """One entry of ``models`` in the initialize response (the same as ``list_models``)."""

    value: str = ""
    resolvedModel: str = ""  # noqa: N815 - the CLI's spelling


class InitializeAnswer(Struct):
    """What we read of the initialize response."""

    models: list[OfferedModel] = []


class InterruptAnswer(Struct):
    """What an interrupt with ``cancel_queued`` found."""

    cancelled: list[str] = []


class ServersAnswer(Struct):
    """Which MCP servers did not start, and why."""

    errors: dict[str, str] = {}


class RewindAnswer(Struct):
    """What a rewind did. ``precedingAssistantUuid`` null: no answer of the model's is left."""

    rewound: bool = False
    precedingAssistantUuid: str | None = ""  # noqa: N815 - the CLI's spelling
    error: str | None = None


Frame = (
    StreamFrame
    | AssistantFrame
    | ResultFrame
    | SystemFrame
    | RateLimitFrame
    | ControlResponseFrame
    | ControlRequestFrame
    | IgnoredFrame
)


class _Head(Struct):
    type: str = ""


_head: msgspec.json.Decoder[_Head] = msgspec.json.Decoder(_Head)
_stream: msgspec.json.Decoder[StreamFrame] = msgspec.json.Decoder(StreamFrame)
_decoders: dict[str, msgspec.json.Decoder[Frame]] = {
    "stream_event": msgspec.json.Decoder(StreamFrame),
    "assistant": msgspec.json.Decoder(AssistantFrame),
    "result": msgspec.json.Decoder(ResultFrame),
    "system": msgspec.json.Decoder(SystemFrame),
    "rate_limit_event": msgspec.json.Decoder(RateLimitFrame),
    "control_response": msgspec.json.Decoder(ControlResponseFrame),
    "control_request": msgspec.json.Decoder(ControlRequestFrame),
}


class BadFrame(ValueError):
    """A line that is not the frame it says it is."""


def decode_frame(line: bytes) -> Frame:
    """Decode one line of the child's stdout.

    Lines that are no JSON object (some builds print notes) are ignored. Raises BadFrame for an
    object that is broken or has a known type and an unknown shape.
    """
    try:
        # Most lines of a turn are deltas and begin like this: one decoding instead of two.
        if line.startswith(b'{"type":"stream_event"'):
            return _stream.decode(line)
        if not line.lstrip().startswith(b"{"):
            return IgnoredFrame("")
        kind = _head.decode(line).type
        decoder = _decoders.get(kind)
        return IgnoredFrame(kind) if decoder is None else decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame(str(error)) from None
