"""Promise: every process is in exactly one place; spares are replaced, capped and never stale."""

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest

from ocpd.claude.lifecycle import State
from ocpd.errors import Died, Overloaded, Upstream
from ocpd.pool import fleet as room
from ocpd.pool.child import Child
from ocpd.pool.pool import MAX_UNLISTED_MODELS, Pool
from ocpd.pool.waiting import Waiter
from ocpd.sched.affinity import Memory, Wanted
from ocpd.sched.seating import Place
from tests.kit.fake_script import Answer, FakeScript, Silent, count_starts, make_fake_cli
from tests.kit.leaks import is_alive
from tests.unit.claude.stage import MODEL
from tests.unit.http.stage import breathe, run
from tests.unit.pool.stage import (
    SHORT,
    environment_of,
    hear_out,
    lease_child,
    make_pool,
    text_of,
    until,
)

OTHER = "claude-opus-5-5"


def parked(pool: Pool) -> dict[str, int]:
    return pool.statistics().parked


def in_use(pool: Pool) -> tuple[int, int]:
    now = pool.statistics()
    return now.leased, now.retiring


def test_a_leased_process_answers_and_is_ended_when_it_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            child = await lease_child(pool, MODEL, is_listed=True)
            assert in_use(pool) == (1, 0)
            assert text_of(await hear_out(child)) == "Hello there, friend."
            pool.give_back(child)
            assert in_use(pool) == (0, 1)
            await child.ended.wait()
            await until(lambda: in_use(pool) == (0, 0))

    run(main())


def test_giving_back_twice_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            child = await lease_child(pool, MODEL, is_listed=True)
            pool.give_back(child)
            pool.give_back(child)
            assert in_use(pool) == (0, 1)

    run(main())


def test_what_the_cli_offers_is_kept_from_the_last_turn(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            child = await lease_child(pool, MODEL, is_listed=True)
            await hear_out(child)
            before = pool.offered
            pool.give_back(child)
            assert before == ()
            assert MODEL in {offer.resolvedModel for offer in pool.offered}

    run(main())


def test_a_warm_model_has_a_spare_that_a_lease_takes(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, spares=1) as pool:
            pool.warm(MODEL)
            await until(lambda: parked(pool) == {MODEL: 1})
            child = await lease_child(pool, MODEL, is_listed=True)
            assert child.session.state is State.PARKED
            assert pool.statistics().sources["spare"] == 1
            assert pool.statistics().spawned == 1
            assert parked(pool) == {}
            pool.give_back(child)

    run(main())


def test_a_claimed_spare_is_replaced_once_its_request_is_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, spares=1) as pool:
            pool.warm(MODEL)
            await until(lambda: parked(pool) == {MODEL: 1})
            child = await lease_child(pool, MODEL, is_listed=True)
            await breathe()
            assert pool.statistics().spawned == 1
            await hear_out(child)
            await until(lambda: parked(pool) == {MODEL: 1})
            assert pool.statistics().spawned == 2
            pool.give_back(child)

    run(main())


def test_a_lease_without_a_spare_starts_a_process_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, spares=1) as pool:
            children = [await lease_child(pool, MODEL, is_listed=True) for _ in range(3)]
            assert len({child.pid for child in children}) == 3
            assert in_use(pool) == (3, 0)
            for child in children:
                pool.give_back(child)

    run(main())


def test_spares_are_capped_in_all_and_the_newest_models_have_them(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, spares=2, most=3) as pool:
            for model in ("claude-a", "claude-b", "claude-c", "claude-d"):
                pool.warm(model)
            await until(lambda: sum(parked(pool).values()) == 3 and len(parked(pool)) == 3)
            await until(lambda: in_use(pool) == (0, 0))
            assert parked(pool) == {"claude-b": 1, "claude-c": 1, "claude-d": 1}

    run(main())


def test_a_spare_goes_when_its_model_was_not_used_for_long(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, spares=1, idle_s=0.3) as pool:
            pool.warm(MODEL)
            await until(lambda: parked(pool) == {MODEL: 1})
            await until(lambda: parked(pool) == {} and in_use(pool) == (0, 0))
            assert pool.statistics().spawned == 1

    run(main())


def test_a_spare_that_dies_is_replaced_after_a_pause(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, spares=1) as pool:
            pool.warm(MODEL)
            await until(lambda: parked(pool) == {MODEL: 1})
            (spare,) = [entry.child for entry in pool._roster.at(Place.PARKED)]
            os.kill(spare.pid, signal.SIGKILL)
            await until(lambda: parked(pool) == {})
            assert pool.statistics().failures_in_a_row == 1
            await until(lambda: parked(pool) == {MODEL: 1})

    run(main())


def test_spares_that_die_at_once_are_not_started_again_and_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, FakeScript(on_start="exit"), spares=1) as pool:
            pool.warm(MODEL)
            await until(lambda: pool.statistics().failures_in_a_row == 2)
            for _ in range(20):
                pool.warm(MODEL)
                await breathe()
            assert count_starts(tmp_path / "bin/claude") == pool.statistics().spawned == 2

    run(main())


def test_a_process_that_dies_before_it_is_anywhere_counts_as_a_failure_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Child.spawn.__func__  # type: ignore[attr-defined]

    async def stillborn(cls: type[Child], *given: object) -> Child:
        child: Child = await plain(cls, *given)
        await child.ended.wait()
        return child

    monkeypatch.setattr(Child, "spawn", classmethod(stillborn))

    async def main() -> None:
        async with make_pool(tmp_path, FakeScript(on_start="exit"), spares=1) as pool:
            pool.warm(MODEL)
            await until(lambda: pool.statistics().failures_in_a_row >= 2)
            assert parked(pool) == {}
            with pytest.raises(Died):
                await lease_child(pool, MODEL, is_listed=True)
            # It is given up after two: the first may be one that was counted a moment before.
            assert pool.statistics().failures_in_a_row >= 3

    run(main())


def test_a_turn_that_gets_through_ends_the_backing_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, FakeScript(failing_starts=1)) as pool:
            first = await lease_child(pool, MODEL, is_listed=True)
            await hear_out(first)
            pool.give_back(first)
            assert pool.statistics().failures_in_a_row == 1
            second = await lease_child(pool, MODEL, is_listed=True)
            await hear_out(second)
            assert pool.statistics().failures_in_a_row == 0
            pool.give_back(second)

    run(main())


def test_a_spare_of_an_older_file_is_ended_and_not_leased(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, Answer(("old",)), spares=1) as pool:
            pool.warm(MODEL)
            await until(lambda: parked(pool) == {MODEL: 1})
            (old,) = [entry.child for entry in pool._roster.at(Place.PARKED)]
            make_fake_cli(tmp_path / "bin", Answer(("new",)))
            child = await lease_child(pool, MODEL, is_listed=True)
            assert text_of(await hear_out(child)) == "new"
            await old.ended.wait()
            pool.give_back(child)

    run(main())


def test_models_that_are_not_listed_are_few_at_once_and_have_no_spares(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, spares=1) as pool:
            names = [f"claude-x-{at}" for at in range(MAX_UNLISTED_MODELS)]
            children = [await lease_child(pool, name, is_listed=False) for name in names]
            with pytest.raises(Overloaded) as caught:
                await lease_child(pool, "claude-x-more", is_listed=False)
            assert caught.value.code == "too_many_unlisted_models"
            again = await lease_child(pool, names[0], is_listed=False)
            pool.give_back(children[1])
            other = await lease_child(pool, "claude-x-more", is_listed=False)
            for child in (*children, again, other):
                pool.give_back(child)
            await until(lambda: in_use(pool) == (0, 0))
            assert parked(pool) == {}

    run(main())


def test_an_unlisted_model_that_did_not_start_holds_no_place(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            await pool._probe.look()
            broken = tmp_path / "state"
            broken.write_text("no directory")
            for at in range(MAX_UNLISTED_MODELS + 2):
                with pytest.raises(Upstream):
                    await lease_child(pool, f"claude-x-{at}", is_listed=False)
            broken.unlink()
            pool.give_back(await lease_child(pool, "claude-x-9", is_listed=False))

    run(main())


def test_a_cli_that_cannot_be_started_is_503(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            await pool._probe.look()
            # Still the same file by all that is looked at, and not to be run.
            (tmp_path / "bin/claude").chmod(0o644)
            with pytest.raises(Upstream) as caught:
                await lease_child(pool, MODEL, is_listed=True)
            assert (caught.value.status, caught.value.code) == (503, "claude_cli_unusable")
            assert in_use(pool) == (0, 0)
            assert pool.statistics().failures_in_a_row == 1

    run(main())


def test_a_lease_that_is_cancelled_while_the_process_starts_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    plain = Child.spawn.__func__  # type: ignore[attr-defined]
    children: list[Child] = []

    async def slow(cls: type[Child], *given: object) -> Child:
        children.append(await plain(cls, *given))
        await gate.wait()
        return children[0]

    monkeypatch.setattr(Child, "spawn", classmethod(slow))

    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            leasing = asyncio.get_running_loop().create_task(
                lease_child(pool, MODEL, is_listed=True)
            )
            await until(lambda: bool(children))
            leasing.cancel()
            await asyncio.wait([leasing])
            gate.set()
            await children[0].ended.wait()
            await until(lambda: in_use(pool) == (0, 0))
            assert not is_alive(children[0].pid)

    run(main())


def test_leaving_ends_parked_and_leased_processes_alike(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, Silent(after=1), spares=1, patience=SHORT) as pool:
            pool.warm(OTHER)
            await until(lambda: parked(pool) == {OTHER: 1})
            child = await lease_child(pool, MODEL, is_listed=True)
            spares = [entry.child for entry in pool._roster.at(Place.PARKED)]
        for each in (child, *spares):
            assert each.is_gone
            assert not is_alive(each.pid)
        assert in_use(pool) == (0, 0)
        pool.warm(MODEL)
        assert pool.statistics().spawned == 2

    run(main())


def test_a_spare_that_is_being_started_when_the_pool_is_left_is_ended_too(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, spares=1) as pool:
            pool.warm(MODEL)
        assert parked(pool) == {}
        assert in_use(pool) == (0, 0)

    run(main())


def test_the_replacement_waits_a_moment_for_the_first_token() -> None:
    assert 0 < room.REPLACE_AFTER_S < 1


# Resting.

TALK = Wanted(MODEL, key=b"key", chain=(b"", b"one"))
HELD = Memory(b"key", (b"", b"one", b"answer"), answers=1)
LATER = Wanted(
    MODEL,
    key=b"key",
    chain=(b"", b"one", b"answer", b"two"),
    last_request=2,
    users=frozenset({0, 2}),
)


async def talk(pool: Pool) -> Child:
    """Have one conversation and let it rest."""
    lease = await pool.lease(TALK)
    await hear_out(lease.child)
    await lease.child.wait_settled()
    pool.give_back(lease.child, HELD)
    return lease.child


def test_a_conversation_rests_and_is_found_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            child = await talk(pool)
            assert pool.statistics().resting == 1
            lease = await pool.lease(LATER)
            assert (lease.child, lease.keep, lease.source) == (child, 2, "continued")
            pool.give_back(lease.child)

    run(main())


def test_a_request_waits_for_the_turn_it_continues(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            lease = await pool.lease(TALK)
            await hear_out(lease.child)
            pool.finishing(lease.child, HELD)
            leasing = asyncio.get_running_loop().create_task(pool.lease(LATER))
            await breathe()
            assert not leasing.done()
            await lease.child.wait_settled()
            pool.give_back(lease.child, HELD)
            again = await leasing
            assert (again.child, again.source) == (lease.child, "continued")
            pool.give_back(again.child)

    run(main())


def test_a_lease_that_is_cancelled_with_its_process_in_hand_puts_it_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            child = await talk(pool)
            leasing = asyncio.get_running_loop().create_task(pool.lease(LATER))
            await asyncio.wait([leasing], return_when=asyncio.FIRST_COMPLETED, timeout=0)
            leasing.cancel()
            await asyncio.wait([leasing])
            await until(lambda: pool.statistics().resting == 1 or not leasing.cancelled())
            if leasing.cancelled():
                assert (await pool.lease(LATER)).child is child
            pool.give_back(child)

    run(main())


@pytest.mark.parametrize("worn", [{"worn_turns": 1}, {"worn_mb": 0}])
def test_a_worn_process_does_not_rest(tmp_path: Path, worn: dict[str, int]) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            pool.change_limits(msgspec.structs.replace(pool._fleet.limits, **worn))
            child = await talk(pool)
            assert pool.statistics().resting == 0
            await child.ended.wait()

    run(main())


def test_another_login_ends_those_that_rest_and_leaves_those_that_run(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            resting = await talk(pool)
            busy = await pool.lease(msgspec.structs.replace(TALK, key=b"other"))
            pool.change_environment(environment_of(tmp_path))
            await resting.ended.wait()
            assert text_of(await hear_out(busy.child)) == "Hello there, friend."
            await busy.child.wait_settled()
            pool.give_back(busy.child, HELD)
            # It knows the old login.
            assert pool.statistics().resting == 0

    run(main())


def test_forgetting_ends_every_conversation_that_rests(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path) as pool:
            child = await talk(pool)
            assert pool.forget() == 1
            await child.ended.wait()
            busy = await pool.lease(TALK)
            assert pool.forget() == 0
            await hear_out(busy.child)
            await busy.child.wait_settled()
            pool.give_back(busy.child, HELD)
            assert pool.statistics().resting == 0

    run(main())


def test_many_that_wait_for_one_conversation_cost_one_look_each(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, processes=1) as pool:
            lease = await pool.lease(TALK)
            await hear_out(lease.child)
            pool.finishing(lease.child, HELD)
            looks = 0
            plain = pool._serve_one

            def count(waiter: Waiter) -> None:
                nonlocal looks
                looks += 1
                plain(waiter)

            pool._serve_one = count  # type: ignore[method-assign]
            loop = asyncio.get_running_loop()
            leasing = [loop.create_task(pool.lease(LATER)) for _ in range(12)]
            await until(lambda: looks >= 12 * 13 // 2 + 12 * 12)
            await breathe()
            assert looks <= 12 * 13 // 2 + 12 * 13
            for task in leasing:
                task.cancel()
            await asyncio.wait(leasing)
            await lease.child.wait_settled()
            pool.give_back(lease.child, HELD)

    run(main())
