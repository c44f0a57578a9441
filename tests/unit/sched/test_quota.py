"""Promise: requests are exact, the rest overshoots by what runs, and a denial says until when."""

import pytest

from ocpd.sched.quota import AT_ONCE, STREAMS, AccountId, Denial, Limit, Meter, Reservation
from ocpd.sched.windows import Entry, Spent

NOON = 1_795_262_400.0
HOUR, DAY = 3_600.0, 86_400.0
ME, OTHER = AccountId("me"), AccountId("other")
ONE = Spent(1, 100, 50, 0.25)


def meter_of(*limits: Limit, account: AccountId = ME) -> Meter:
    meter = Meter()
    missing = meter.missing(account, limits)
    meter.expect(account, missing)
    meter.recall(account, dict.fromkeys(missing, ()))
    return meter


def take(meter: Meter, *limits: Limit, now: float = NOON, estimate: Spent = ONE) -> Reservation:
    answer = meter.reserve(ME, limits, estimate, now)
    assert isinstance(answer, Reservation), answer
    return answer


def denied(meter: Meter, *limits: Limit, now: float = NOON) -> Denial:
    answer = meter.reserve(ME, limits, ONE, now)
    assert isinstance(answer, Denial)
    return answer


def test_a_burst_gets_exactly_as_many_places_as_there_are():
    limit = Limit("requests", "daily", 50)
    meter = meter_of(limit)
    answers = [meter.reserve(ME, (limit,), ONE, NOON) for _ in range(200)]
    assert sum(isinstance(answer, Reservation) for answer in answers) == 50


def test_what_does_not_count_gives_its_place_back():
    limit = Limit("requests", "daily", 1)
    meter = meter_of(limit)
    meter.release(take(meter, limit))
    meter.settle(take(meter, limit), ONE, NOON)
    assert denied(meter, limit) == Denial(limit, 1, 0, NOON + 12 * HOUR, waits_for_turns=False)
    take(meter, limit, now=NOON + 12 * HOUR)


def test_who_is_held_up_by_running_turns_alone_waits_for_one_of_them():
    limit = Limit("requests", "daily", 1)
    meter = meter_of(limit)
    running = take(meter, limit)
    no = denied(meter, limit)
    assert (no.used, no.reserved, no.resets_at, no.waits_for_turns) == (1, 1, None, True)
    meter.release(running)
    take(meter, limit)


def test_an_end_that_is_told_twice_counts_once():
    limit = Limit("requests", "daily", 2)
    meter = meter_of(limit)
    once = take(meter, limit)
    meter.settle(once, ONE, NOON)
    meter.settle(once, ONE, NOON)
    meter.release(once)
    take(meter, limit)
    denied(meter, limit)


@pytest.mark.parametrize(
    ("limit", "estimate"),
    [
        (Limit("tokens", "daily", 1000), Spent(1, 300, 300)),
        (Limit("output_tokens", "weekly", 600), Spent(1, 0, 400)),
        (Limit("input_tokens", "monthly", 600), Spent(1, 400, 0)),
        (Limit("cost", "lifetime", 1.0), Spent(1, 0, 0, 0.6)),
    ],
)
def test_amounts_are_admitted_while_used_and_set_aside_are_below_the_limit(limit, estimate):
    meter = meter_of(limit)
    first = take(meter, limit, estimate=estimate)
    take(meter, limit, estimate=estimate)
    assert denied(meter, limit).waits_for_turns
    # Less was used than was set aside.
    meter.settle(first, Spent(1, 1, 1, 0.001), NOON)
    take(meter, limit, estimate=estimate)


def test_a_limit_of_nothing_blocks_for_good():
    limit = Limit("cost", "daily", 0.0)
    no = denied(meter_of(limit), limit)
    assert (no.used, no.resets_at, no.waits_for_turns) == (0, None, False)


def test_of_several_limits_the_one_that_lasts_longest_is_told():
    minute, week = Limit("requests", "minute", 1), Limit("requests", "weekly", 1)
    meter = meter_of(minute, week)
    meter.settle(take(meter, minute, week), ONE, NOON)
    assert denied(meter, minute, week).limit == week
    assert denied(meter, minute, week).resets_at == NOON + 7 * DAY + HOUR


def test_a_burst_is_of_beginnings_whatever_they_take():
    limit = Limit("requests", "minute", 2)
    meter = meter_of(limit)
    long = take(meter, limit)
    meter.release(take(meter, limit, now=NOON + 10))
    take(meter, limit, now=NOON + 20)
    assert denied(meter, limit, now=NOON + 20).resets_at == NOON + 61
    take(meter, limit, now=NOON + 61)
    # Its beginning is long past when it ends.
    meter.settle(long, ONE, NOON + 90)
    take(meter, limit, now=NOON + 90)


def test_tokens_of_a_burst_count_when_they_are_known():
    limit = Limit("tokens", "minute", 150)
    meter = meter_of(limit)
    meter.settle(take(meter, limit), ONE, NOON + 90)
    assert denied(meter, limit, now=NOON + 91).resets_at == NOON + 151


def test_turns_at_once_are_bounded_by_themselves():
    limit = Limit(STREAMS, AT_ONCE, 2)
    meter = Meter()
    assert meter.missing(ME, (limit,)) == ()
    first = take(meter, limit)
    take(meter, limit)
    assert denied(meter, limit) == Denial(limit, 2, 2, None, waits_for_turns=True)
    meter.settle(first, ONE, NOON)
    take(meter, limit)
    assert not denied(meter, Limit(STREAMS, AT_ONCE, 0)).waits_for_turns


def test_a_period_is_missing_until_its_past_is_known():
    limits = (Limit("requests", "daily", 3), Limit("cost", "daily", 1), Limit("cost", "weekly", 1))
    meter = Meter()
    assert meter.missing(ME, limits) == ("daily", "weekly")
    meter.expect(ME, ("daily", "weekly"))
    assert meter.missing(ME, limits) == ("daily", "weekly")
    meter.recall(ME, {"daily": (Entry(NOON, Spent(2)),)})
    assert meter.missing(ME, limits) == ("weekly",)
    take(meter, limits[0])
    denied(meter, limits[0])
    meter.forget(ME)
    assert meter.missing(ME, limits) == ("daily", "weekly")


def test_what_ends_while_the_past_is_asked_for_counts_beside_it():
    limit = Limit("requests", "daily", 4)
    meter = Meter()
    # It began before there was any limit.
    running = take(meter)
    meter.expect(ME, ("daily",))
    meter.settle(running, ONE, NOON)
    meter.recall(ME, {"daily": (Entry(NOON - 1, Spent(2)),)})
    take(meter, limit)
    assert denied(meter, limit).used == 4


def test_what_runs_is_still_set_aside_when_the_past_became_another():
    limits = (Limit("requests", "daily", 1), Limit("requests", "minute", 1))
    meter = meter_of(*limits)
    running = take(meter, *limits)
    meter.forget_all()
    meter.expect(ME, ("daily", "minute"))
    meter.recall(ME, {"daily": (), "minute": ()})
    assert denied(meter, limits[0]).waits_for_turns
    # The other limit was taken away meanwhile, and its window with it.
    assert meter.missing(ME, limits) == ("minute",)
    meter.expect(ME, ("minute",))
    meter.recall(ME, {"minute": ()})
    assert denied(meter, *limits).used == 1
    meter.release(running)
    take(meter, *limits)


def test_a_past_that_nobody_waits_for_any_more_is_dropped():
    meter = Meter()
    meter.recall(ME, {"daily": (Entry(NOON, Spent(2)),)})
    assert repr(meter) == "Meter(0 accounts, 0 open)"


def test_accounts_know_nothing_of_each_other_and_leave_nothing_behind():
    limit = Limit("requests", "daily", 1)
    meter = meter_of(limit)
    take(meter, limit)
    free = meter.reserve(OTHER, (), ONE, NOON)
    assert isinstance(free, Reservation)
    assert repr(meter) == "Meter(2 accounts, 2 open)"
    meter.release(free)
    assert repr(meter) == "Meter(1 accounts, 1 open)"


def test_a_guess_is_a_quarter_of_the_prompt_and_a_bounded_answer():
    meter = Meter()
    assert meter.estimate(4_000, None) == Spent(1, 1_000, 4_096, 0.0)
    assert meter.estimate(4_000, 10) == Spent(1, 1_000, 10, 0.0)
    assert meter.estimate(4_000, 100_000).output_tokens == 4_096


def test_a_token_is_guessed_to_cost_what_it_has_cost():
    meter = Meter()
    assert (meter.estimate(4_000, 1_000).cost, meter.price(7)) == (0.0, 0.0)
    meter.learn(Spent(1, 900, 100, 0.5))
    assert meter.price(2_000) == pytest.approx(1.0)
    # After a restart the past tells.
    again = Meter()
    again.expect(ME, ["weekly", "monthly"])
    past = [Entry(NOON, Spent(1, 900, 100, 0.5))]
    again.recall(ME, {"weekly": past, "monthly": past})
    assert again.price(2_000) == pytest.approx(1.0)
    assert meter.estimate(4_000, 1_000).cost == pytest.approx(1.0)


def test_the_tightest_limit_says_how_much_is_left():
    limits = (
        Limit("requests", "minute", 9),
        Limit("requests", "daily", 3),
        Limit("tokens", "daily", 1_000),
        Limit("input_tokens", "daily", 500),
    )
    meter = meter_of(*limits)
    meter.settle(take(meter, *limits), ONE, NOON)
    take(meter, *limits)
    requests = meter.stand(ME, limits, ("requests",), NOON)
    assert requests is not None
    assert (requests.limit, requests.remaining, requests.clears_at) == (
        limits[1],
        1,
        NOON + 12 * HOUR,
    )
    tokens = meter.stand(ME, limits, ("tokens", "input_tokens"), NOON)
    assert tokens is not None
    assert (tokens.limit, tokens.remaining) == (limits[3], 300)
    assert meter.stand(ME, limits, ("cost",), NOON) is None
    assert meter.stand(OTHER, limits, ("requests",), NOON) is None
