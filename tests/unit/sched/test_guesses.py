"""Promise: who guesses keys is slowed down by address, and memory is bounded."""

import pytest

from ocpd.sched.guesses import (
    FORGET_S,
    FREE,
    LONGEST_S,
    MOST_ADDRESSES,
    MOST_TRUSTED,
    WINDOW_S,
    Guesses,
)

WRONG, RIGHT = b"wrong", b"right"


def fill(guesses: Guesses, address: str, now: float, count: int = FREE) -> None:
    for _ in range(count):
        guesses.note_wrong(address, WRONG, now)


def test_ten_wrong_keys_cost_nothing_and_the_next_has_to_wait() -> None:
    guesses = Guesses()
    for number in range(FREE):
        assert guesses.wait_s("a", WRONG, number) == 0
        guesses.note_wrong("a", WRONG, number)
    assert guesses.wait_s("a", WRONG, FREE - 1) == 1
    assert guesses.wait_s("b", WRONG, FREE - 1) == 0


def test_slow_mistakes_are_no_guesses() -> None:
    guesses = Guesses()
    for number in range(100):
        now = number * WINDOW_S / (FREE - 2)
        assert guesses.wait_s("a", WRONG, now) == 0
        guesses.note_wrong("a", WRONG, now)


def test_every_further_guess_waits_longer_up_to_a_minute() -> None:
    guesses, now, waits = Guesses(), 0.0, []
    fill(guesses, "a", now, FREE - 1)
    for _ in range(10):
        guesses.note_wrong("a", WRONG, now)
        waits.append(guesses.wait_s("a", WRONG, now))
        now += waits[-1]
        assert guesses.wait_s("a", WRONG, now) == 0
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert waits[-1] == LONGEST_S


def test_the_right_key_is_not_looked_at_meanwhile_unless_it_was_right_there_before() -> None:
    guesses = Guesses()
    guesses.note_right("a", RIGHT)
    guesses.note_right("b", b"of another address")
    fill(guesses, "a", 0.0)
    assert guesses.wait_s("a", RIGHT, 0.5) == 0
    assert guesses.wait_s("a", b"of another address", 0.5) == 1
    # A key that was revoked is no longer right.
    guesses.note_wrong("a", RIGHT, 0.5)
    assert guesses.wait_s("a", RIGHT, 0.6) > 0


def test_an_address_is_forgiven_in_the_end() -> None:
    guesses = Guesses()
    fill(guesses, "a", 0.0, 2 * FREE)
    later = FORGET_S + 1
    guesses.note_wrong("a", WRONG, later)
    assert guesses.wait_s("a", WRONG, later) == 0


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("10.0.0.1", "10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "10.0.0.1", False),
    ],
)
def test_an_ipv6_network_is_one_address(one: str, two: str, same: bool) -> None:
    guesses = Guesses()
    fill(guesses, one, 0.0)
    assert (guesses.wait_s(two, WRONG, 0.0) > 0) is same


def test_memory_is_bounded_and_keeps_those_who_guess() -> None:
    guesses = Guesses()
    fill(guesses, "guesser", 0.0)
    for number in range(2 * MOST_ADDRESSES):
        guesses.note_wrong(f"address {number}", WRONG, 0.0)
        guesses.note_right(f"address {number}", RIGHT)
        if number % 1000 == 0:
            guesses.note_wrong("guesser", WRONG, 0.0)
    assert guesses.statistics().addresses == MOST_ADDRESSES
    assert guesses.statistics().trusted == MOST_TRUSTED
    assert guesses.wait_s("guesser", WRONG, 0.0) > 0
