"""Which MCP servers a request asks for.

What may live here: where they may stand. What there is, and who may use it, is known to whoever
made the context.
"""

from ocpd.dialects.interface import Context
from ocpd.dialects.openai_chat import wire
from ocpd.turn.servers import Server, split_names


def read_servers(metadata: wire.Metadata, context: Context) -> tuple[Server, ...]:
    """Return all MCP servers that the request gets; the body wins over the header, also if it asks
    for none.

    Raises BadRequest or Refused naming the field, and the server that it cannot have.
    """
    field, asked = "metadata.mcp_servers", metadata.mcp_servers
    if asked is None:
        field, asked = "x-mcp-servers", context.servers
    names = split_names(asked or "") if not isinstance(asked, list) else asked
    return context.choose_servers(names, field)
