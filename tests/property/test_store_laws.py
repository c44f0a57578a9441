"""Laws of the store: keys behave like a dict whatever happens in which order, what is acknowledged
is there after a restart, sums do not depend on what was folded, and imports end."""

import asyncio
import contextlib
import sqlite3
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpd.errors import BadRequest
from ocpd.store.ocp_source import OcpSource, read_source
from ocpd.store.records import Wanted
from ocpd.store.store import Store
from ocpd.store.sums import UsageRow
from ocpd.turn.request import TurnId

START = 1_700_049_600.0
DAY_S = 86_400.0

NAMES = st.sampled_from(["a", "A", "b", "c c", "admin", "7", None])
PICKS = st.integers(0, 5)

OPERATIONS = st.one_of(
    st.tuples(st.just("add"), NAMES, st.sampled_from([None, 5.0, 50.0])),
    st.tuples(st.just("revoke"), PICKS),
    st.tuples(st.just("rotate"), PICKS),
    st.tuples(st.just("rename"), PICKS, NAMES.filter(lambda name: name is not None)),
    st.tuples(st.just("touch"), PICKS),
    st.tuples(st.just("pass time"), st.sampled_from([1.0, 30.0, 61.0])),
    st.tuples(st.just("limit"), PICKS, st.integers(0, 3)),
    st.tuples(st.just("set"), st.sampled_from("xyz"), st.sampled_from([1, "two", 3.5, True, None])),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("save")),
    st.tuples(st.just("restore")),
)


class Expected(msgspec.Struct):
    """What a key should be."""

    id: int
    name: str
    secret: str
    expires_at: float | None
    is_revoked: bool = False
    used_at: float | None = None
    limit: int | None = None


class Model(msgspec.Struct):
    """What the store should know."""

    keys: dict[int, Expected] = {}
    knobs: dict[str, object] = {}


class Driver:
    """Does the same to a store and to a model, and compares them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = START
        self.model = Model()
        self.secrets: set[str] = set()
        self.saved: tuple[bytes, bytes] | None = None
        self.store = self._make()

    def _make(self) -> Store:
        return Store(self.directory, clock=lambda: self.now)

    async def drive(self, operations: list[tuple[Any, ...]]) -> None:
        await self.store.__aenter__()
        try:
            for name, *arguments in operations:
                await getattr(self, f"do_{name.replace(' ', '_')}")(*arguments)
                self.compare()
            await self.do_reopen()
            self.compare()
        finally:
            await self.store.__aexit__()

    def compare(self) -> None:
        keys = self.store.keys
        expected = self.model.keys
        assert {record.id: self._seen(record.id) for record in keys.list()} == expected
        for secret in self.secrets:
            found = keys.find(secret)
            holder = next((key for key in expected.values() if key.secret == secret), None)
            usable = (
                holder is not None
                and not holder.is_revoked
                and (holder.expires_at is None or holder.expires_at > self.now)
            )
            assert (found is not None) == usable
            if found is not None and holder is not None:
                assert found.id == holder.id
        for key in expected.values():
            if not key.is_revoked:
                found = keys.get(key.name)
                assert found is not None
                assert found.id == key.id
        assert self.store.knobs.all() == self.model.knobs

    def _seen(self, key_id: int) -> Expected:
        record = self.store.keys.get(str(key_id))
        assert record is not None
        limits = self.store.quotas.of(key_id)
        return Expected(
            id=record.id,
            name=record.name,
            # Only its holder knows it.
            secret=self.model.keys[key_id].secret,
            expires_at=record.expires_at,
            is_revoked=record.revoked_at is not None,
            used_at=record.last_used_at,
            limit=int(limits[0].amount) if limits else None,
        )

    def _is_taken(self, name: str, but: int | None = None) -> bool:
        return any(
            key.name.lower() == name.lower() and not key.is_revoked and key.id != but
            for key in self.model.keys.values()
        )

    def _pick(self, pick: int) -> Expected | None:
        ids = sorted(self.model.keys)
        return self.model.keys[ids[pick % len(ids)]] if ids else None

    async def do_add(self, name: str | None, lasts_s: float | None) -> None:
        expires_at = None if lasts_s is None else self.now + lasts_s
        try:
            record, secret = await self.store.keys.add(name, Wanted(expires_at=expires_at))
        except BadRequest:
            assert name in ("admin", "7") or self._is_taken(name or "")
            return
        assert name is None or (name not in ("admin", "7") and not self._is_taken(name))
        assert record.id not in self.model.keys
        self.secrets.add(secret)
        self.model.keys[record.id] = Expected(record.id, record.name, secret, expires_at)

    async def do_revoke(self, pick: int) -> None:
        key = self._pick(pick)
        done = await self.store.keys.revoke(999 if key is None else key.id)
        assert done == (key is not None and not key.is_revoked)
        if key is not None:
            key.is_revoked = True

    async def do_rotate(self, pick: int) -> None:
        key = self._pick(pick)
        try:
            _, secret = await self.store.keys.rotate(999 if key is None else key.id)
        except BadRequest:
            assert key is None or key.is_revoked
            return
        assert key is not None
        assert not key.is_revoked
        self.secrets.add(secret)
        key.secret = secret

    async def do_rename(self, pick: int, name: str) -> None:
        key = self._pick(pick)
        if key is None:
            return
        try:
            await self.store.keys.change(key.id, Wanted(name=name))
        except BadRequest:
            assert name in ("admin", "7") or key.is_revoked or self._is_taken(name, key.id)
            return
        assert not key.is_revoked
        assert not self._is_taken(name, key.id)
        key.name = name

    async def do_touch(self, pick: int) -> None:
        key = self._pick(pick)
        if key is None:
            return
        self.store.keys.touch(key.id)
        if key.used_at is None or self.now - key.used_at >= 60:
            key.used_at = self.now

    async def do_pass_time(self, seconds: float) -> None:
        self.now += seconds

    async def do_limit(self, pick: int, amount: int) -> None:
        key = self._pick(pick)
        if key is not None:
            limit = amount or None
            await self.store.quotas.set(key.id, {("requests", "daily"): limit})
            key.limit = limit

    async def do_set(self, name: str, value: Any) -> None:
        await self.store.knobs.put({name: value}, "law")
        self.model.knobs.pop(name, None)
        if value is not None:
            self.model.knobs[name] = value

    async def do_reopen(self) -> None:
        await self.store.__aexit__()
        assert self.store.statistics().lost == 0
        self.store = self._make()
        await self.store.__aenter__()

    async def do_save(self) -> None:
        self.saved = (await self.store.backup(), msgspec.json.encode(self.model))

    async def do_restore(self) -> None:
        if self.saved is not None:
            await self.store.restore(self.saved[0])
            self.model = msgspec.json.decode(self.saved[1], type=Model)


def _run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


@settings(deadline=None)
@given(st.lists(OPERATIONS, max_size=25))
def test_keys_quotas_and_knobs_behave_like_a_dict_that_survives(operations):
    with tempfile.TemporaryDirectory() as directory:
        _run(Driver(Path(directory)).drive(operations))


ROWS = st.builds(
    UsageRow,
    at=st.integers(0, 12 * 24).map(lambda hours: START - hours * 3600),
    turn_id=st.just(TurnId("0" * 32)),
    key_id=st.sampled_from([None, 1, 2]),
    key_name=st.sampled_from(["local", "one"]),
    model=st.sampled_from(["m", "n"]),
    asked_model=st.text(max_size=5),
    dialect=st.sampled_from(["openai_chat", "anthropic_messages"]),
    input_tokens=st.integers(0, 2**40),
    output_tokens=st.integers(0, 3),
    cached_tokens=st.integers(0, 3),
    reasoning_tokens=st.integers(0, 3),
    # Sums of these are exact in any order.
    cost_usd=st.integers(0, 8).map(lambda eighths: eighths / 8),
    first_ms=st.none() | st.integers(0, 10),
    total_ms=st.integers(0, 2**31),
    queued_ms=st.integers(0, 10),
    status=st.sampled_from(["finished", "failed", "cancelled", "refused"]),
    http_status=st.sampled_from([200, 504]),
    prompt_chars=st.integers(0, 2**31),
    response_chars=st.integers(0, 2**31),
    stream=st.booleans(),
)


@settings(deadline=None)
@given(st.lists(ROWS, max_size=40), st.lists(st.integers(1, 14), max_size=3))
def test_sums_over_everything_do_not_depend_on_what_was_folded(rows, foldings):
    async def main(directory: str) -> None:
        async with Store(Path(directory), clock=lambda: START) as store:
            for row in rows:
                store.usage.record(row)

            async def ask() -> list[Any]:
                return [
                    await store.usage.by_key(),
                    await store.usage.by_key(scope="local"),
                    await store.usage.by_key(scope=2),
                    await store.usage.totals(1),
                    await store.usage.model_stats(),
                ]

            before = await ask()
            assert sum(caller.requests for caller in before[0]) == len(rows)
            for keep_days in foldings:
                await store.usage.fold(keep_days)
                assert await ask() == before
            left = await store.usage.recent(100)
            assert [row for row in left if row not in rows] == []

    with tempfile.TemporaryDirectory() as directory:
        _run(main(directory))


OCP_VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=10),
    st.binary(max_size=10),
    st.sampled_from(["2026-01-02 03:04:05", "2026-01-02T03:04:05Z", "9999-12-31 23:59:59+00:00"]),
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(*[OCP_VALUES] * 6), max_size=5),
    st.lists(st.tuples(*[OCP_VALUES] * 8), max_size=5),
)
def test_whatever_stands_in_the_tables_of_ocp_is_taken_or_noted(keys, usage):
    async def main(directory: str) -> None:
        async with Store(Path(directory), clock=lambda: START) as store:
            source = OcpSource(_make_ocp(keys, usage), None, None)
            first = await store.import_ocp(source, dry_run=False)
            again = await store.import_ocp(source, dry_run=False)
            assert {key.state for key in again.keys} <= {"present"}
            assert again.usage == 0
            assert [key.id for key in again.keys] == [key.id for key in first.keys]
            active = [key.name.lower() for key in store.keys.list() if key.revoked_at is None]
            assert len(set(active)) == len(active)
            await store.usage.by_key()

    with tempfile.TemporaryDirectory() as directory:
        _run(main(directory))


@given(st.binary(max_size=300).map(lambda tail: b"SQLite format 3\0" + tail))
def test_whatever_calls_itself_sqlite_is_read_or_refused(data):
    with tempfile.TemporaryDirectory() as directory:
        with contextlib.suppress(BadRequest):
            read_source(OcpSource(data, data[::-1], None), Path(directory), 0)
        assert list(Path(directory).iterdir()) == []


def _make_ocp(keys: list[tuple[Any, ...]], usage: list[tuple[Any, ...]]) -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(
        "CREATE TABLE api_keys (id INTEGER PRIMARY KEY, key, name, created_at, revoked,"
        " quota_daily, quota_weekly);"
        "CREATE TABLE usage_log (id INTEGER PRIMARY KEY, key_id, key_name, model, prompt_chars,"
        " response_chars, elapsed_ms, success, created_at);"
    )
    connection.executemany("INSERT INTO api_keys VALUES (NULL, ?, ?, ?, ?, ?, ?)", keys)
    connection.executemany("INSERT INTO usage_log VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", usage)
    data = connection.serialize()
    connection.close()
    return data
