"""Each failure in a row doubles the wait, up to a bound; one success forgets them."""

from ocpd.sched.backoff import Backoff


def test_at_first_nothing_has_to_wait() -> None:
    backoff = Backoff()
    assert (backoff.ready_at(), backoff.failures) == (0.0, 0)


def test_the_wait_doubles_until_it_is_long_enough() -> None:
    backoff = Backoff(first_s=0.5, most_s=5.0)
    waits = []
    for _ in range(6):
        backoff.fail(100.0)
        waits.append(backoff.ready_at() - 100.0)
    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff.failures == 6


def test_the_wait_begins_at_the_failure() -> None:
    backoff = Backoff(first_s=1.0)
    backoff.fail(10.0)
    backoff.fail(100.0)
    assert backoff.ready_at() == 102.0


def test_a_success_forgets_all_failures() -> None:
    backoff = Backoff(first_s=1.0)
    for _ in range(10):
        backoff.fail(100.0)
    backoff.succeed()
    assert (backoff.ready_at(), backoff.failures) == (0.0, 0)
    backoff.fail(200.0)
    assert backoff.ready_at() == 201.0


def test_weeks_of_failures_wait_no_longer_than_the_bound() -> None:
    backoff = Backoff()
    for _ in range(5000):
        backoff.fail(1.0)
    assert backoff.ready_at() == 61.0
