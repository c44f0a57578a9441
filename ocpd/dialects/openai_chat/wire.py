"""The request as OpenAI's Chat Completions API writes it, with the names seen in the wild.

What may live here: structs for decoding, nothing that decides. Unknown fields are ignored: clients
evolve. ``gc=False`` is safe because nothing here can refer back; it spares the collector a walk
over long histories. Fields kept ``Raw`` are passed through, only asked whether they are there, or
decoded when their size is known. What may stand in a long list is ``Counted``.
"""

import msgspec

from ocpd.dialects.tally import Counted

ABSENT = msgspec.Raw()


class ImageUrl(msgspec.Struct, gc=False):
    """``image_url`` of a part; ``detail`` has no counterpart and is ignored."""

    url: str


class File(msgspec.Struct, gc=False):
    """``file`` of a part."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Part(Counted, gc=False):
    """One element of a content array, of whatever ``type``."""

    counted_as = "content parts"

    type: str
    text: str | None = None
    image_url: ImageUrl | str | None = None
    file: File | None = None
    refusal: str | None = None


class FunctionCall(msgspec.Struct, gc=False):
    """A call in the history: ``function`` of a tool call, or the older ``function_call``."""

    name: str
    arguments: str | None = None


class ToolCall(Counted, gc=False):
    """One element of ``tool_calls``."""

    counted_as = "tool calls"

    id: str
    type: str = "function"
    function: FunctionCall | None = None


class Message(Counted, gc=False):
    """One message, of whatever role."""

    counted_as = "messages"

    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    tool_call_id: str | None = None


class Function(msgspec.Struct, gc=False):
    """A function the model may call; ``parameters`` is its JSON schema."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = ABSENT
    strict: bool | None = None


class BareFunction(Function, Counted, gc=False):
    """One element of ``functions``, the older form of ``tools``."""

    counted_as = "functions"
    counted_in = "functions"


class Tool(Counted, gc=False):
    """One element of ``tools``."""

    counted_as = "tools"
    counted_in = "tools"

    type: str = "function"
    function: Function | None = None


class Named(msgspec.Struct, gc=False):
    """A function that is only named."""

    name: str


class AllowedTool(Counted, gc=False):
    """One element of ``allowed_tools.tools``."""

    counted_as = "allowed tools"
    counted_in = "tool_choice"

    type: str = "function"
    function: Named | None = None


class AllowedTools(msgspec.Struct, gc=False):
    """``allowed_tools`` of ``tool_choice``."""

    mode: str
    tools: list[AllowedTool]


class ToolChoice(msgspec.Struct, gc=False):
    """``tool_choice`` when it is an object."""

    type: str | None = None
    function: Named | None = None
    allowed_tools: AllowedTools | None = None


class JsonSchema(msgspec.Struct, gc=False):
    """``json_schema`` of ``response_format``."""

    name: str | None = None
    schema: msgspec.Raw = ABSENT
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, gc=False):
    """``response_format``; some clients put the ``schema`` directly into it."""

    type: str | None = None
    json_schema: JsonSchema | None = None
    schema: msgspec.Raw = ABSENT


class StreamOptions(msgspec.Struct, gc=False):
    """``stream_options``."""

    include_usage: bool | None = None


class Reasoning(msgspec.Struct, gc=False):
    """``reasoning``, as the Responses API and some routers write it."""

    effort: str | None = None


class Metadata(msgspec.Struct, gc=False):
    """``metadata``: the caller's own notes, and among them what has no field of its own here."""

    effort: str | None = None
    mcp_servers: list[str] | str | None = None


class SchemaHead(msgspec.Struct, gc=False):
    """What must be known of a JSON schema of parameters."""

    type: str | msgspec.UnsetType = msgspec.UNSET


class Request(msgspec.Struct, gc=False):
    """The body. ``input`` and ``prompt`` stand in for ``messages`` in the product's older
    clients; they are decoded only when they count."""

    model: str | None = None
    messages: list[Message] | None = None
    input: msgspec.Raw = ABSENT
    prompt: msgspec.Raw = ABSENT
    # How the answer comes.
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    modalities: msgspec.Raw = ABSENT
    audio: msgspec.Raw = ABSENT
    response_format: ResponseFormat | None = None
    json_mode: bool | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    # Where it ends.
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: msgspec.Raw = ABSENT
    # How it is drawn.
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: msgspec.Raw = ABSENT
    prediction: msgspec.Raw = ABSENT
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    verbosity: str | None = None
    thinking: msgspec.Raw = ABSENT
    web_search_options: msgspec.Raw = ABSENT
    service_tier: str | None = None
    # What it may call.
    tools: list[Tool] | None = None
    functions: list[BareFunction] | None = None
    tool_choice: str | ToolChoice | None = None
    function_call: str | Named | None = None
    parallel_tool_calls: bool | None = None
    # Who asks.
    metadata: msgspec.Raw = ABSENT
    session_id: str | None = None
    conversation_id: str | None = None
    user: str | None = None
