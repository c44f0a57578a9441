"""The docs say what is so: generated pages are fresh, routes and models are named, and no page
knows anything of the machine it was written on."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ocpd.__main__ import read_models
from ocpd.settings.table import KNOBS
from ocpd.settings.values import Settings
from tests.arch.tree import TOP, docstrings, sources

PAGES = [TOP / "README.md", TOP / "HACKING.md", *sorted((TOP / "docs").rglob("*.md"))]

# The only hosts a page may link to or name.
HOSTS = {"127.0.0.1", "localhost"}

# Where machines keep what is theirs, spelled so that this file passes its own test.
MACHINE_FOLDERS = "|".join(("work", "root", "farm", "home", "Users", "mnt"))
REGISTRIES = re.compile(
    "|".join((r"pypi\.", r"python" r"hosted", r"registry\.npm", r"deb\.debian\."))
)

# What is ours to read: not what tools and installs put there.
FILES = [
    path
    for place in ("ocpd", "ocpctl", "tests", "bench", "packaging", "homebrew", "docs", ".ci")
    for path in sorted((TOP / place).rglob("*"))
    # The formula must say where each source archive is.
    if path.is_file()
    and path.suffix not in {".lock", ".pyc"}
    and path.name not in {Path(__file__).name, "ocpd.rb"}
] + [path for path in sorted(TOP.iterdir()) if path.is_file() and path.name != ".git"]


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace")


def test_the_generated_pages_are_what_the_code_says():
    done = subprocess.run(
        [sys.executable, "packaging/dev/write_docs.py", "--check"],
        cwd=TOP,
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_has_its_row():
    page = _read(TOP / "docs/settings.md")
    for knob in KNOBS:
        assert f"| `{knob.key}` | {knob.help} |" in page
        flags = () if knob.secret else (knob.flag,)
        for name in (knob.variable, *flags, *knob.aliases):
            assert f"`{name}`" in page


def test_every_route_is_named_in_the_readme():
    (table,) = (source for source in sources("ocpd/api") if source.name.endswith("/routes.py"))
    rows = [
        [item.value for item in node.elts if isinstance(item, ast.Constant)]
        for node in ast.walk(table.module)
        if isinstance(node, ast.Tuple)
    ]
    routes = [(row[0], row[1]) for row in rows if len(row) == 2]
    assert ("POST", "/v1/chat/completions") in routes
    page = _read(TOP / "README.md")
    for method, path in routes:
        assert f"`{method} {path}`" in page


def test_every_alias_and_its_model_are_in_the_readme():
    page = _read(TOP / "README.md")
    for alias, model in read_models(Settings()).aliases.items():
        assert re.search(rf"^\| `{alias}`.* \| `{model}` \|$", page, re.MULTILINE)


def test_every_run_time_dependency_has_a_reason():
    project = tomllib.loads(_read(TOP / "pyproject.toml"))["project"]
    wanted = sorted(re.split(r"[<>=!~\[; ]", item)[0] for item in project["dependencies"])
    lines = [line for line in _read(TOP / "docs/dependencies.txt").splitlines() if line[:1] != "#"]
    reasons = dict(line.split(": ", 1) for line in lines)
    assert list(reasons) == wanted
    assert all(reason.strip().endswith(".") for reason in reasons.values())


def test_what_is_locked_for_running_is_what_the_package_asks_for():
    project = tomllib.loads(_read(TOP / "pyproject.toml"))["project"]
    asked = _read(TOP / "packaging/locks/run.in").split()
    assert sorted(asked) == sorted(project["dependencies"])
    assert _read(TOP / "packaging/locks/cli.in").split() == project["optional-dependencies"]["cli"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", _read(page)):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page):
    named = re.findall(r"`((?:ocpd|tests|packaging|docs)/[\w./]+)`", _read(page))
    missing = [name for name in named if not (TOP / name).exists()]
    assert not missing


def test_every_room_that_the_architecture_names_is_there():
    page = _read(TOP / "docs/architecture.md")
    named = set(re.findall(r"`((?:claude|dialects|dispatch|http|pool|sched|api)\.[a-z]+)", page))
    assert named
    missing = {name for name in named if not (TOP / f"ocpd/{name.replace('.', '/')}.py").exists()}
    assert missing <= {"pool.Pool"}
    rooms = {path.stem for path in (TOP / "ocpd").iterdir() if path.name[:1] not in "._"}
    unnamed = [room for room in rooms - {"__init__", "__pycache__"} if room not in page]
    assert not unnamed


def test_no_file_names_a_machine_path_or_a_registry():
    path_of_a_machine = re.compile(rf"(?<![\w.$~}}])/(?:{MACHINE_FOLDERS})/\w")
    found = [
        f"{path.relative_to(TOP)}: {hit.group()}"
        for path in FILES
        for pattern in (path_of_a_machine, REGISTRIES)
        for hit in pattern.finditer(_read(path))
    ]
    assert not found


def test_pages_point_at_no_host_but_this_machine():
    for page in [*PAGES, TOP / "CHANGELOG.md"]:
        hosts = set(re.findall(r"https?://\[?([\w.-]+)", _read(page)))
        assert hosts <= HOSTS, page.name


def test_docstrings_do_not_go_stale_over_files_that_are_gone():
    # ``room.module`` in a docstring is a promise that the reader can open it.
    rooms = "claude|dialects|dispatch|http|pool|sched|api"
    pattern = re.compile(rf"``(?:ocpd\.)?((?:{rooms})\.[a-z_]+)``")
    for source in sources("ocpd"):
        for node in docstrings(source.module):
            for name in pattern.findall(str(node.value)):
                assert (TOP / f"ocpd/{name.replace('.', '/')}.py").exists(), (source.name, name)
