"""Who asks: what the books and the limits hang on.

What may live here: the record. How a caller is recognised is the front door's business.
"""

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """``name`` is for people; ``key_id`` is set exactly for callers with a key of ours. ``place``
    is where the request came from: an address, or a user of this machine; ``key_stamp`` tells a key
    from another one that had its id before the store was restored. ``servers`` are the MCP servers
    it may ask for, None is all there are; ``own_tools`` are those of the CLI's own tools that it
    has, None leaves that to the settings."""

    name: str = "local"
    key_id: int | None = None
    place: str = ""
    key_stamp: str = ""
    servers: tuple[str, ...] | None = None
    own_tools: tuple[str, ...] | None = None

    @property
    def scope(self) -> str:
        """Whose conversations these are: nothing is ever shared between two scopes."""
        if self.key_id is None:
            return f"place {self.place}"
        return f"key {self.key_id} {self.key_stamp}"
