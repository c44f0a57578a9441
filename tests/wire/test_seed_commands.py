"""The commands of OCP, word for word through the alias that docs/from-ocp.md gives: what ocpctl
says to each, against a daemon with the official CLI."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.cli import find_real_cli
from tests.kit.script import PlanHeaders
from tests.kit.upstream import Upstream
from tests.wire.operator import ask_with
from tests.wire.seeds import ALIAS, EXAMPLES, TOP, NotYet, Terminal, replace, write_program
from tests.wire.stage import Stage, open_stage, quick

pytestmark = pytest.mark.real_cli

LEAKS_PER_MODULE = True

PAGE = (TOP / "docs/from-ocp.md").read_text()

COMMANDS = sorted({command for listed in EXAMPLES.commands.values() for command in listed})

FILLED = {"[N]": "20", "[level]": "error", "<name>": "son-phone", "<k>": "timeout", "<v>": "300000"}

RULE = "─{37}"
WINDOW = r" *(\d+% used\n +Resets in \S+.*|unknown until a turn has been answered)\n"
DONE: dict[str, str] = {
    "ocp --help": r"(?s)usage: ocpctl .*\n  keys .*\n  settings ",
    "ocp usage": (
        rf"Plan Usage Limits\n{RULE}\n  Current session{WINDOW}\n"
        rf"  Weekly \(all models\){WINDOW}\n  Extra usage +(on|off|unknown).*\n"
        r"(?s:.*)\nModel Stats \(since proxy start\)\n"
        r"Model +Reqs +OK +Err +Avg Time +Max Time +Avg Prompt +Max Prompt\n─+\n"
        r"claude-haiku-5-5 +\d+ +\d+ +\d+(?s:.*)\nTotal +\d+ +\d+ +\d+\n\n"
        r"Proxy: up \d+h \d+m \| \d+ reqs \| \d+ active \| \d+ err \| \d+ timeout\n$"
    ),
    "ocp usage --by-key": (
        rf"Usage by Key\n{RULE}\n  Key +Reqs +OK +Err +Avg Time +Last Request *\n"
        r"(?s:.*)  pi-server +1 +1 +0 +\d+\.\ds  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d *\n"
    ),
    "ocp status": r"ocpd +\d+\.\d+\.\d+  ok  up \d+h \d+m\n(?s:.*)Requests +\d+ total",
    "ocp health": r"ocpd +\d+\.\d+\.\d+  ok  up \d+h \d+m\n(?s:.*)Login(?s:.*)Requests +\d+ total",
    "ocp keys": (
        rf"API Keys\n{RULE}\n(?s:.*)"
        r"  pi-server +ocp_.{4}\.\.\..{4} +✓ active +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    ),
    "ocp settings": (
        rf"OCP Settings\n{RULE}\n(?s:.*)\nmaxConcurrent +\d+ (?s:.*)\ntimeout +\d+ ms "
        r"(?s:.*)\nsessionTTL +\d+ ms (?s:.*)\nmaxPromptChars +\d+ chars "
        r"(?s:.*)\nTimeout Tiers \(first-byte\):\n  opus +base=150000ms  perChar=0\.0005\n"
        r"  sonnet +base=120000ms  perChar=0\.0005\n  haiku +base= 45000ms  perChar=0\.0001\n$"
    ),
    "ocp settings <k> <v>": r"✓ timeout = 300000\n$",
    "ocp settings maxPromptChars 200000": r"✓ maxPromptChars = 200000\n$",
    "ocp settings maxConcurrent 4": r"✓ maxConcurrent = 4\n$",
    "ocp settings cacheTTL 300000": r"✓ cacheTTL = 300000\n$",
    "ocp settings cacheTTL 0": r"✓ cacheTTL = 0\n$",
    "ocp logs [N] [level]": r"No error entries\.\n$|\d{4}-\d\d-\d\dT.* \| ERROR \| ",
    "ocp models": r"(?s)(  claude-[\w-]+\n)+$",
    "ocp sessions": r"  conv-abc-123\.\.\.  model=claude-haiku-5-5  msgs=2  last=\d{4}-",
    "ocp clear": r"Cleared 1 sessions\.\n$",
    "ocp restart gateway": r"openclaw gateway restart\n$",
}
MADE = (
    r'✓ Key created for "{name}"\n  API Key: ocp_[\w-]{{32}}\n'
    r"  Copy this key now — you won't see it again\.\n"
)
ADDED = {
    "ocp keys add <name>": "son-phone",
    "ocp keys add wife-laptop": "wife-laptop",
    "ocp keys add son-ipad": "son-ipad",
    "ocp keys add pi-server": "pi-server",
}
REVOKED = {"ocp keys revoke <name>": "son-phone", "ocp keys revoke son-ipad": "son-ipad"}
REFUSED: dict[str, str] = {
    "ocp settings maxConcurrent 999": r"✗ maxConcurrent: value 999 out of range \[1, 32\]\n$",
    "ocp restart": r"ocpctl: ocpd was started by hand",
}
# What they do to an installation is tried where there is one; here only their words.
INSTALLS = ("ocp update", "ocp update --check")
NOT_YET = (
    NotYet("ocp connect <ip>", "setting up clients is not built yet"),
    NotYet("ocp lan", "setting up clients is not built yet"),
    NotYet("ocp start", "a service is started by the service manager, a checkout by make run"),
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("commands")
    with (
        Upstream(plan=PlanHeaders()) as upstream,
        open_stage(upstream, folder / "home", find_real_cli(), settings=quick()) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def terminal(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """With a key, a turn and a conversation that the commands can tell of."""
    folder = tmp_path_factory.mktemp("terminal")
    made = Terminal(folder, stage.daemon.port, stage.daemon.socket)
    # No service of this machine is meant.
    for name in ("systemctl", "brew"):
        write_program(folder / "programs" / name, "false")
    write_program(folder / "programs/openclaw", "echo", "openclaw")
    done = made.run("ocp keys add pi-server")
    (secret,) = re.findall(r"API Key: (\S+)", done.stdout)
    page = ask_with(stage.daemon.port, secret, "hi", model="haiku", session_id="conv-abc-123")
    assert page.status == 200
    stage.daemon.wait_quiet()
    return made


def fill_in(command: str) -> str:
    return replace(command, {name: value for name, value in FILLED.items() if name in command})


@pytest.mark.parametrize("command", DONE)
def test_a_command_says_what_its_readme_says(terminal: Terminal, command: str) -> None:
    done = terminal.run(fill_in(command))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(DONE[command], done.stdout), done.stdout


@pytest.mark.parametrize("command", ADDED)
def test_a_key_is_made_and_shown_once(terminal: Terminal, command: str) -> None:
    name = ADDED[command]
    terminal.run(f"ocpctl keys rename {name} {name}-before")
    done = terminal.run(fill_in(command))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(MADE.format(name=name), done.stdout), done.stdout
    assert f"  {name} " in terminal.run("ocp keys").stdout


@pytest.mark.parametrize("command", REVOKED)
def test_a_key_is_revoked_by_its_name(terminal: Terminal, command: str) -> None:
    name = REVOKED[command]
    terminal.run(f"ocp keys add {name}")
    done = terminal.run(fill_in(command))
    assert (done.returncode, done.stdout, done.stderr) == (0, f'✓ Key "{name}" revoked\n', "")
    assert re.search(rf"(?m)^  {name} .* ✗ revoked", terminal.run("ocp keys").stdout)
    # OCP exits with 0 here.
    assert terminal.run(fill_in(command)).returncode == 1


@pytest.mark.parametrize("command", REFUSED)
def test_what_is_refused_says_why_and_fails(terminal: Terminal, command: str) -> None:
    done = terminal.run(command)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(REFUSED[command], done.stderr), done.stderr


@pytest.mark.parametrize("command", INSTALLS)
def test_what_works_on_an_installation_knows_its_words(terminal: Terminal, command: str) -> None:
    assert terminal.run(f"{command} --help").returncode == 0


@pytest.mark.parametrize("not_yet", NOT_YET, ids=lambda not_yet: not_yet.example)
def test_what_is_not_there_says_so(terminal: Terminal, not_yet: NotYet) -> None:
    done = terminal.run(f"{not_yet.example.replace('<ip>', '127.0.0.1')} --help")
    if done.returncode == 2 and "unknown command" in done.stderr:
        pytest.xfail(not_yet.reason)
    assert done.returncode == 0


def test_no_command_is_left_out() -> None:
    told = {*DONE, *ADDED, *REVOKED, *REFUSED, *INSTALLS, *(each.example for each in NOT_YET)}
    assert set(COMMANDS) == told


# The page.


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_has_a_row_for_every_command(command: str) -> None:
    rows = re.findall(r"(?m)^\| `(ocp [^`]+)` \|", PAGE)
    words = command.split()
    assert any(is_row_of(row.split(), words) for row in rows), command


def is_row_of(row: list[str], words: list[str]) -> bool:
    """Capitals and what stands in brackets are to be filled in."""
    return len(row) == len(words) and all(
        left == right or left.isupper() or left.startswith("[")
        for left, right in zip(row, words, strict=True)
    )


def test_the_names_that_the_page_gives_work(terminal: Terminal, tmp_path: Path) -> None:
    assert f"    {ALIAS}\n" in PAGE
    (program,) = re.findall(r"(?m)^    (printf .*\n +.*)$", PAGE)
    (Path(terminal.environ["HOME"]) / ".local/bin").mkdir(parents=True)
    done = terminal.run(f"unalias ocp\n{program}\nPATH=~/.local/bin:$PATH\nocp settings port")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "port = 0\n"
