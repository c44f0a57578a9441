"""Conversations through the back door: shown, and ended all at once."""

from ocpd.admin.sessions import KeptSessions
from ocpd.admin.wire import SessionView
from tests.unit.admin.stage import open_house
from tests.unit.http.stage import run


class Shelf:
    """A book of conversations that is a list."""

    def __init__(self, *resting: SessionView) -> None:
        self.resting = list(resting)

    def list(self):
        return tuple(self.resting)

    async def clear(self) -> int:
        count = len(self.resting)
        self.resting.clear()
        return count


def test_conversations_are_shown_and_ended(tmp_path):
    view = SessionView(
        id="s1", uuid="u1", model="claude-opus-5", messages=4, last_used="2026-11-21T11:00:00Z"
    )

    async def main():
        async with open_house(tmp_path, book=Shelf(view)) as house:
            (told,) = (await house.unix("GET", "/sessions")).json["sessions"]
            assert told == {
                "id": "s1",
                "uuid": "u1",
                "model": "claude-opus-5",
                "messages": 4,
                "lastUsed": "2026-11-21T11:00:00Z",
            }
            assert (await house.unix("GET", "/status")).json["proxy"]["activeSessions"] == 1
            assert (await house.unix("DELETE", "/sessions")).json == {"cleared": 1}
            assert (await house.unix("GET", "/sessions")).json == {"sessions": []}
            assert await house.actions() == ["sessions.clear"]

    run(main())


def test_what_rests_without_a_name_goes_too_and_nothing_counts_twice():
    forgotten: list[int] = []
    kept = KeptSessions(Shelf(), lambda: forgotten.append(1) or 5)  # type: ignore[arg-type]
    assert run(kept.clear()) == 0
    assert forgotten == [1]


def test_without_conversations_there_is_nothing_to_end(tmp_path):
    async def main():
        async with open_house(tmp_path) as house:
            assert (await house.unix("DELETE", "/sessions")).json == {"cleared": 0}

    run(main())
