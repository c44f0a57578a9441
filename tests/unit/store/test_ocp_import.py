"""Promise: nobody has to change a key; twice changes nothing; a file that is not OCP's imports
nothing; no secret stays behind."""

import sqlite3

import msgspec
import pytest

from ocpd.errors import BadRequest
from ocpd.store.ocp_source import OcpSource
from ocpd.store.records import Wanted, make_secret
from tests.unit.store.stage import NOON, make_row, open_store, query, run

SCHEMA = """
CREATE TABLE api_keys (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL,
    name TEXT NOT NULL, created_at TEXT DEFAULT (datetime('now')), revoked INTEGER DEFAULT 0,
    quota_daily INTEGER DEFAULT NULL, quota_weekly INTEGER DEFAULT NULL,
    quota_monthly INTEGER DEFAULT NULL);
CREATE TABLE usage_log (id INTEGER PRIMARY KEY AUTOINCREMENT,
    key_id INTEGER REFERENCES api_keys(id), key_name TEXT DEFAULT 'anonymous', model TEXT,
    prompt_chars INTEGER DEFAULT 0, response_chars INTEGER DEFAULT 0,
    elapsed_ms INTEGER DEFAULT 0, success INTEGER DEFAULT 1,
    created_at TEXT DEFAULT (datetime('now')));
CREATE INDEX idx_usage_created ON usage_log(created_at);
CREATE TABLE response_cache (id INTEGER PRIMARY KEY, hash TEXT UNIQUE, model TEXT, response TEXT);
"""
AT = "2023-11-15 11:00:00"
AT_S = NOON - 3600


class Ocp:
    """A database of OCP's in the making."""

    def __init__(self, directory, schema=SCHEMA):
        directory.mkdir(exist_ok=True)
        self.path = directory / "ocp.db"
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.executescript(schema)

    def add_key(self, name, **columns):
        secret = make_secret()
        row = {"key": secret, "name": name, "created_at": AT} | columns
        names, holes = ", ".join(row), ", ".join("?" * len(row))
        self.connection.execute(
            f"INSERT INTO api_keys ({names}) VALUES ({holes})", tuple(row.values())
        )
        return secret

    def add_usage(self, key_id=None, key_name="local", **columns):
        row = {
            "key_id": key_id,
            "key_name": key_name,
            "model": "opus",
            "prompt_chars": 10,
            "response_chars": 20,
            "elapsed_ms": 300,
            "created_at": AT,
        } | columns
        names, holes = ", ".join(row), ", ".join("?" * len(row))
        self.connection.execute(
            f"INSERT INTO usage_log ({names}) VALUES ({holes})", tuple(row.values())
        )

    def source(self, admin_key=None, *, with_wal=True):
        wal = self.path.with_name("ocp.db-wal").read_bytes() if with_wal else None
        return OcpSource(self.path.read_bytes(), wal, admin_key)


@pytest.fixture
def ocp(tmp_path):
    made = Ocp(tmp_path / "theirs")
    yield made
    made.connection.close()


def _state(directory):
    tables = ("api_key", "quota", "usage", "imported", "meta")
    return {table: query(directory, f"SELECT * FROM {table}") for table in tables}


def test_keys_quotas_usage_and_the_admin_key_come_over(tmp_path, ocp):
    laptop = ocp.add_key("laptop", quota_daily=5, quota_monthly=0)
    gone = ocp.add_key("gone", revoked=1)
    ocp.add_usage(1, "laptop")
    ocp.add_usage(1, "laptop", success=0)
    ocp.add_usage(None, "anonymous")

    async def main():
        async with open_store(tmp_path / "ours") as store:
            done = await store.import_ocp(ocp.source("admin-secret"), dry_run=False)
            assert msgspec.json.decode(msgspec.json.encode(done)) == {
                "dry_run": False,
                "keys": [
                    {"name": "laptop", "as": "laptop", "id": 1, "state": "new"},
                    {"name": "gone", "as": "gone", "id": 2, "state": "revoked"},
                ],
                "usage": 3,
                "admin_key": True,
                "notes": [],
            }
            record = store.keys.find(laptop)
            assert (record.name, record.created_at) == ("laptop", AT_S)
            assert record.preview == f"{laptop[:8]}...{laptop[-4:]}"
            assert store.keys.find(gone) is None
            assert store.keys.get("gone").revoked_at is not None
            assert [(x.what, x.period, x.amount) for x in store.quotas.of(record.id)] == [
                ("requests", "daily", 5),
                ("requests", "monthly", 0),
            ]
            assert store.keys.is_admin("admin-secret")
            assert (await store.usage.totals(record.id, AT_S)).requests == 1
            newest = (await store.usage.recent())[0]
            assert (newest.key_name, newest.asked_model, newest.total_ms) == (
                "anonymous",
                "opus",
                300,
            )
        async with open_store(tmp_path / "ours") as store:
            assert store.keys.find(laptop) == record
            assert store.keys.is_admin("admin-secret")

    run(main())
    for path in (tmp_path / "ours").iterdir():
        content = path.read_bytes()
        assert not any(secret.encode() in content for secret in (laptop, gone, "admin-secret"))


def test_what_stands_only_in_the_wal_comes_over_too(tmp_path, ocp):
    ocp.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old = ocp.add_key("x")
    ocp.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    new = ocp.add_key("late")

    async def main():
        async with open_store(tmp_path / "a") as store:
            await store.import_ocp(ocp.source(with_wal=False), dry_run=False)
            assert store.keys.find(old)
            assert not store.keys.find(new)
            await store.import_ocp(ocp.source(), dry_run=False)
            assert store.keys.find(old)
            assert store.keys.find(new)
        assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["ocpd.db", "ocpd.lock"]

    run(main())


def test_a_dry_run_reports_the_same_and_changes_nothing(tmp_path, ocp):
    secret = ocp.add_key("admin", quota_daily=1)
    ocp.add_usage(1, "admin")

    async def main():
        async with open_store(tmp_path / "a") as store:
            dry = await store.import_ocp(ocp.source("key"), dry_run=True)
            assert dry.dry_run
            assert store.keys.list() == ()
            assert store.keys.find(secret) is None
            assert not store.keys.has_admin_key
            assert await store.usage.recent() == ()
        before = _state(tmp_path / "a")
        assert before["api_key"] == before["usage"] == before["imported"] == []
        async with open_store(tmp_path / "a") as store:
            wet = await store.import_ocp(ocp.source("key"), dry_run=False)
            assert msgspec.structs.replace(wet, dry_run=True) == dry

    run(main())


def test_twice_changes_nothing_whatever_happened_between(tmp_path, ocp):
    first = ocp.add_key("one", quota_daily=1)
    ocp.add_key("two")
    ocp.add_usage(1, "one")
    ours = tmp_path / "ours"

    async def main():
        async with open_store(ours) as store:
            await store.import_ocp(ocp.source("key"), dry_run=False)
            one = store.keys.find(first)
            _, rotated = await store.keys.rotate(one.id)
            await store.keys.change(one.id, Wanted(name="renamed"))
            await store.quotas.set(one.id, {("requests", "daily"): None})
            await store.keys.revoke(store.keys.get("two").id)
            await store.usage.fold(1)
        before = _state(ours)
        async with open_store(ours) as store:
            again = await store.import_ocp(ocp.source("key"), dry_run=False)
            assert [(k.name, k.called, k.state) for k in again.keys] == [
                ("one", "renamed", "present"),
                ("two", "two", "present"),
            ]
            assert (again.usage, again.admin_key, again.notes) == (0, False, ())
            assert store.keys.find(first) is None
            assert store.keys.find(rotated) is not None
        assert _state(ours) == before
        # What is new there still comes over.
        late = ocp.add_key("late")
        ocp.add_usage(3, "late")
        async with open_store(ours) as store:
            more = await store.import_ocp(ocp.source("key"), dry_run=False)
            assert [key.state for key in more.keys] == ["present", "present", "new"]
            assert more.usage == 1
            assert store.keys.find(late).name == "late"

    run(main())


def test_rows_that_were_folded_since_do_not_come_back(tmp_path, ocp):
    ocp.add_usage(created_at="2020-01-01 00:00:00")

    async def main():
        async with open_store(tmp_path / "ours") as store:
            assert (await store.import_ocp(ocp.source(), dry_run=False)).usage == 1
            assert await store.usage.fold(400) == 1
            assert (await store.import_ocp(ocp.source(), dry_run=False)).usage == 0
            (sums,) = await store.usage.by_key()
            assert sums.requests == 1

    run(main())


def test_names_that_are_taken_reserved_or_illegal_get_a_suffix_and_are_listed(tmp_path, ocp):
    for name in ("laptop", "laptop", "Laptop", "admin", "1", "büro", "mine", "laptop"):
        ocp.add_key(name, revoked=int(name == "mine"))

    async def main():
        async with open_store(tmp_path / "ours") as store:
            await store.keys.add("laptop")
            await store.keys.add("mine")
            done = await store.import_ocp(ocp.source(), dry_run=False)
            assert [(key.name, key.called, key.state) for key in done.keys] == [
                ("laptop", "laptop-2", "renamed"),
                ("laptop", "laptop-3", "renamed"),
                ("Laptop", "Laptop-4", "renamed"),
                ("admin", "admin-2", "renamed"),
                ("1", "1-2", "renamed"),
                ("büro", "b-ro", "renamed"),
                ("mine", "mine", "revoked"),
                ("laptop", "laptop-5", "renamed"),
            ]
            assert all(store.keys.get(key.called) is not None for key in done.keys)

    run(main())


def test_a_key_that_is_here_already_is_present_and_its_rows_are_its_own(tmp_path, ocp):
    async def main():
        async with open_store(tmp_path / "ours") as store:
            record, secret = await store.keys.add("here")
            ocp.add_key("there", key=secret, quota_daily=3)
            ocp.add_usage(1, "there")
            done = await store.import_ocp(ocp.source(), dry_run=False)
            assert [(k.name, k.called, k.id, k.state) for k in done.keys] == [
                ("there", "here", record.id, "present")
            ]
            assert (await store.usage.totals(record.id)).requests == 1
            assert store.quotas.of(record.id) == ()

    run(main())


def test_models_are_made_canonical_if_somebody_knows_how(tmp_path, ocp):
    ocp.add_usage()

    async def main():
        async with open_store(tmp_path / "ours") as store:
            await store.import_ocp(
                ocp.source(), dry_run=False, resolve=lambda name: f"claude-{name}-9"
            )
            (row,) = await store.usage.recent()
            assert (row.model, row.asked_model) == ("claude-opus-9", "opus")

    run(main())


def test_an_admin_key_of_our_own_stays(tmp_path, ocp):
    async def main():
        async with open_store(tmp_path / "ours") as store:
            await store.import_ocp(ocp.source("first"), dry_run=False)
            done = await store.import_ocp(ocp.source("second"), dry_run=False)
            assert not done.admin_key
            assert done.notes == ("the admin key was not taken over: ocpd has one already",)
            assert store.keys.is_admin("first")

    run(main())


def test_an_early_schema_without_quotas_is_read(tmp_path):
    columns = SCHEMA[SCHEMA.index(", revoked INTEGER") : SCHEMA.index(");\nCREATE TABLE usage")]
    ocp = Ocp(tmp_path / "old", SCHEMA.replace(columns, ""))
    secret = ocp.add_key("one")

    async def main():
        async with open_store(tmp_path / "ours") as store:
            await store.import_ocp(ocp.source(), dry_run=False)
            assert store.keys.find(secret).name == "one"

    run(main())
    ocp.connection.close()


def test_rows_that_make_no_sense_are_left_out_and_noted(tmp_path, ocp):
    ocp.add_key("one", key=b"\xff\xfe")
    fine = ocp.add_key("two", created_at="yesterday", quota_daily="lots", quota_weekly=-1)
    ocp.add_usage(created_at="yesterday")
    ocp.add_usage(elapsed_ms="long")
    ocp.add_usage(7, None, model=None, prompt_chars=None, elapsed_ms=1.5)

    async def main():
        async with open_store(tmp_path / "ours") as store:
            done = await store.import_ocp(ocp.source(), dry_run=False)
            assert [key.name for key in done.keys] == ["two"]
            assert done.notes == (
                "key 1 was left out: it has no text as its secret or name",
                "2 usage rows were left out: their time or sizes cannot be read",
            )
            assert store.keys.find(fine).created_at == NOON
            (row,) = await store.usage.recent()
            assert (row.key_id, row.key_name, row.model) == (None, "anonymous", "unknown")
            assert (row.prompt_chars, row.total_ms) == (0, 2)

    run(main())


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda db: b"", "no SQLite database"),
        (lambda db: b"PK" + db, "no SQLite database"),
        (lambda db: db[: len(db) // 2], "damaged"),
        (lambda db: db[:5000] + b"\xa5" * 12_000 + db[17_000:], "damaged"),
    ],
)
def test_a_broken_file_imports_nothing(tmp_path, ocp, spoil, why):
    for number in range(50):
        ocp.add_key(f"key {number}")
        ocp.add_usage()
    ocp.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    async def main():
        async with open_store(tmp_path / "ours") as store:
            source = OcpSource(spoil(ocp.path.read_bytes()), None, "admin")
            with pytest.raises(BadRequest, match=why) as no:
                await store.import_ocp(source, dry_run=False)
            assert no.value.code == "not_an_ocp_database"
            assert store.keys.list() == ()
            assert not store.keys.has_admin_key
        assert sorted(p.name for p in (tmp_path / "ours").iterdir()) == ["ocpd.db", "ocpd.lock"]

    run(main())


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE x (y);",
        "CREATE TABLE api_keys (id, key, name);",
        "CREATE TABLE usage_log (id); CREATE TABLE api_keys (id, key, name);",
        SCHEMA.replace("TABLE api_keys", "TABLE real_keys")
        + "CREATE VIEW api_keys AS SELECT * FROM real_keys;",
    ],
)
def test_a_foreign_schema_imports_nothing(tmp_path, schema):
    ocp = Ocp(tmp_path / "foreign", schema)

    async def main():
        async with open_store(tmp_path / "ours") as store:
            with pytest.raises(BadRequest, match="has no column"):
                await store.import_ocp(ocp.source(), dry_run=False)

    run(main())
    ocp.connection.close()


def test_a_revocation_under_way_is_not_undone_by_an_import(tmp_path, ocp):
    async def main():
        async with open_store(tmp_path / "ours") as store:
            record, secret = await store.keys.add("one")
            other = sqlite3.connect(tmp_path / "ours" / "ocpd.db", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(Exception, match="locked"):
                await store.keys.revoke(record.id)
            other.close()
            await store.import_ocp(ocp.source(), dry_run=False)
            assert store.keys.find(secret) is None
            store.usage.record(make_row())

    run(main())
