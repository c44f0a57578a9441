"""Promise: a secret is shown once and kept as a hash; what was revoked is refused from that call
on; what is acknowledged is there after a restart."""

import asyncio
import re
import sqlite3

import pytest

from ocpd.errors import BadRequest, Overloaded
from ocpd.store.records import Wanted, digest_of, make_secret, preview_of
from tests.unit.store.stage import NOON, Clock, held, make_row, open_store, query, run


def test_a_new_key_is_found_by_its_secret_and_by_nothing_else(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await store.keys.add("laptop", Wanted(note="the old one"))
            assert re.fullmatch(r"ocp_[A-Za-z0-9_-]{32}", secret)
            assert record.preview == f"{secret[:8]}...{secret[-4:]}"
            assert (record.name, record.note, record.role) == ("laptop", "the old one", "user")
            assert record.created_at == NOON
            assert store.keys.find(secret) == record
            for other in ("", secret[:-1], secret + "x", secret.upper(), "laptop", "\ud800"):
                assert store.keys.find(other) is None
            return secret

    secret = run(main())
    for path in tmp_path.iterdir():
        assert secret.encode() not in path.read_bytes()
        assert secret[4:].encode() not in path.read_bytes()


def test_everything_of_a_key_survives_a_restart(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            wanted = {
                "note": "n",
                "expires_at": NOON + 1.5,
                "models": ("claude-a", "claude-b"),
                "role": "batch",
                "mcp_servers": ("files", "web"),
                "allowed_tools": ("Bash", "Read"),
            }
            record, secret = await store.keys.add("laptop", Wanted(**wanted))
            assert {name: getattr(record, name) for name in wanted} == wanted
        async with open_store(tmp_path) as store:
            assert store.keys.find(secret) == record
            assert store.keys.list() == (record,)

    run(main())


def test_an_expired_key_is_refused_from_its_moment_on_and_stays_listed(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            record, secret = await store.keys.add("one", Wanted(expires_at=NOON + 10))
            clock.now = NOON + 9.999
            assert store.keys.find(secret) == record
            clock.now = NOON + 10
            assert store.keys.find(secret) is None
            assert store.keys.list() == (record,)
            await store.keys.change(record.id, Wanted(expires_at=None))
            assert store.keys.find(secret) is not None

    run(main())


def test_revoking_counts_from_the_call_and_is_acknowledged_when_durable(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await store.keys.add("one")
            async with held(store):
                revoking = asyncio.get_running_loop().create_task(store.keys.revoke(record.id))
                await asyncio.wait([revoking], timeout=0.01)
                assert store.keys.find(secret) is None
                assert not revoking.done()
            assert await revoking is True
            assert store.keys.find(secret) is None
            assert store.keys.get("one").revoked_at == NOON
            assert await store.keys.revoke(record.id) is False
            assert await store.keys.revoke(999) is False
        async with open_store(tmp_path) as store:
            assert store.keys.find(secret) is None
            assert [key.revoked_at for key in store.keys.list()] == [NOON]

    run(main())


def test_a_revocation_that_cannot_be_written_is_raised_and_still_counts(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await store.keys.add("one")
            other = sqlite3.connect(tmp_path / "ocpd.db", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(Overloaded, match="locked"):
                await store.keys.revoke(record.id)
            other.close()
            assert store.keys.find(secret) is None
            # A change of something else does not let it in again.
            await store.keys.change(record.id, Wanted(note="hm"))
            assert store.keys.find(secret) is None
            assert await store.keys.revoke(record.id) is True
        async with open_store(tmp_path) as store:
            assert store.keys.get("one").revoked_at is not None

    run(main())


def test_a_key_that_is_rotated_while_it_is_revoked_stays_revoked(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, old = await store.keys.add("one")
            async with held(store):
                loop = asyncio.get_running_loop()
                rotating = loop.create_task(store.keys.rotate(record.id))
                await asyncio.wait([rotating], timeout=0.01)
                revoking = loop.create_task(store.keys.revoke(record.id))
                await asyncio.wait([revoking], timeout=0.01)
            _, new = await rotating
            assert store.keys.find(new) is None
            assert await revoking
            assert store.keys.find(old) is store.keys.find(new) is None

    run(main())


def test_rotating_ends_the_old_secret_with_the_new_one(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, old = await store.keys.add("one", Wanted(note="kept"))
            renewed, new = await store.keys.rotate(record.id)
            assert new != old
            assert store.keys.find(old) is None
            assert store.keys.find(new) == renewed
            assert (renewed.id, renewed.name, renewed.note) == (record.id, "one", "kept")
            assert renewed.preview == preview_of(new)
        async with open_store(tmp_path) as store:
            assert store.keys.find(old) is None
            assert store.keys.find(new) == renewed

    run(main())


def test_names_are_unique_among_active_keys_in_any_case(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("Laptop")
            other, _ = await store.keys.add("desk")
            for attempt in (
                store.keys.add("laptop"),
                store.keys.change(other.id, Wanted(name="LAPTOP")),
            ):
                with pytest.raises(BadRequest, match="is taken") as no:
                    await attempt
                assert (no.value.status, no.value.code) == (409, "name_taken")
                assert no.value.param == "name"
            await store.keys.change(record.id, Wanted(name="lapTop"))
            await store.keys.revoke(record.id)
            again, _ = await store.keys.add("laptop")
            assert again.id > other.id

    run(main())


def test_two_who_want_the_same_name_at_once_do_not_both_get_it(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            both = await asyncio.gather(
                store.keys.add("one"), store.keys.add("one"), return_exceptions=True
            )
            assert sorted(type(one).__name__ for one in both) == ["BadRequest", "tuple"]
            assert len(store.keys.list()) == 1

    run(main())


def test_a_key_without_a_name_is_named_after_its_moment(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            names = [(await store.keys.add(None))[0].name for _ in range(3)]
            ms = round(NOON * 1000)
            assert names == [f"key-{ms}", f"key-{ms + 1}", f"key-{ms + 2}"]

    run(main())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "admin"),
        ("name", "1"),
        ("note", "x" * 501),
        ("expires_at", NOON),
        ("expires_at", float("nan")),
        ("expires_at", 1e30),
        ("models", ()),
        ("models", ("",)),
        ("models", ("x" * 101,)),
        ("models", ("m",) * 65),
        ("role", "king"),
        ("mcp_servers", ("a b",)),
        ("mcp_servers", ("c",)),
        ("mcp_servers", ("",)),
        ("mcp_servers", tuple(f"s{n}" for n in range(65))),
        ("allowed_tools", ("read",)),
        ("allowed_tools", ("Bash(git *)",)),
        ("allowed_tools", ("",)),
        ("allowed_tools", tuple(f"T{n}" for n in range(65))),
    ],
)
def test_a_field_that_cannot_be_is_named(tmp_path, field, value):
    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await store.keys.add("one")
            for attempt in (
                store.keys.change(record.id, Wanted(**{field: value})),
                store.keys.add(value if field == "name" else "two", Wanted(**{field: value})),
            ):
                with pytest.raises(BadRequest) as no:
                    await attempt
                assert no.value.param == field
                assert no.value.status == 400
            assert store.keys.list() == (record,)
            assert store.keys.find(secret) == record

    run(main())


def test_changing_touches_only_what_is_given(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await store.keys.add("one", Wanted(note="n", models=("m",)))
            assert await store.keys.change(record.id, Wanted()) == record
            changed = await store.keys.change(record.id, Wanted(name="two", models=None))
            assert (changed.name, changed.note, changed.models) == ("two", "n", None)
            assert store.keys.find(secret) == changed
            assert store.keys.get("one") is None
            assert store.keys.get("two") == changed

    run(main())


def test_a_key_may_use_all_servers_or_some_or_none(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await store.keys.add("one")
            assert record.mcp_servers is None
            await store.keys.change(record.id, Wanted(mcp_servers=("web", "files", "web")))
            assert store.keys.find(secret).mcp_servers == ("files", "web")
            await store.keys.change(record.id, Wanted(note="x"))
            assert store.keys.find(secret).mcp_servers == ("files", "web")
            await store.keys.change(record.id, Wanted(mcp_servers=()))
        async with open_store(tmp_path) as store:
            assert store.keys.find(secret).mcp_servers == ()
            await store.keys.change(record.id, Wanted(mcp_servers=None))
            assert store.keys.find(secret).mcp_servers is None

    run(main())


def test_a_key_may_have_tools_of_its_own_or_none_or_what_the_settings_say(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await store.keys.add("one")
            assert record.allowed_tools is None
            await store.keys.change(record.id, Wanted(allowed_tools=("Read", "Bash", "Read")))
            assert store.keys.find(secret).allowed_tools == ("Bash", "Read")
            await store.keys.change(record.id, Wanted(mcp_servers=()))
            assert store.keys.find(secret).allowed_tools == ("Bash", "Read")
            await store.keys.change(record.id, Wanted(allowed_tools=()))
        async with open_store(tmp_path) as store:
            assert store.keys.find(secret).allowed_tools == ()
            await store.keys.change(record.id, Wanted(allowed_tools=None))
            assert store.keys.find(secret).allowed_tools is None

    run(main())


def test_a_key_that_is_unknown_or_revoked_cannot_be_changed(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("one")
            await store.keys.revoke(record.id)
            for key_id, status, code in (
                (record.id, 409, "key_revoked"),
                (77, 404, "key_not_found"),
            ):
                for attempt in (
                    store.keys.change(key_id, Wanted(note="x")),
                    store.keys.rotate(key_id),
                ):
                    with pytest.raises(BadRequest) as no:
                        await attempt
                    assert (no.value.status, no.value.code) == (status, code)

    run(main())


def test_a_reference_of_digits_is_an_id_and_any_other_a_name(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            first, _ = await store.keys.add("one")
            await store.keys.revoke(first.id)
            clock.now += 1
            second, _ = await store.keys.add("one")
            assert store.keys.get("one") == second
            await store.keys.revoke(second.id)
            assert store.keys.get("one").id == second.id
            assert store.keys.get(str(first.id)).id == first.id
            assert store.keys.get(f"0{first.id}").id == first.id
            for nothing in ("", "77", "9" * 5000, "²", "One", "one "):
                assert store.keys.get(nothing) is None
            assert [key.id for key in store.keys.list()] == [second.id, first.id]

    run(main())


def test_use_is_noted_at_most_once_a_minute(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            record, secret = await store.keys.add("one")
            assert record.last_used_at is None
            queued = []
            async with held(store):
                for at in (0, 1, 59.9, 60, 61):
                    clock.now = NOON + at
                    store.keys.touch(record.id)
                    queued.append(store.statistics().queued)
                store.keys.touch(999)
            assert queued == [1, 1, 1, 2, 2]
            assert store.keys.find(secret).last_used_at == NOON + 60
        async with open_store(tmp_path) as store:
            assert store.keys.find(secret).last_used_at == NOON + 60

    run(main())


def test_the_admin_key_is_kept_as_a_hash_and_compared_whole(tmp_path):
    async def main():
        token = make_secret()
        async with open_store(tmp_path) as store:
            assert not store.keys.has_admin_key
            assert not store.keys.is_admin("")
            assert not store.keys.is_admin(token)
            await store.keys.set_admin_key(digest_of(token))
            assert store.keys.has_admin_key
            assert store.keys.is_admin(token)
            assert not store.keys.is_admin(token + "x")
            assert store.keys.find(token) is None
        async with open_store(tmp_path) as store:
            assert store.keys.is_admin(token)
            await store.keys.set_admin_key(None)
            assert not store.keys.is_admin(token)
        async with open_store(tmp_path) as store:
            assert not store.keys.has_admin_key
        return token

    token = run(main())
    assert token.encode() not in (tmp_path / "ocpd.db").read_bytes()


def test_a_key_keeps_its_rows_apart_from_its_namesakes(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("one")
            store.usage.record(make_row(key_id=record.id, key_name="one"))
            await store.keys.revoke(record.id)
            other, _ = await store.keys.add("one")
            assert (await store.usage.totals(record.id)).requests == 1
            assert (await store.usage.totals(other.id)).requests == 0

    run(main())
    assert query(tmp_path, "SELECT key_id FROM usage") == [(1,)]


def test_the_end_of_a_key_is_told_at_once_and_once(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            told = []
            one, secret = await store.keys.add("one")
            two, other = await store.keys.add("two")
            store.keys.on_change(lambda key_id: told.append((key_id, store.keys.find(secret))))
            assert await store.keys.revoke(one.id)
            assert not await store.keys.revoke(one.id)
            # Whoever is told finds it refused.
            assert told == [(one.id, None)]
            store.keys.on_change(lambda key_id: told.append((key_id, store.keys.find(other))))
            told.clear()
            await store.keys.rotate(two.id)
            assert told == [(two.id, None)] * 2
            await store.keys.change(two.id, Wanted(note="x"))
            await store.keys.set_admin_key(digest_of("admin"))
            assert [key_id for key_id, _ in told] == [two.id] * 4 + [None] * 2

    run(main())


def test_keys_that_a_backup_does_not_know_end_with_its_return(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            kept, _ = await store.keys.add("kept")
            backup = await store.backup()
            lost, _ = await store.keys.add("lost")
            told = []
            store.keys.on_change(lambda key_id: told.append((key_id, store.keys.get("lost"))))
            await store.restore(backup)
            assert told == [(None, None)]
            assert lost.id != kept.id
            assert store.keys.get("kept") == kept

    run(main())
