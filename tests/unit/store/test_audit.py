"""Promise: an entry is durable when it is acknowledged; the newest are kept."""

from ocpd.store import audit
from ocpd.store.audit import AuditEntry
from tests.unit.store.stage import NOON, open_store, run


def _entry(number, **fields):
    plain = {"at": NOON + number, "uid": 1000, "via": "socket", "actor": "me"}
    return AuditEntry(**plain | {"action": "keys.add", "detail": f"{number}"} | fields)


def test_entries_come_back_oldest_first_and_survive(tmp_path):
    entries = tuple(_entry(number, uid=None if number == 1 else 0) for number in range(5))

    async def main():
        async with open_store(tmp_path) as store:
            for entry in entries:
                await store.audit.write(entry)
            assert await store.audit.tail(3) == entries[-3:]
        async with open_store(tmp_path) as store:
            assert await store.audit.tail(50) == entries
            assert await store.audit.tail(0) == await store.audit.tail(-1) == ()

    run(main())


def test_the_book_keeps_the_newest_and_cuts_long_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "_KEPT", 3)

    async def main():
        async with open_store(tmp_path) as store:
            for number in range(5):
                await store.audit.write(_entry(number, detail="x" * 5000))
            kept = await store.audit.tail(50)
            assert [entry.at - NOON for entry in kept] == [2, 3, 4]
            assert {len(entry.detail) for entry in kept} == {2000}

    run(main())
