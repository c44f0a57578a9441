"""A plan keeps spares for the models in use, and never more than there is room for."""

import pytest

from ocpd.sched.staffing import SPARE_MB, ChildId, Plan, SpareLimits, SpareView, plan_spares

HOUR = 3600.0
NOW = 100_000.0
ROOMY = SpareLimits(per_model=1, most=8, memory_mb=8 * SPARE_MB, idle_s=HOUR)


def spares(*models: str) -> list[SpareView]:
    return [SpareView(ChildId(number), model) for number, model in enumerate(models, 1)]


def plan(
    parked: list[SpareView],
    last_used: dict[str, float],
    limits: SpareLimits = ROOMY,
    *,
    ready_at: float = 0.0,
) -> Plan:
    return plan_spares(parked, last_used, limits, now=NOW, ready_at=ready_at)


def limits(per_model: int = 1, most: int = 8, memory_mb: int = 8 * SPARE_MB) -> SpareLimits:
    return SpareLimits(per_model, most, memory_mb, HOUR)


def test_a_model_nobody_used_gets_nothing() -> None:
    assert plan([], {}) == Plan()


def test_a_model_in_use_gets_a_spare() -> None:
    assert plan([], {"opus": NOW}) == Plan(("opus",), (), NOW + HOUR)


def test_a_spare_that_is_there_is_enough() -> None:
    assert plan(spares("opus"), {"opus": NOW}) == Plan((), (), NOW + HOUR)


@pytest.mark.parametrize(("idle_s", "starts"), [(0.0, 1), (HOUR - 1, 1), (HOUR, 0), (2 * HOUR, 0)])
def test_a_model_is_forgotten_after_its_time(idle_s: float, starts: int) -> None:
    assert len(plan([], {"opus": NOW - idle_s}).start) == starts


def test_the_spare_of_a_forgotten_model_is_stopped() -> None:
    assert plan(spares("opus"), {"opus": NOW - HOUR}) == Plan((), (ChildId(1),), None)


def test_the_spare_of_a_model_nobody_used_is_stopped() -> None:
    assert plan(spares("opus", "haiku"), {"haiku": NOW}).stop == (ChildId(1),)


def test_the_oldest_surplus_goes() -> None:
    assert plan(spares("opus", "opus", "opus"), {"opus": NOW}).stop == (ChildId(1), ChildId(2))


def test_everyone_gets_one_before_anyone_gets_two() -> None:
    used = {"opus": NOW - 1, "haiku": NOW, "sonnet": NOW - 2}
    assert plan([], used, limits(per_model=2, most=4)).start == ("haiku", "opus", "sonnet", "haiku")


@pytest.mark.parametrize(
    "tight", [limits(most=2), limits(memory_mb=2 * SPARE_MB), limits(memory_mb=3 * SPARE_MB - 1)]
)
def test_when_there_is_little_room_the_last_used_models_have_it(tight: SpareLimits) -> None:
    used = {"opus": NOW - 1, "haiku": NOW, "sonnet": NOW - 2}
    assert plan([], used, tight).start == ("haiku", "opus")
    assert plan(spares("sonnet", "haiku"), used, tight) == Plan(
        ("opus",), (ChildId(1),), NOW - 2 + HOUR
    )


@pytest.mark.parametrize(
    "none", [limits(per_model=0), limits(most=0), limits(memory_mb=SPARE_MB - 1)]
)
def test_without_room_there_are_no_spares(none: SpareLimits) -> None:
    found = plan(spares("opus"), {"opus": NOW}, none)
    assert (found.start, found.stop) == ((), (ChildId(1),))


def test_after_failures_nothing_starts_before_its_time_but_stops_do() -> None:
    found = plan(spares("haiku"), {"opus": NOW}, ready_at=NOW + 30)
    assert found == Plan((), (ChildId(1),), NOW + 30)


def test_the_time_to_try_again_is_a_time_to_start() -> None:
    assert plan([], {"opus": NOW}, ready_at=NOW).start == ("opus",)


def test_a_wait_that_nothing_waits_for_is_not_waited_for() -> None:
    assert plan(spares("opus"), {"opus": NOW}, ready_at=NOW + 30).again_at == NOW + HOUR


def test_the_plan_is_asked_for_again_when_the_next_model_is_forgotten() -> None:
    used = {"opus": NOW - 10, "haiku": NOW - 20, "old": NOW - 2 * HOUR}
    assert plan([], used).again_at == NOW - 20 + HOUR


@pytest.mark.parametrize("used", [0.1, 0.3, 1e6 + 0.1, 123_456.789, 98_765.4321])
@pytest.mark.parametrize("idle_s", [0.1, 0.7, 3600.0, 1e-3])
def test_asking_again_at_that_time_finds_the_model_forgotten(used: float, idle_s: float) -> None:
    tight = SpareLimits(1, 8, 8 * SPARE_MB, idle_s)
    first = plan_spares([], {"opus": used}, tight, now=used, ready_at=0.0)
    assert first.again_at is not None
    again = plan_spares(spares("opus"), {"opus": used}, tight, now=first.again_at, ready_at=0.0)
    assert again == Plan((), (ChildId(1),), None)
