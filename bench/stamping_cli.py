"""A stand-in for the CLI that writes stamped deltas: what is left is the daemon's own delay.

Knows just enough of the protocol for one turn. Used by the relay benchmark only.
"""

import json
import sys
import time

DELTAS, GAP_S = 200, 0.005


def say(frame: dict[str, object]) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(frame, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def stream(event: dict[str, object]) -> None:
    """Write one upstream event."""
    say({"type": "stream_event", "event": event, "parent_tool_use_id": None})


def turn(uuid: str) -> None:
    """Answer one prompt."""
    say({"type": "system", "subtype": "status", "status": "requesting"})
    message = {"id": "msg_1", "model": "claude-sonnet-5-5", "usage": {"input_tokens": 1}}
    stream({"type": "message_start", "message": message})
    for _ in range(DELTAS):
        text = f"@{time.monotonic_ns()}#"
        stream({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}})
        time.sleep(GAP_S)
    stream({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}})
    stream({"type": "message_stop"})
    say({"type": "result", "subtype": "success", "user_message_uuids": [uuid]})


def main() -> None:
    """Speak the protocol until stdin ends."""
    if "--version" in sys.argv:
        print("2.1.330 (Claude Code)")
        return
    if "auth" in sys.argv:
        print('{"loggedIn": true, "authMethod": "bench"}')
        return
    for line in sys.stdin:
        frame = json.loads(line)
        if frame["type"] == "control_request":
            answer = {"subtype": "success", "request_id": frame["request_id"], "response": {}}
            say({"type": "control_response", "response": answer})
        elif frame["type"] == "user":
            turn(frame["uuid"])


if __name__ == "__main__":
    main()
