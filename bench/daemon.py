"""ocpd on a lane that leads to the scripted upstream. Only code can set such a lane."""

import os
import sys

from ocpd.__main__ import load_everything, serve
from ocpd.claude.argv import Lane

if __name__ == "__main__":
    loaded, models = load_everything(sys.argv[1:])
    lane = Lane(
        name="bench",
        environment=(
            ("ANTHROPIC_BASE_URL", os.environ["BENCH_UPSTREAM"]),
            ("CLAUDE_CODE_OAUTH_TOKEN", "bench"),
        ),
        demo=True,
    )
    sys.exit(serve(loaded, models, lane))
