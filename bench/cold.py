"""The CLI as it is used without ocpd: a process for each request.

What may live here: that, timed.
"""

import time
from pathlib import Path

from tests.kit.cli import RealCli, stream_events, user_frame


def cold(url: str, home: Path) -> float:
    """Spawn the CLI, ask once; milliseconds to the first text."""
    started = time.monotonic()
    with RealCli(url, home) as cli:
        cli.send(
            {
                "type": "control_request",
                "request_id": "i",
                "request": {"subtype": "initialize", "systemPrompt": []},
            },
            user_frame("One line, please."),
        )
        cli.until(lambda f: any("delta" in e for e in stream_events([f])))
        first = (time.monotonic() - started) * 1000
        cli.until(lambda f: f["type"] == "result")
    return first
