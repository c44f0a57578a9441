"""The desk: a change is checked as a whole, applied at once, kept; or nothing happens."""

import asyncio
from collections.abc import Mapping

import pytest

from ocpd.admin.desk import Desk, Inputs, Rejected, Value
from ocpd.errors import BadRequest, Overloaded
from ocpd.settings.knob import SettingsError
from ocpd.settings.load import load_settings
from tests.unit.admin.stage import check_whole
from tests.unit.http.stage import breathe, run


class Shelf:
    """A store of knobs that is a dict."""

    def __init__(self, **values: Value) -> None:
        self.values: dict[str, Value] = dict(values)
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_full = False
        self.by: list[str] = []

    def all(self) -> dict[str, Value]:
        return dict(self.values)

    async def put(self, changes: Mapping[str, Value | None], by: str) -> None:
        await self.gate.wait()
        if self.is_full:
            raise Overloaded("the disk is full", status=503, code="store_unavailable")
        self.by.append(by)
        for key, value in changes.items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value


class Stage:
    def __init__(self, shelf=None, argv=None, environ=None, file=None) -> None:
        self.shelf = shelf or Shelf()
        self.file = dict(file or {})
        self.applied = []
        self.broken_table = ""
        argv, environ = argv or {}, environ or {}
        inputs = Inputs(argv, environ, self.read_file, check_whole, self.check_afresh)
        loaded = load_settings(argv, environ, self.file, self.shelf.all())
        self.desk = Desk(inputs, self.shelf, self.apply, file=dict(self.file), loaded=loaded)

    def read_file(self):
        return dict(self.file)

    def check_afresh(self, settings):
        if self.broken_table:
            raise SettingsError(self.broken_table)
        check_whole(settings)

    async def apply(self, settings) -> None:
        self.applied.append(settings)


def play(script, **sources):
    async def main() -> None:
        await script(Stage(**sources))

    run(main())


def test_a_change_is_kept_and_applied():
    async def script(stage: Stage) -> None:
        changed = await stage.desk.change({"maxConcurrent": 4, "timeout": 60_000}, "alice")
        assert changed.values == {"maxConcurrent": 4, "timeout": 60_000}
        assert stage.shelf.values == {"maxConcurrent": 4, "timeout": 60_000}
        assert stage.shelf.by == ["alice"]
        assert [settings.max_concurrent for settings in stage.applied] == [4]
        assert stage.desk.settings is stage.applied[-1]

    play(script)


def test_one_bad_value_keeps_all_from_being_changed():
    async def script(stage: Stage) -> None:
        with pytest.raises(Rejected) as caught:
            await stage.desk.change({"maxConcurrent": 4, "timeout": 5, "x": 1}, "alice")
        assert set(caught.value.faults) == {"timeout", "x"}
        assert caught.value.faults["x"] == "unknown setting: x"
        assert "out of range [30000, 1800000]" in caught.value.faults["timeout"]
        assert caught.value.status == 400
        assert stage.shelf.values == {}
        assert stage.applied == []

    play(script)


def test_values_that_do_not_go_together_are_refused():
    async def script(stage: Stage) -> None:
        with pytest.raises(Rejected) as caught:
            await stage.desk.change({"maxSpares": 0}, "alice")
        assert caught.value.param in {"maxSpares", ""}
        changed = await stage.desk.change({"maxSpares": 0, "spares": 0}, "alice")
        assert changed.values == {"maxSpares": 0, "spares": 0}

    play(script)


def test_the_store_beats_the_environment_and_the_file():
    async def script(stage: Stage) -> None:
        assert stage.desk.settings.max_concurrent == 5
        await stage.desk.change({"maxConcurrent": 4}, "alice")
        assert stage.desk.settings.max_concurrent == 4
        assert await stage.desk.reset("maxConcurrent", "alice") == 5
        assert stage.shelf.values == {}

    play(script, environ={"CLAUDE_MAX_CONCURRENT": "5"}, file={"maxConcurrent": 6})


def test_null_takes_a_change_back():
    async def script(stage: Stage) -> None:
        changed = await stage.desk.change({"maxConcurrent": None, "timeout": 60_000}, "alice")
        assert changed.values == {"maxConcurrent": 8, "timeout": 60_000}
        assert stage.shelf.values == {"timeout": 60_000}

    play(script, shelf=Shelf(maxConcurrent=4))


def test_what_the_command_line_fixes_is_409_and_named():
    async def script(stage: Stage) -> None:
        for act in (
            stage.desk.change({"maxConcurrent": 4}, "alice"),
            stage.desk.reset("maxConcurrent", "alice"),
        ):
            with pytest.raises(Rejected, match="--max-concurrent") as caught:
                await act
            assert (caught.value.status, caught.value.param) == (409, "maxConcurrent")
        with pytest.raises(Rejected) as caught:
            await stage.desk.change({"maxConcurrent": 4, "timeout": 1}, "alice")
        assert caught.value.status == 400
        assert stage.desk.settings.max_concurrent == 9

    play(script, argv={"maxConcurrent": "9"})


def test_a_store_that_cannot_keep_it_leaves_everything_as_it_was():
    async def script(stage: Stage) -> None:
        stage.shelf.is_full = True
        with pytest.raises(Overloaded):
            await stage.desk.change({"maxConcurrent": 4}, "alice")
        assert stage.desk.settings.max_concurrent == 8
        assert [settings.max_concurrent for settings in stage.applied] == [4, 8]

    play(script)


def test_a_change_that_was_begun_is_finished_though_the_caller_left():
    async def script(stage: Stage) -> None:
        stage.shelf.gate.clear()
        task = asyncio.get_running_loop().create_task(stage.desk.change({"maxConcurrent": 4}, "a"))
        await breathe()
        task.cancel()
        await breathe()
        assert not task.done()
        stage.shelf.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stage.shelf.values == {"maxConcurrent": 4}
        assert stage.desk.settings.max_concurrent == 4
        assert len(stage.applied) == 1

    play(script)


def test_changes_are_made_one_after_the_other():
    async def script(stage: Stage) -> None:
        stage.shelf.gate.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.desk.change({"maxConcurrent": 4}, "a"))
            group.create_task(stage.desk.change({"timeout": 60_000}, "b"))
            await breathe()
            stage.shelf.gate.set()
        last = stage.applied[-1]
        assert (last.max_concurrent, last.timeout_ms) == (4, 60_000)

    play(script)


def test_every_source_is_explained_with_the_winner_first():
    async def script(stage: Stage) -> None:
        told = stage.desk.explain("maxConcurrent")
        assert told.value == 4
        assert [(source.rank, source.raw) for source in told.sources] == [
            ("store", 4),
            ("environment", "5"),
            ("file", 6),
            ("default", 8),
        ]
        assert stage.desk.explain("tiers.opus.base").sources[0].rank == "file"
        with pytest.raises(BadRequest, match="unknown setting: x") as caught:
            stage.desk.explain("x")
        assert caught.value.status == 404

    play(
        script,
        shelf=Shelf(maxConcurrent=4),
        environ={"OCPD_MAX_CONCURRENT": "5"},
        file={"maxConcurrent": 6, "tiers": {"opus": {"base": 40_000}}},
    )


def test_a_reload_tells_what_changed_and_keeps_what_was_set_here():
    async def script(stage: Stage) -> None:
        stage.file |= {"maxConcurrent": 7, "timeout": 70_000}
        changed = await stage.desk.reload()
        assert changed.values == {"timeout": 70_000}
        assert stage.desk.settings.max_concurrent == 4
        assert stage.desk.explain("maxConcurrent").sources[1].raw == 7
        assert (await stage.desk.reload()).values == {}

    play(script, shelf=Shelf(maxConcurrent=4))


@pytest.mark.parametrize(
    ("file", "param"),
    [({"timeout": 5}, "timeout"), ({"nope": 5}, None), ({"spares": 8}, "spares")],
)
def test_a_file_that_does_not_fit_changes_nothing_and_is_named(file, param):
    async def script(stage: Stage) -> None:
        before = stage.desk.settings
        stage.file = dict(file)
        with pytest.raises(Rejected) as caught:
            await stage.desk.reload()
        assert (caught.value.status, caught.value.param) == (400, param)
        assert stage.desk.settings is before
        assert stage.applied == []
        assert stage.desk.explain("timeout").sources[0].rank == "default"

    play(script)


def test_a_file_that_cannot_be_read_changes_nothing():
    async def script(stage: Stage) -> None:
        def read_file():
            raise SettingsError("config file: /etc/x.toml: not TOML")

        stage.desk._inputs = Inputs({}, {}, read_file, check_whole, check_whole)
        with pytest.raises(Rejected, match="not TOML"):
            await stage.desk.reload()

    play(script)


def test_a_reload_that_cannot_use_what_the_settings_name_changes_nothing():
    async def script(stage: Stage) -> None:
        stage.file |= {"timeout": 70_000}
        stage.broken_table = "modelsFile: models[2]: no id"
        with pytest.raises(Rejected) as caught:
            await stage.desk.reload()
        assert caught.value.param == "modelsFile"
        assert stage.applied == []
        # A change that has nothing to do with that file is still made.
        await stage.desk.change({"maxConcurrent": 4}, "a")

    play(script)


def test_a_file_that_names_an_address_that_is_taken_is_as_if_it_were_not_there():
    async def script(stage: Stage) -> None:
        async def apply(settings) -> None:
            raise Rejected({"port": "port: taken"})

        stage.desk._apply = apply
        stage.file |= {"port": 99}
        with pytest.raises(Rejected):
            await stage.desk.reload()
        assert [source.rank for source in stage.desk.explain("port").sources] == ["default"]

    play(script)


def test_what_was_left_out_at_the_start_is_not_held_against_a_change():
    async def script(stage: Stage) -> None:
        stage.shelf.values["maxConcurrent"] = 99
        await stage.desk.change({"timeout": 70_000}, "a")
        await stage.desk.reload()
        assert stage.desk.explain("maxConcurrent").sources[0].rank == "default"
        await stage.desk.change({"maxConcurrent": None}, "a")
        assert stage.shelf.values == {"timeout": 70_000}

    play(script)


def test_a_store_that_was_replaced_is_applied():
    async def script(stage: Stage) -> None:
        stage.shelf.values = {"maxConcurrent": 3}
        await stage.desk.refresh()
        assert stage.applied[-1].max_concurrent == 3
        stage.shelf.values = {"maxConcurrent": 99}
        with pytest.raises(Rejected):
            await stage.desk.refresh()
        assert stage.desk.settings.max_concurrent == 3

    play(script)


def test_nothing_to_change_is_no_change():
    async def script(stage: Stage) -> None:
        assert (await stage.desk.change({}, "a")).values == {}
        assert stage.applied == []
        assert stage.shelf.by == []

    play(script)
