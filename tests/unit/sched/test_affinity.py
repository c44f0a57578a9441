"""A request continues a conversation that it begins with, or whose last request it replaces."""

import msgspec

from ocpd.sched.affinity import Match, Memory, Wanted, Way, find_match
from ocpd.sched.staffing import ChildId

ONE, TWO = ChildId(1), ChildId(2)


def chain(said: str) -> tuple[bytes, ...]:
    """A chain over letters: capitals are the user's."""
    return tuple(said[:at].encode() for at in range(len(said) + 1))


def memory(said: str, key: bytes = b"k") -> Memory:
    """What a process holds after the answer to the last capital."""
    return Memory(key, chain(said), asked_at(said[:-1]), sum(each.islower() for each in said))


def asked_at(said: str) -> int:
    """Where the last run of capitals begins."""
    return len(said.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))


def wanted(said: str, key: bytes) -> Wanted:
    users = frozenset(at for at, letter in enumerate(said) if letter.isupper())
    return Wanted("m", key, chain(said), asked_at(said), users=users)


def find(said: str, *memories: Memory, key: bytes = b"k") -> Match | None:
    held = {ChildId(number): each for number, each in enumerate(memories, 1)}
    return find_match(held, wanted(said, key))


def test_what_goes_on_with_all_of_it_continues_it() -> None:
    assert find("AbC", memory("Ab")) == Match(ONE, 2, Way.CONTINUED)
    assert find("AbCD", memory("Ab")) == Match(ONE, 2, Way.CONTINUED)


def test_what_goes_on_with_an_answer_is_built_anew() -> None:
    """If it failed, the answer could not be taken back."""
    assert find("AbcD", memory("Ab")) is None


def test_another_answer_to_the_same_message_is_a_rewind() -> None:
    assert find("AbC", memory("AbCd")) == Match(ONE, 2, Way.REWOUND)
    assert find("A", memory("Ab")) == Match(ONE, 0, Way.REWOUND)


def test_an_edited_last_message_is_a_rewind() -> None:
    assert find("AbX", memory("AbCd")) == Match(ONE, 2, Way.REWOUND)
    assert find("AbXY", memory("AbCd")) == Match(ONE, 2, Way.REWOUND)
    assert find("AbXyZ", memory("AbCd")) is None


def test_an_edited_first_message_is_another_conversation() -> None:
    assert find("X", memory("Ab")) is None


def test_an_edited_earlier_message_leaves_the_conversation_alone() -> None:
    assert find("AbX", memory("AbCdEf")) is None
    assert find("XbC", memory("Ab")) is None


def test_an_answer_that_the_client_edited_does_not_match() -> None:
    assert find("AxC", memory("Ab")) is None


def test_nothing_is_found_under_another_key() -> None:
    assert find("AbC", memory("Ab", key=b"other")) is None


def test_an_empty_conversation_continues_nothing() -> None:
    assert find("A", Memory(b"k", (b"",))) is None


def test_the_longest_wins_and_going_on_beats_a_rewind() -> None:
    assert find("AbCdE", memory("Ab"), memory("AbCd")) == Match(TWO, 4, Way.CONTINUED)
    assert find("AbC", memory("AbXy"), memory("Ab")) == Match(TWO, 2, Way.CONTINUED)


def test_results_go_on_with_the_conversation_that_called() -> None:
    """R are results: the user's, and a part of the request before."""
    holds = Memory(b"k", chain("Abc"), 0, answers=2, is_held=True)
    found = find_match({ONE: holds}, wanted("AbcR", b"k"))
    assert found == Match(ONE, 3, Way.CONTINUED)


def test_another_answer_to_results_replaces_the_whole_request() -> None:
    after = Memory(b"k", chain("AbCdRe"), 2, answers=3)
    asked = msgspec.structs.replace(wanted("AbCdR", b"k"), last_request=2)
    assert find_match({ONE: after}, asked) == Match(ONE, 2, Way.REWOUND)
    # Also if the results are others, or the user goes on without them.
    for said in ("AbCdS", "AbCxR", "AbX"):
        again = msgspec.structs.replace(wanted(said, b"k"), last_request=2)
        assert find_match({ONE: after}, again) == Match(ONE, 2, Way.REWOUND)


def test_the_same_request_elsewhere_is_another_conversation() -> None:
    holds = Memory(b"k", chain("AbCd"), 2, answers=2, is_held=True)
    asked = msgspec.structs.replace(wanted("AxCdR", b"k"), last_request=2)
    assert find_match({ONE: holds}, asked) is None
