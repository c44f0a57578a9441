"""Named conversations outlive their processes; a forgotten one leaves its name for a while."""

import stat

import pytest

from ocpd.store.conversations import MOST_BYTES, TOMBSTONE_S, Conversation, Name
from ocpd.turn.request import Message, Role, Text
from tests.unit.http.stage import run
from tests.unit.store.stage import Clock, open_store

MINE = Name("key 1", "chat")


def talk(*texts: str, system: str = "Be brief.") -> Conversation:
    roles = (Role.USER, Role.ASSISTANT)
    messages = tuple(Message(roles[at % 2], (Text(text),)) for at, text in enumerate(texts))
    return Conversation(system, "m", messages)


def test_what_was_kept_is_found_after_a_restart(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            assert await store.conversations.keep(MINE, talk("a", "b"))
        async with open_store(tmp_path) as store:
            found = await store.conversations.find(MINE, "Be brief.")
            assert found.messages == talk("a", "b").messages
            (known,) = store.conversations.list()
            assert (known.name, known.model, known.count) == ("chat", "m", 2)
        assert stat.S_IMODE((tmp_path / "ocpd.db").stat().st_mode) == 0o600

    run(main())


def test_nobody_finds_anothers(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            await store.conversations.keep(MINE, talk("a", "b"))
            for name in (Name("key 2", "chat"), Name("key 1", "cha"), Name("key 1c", "hat")):
                assert await store.conversations.find(name, "Be brief.") is None

    run(main())


def test_a_system_prompt_tells_two_of_a_name_apart_and_none_means_the_latest(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            book = store.conversations
            await book.keep(MINE, talk("a", "b", system="one"))
            clock.now += 1
            await book.keep(MINE, talk("c", "d", system="two"))
            assert (await book.find(MINE, "one")).messages == talk("a", "b").messages
            assert (await book.find(MINE, "")).system == "two"
            assert await book.find(MINE, "three") is None

    run(main())


def test_a_forgotten_one_is_known_to_be_gone_and_then_not_known(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            book = store.conversations
            await book.keep(MINE, talk("a", "b"))
            clock.now += 60
            assert await book.expire(61) == 0
            assert await book.expire(60) == 1
            assert book.list() == ()
            assert (await book.find(MINE, "Be brief.")).messages is None
            clock.now += TOMBSTONE_S
            await book.expire(60)
            assert await book.find(MINE, "Be brief.") is None

    run(main())


def test_one_that_is_too_long_is_forgotten(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            book = store.conversations
            await book.keep(MINE, talk("a", "b"))
            assert not await book.keep(MINE, talk("a", "b" * MOST_BYTES))
            assert book.list() == ()
            assert (await book.find(MINE, "Be brief.")).messages is None

    run(main())


@pytest.mark.parametrize("count", [0, 2])
def test_clearing_deletes_names_too(tmp_path, count):
    async def main():
        async with open_store(tmp_path) as store:
            book = store.conversations
            for number in range(count):
                await book.keep(Name("key 1", str(number)), talk("a", "b"))
            assert await book.clear() == count
            assert book.list() == ()
            assert await book.find(Name("key 1", "0"), "Be brief.") is None

    run(main())


def test_of_too_many_the_least_recently_used_goes(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            book = store.conversations
            book._most_kept = 2
            for text in ("one", "two", "one", "three"):
                clock.now += 1
                await book.keep(Name("key 1", text), talk("a", "b"))
            assert [known.name for known in book.list()] == ["three", "one"]
            assert await book.find(Name("key 1", "two"), "") is None
        async with open_store(tmp_path, clock) as store:
            assert [known.name for known in store.conversations.list()] == ["three", "one"]

    run(main())
