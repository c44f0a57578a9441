"""A bare ASGI app for uvicorn with h11: what a small JSON answer costs elsewhere."""

import sys
from pathlib import Path

import uvicorn

BODY = (Path(__file__).parent.parent / "models.json").read_bytes()


async def app(scope, receive, send) -> None:
    """Answer everything with a JSON document of the size of /v1/models."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    print(f"listening on http://127.0.0.1:{sys.argv[1]}", flush=True)
    uvicorn.run(
        app, port=int(sys.argv[1]), http="h11", loop="uvloop", log_level="error", access_log=False
    )
