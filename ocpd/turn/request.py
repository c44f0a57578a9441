"""What a caller asks, whatever dialect it was asked in.

What may live here: frozen records and nothing that decides.
"""

import enum
from typing import NewType

import msgspec

from ocpd.turn.servers import Server

TurnId = NewType("TurnId", str)
"""32 hexadecimal digits, random; made at the edge. In every log line of the turn."""


class Role(enum.Enum):
    """Who said a message of the history."""

    USER = "user"
    ASSISTANT = "assistant"


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Plain text, never empty and never only white space once decoded."""

    text: str


class Image(msgspec.Struct, frozen=True, tag="image"):
    """A picture: ``data`` is base64 (then ``media_type`` is set), or ``url`` points at it."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class Document(msgspec.Struct, frozen=True, tag="document"):
    """A file the model should read: base64 ``data`` of ``media_type``."""

    media_type: str
    data: str
    name: str | None = None


class ToolUse(msgspec.Struct, frozen=True, tag="tool_use"):
    """A call the model made earlier; ``arguments`` is the JSON text as the caller resent it."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    """What the caller's tool answered to the call ``id``."""

    id: str
    content: tuple[Text | Image, ...]
    is_error: bool = False


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """Thinking text that came back with the history; ``signature`` if the dialect carries it."""

    text: str
    signature: str | None = None


Part = Text | Image | Document | ToolUse | ToolResult | Reasoning


class Message(msgspec.Struct, frozen=True):
    """One message of the conversation, in the caller's order."""

    role: Role
    parts: tuple[Part, ...]


class Tool(msgspec.Struct, frozen=True):
    """A tool of the caller's; ``schema`` is its JSON schema, byte for byte."""

    name: str
    description: str
    schema: msgspec.Raw
    strict: bool = False


class ToolMode(enum.Enum):
    """How free the model is to call tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


class ToolPolicy(msgspec.Struct, frozen=True):
    """``name`` is set exactly when ``mode`` is NAMED."""

    mode: ToolMode = ToolMode.AUTO
    name: str | None = None
    parallel: bool = True


class Shape(enum.Enum):
    """What form the answer must have."""

    TEXT = "text"
    JSON = "json_object"
    SCHEMA = "json_schema"


class AnswerFormat(msgspec.Struct, frozen=True):
    """``schema`` is the raw JSON schema when ``shape`` is SCHEMA."""

    shape: Shape = Shape.TEXT
    schema: msgspec.Raw | None = None
    name: str | None = None
    strict: bool = False


class Limits(msgspec.Struct, frozen=True):
    """Where the answer must end at the latest. ``max_tokens`` counts output tokens."""

    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


class Sampling(msgspec.Struct, frozen=True):
    """How the caller would like tokens drawn."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


ALL_TOOLS = ("default",)
"""Every tool that the CLI has."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One request of one caller, ready to run.

    ``model`` is the canonical id that runs, ``system`` the caller's system prompt byte for byte
    ("" is none). ``messages`` is never empty and ends with the user's. ``ignored`` names the
    fields of the request that were understood and will have no effect; ``dropped`` counts messages
    that were left out because all of them were too long. ``has_cache_control``: the request speaks
    of the upstream's cache somewhere.

    ``reasoning_field`` is the field with which the request speaks of reasoning, be it ``effort`` or
    something else; None: it does not. ``calls_as_functions``: the caller knows the older form of
    tools, and wants its one call as ``function_call``. ``servers`` are the MCP servers whose tools
    run on this machine, by name: those that join every request and those that this one asked for;
    ``own_tools`` names those of the CLI's own tools that run here too (``ALL_TOOLS``: each of
    them), ``is_unasked`` says that these need no permission.
    """

    id: TurnId
    model: str
    messages: tuple[Message, ...]
    system: str = ""
    stream: bool = False
    include_usage: bool = False
    tools: tuple[Tool, ...] = ()
    tool_policy: ToolPolicy = ToolPolicy()
    calls_as_functions: bool = False
    servers: tuple[Server, ...] = ()
    own_tools: tuple[str, ...] = ()
    is_unasked: bool = False
    format: AnswerFormat = AnswerFormat()
    limits: Limits = Limits()
    sampling: Sampling = Sampling()
    effort: str | None = None
    reasoning_field: str | None = None
    tells_reasoning: bool = True
    session: str | None = None
    user: str | None = None
    ignored: tuple[str, ...] = ()
    dropped: int = 0
    has_cache_control: bool = False
