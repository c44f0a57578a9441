"""What the tests of the packages stand on. See ``packaging/test/run.sh`` for what they need."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.cli import find_real_cli
from tests.kit.upstream import Upstream
from tests.packages.container import Container
from tests.packages.machine import Machine, binds_of
from tests.packages.repository import Keys, Repository

RELEASES = ("bookworm", "trixie")

_PACKAGES = os.environ.get("OCPD_TEST_PACKAGES", "")
_TREES = os.environ.get("OCPD_TEST_TREES", "")

# Without packages there is nothing to test: a plain pytest run passes by.
collect_ignore_glob = [] if _PACKAGES and _TREES else ["test_*.py"]

_container = pytest.StashKey[Container]()
_figures: dict[str, dict[str, str]] = {}


@pytest.fixture(scope="session")
def packages() -> Path:
    """The packages of this tree."""
    return Path(_PACKAGES) / "new"


@pytest.fixture(scope="session")
def older_packages() -> Path:
    """The same tree under a lower number."""
    return Path(_PACKAGES) / "old"


@pytest.fixture(scope="session")
def keys() -> Iterator[Keys]:
    with Keys() as made:
        yield made


@pytest.fixture(scope="session")
def key(keys: Keys) -> str:
    """The key that the repository is signed with."""
    return keys.make("archive")


@pytest.fixture(scope="session")
def stranger(keys: Keys) -> str:
    """A key that nobody trusts yet."""
    return keys.make("stranger")


@pytest.fixture(params=RELEASES)
def codename(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@contextlib.contextmanager
def boot(request: pytest.FixtureRequest, tree: Path, tmp_path: Path) -> Iterator[Container]:
    """A container of ``tree`` for the test that asks, with the real CLI at hand."""
    with Container(tree, tmp_path / "container", binds_of(find_real_cli())) as booted:
        request.node.stash[_container] = booted
        yield booted


@pytest.fixture
def container(request: pytest.FixtureRequest, codename: str, tmp_path: Path) -> Iterator[Container]:
    """A Debian that has just booted and has nothing of ours."""
    with boot(request, Path(_TREES) / codename, tmp_path) as booted:
        yield booted


@pytest.fixture(scope="session")
def published(
    tmp_path_factory: pytest.TempPathFactory, keys: Keys, key: str, packages: Path
) -> Repository:
    """The signed repository with the packages of this tree. Not to be changed."""
    made = Repository(tmp_path_factory.mktemp("published"), keys)
    made.publish(packages, [key])
    return made


@pytest.fixture
def repository(tmp_path: Path, published: Repository) -> Repository:
    """The same, for one test alone."""
    return published.copy_to(tmp_path)


@pytest.fixture(scope="session")
def installed_tree(
    tmp_path_factory: pytest.TempPathFactory, published: Repository
) -> Iterator[Callable[[str], Path]]:
    """Makes, once for each release, a tree on which somebody installed ocpd and switched off."""
    folder = tmp_path_factory.mktemp("installed")
    made: dict[str, Path] = {}

    def make(codename: str) -> Path:
        if codename not in made:
            tree = folder / codename
            # Not Python's copytree: owners and links have to stay what they are.
            subprocess.run(["cp", "-a", f"{_TREES}/{codename}", str(tree)], check=True)
            with Container(tree, folder / f"{codename}-boot", keeps=True) as booted:
                with published.served_in(booted):
                    there = Machine(booted, published, codename)
                    there.trust()
                    there.update()
                    there.install()
                booted.power_off()
            made[codename] = tree
        return made[codename]

    yield make
    shutil.rmtree(folder)


@pytest.fixture
def machine(container: Container, repository: Repository, codename: str) -> Iterator[Machine]:
    """A Debian that knows the repository."""
    with repository.served_in(container):
        there = Machine(container, repository, codename)
        there.trust()
        there.update()
        yield there


@pytest.fixture
def installed(
    request: pytest.FixtureRequest,
    installed_tree: Callable[[str], Path],
    repository: Repository,
    codename: str,
    tmp_path: Path,
) -> Iterator[Machine]:
    """A Debian that was switched on again after ocpd had been installed."""
    with (
        boot(request, installed_tree(codename), tmp_path) as booted,
        repository.served_in(booted),
    ):
        yield Machine(booted, repository, codename)


@pytest.fixture
def older(machine: Machine, packages: Path, older_packages: Path, key: str) -> Machine:
    """The version before is installed, and this one is in the repository."""
    machine.repository.publish(older_packages, [key])
    machine.update()
    machine.install()
    assert machine.version() == "0.0.9"
    assert machine.health()["version"] == "0.0.9"
    machine.repository.publish(packages, [key])
    machine.update()
    return machine


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[Upstream]:
    """The scripted Messages API, on the loopback of the container that is there already."""
    with request.node.stash[_container].network():
        served = Upstream()
        served.__enter__()
    try:
        yield served
    finally:
        served.__exit__(None, None, None)


@pytest.fixture
def signed_in(installed: Machine, api: Upstream) -> Machine:
    """The same, with the CLI there and a token handed over: it answers."""
    installed.point_cli_at(api.url)
    done = installed.ocpctl("auth", "token", stdin="scripted-token-of-a-test\n")
    assert done.returncode == 0, done.stdout
    return installed


@pytest.fixture
def figure(codename: str) -> Any:
    """Notes a figure for the summary of the run."""
    return lambda name, value: _figures.setdefault(name, {}).update({codename: str(value)})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show what the machine logged when a test on it fails."""
    report = yield
    booted = item.stash.get(_container, None)
    if report.failed and report.when != "teardown" and booted is not None:
        report.sections.append(("the container's journal", booted.journal()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that docs/packaging.md quotes."""
    if _figures:
        terminalreporter.section("figures, on this machine")
    for name, by_release in _figures.items():
        told = ", ".join(f"{release} {value}" for release, value in by_release.items())
        terminalreporter.write_line(f"{name}: {told}")
