"""The face of this dialect.

What may live here: one object that ties decode and encode together, no rule of its own.
"""

from ocpd.dialects.interface import Context, Dialect, Encoder
from ocpd.dialects.openai_chat.decode import decode_request
from ocpd.dialects.openai_chat.encode import FoldingEncoder, StreamEncoder, encode_refusal
from ocpd.dialects.sse import KEEPALIVE
from ocpd.errors import OcpdError
from ocpd.turn.request import Turn


class OpenAIChat:
    """OpenAI Chat Completions, as ``ocpd.dialects.interface.Dialect`` describes it."""

    name = "openai_chat"
    keepalive = KEEPALIVE

    def decode(self, body: bytes, context: Context) -> Turn:
        """Read a request. Raises BadRequest naming the field, and nothing else."""
        return decode_request(body, context)

    def encoder(self, turn: Turn, created: int) -> Encoder:
        """Make the encoder for ``turn``: streaming or folding, as ``turn.stream`` says."""
        return StreamEncoder(turn, created) if turn.stream else FoldingEncoder(turn, created)

    def refusal(self, error: OcpdError) -> bytes:
        """Spell ``error`` as the body that goes with ``error.status``."""
        return encode_refusal(error)


OPENAI_CHAT: Dialect = OpenAIChat()
