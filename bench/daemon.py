"""ocpd on a lane that leads to the scripted upstream. Only code can set such a lane."""

import os
import sys

import msgspec

from ocpd.__main__ import read_start, serve
from ocpd.claude.argv import Lane

if __name__ == "__main__":
    lane = Lane(
        name="bench",
        environment=(
            ("ANTHROPIC_BASE_URL", os.environ["BENCH_UPSTREAM"]),
            ("CLAUDE_CODE_OAUTH_TOKEN", "bench"),
        ),
        demo=True,
    )
    sys.exit(serve(msgspec.structs.replace(read_start(sys.argv[1:]), lane=lane)))
