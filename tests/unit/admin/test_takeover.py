"""What an OCP installation brings: its environment becomes settings where nobody has said
otherwise, and what does not fit is a note."""

import pytest

from ocpd.admin.takeover import Takeover
from ocpd.errors import BadRequest
from ocpd.store.ocp_source import OcpSource
from tests.unit.admin.stage import House, open_house, resolve_model
from tests.unit.http.stage import run
from tests.unit.store.test_ocp_import import Ocp


@pytest.fixture
def source(tmp_path):
    made = Ocp(tmp_path / "theirs")
    made.add_key("laptop")
    made.connection.close()
    return OcpSource(made.path.read_bytes(), None, None)


def take_over(tmp_path, source, environment, *, dry_run=False, look=None, **options):
    """The report; ``look`` sees the house afterwards."""

    async def main():
        async with open_house(tmp_path, **options) as house:
            takeover = Takeover(house.store, house.desk, resolve_model)
            done = await takeover.run(source, environment, "me", dry_run=dry_run)
            if look is not None:
                look(house)
            return done

    return run(main())


def test_variables_become_settings_that_survive(tmp_path, source):
    def look(house: House) -> None:
        assert house.desk.settings.max_concurrent == 6
        assert house.store.knobs.all() == {"maxConcurrent": 6}

    done = take_over(tmp_path, source, {"CLAUDE_MAX_CONCURRENT": "6"}, look=look)
    assert (done.settings, done.notes) == ({"maxConcurrent": 6}, [])


def test_a_dry_run_tells_the_same_and_sets_nothing(tmp_path, source):
    def look(house: House) -> None:
        assert house.store.knobs.all() == {}
        assert not house.store.keys.list()

    done = take_over(tmp_path, source, {"CLAUDE_MAX_CONCURRENT": "6"}, dry_run=True, look=look)
    assert (done.dry_run, done.settings, len(done.keys)) == (True, {"maxConcurrent": 6}, 1)


@pytest.mark.parametrize(
    ("environment", "options", "note"),
    [
        ({"CLAUDE_MAX_CONCURRENT": "99"}, {}, "not taken over: CLAUDE_MAX_CONCURRENT"),
        ({"CLAUDE_NOBODY_KNOWS": "1"}, {}, "ocpd has no setting for it"),
        (
            {"CLAUDE_MAX_CONCURRENT": "6"},
            {"argv": {"maxConcurrent": "5"}},
            "the command line fixes maxConcurrent",
        ),
        (
            {"CLAUDE_MAX_CONCURRENT": "6"},
            {"environ": {"OCPD_MAX_CONCURRENT": "5"}},
            "maxConcurrent is set here already (OCPD_MAX_CONCURRENT)",
        ),
        ({"OCPD_SPARES": "8"}, {}, "not taken over: spares"),
    ],
)
def test_what_does_not_fit_is_a_note_and_the_keys_come_over(
    tmp_path, source, environment, options, note
):
    done = take_over(tmp_path, source, environment, **options)
    assert done.settings == {}
    assert [key.state for key in done.keys] == ["new"]
    assert len(done.notes) == 1
    assert note in done.notes[0]


def test_one_bad_value_does_not_keep_the_others(tmp_path, source):
    environment = {"OCPD_SPARES": "8", "CLAUDE_MAX_CONCURRENT": "6"}
    assert take_over(tmp_path, source, environment).settings == {"maxConcurrent": 6}


def test_an_admin_key_of_the_environment_comes_over_and_is_no_note(tmp_path, source):
    def look(house: House) -> None:
        assert house.store.keys.is_admin("of-old")

    done = take_over(tmp_path, source, {"OCP_ADMIN_KEY": " of-old\n"}, look=look)
    assert (done.admin_key, done.notes) == (True, [])


def test_a_broken_database_sets_nothing_either(tmp_path):
    def look(house: House) -> None:
        assert house.store.knobs.all() == {}

    with pytest.raises(BadRequest):
        take_over(tmp_path, OcpSource(b"no", None, None), {"CLAUDE_MAX_CONCURRENT": "6"}, look=look)


def test_shared_keys_do_not_come_over_and_what_they_guarded_does_not_stand_open(tmp_path, source):
    environment = {"PROXY_API_KEY": "hush-hush", "CLAUDE_BIND": "0.0.0.0", "CLAUDE_MAX_QUEUE": "3"}
    done = take_over(tmp_path, source, environment)
    assert done.settings == {"maxQueue": 3}
    assert any(note.startswith("bind was not taken over") for note in done.notes)
    assert any("sharedKeys" in note for note in done.notes)
    assert "hush" not in str(done)
