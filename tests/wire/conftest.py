"""The fixtures of the end-to-end tests: which CLI, which upstream, which daemon."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.cli import find_real_cli
from tests.kit.fake_script import FakeScript, FakeTurn, make_fake_cli
from tests.kit.upstream import Upstream
from tests.wire.stage import Stage, open_stage

OpenStage = Callable[..., AbstractContextManager[Stage]]
MakeFake = Callable[..., Path]


@pytest.fixture(scope="session")
def real_cli() -> Path:
    """The official CLI."""
    return find_real_cli()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """The scripted API. The CLI may ask it for messages and for nothing else."""
    with Upstream() as running:
        yield running
        assert running.strays == ()


@pytest.fixture
def open_real(upstream: Upstream, real_cli: Path, tmp_path: Path) -> OpenStage:
    """Opens stages with the real CLI; settings, lane and environ are the test's."""

    def start(**more: Any) -> AbstractContextManager[Stage]:
        return open_stage(upstream, tmp_path / "home", real_cli, **more)

    return start


@pytest.fixture
def stage(open_real: OpenStage) -> Iterator[Stage]:
    """A daemon with the real CLI."""
    with open_real() as running:
        yield running


@pytest.fixture
def make_fake(tmp_path: Path) -> MakeFake:
    """Writes a fake CLI that plays a script."""

    def write(
        script: FakeScript | FakeTurn | tuple[FakeTurn, ...] = (), version: str = "2.1.330"
    ) -> Path:
        return make_fake_cli(tmp_path / "bin", script, version)

    return write


@pytest.fixture
def open_fake(upstream: Upstream, make_fake: MakeFake, tmp_path: Path) -> OpenStage:
    """Opens stages with a fake CLI."""

    @contextlib.contextmanager
    def start(script: Any = (), *, version: str = "2.1.330", **more: Any) -> Iterator[Stage]:
        cli = make_fake(script, version)
        with open_stage(upstream, tmp_path / "home", cli, **more) as running:
            yield running

    return start
