"""A small MCP server on stdin and stdout, a program of its own.

What may live here: what such a server does, in nothing but the standard library.

    mcp_server.py TOOL,...    has these tools; each answers who it is, and what it was asked

``KEY`` in its environment stands for a credential: a digest of it is part of every answer.
``PIDS`` names a folder where it leaves its process id. ``TROUBLE`` lets it end at once with that
text on stderr. The tool ``wait`` answers once somebody has written to the pipe ``GATE``.
"""

import hashlib
import json  # noqa: TID251 - a stranger's program
import os
import sys
from pathlib import Path
from typing import Any


def digest_of(key: str) -> str:
    """What is told of a credential."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def main() -> int:
    """Serve until stdin ends."""
    if folder := os.environ.get("PIDS"):
        Path(folder, f"{os.getpid()}").touch()
    if trouble := os.environ.get("TROUBLE"):
        sys.stderr.write(f"{trouble}\n")
        return 3
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked:
            sys.stdout.write(answer(asked, sys.argv[1], os.environ.get("KEY", "")) + "\n")
            sys.stdout.flush()
    return 0


def answer(asked: dict[str, Any], tools: str, key: str) -> str:
    """The answer to one request, of a server with these ``tools`` and this credential."""
    told = {"jsonrpc": "2.0", "id": asked["id"], "result": _answer(asked, tools, key)}
    return json.dumps(told)


def _answer(asked: dict[str, Any], tools: str, key: str) -> dict[str, Any]:
    given = asked.get("params", {})
    match asked["method"]:
        case "initialize":
            return {
                "protocolVersion": given["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "kit", "version": "1"},
            }
        case "tools/list":
            return {"tools": [_describe(name) for name in tools.split(",")]}
        case "tools/call":
            if given["name"] == "wait":
                Path(os.environ["GATE"]).read_bytes()
            who = f"{given['name']} of {os.getpid()} with {digest_of(key)}"
            told = f"{who}: {json.dumps(given['arguments'])}"
            return {"content": [{"type": "text", "text": told}]}
        case _:
            return {}


def _describe(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"key": {"type": "integer"}}}
    return {"name": name, "description": f"Does {name} here.", "inputSchema": schema}


if __name__ == "__main__":
    sys.exit(main())
