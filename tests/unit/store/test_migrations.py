"""Promise: steps are taken once, in order, whole or not at all; a newer file is refused unless it
says that we can read it."""

import sqlite3

import pytest

from ocpd.errors import Refused
from ocpd.store.faults import Damaged
from ocpd.store.migrations import (
    APPLICATION_ID,
    STEPS,
    VERSION,
    Step,
    check_origin,
    check_shape,
    migrate,
)
from ocpd.store.records import load_keys
from tests.unit.store.stage import make_row, open_store, query, run

NEXT = Step("m999_next", min_reader=1, statements=("ALTER TABLE usage ADD COLUMN mood TEXT",))


@pytest.fixture
def memory():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def test_a_fresh_file_takes_every_step_and_an_up_to_date_one_none(memory):
    assert check_origin(memory) == 0
    assert migrate(memory) == VERSION == len(STEPS)
    assert migrate(memory) == 0
    assert memory.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert memory.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    check_shape(memory)


def test_steps_are_numbered_in_order():
    assert [step.name[:5] for step in STEPS] == [f"m{n:03d}_" for n in range(1, VERSION + 1)]
    assert all(1 <= step.min_reader <= number for number, step in enumerate(STEPS, 1))


def test_an_older_file_takes_only_the_new_steps(memory):
    migrate(memory)
    memory.execute("INSERT INTO meta VALUES ('kept', 'yes')")
    assert migrate(memory, (*STEPS, NEXT)) == 1
    assert memory.execute("SELECT value FROM meta WHERE name = 'kept'").fetchone() == ("yes",)
    assert check_origin(memory, VERSION + 1) == VERSION + 1


@pytest.mark.parametrize("taken", [1, 2])
def test_a_key_of_an_older_version_may_use_every_server_and_has_no_tools_of_its_own(memory, taken):
    migrate(memory, STEPS[:taken])
    memory.execute(
        "INSERT INTO api_key (digest, preview, name, created_at_ms) VALUES (x'00', 'p', 'old', 0)"
    )
    migrate(memory)
    (stored,) = load_keys(memory).keys
    assert (stored.record.name, stored.record.mcp_servers) == ("old", None)
    assert stored.record.allowed_tools is None


def test_a_step_that_fails_leaves_the_file_at_the_one_before(memory):
    broken = Step("m999_broken", 1, ("CREATE TABLE half (x)", "CREATE TABLE meta (x)"))
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(memory, (*STEPS, broken))
    assert check_origin(memory) == VERSION
    assert memory.execute("SELECT * FROM sqlite_schema WHERE name = 'half'").fetchone() is None


def test_a_newer_file_that_allows_us_is_opened_and_left_at_its_version(tmp_path):
    async def write():
        async with open_store(tmp_path) as store:
            await store._db.write(lambda c: None)

    run(write())
    newer = sqlite3.connect(tmp_path / "ocpd.db", isolation_level=None)
    migrate(newer, (*STEPS, NEXT))
    newer.close()

    async def main():
        async with open_store(tmp_path) as store:
            store.usage.record(make_row())
            await store.flush()
            return await store.usage.recent()

    assert len(run(main())) == 1
    assert query(tmp_path, "PRAGMA user_version") == [(VERSION + 1,)]


@pytest.mark.parametrize("reader", [str(VERSION + 1), "", None])
def test_a_newer_file_that_does_not_is_refused_and_says_what_to_do(memory, reader):
    migrate(memory)
    memory.execute(f"PRAGMA user_version = {VERSION + 1}")
    memory.execute("DELETE FROM meta WHERE name = 'min_reader'")
    if reader is not None:
        memory.execute("INSERT INTO meta VALUES ('min_reader', ?)", (reader,))
    with pytest.raises(Refused, match=r"newer ocpd.*Install") as no:
        migrate(memory)
    assert no.value.code == "store_too_new"


def test_a_file_of_another_program_is_refused(memory):
    memory.execute("PRAGMA application_id = 77")
    with pytest.raises(Refused, match=r"not ocpd's"):
        migrate(memory)


def test_a_shape_with_something_missing_or_something_odd_is_damage(memory):
    migrate(memory)
    memory.execute("CREATE TRIGGER odd AFTER INSERT ON api_key BEGIN DELETE FROM usage; END")
    with pytest.raises(Damaged, match="'odd'"):
        check_shape(memory)
    memory.execute("DROP TRIGGER odd")
    memory.execute("ALTER TABLE knob DROP COLUMN changed_by")
    with pytest.raises(Damaged, match=r"knob\.changed_by"):
        check_shape(memory)
