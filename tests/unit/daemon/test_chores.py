"""What happens by itself: a failure today is no reason to stop, and nobody is asked too often."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from ocpd.aio import Nursery
from ocpd.daemon import chores
from ocpd.daemon.chores import PlanWatch, expire_answers, fold_usage, watch_login
from ocpd.errors import Overloaded
from ocpd.pool.allowance import Window
from ocpd.pool.login import LoginState
from ocpd.pool.pool import Pool
from ocpd.settings.values import Settings
from tests.unit.http.stage import breathe, run
from tests.unit.store.stage import Clock, open_store


class Login:
    """A login whose verdict is the test's."""

    def __init__(self, *, ok: bool | None = True, has_token: bool = False) -> None:
        self.ok = ok
        self.has_token = has_token
        self.checks = 0

    def state(self) -> LoginState:
        return LoginState(ok=self.ok)

    async def check(self) -> None:
        self.checks += 1


class Book:
    """A usage book that folds, or fails to."""

    def __init__(self) -> None:
        self.folds: list[int] = []

    async def fold(self, days: int) -> int:
        self.folds.append(days)
        if len(self.folds) == 1:
            raise Overloaded("the disk is full", status=503)
        return 3


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await breathe()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "DAY_S", 0.001)


def test_a_login_is_looked_at_again_and_again() -> None:
    async def main() -> None:
        login = Login()
        settings = Settings(auth_check_interval_ms=1)
        async with Nursery("chores") as nursery:
            nursery.spawn(watch_login(login, lambda: settings), "watch")  # type: ignore[arg-type]
            await until(lambda: login.checks >= 3)
            await nursery.cancel_all()

    run(main())


def test_a_fold_that_failed_is_tried_again(quick: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def main() -> None:
        book = Book()
        settings = Settings(usage_keep_days=9)
        async with Nursery("chores") as nursery:
            nursery.spawn(fold_usage(book, lambda: settings), "fold")  # type: ignore[arg-type]
            await until(lambda: len(book.folds) >= 2)
            await nursery.cancel_all()
        assert set(book.folds) == {9}

    run(main())
    assert [record.getMessage() for record in caplog.records][:2] == [
        "usage_not_folded",
        "usage_folded",
    ]


class Spares:
    """A pool with a spare for each of these models."""

    def __init__(self, *models: str) -> None:
        self.parked = dict.fromkeys(models, 1)

    def statistics(self) -> "Spares":
        return self


def test_who_looks_has_the_plan_asked_for_once_a_while(tmp_path, monkeypatch) -> None:
    asked: list[str] = []

    async def ask(_pool: object, model: str) -> tuple[Window, ...]:
        asked.append(model)
        return (Window("five_hour", 0.5, None),)

    monkeypatch.setattr(chores, "ask_allowance", ask)

    async def main() -> None:
        async with open_store(tmp_path) as store, Nursery("chores") as nursery:
            login = Login()
            watch = PlanWatch(cast("Pool", Spares("m")), login, store.plan, nursery)
            for unfit in (Login(ok=False), Login(ok=None), Login(has_token=True)):
                PlanWatch(cast("Pool", Spares("m")), unfit, store.plan, nursery).note_look()
            # A look must cost nobody his conversation.
            PlanWatch(cast("Pool", Spares()), login, store.plan, nursery).note_look()
            watch.note_look()
            watch.note_look()
            await nursery.wait_idle()
            assert asked == ["m"]
            assert store.plan.latest()["five_hour"].utilization == 0.5
            monkeypatch.setattr(chores, "steady_clock", lambda: 1e12)
            watch.note_look()
            await nursery.wait_idle()
            assert asked == ["m", "m"]

    run(main())


def test_old_answers_go_by_themselves_and_without_a_time_to_live_all_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chores, "SWEEP_S", 0.001)

    async def main() -> None:
        clock = Clock()
        settings = [Settings(cache_ttl_ms=60_000)]
        async with open_store(tmp_path, clock) as store, Nursery("chores") as nursery:
            await store.cache.put("old", b"1", "opus")
            clock.now += 61
            await store.cache.put("new", b"2", "opus")
            nursery.spawn(expire_answers(store.cache, lambda: settings[0]), "answers")
            while (await store.cache.stats()).entries > 1:
                await breathe()
            assert await store.cache.get("new", max_age_s=60) is not None
            settings[0] = Settings()
            while (await store.cache.stats()).entries:
                await breathe()
            await nursery.cancel_all()

    run(main())
