"""The envelopes of what we write to a child.

What may live here: how a request, an answer or a message becomes a line; nothing about what is in
it.
"""

import msgspec


def control(request_id: str, request: dict[str, object]) -> bytes:
    """Write one control request."""
    return encode_line({"type": "control_request", "request_id": request_id, "request": request})


def answer(request_id: str, response: object) -> bytes:
    """Answer a control request of the CLI's."""
    told = {"subtype": "success", "request_id": request_id, "response": response}
    return encode_line({"type": "control_response", "response": told})


def write_unsupported(request_id: str) -> bytes:
    """Answer a control request of the CLI's that we do not serve."""
    error = "not supported by this host"
    told = {"subtype": "error", "request_id": request_id, "error": error}
    return encode_line({"type": "control_response", "response": told})


def encode_line(frame: dict[str, object]) -> bytes:
    """Write one frame. JSON escapes newlines inside texts, so a frame is always one line."""
    return msgspec.json.encode(frame) + b"\n"
