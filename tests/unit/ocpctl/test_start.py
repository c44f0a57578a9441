"""ocpctl starts fast, because it imports little: the law of the start path.

What is loaded is asked of a fresh interpreter without site-packages, where nothing else loads
anything.
"""

import subprocess
import sys
import tomllib

import pytest

from ocpctl.version import VERSION
from tests.arch.tree import TOP, sources
from tests.unit.ocpctl.fake_daemon import FakeDaemon, answered

# Slow, or not ocpctl's business.
NEVER = {
    *("ocpd", "msgspec", "uvloop", "h11", "sdnotify", "sqlite3"),
    *("asyncio", "click", "rich", "http", "urllib", "email", "ssl", "logging"),
    *("typing", "dataclasses", "inspect", "pathlib", "multiprocessing", "ctypes"),
}
# Fine for commands that need them, too slow for those everybody uses all the time.
NOT_AT_START = NEVER | {"subprocess", "shutil", "datetime", "difflib", "plistlib", "getpass"}

SCRIPT = """\
import sys
sys.path.insert(0, {top!r})
sys.argv[0] = "ocpctl"
from ocpctl.__main__ import main
code = main()
sys.stdout.flush()
sys.stderr.write("\\n".join(sorted(sys.modules)))
sys.exit(code)
"""


def _loaded(*argv):
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT.format(top=str(TOP)), *argv],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_the_version_is_told_before_anything_is_imported():
    loaded = _loaded("--version")
    assert not loaded & (NOT_AT_START | {"argparse", "json", "socket", "re"})


def test_help_is_told_without_argparse_json_or_a_socket():
    assert not _loaded("--help") & (NOT_AT_START | {"argparse", "json", "socket", "re"})
    assert not _loaded("keys", "--help") & (NOT_AT_START | {"json", "socket"})
    assert not _loaded("keys", "add", "--help") & (NOT_AT_START | {"json", "socket"})


@pytest.mark.parametrize(
    ("argv", "route"),
    [
        (("status",), "GET /status"),
        (("usage",), "GET /usage"),
        (("keys",), "GET /api/keys"),
        (("settings",), "GET /settings"),
        (("logs",), "GET /logs?n=20&level=error"),
        (("models",), "GET /v1/models"),
        (("quota", "1"), "GET /api/keys/1/quota"),
    ],
)
def test_what_is_asked_all_the_time_imports_little(tmp_path, argv, route):
    with FakeDaemon(tmp_path / "ocpd.sock") as daemon:
        daemon.answers[route] = answered({"proxy": {"status": "ok"}})
        loaded = _loaded("--socket", str(daemon.path), *argv)
    assert {"argparse", "json", "socket"} <= loaded
    assert not loaded & NOT_AT_START


def test_no_file_of_ocpctl_names_what_is_never_loaded():
    for source in sources("ocpctl"):
        lines = [line.split() for line in source.text.splitlines()]
        named = {
            words[1].partition(".")[0]
            for words in lines
            if len(words) > 1 and words[0] in ("import", "from")
        }
        # typing is for the type checker alone, ssl for addresses with https: the tests above see
        # to it that both are not loaded.
        assert not named & (NEVER - {"typing", "ssl"}), source.name


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == VERSION
