"""Keys under load: whose turn it is, by role and weight.

Nothing here depends on how fast the machine is: all requests wait before the one place is given,
and a turn of the heavy key would have to take twenty times as long as one of the light key to
change the order. How the time is shared under a load that goes on is a simulation's business.
"""

from pathlib import Path

import pytest

from ocpd.sched.queue import BATCH_EVERY
from tests.kit.script import Hang
from tests.wire.conftest import OpenStage
from tests.wire.operator import Operator, ask_with
from tests.wire.stage import conversation, in_background, quick

pytestmark = pytest.mark.real_cli

EACH = 5
INTERACTIVE = "h" * EACH + "l" * EACH
ORDER = "".join(
    (
        INTERACTIVE[: BATCH_EVERY - 1],
        "n",
        INTERACTIVE[BATCH_EVERY - 1 :],
        "n" * (EACH - 1),
    )
)
"""Heavy ones first, since they pay next to nothing; and one batch turn before its time."""


def test_keys_have_their_turn_by_role_and_weight(open_real: OpenStage, tmp_path: Path) -> None:
    with open_real(settings=quick(max_concurrent=1, max_queue=100)) as stage:
        operator, port = Operator(stage.daemon.socket, tmp_path), stage.daemon.port
        keys = {
            "heavy": operator.add_key("heavy", "--weight", "100"),
            "light": operator.add_key("light", "--weight", "1"),
            "nightly": operator.add_key("nightly", "--role", "batch"),
        }
        # Each has a process of its own from now on, and one turn behind it.
        for name, secret in keys.items():
            assert ask_with(port, secret, name).status == 200
        stage.daemon.wait_quiet()
        stage.upstream.script(Hang(after=1))
        holder = stage.call("hold", stream=True)
        holder.read_until(b'"content":"Hello"')
        with in_background() as callers:
            asked = [
                callers.submit(ask_with, port, secret, name)
                for name, secret in reversed(keys.items())
                for _ in range(EACH)
            ]
            stage.wait_report(lambda report: report.concurrency.queued == len(asked))
            before = len(stage.upstream.requests)
            holder.leave()
            assert {one.result(60).status for one in asked} == {200}
        served = [conversation(request)[-1][1][-1] for request in stage.upstream.requests[before:]]
        assert "".join(name[0] for name in served) == ORDER
        assert "100" in operator.does("keys", "show", "heavy")
