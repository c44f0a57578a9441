"""What ``make run`` starts: ocpd on the person's own login, or a demo where there is none.

What may live here: that choice, the scripted API in a child process, and the throw-away home of
the demo's CLI. Nothing inside ocpd can start a demo: a product that answers from a script by
itself would sooner or later do so unnoticed.

    python -m tests.kit.demo [flags of ocpd]        LOGIN=required: no demo, say how to sign in
"""

import asyncio
import contextlib
import enum
import importlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ocpd.__main__ import EX_CONFIG, read_start, serve
from ocpd.claude.argv import Lane, build_environment
from ocpd.daemon.version import VERSION
from ocpd.pool.probe import Probe, find_cli, sign_in_command
from ocpd.settings.values import Settings

TOP = Path(__file__).parents[2]

# The first start of a binary this large may take long on a slow disk.
ASK_LOGIN_WITHIN_S = 60.0
UPSTREAM_STOPS_WITHIN_S = 5.0

NOTICE = """

  ******************************************************************************
  *  DEMO: no login was found, so nobody's plan is used and no model is asked.  *
  *  The answers are canned: a scripted API on this machine gives them, and     *
  *  nothing reaches Anthropic.                                                 *
  ******************************************************************************
  To get real answers, sign in and run this again:
    {sign_in}
"""


class Start(enum.Enum):
    """What to start."""

    PLAIN = "plain"
    DEMO = "demo"
    NOTHING = "nothing"


def choose_start(*, signed_in: bool | None, login: str) -> Start:
    """Decide from what the CLI said of its login (None: nothing clear) and the variable LOGIN.

    Without a clear word there may well be a login: then the daemon itself is the better witness.
    """
    if signed_in is False:
        return Start.NOTHING if login == "required" else Start.DEMO
    return Start.PLAIN


def demo_lane(url: str, home: Path) -> Lane:
    """Return the lane of a CLI that can reach ``url`` only and writes below ``home`` only."""
    directory = str(home)
    return Lane(
        name="demo",
        demo=True,
        environment=(
            ("ANTHROPIC_BASE_URL", url),
            ("CLAUDE_CODE_OAUTH_TOKEN", "demo"),
            ("HOME", directory),
            ("CLAUDE_CONFIG_DIR", f"{directory}/.claude"),
            ("TMPDIR", directory),
            ("CLAUDE_CODE_TMPDIR", directory),
            # The way to loopback leads through no proxy. Empty means unset to the CLI.
            *((name, "") for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")),
            *((name, "*") for name in ("NO_PROXY", "no_proxy")),
        ),
    )


def ensure_cli(settings: Settings, environ: Mapping[str, str]) -> str | None:
    """Return the path of the CLI, fetching one into .venv if there is none.

    A path that was configured is left for the daemon to judge. Raises CalledProcessError when
    the download fails; the script has said why.
    """
    if not settings.claude_bin and find_cli("", environ) is None:
        sys.stderr.write("ocpd: no Claude Code on this machine yet\n")
        subprocess.run(["sh", str(TOP / "packaging/dev/venv.sh"), "cli"], check=True)
        importlib.invalidate_caches()
    return find_cli(settings.claude_bin, environ)


async def ask_login(settings: Settings, environ: Mapping[str, str]) -> bool | None:
    """Ask the CLI, as a child of the daemon would see it; None when it gave no clear answer."""
    child = build_environment(
        environ, lane=Lane(), version=VERSION, cli_max_retries=settings.cli_max_retries
    )
    answer = await Probe(settings.claude_bin, environ, child).ask_login(ASK_LOGIN_WITHIN_S)
    if answer is None:
        return None
    ran, login = answer
    if ran.status is None or ran.status < 0:
        return None
    return ran.status == 0 and login.loggedIn


@contextlib.contextmanager
def scripted_api() -> Iterator[str]:
    """Run the scripted API in a process of its own and yield its URL.

    It ends when its stdin does: also when we are killed and nothing else of this runs.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kit.upstream", "--port", "0", "--until-stdin-closes"],
        cwd=TOP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Out of reach of Ctrl-C: turns that still run need it until they are done.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline().decode()
        _, found, url = line.strip().partition("listening on ")
        if not found:
            raise RuntimeError(f"the scripted API did not start: {line!r}")
        yield url
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(UPSTREAM_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def cleaning_up_on_sigterm() -> Iterator[None]:
    """Make SIGTERM leave the block like an exception does, as long as no loop handles it."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        # We are on the way out already; a second one would only leave things behind.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def main() -> int:
    """Start what fits; returns the exit code."""
    try:
        start = read_start(sys.argv[1:])
    except ValueError as error:
        sys.stderr.write(f"ocpd: {error}\n")
        return EX_CONFIG
    settings = start.loaded.settings
    try:
        cli = ensure_cli(settings, os.environ)
    except subprocess.CalledProcessError:
        return 1
    signed_in = asyncio.run(ask_login(settings, os.environ))
    sign_in = sign_in_command(cli or "claude", os.environ)
    match choose_start(signed_in=signed_in, login=os.environ.get("LOGIN", "")):
        case Start.PLAIN:
            return serve(start)
        case Start.NOTHING:
            sys.stderr.write(f"ocpd: not signed in. Sign in with:\n  {sign_in}\n")
            return 1
        case Start.DEMO:
            # The greeting is left out in services, and this is none.
            os.environ.pop("NOTIFY_SOCKET", None)
            with (
                cleaning_up_on_sigterm(),
                tempfile.TemporaryDirectory(
                    prefix="ocpd-demo-", ignore_cleanup_errors=True
                ) as home,
                scripted_api() as url,
            ):
                # Not where a daemon of the person's own has its state and its socket.
                own = {"OCPD_STATE_DIR": f"{home}/ocpd", "OCPD_SOCKET": f"{home}/ocpd.sock"}
                demo = msgspec.structs.replace(
                    start, environ={**start.environ, **own}, lane=demo_lane(url, Path(home))
                )
                return serve(demo, NOTICE.format(sign_in=sign_in))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(128 + signal.SIGINT)
