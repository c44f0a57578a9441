"""Settings through the back door: shapes of old, strict values, all or nothing."""

import pytest

from ocpd.settings.table import KNOBS
from tests.unit.admin.stage import House, open_house
from tests.unit.http.stage import run


def in_house(tmp_path, play, **options):
    async def main() -> None:
        async with open_house(tmp_path, **options) as house:
            await play(house)

    run(main())


def test_every_setting_is_listed_in_its_shape(tmp_path):
    async def play(house: House) -> None:
        listed = (await house.unix("GET", "/settings")).json
        plain = {knob.key for knob in KNOBS if not knob.key.startswith("tiers.")}
        assert set(listed) == plain | {"tiers"}
        timeout = listed["timeout"]
        assert (timeout["value"], timeout["type"], timeout["unit"]) == (600_000, "number", "ms")
        assert (timeout["min"], timeout["max"]) == (30_000, 1_800_000)
        assert timeout["origin"] == "default"
        assert timeout["desc"]
        level = listed["logLevel"]
        assert (level["type"], level["choices"][0]) == ("string", "debug")
        assert "min" not in level

    in_house(tmp_path, play)


def test_the_tiers_are_numbers_under_the_names_that_old_clients_print(tmp_path):
    async def play(house: House) -> None:
        tiers = (await house.unix("GET", "/settings")).json["tiers"]
        assert tiers == {
            "opus": {"base": 150_000, "perPromptChar": 0.0005},
            "sonnet": {"base": 120_000, "perPromptChar": 0.0005},
            "haiku": {"base": 45_000, "perPromptChar": 0.0001},
        }
        assert isinstance(tiers["opus"]["base"], int)

    in_house(tmp_path, play)


def test_a_change_answers_results_and_the_whole_list(tmp_path):
    async def play(house: House) -> None:
        answer = await house.unix("PATCH", "/settings", {"maxConcurrent": 4})
        assert answer.status == 200
        assert set(answer.json) == {"results", "current"}
        assert answer.json["results"] == {"maxConcurrent": {"ok": True, "value": 4}}
        assert answer.json["current"]["maxConcurrent"]["value"] == 4
        assert "run time" in answer.json["current"]["maxConcurrent"]["origin"]
        assert house.applied[-1].max_concurrent == 4
        assert await house.actions() == ["settings.change"]

    in_house(tmp_path, play)


@pytest.mark.parametrize(
    "body",
    [
        {"tiers.opus.base": 40_000, "tiers.opus.perChar": 0.001},
        {"tiers": {"opus": {"base": 40_000, "perChar": 0.001}}},
        {"tiers": {"opus": {"base": 40_000, "perPromptChar": 0.001}}},
    ],
)
def test_tiers_may_be_sent_flat_or_nested(tmp_path, body):
    async def play(house: House) -> None:
        answer = await house.unix("PATCH", "/settings", body)
        assert answer.status == 200, answer
        assert set(answer.json["results"]) == {"tiers.opus.base", "tiers.opus.perChar"}
        assert answer.json["current"]["tiers"]["opus"] == {"base": 40_000, "perPromptChar": 0.001}

    in_house(tmp_path, play)


REFUSED = [
    ({"nope": 1}, "nope", "unknown setting: nope"),
    ({"maxConcurrent": "4"}, "maxConcurrent", "expected number, got string"),
    ({"maxConcurrent": True}, "maxConcurrent", "expected number, got boolean"),
    ({"maxConcurrent": [4]}, "maxConcurrent", "expected number, got array"),
    ({"maxConcurrent": {"a": 4}}, "maxConcurrent", "expected number, got object"),
    ({"maxConcurrent": 99}, "maxConcurrent", "value 99 out of range [1, 32]"),
    ({"maxConcurrent": 2.5}, "maxConcurrent", "2.5 does not fit"),
    ({"logLevel": 5}, "logLevel", "expected string, got number"),
    ({"logLevel": "loud"}, "logLevel", "one of debug"),
    ({"loopbackAdmin": "all"}, "loopbackAdmin", "one of off, read, full"),
    ({"tiers.opus.perChar": 1}, "tiers.opus.perChar", "out of range"),
    ({"tiers": 5}, "tiers", "expected an object"),
    ({"tiers": {"opus": 5}}, "tiers", "expected an object"),
    ({"tiers": {"gpt": {"base": 5}}}, "tiers.gpt.base", "unknown setting"),
]


def test_what_does_not_fit_is_400_with_errors_by_name(tmp_path):
    async def play(house: House) -> None:
        for body, key, text in REFUSED:
            answer = await house.unix("PATCH", "/settings", body | {"timeout": 60_000})
            assert answer.status == 400, body
            assert set(answer.json) == {"results", "errors", "current", "error"}
            assert list(answer.json["results"]) == [key]
            assert text in answer.json["results"][key]["error"]
            assert answer.json["errors"] == [answer.json["results"][key]["error"]]
            assert answer.json["errors"][0].startswith((f"{key}:", "unknown setting: "))
            assert answer.error["param"] == key
            assert answer.json["current"]["timeout"]["value"] == 600_000
        assert house.applied == []
        assert await house.actions() == []

    in_house(tmp_path, play)


@pytest.mark.parametrize("body", [b"null", b"[]", b"5", b'"x"', b"{", b'{"logLevel": debug}'])
def test_what_is_no_object_is_400_with_errors_too(tmp_path, body):
    # The seeds' ocp takes an answer without "errors" for success.
    async def play(house: House) -> None:
        answer = await house.unix("PATCH", "/settings", body)
        assert answer.status == 400
        assert answer.json["errors"] == [answer.error["message"]]

    in_house(tmp_path, play)


def test_whoever_may_not_change_hears_it_in_errors_too(tmp_path):
    async def play(house: House) -> None:
        answer = await house.tcp("PATCH", "/settings", {"maxConcurrent": 4})
        assert answer.status == 401
        assert "loopbackAdmin" in answer.json["errors"][0]
        assert answer.error["code"] == "admin_key_required"

    in_house(tmp_path, play)


def test_nothing_to_change_is_200(tmp_path):
    async def play(house: House) -> None:
        for body in (None, {}):
            answer = await house.unix("PATCH", "/settings", body)
            assert (answer.status, answer.json["results"]) == (200, {})

    in_house(tmp_path, play)


def test_values_that_do_not_go_together_are_refused_whole(tmp_path):
    async def play(house: House) -> None:
        answer = await house.unix("PATCH", "/settings", {"spares": 8})
        assert answer.status == 400
        assert answer.json["errors"] == ["spares: 8 are more than maxSpares"]
        assert answer.error["param"] == "spares"

    in_house(tmp_path, play)


def test_what_the_command_line_fixes_is_409(tmp_path):
    async def play(house: House) -> None:
        changed = await house.unix("PATCH", "/settings", {"maxConcurrent": 4})
        assert changed.status == 409
        assert "--max-concurrent" in changed.json["errors"][0]
        reset = await house.unix("DELETE", "/settings/maxConcurrent")
        assert (reset.status, reset.error["code"]) == (409, "setting_fixed")

    in_house(tmp_path, play, argv={"maxConcurrent": "9"})


def test_a_reset_gives_back_what_lies_beneath(tmp_path):
    async def play(house: House) -> None:
        await house.unix("PATCH", "/settings", {"maxConcurrent": 4})
        answer = await house.unix("DELETE", "/settings/maxConcurrent")
        assert answer.json == {"key": "maxConcurrent", "value": 6, "origin": "OCPD_MAX_CONCURRENT"}
        by_null = await house.unix("PATCH", "/settings", {"maxConcurrent": None})
        assert by_null.json["results"] == {"maxConcurrent": {"ok": True, "value": 6}}
        assert (await house.unix("DELETE", "/settings/nope")).status == 404

    in_house(tmp_path, play, environ={"OCPD_MAX_CONCURRENT": "6"})


def test_a_setting_is_explained(tmp_path):
    async def play(house: House) -> None:
        told = (await house.unix("GET", "/settings/maxConcurrent")).json
        assert (told["key"], told["value"], told["default"]) == ("maxConcurrent", 6, 8)
        assert (told["type"], told["min"], told["max"], told["choices"]) == ("number", 1, 32, [])
        assert told["env"] == ["OCPD_MAX_CONCURRENT", "CLAUDE_MAX_CONCURRENT"]
        assert told["flag"] == "--max-concurrent"
        assert [source["wins"] for source in told["sources"]] == [True, False]
        assert told["sources"][0] == {"origin": "OCPD_MAX_CONCURRENT", "value": "6", "wins": True}
        dotted = (await house.unix("GET", "/settings/tiers.opus.perChar")).json
        assert dotted["value"] == 0.0005
        level = (await house.unix("GET", "/settings/logLevel")).json
        assert (level["min"], level["choices"][0]) == (None, "debug")
        unknown = await house.unix("GET", "/settings/nope")
        assert (unknown.status, unknown.error["param"]) == (404, "nope")

    in_house(tmp_path, play, environ={"OCPD_MAX_CONCURRENT": "6"})


def test_a_reload_reads_the_file_again(tmp_path):
    async def play(house: House) -> None:
        house.file["maxConcurrent"] = 7
        answer = await house.unix("POST", "/admin/reload")
        assert answer.json == {"changed": {"maxConcurrent": 7}, "notes": []}
        house.file["maxConcurrent"] = 99
        refused = await house.unix("POST", "/admin/reload", {})
        assert (refused.status, refused.error["param"]) == (400, "maxConcurrent")
        house.broken_file = "config file: ocpd.toml: not TOML"
        assert (await house.unix("POST", "/admin/reload")).status == 400
        assert house.desk.settings.max_concurrent == 7
        house.broken_file = ""
        house.file["maxConcurrent"] = 5
        house.broken_table = "modelsFile: models[2]: no id"
        told = await house.unix("POST", "/admin/reload")
        assert (told.status, told.error["param"]) == (400, "modelsFile")
        assert house.desk.settings.max_concurrent == 7
        assert await house.actions() == ["settings.reload"]

    in_house(tmp_path, play)


def test_a_reload_has_nothing_to_say(tmp_path):
    async def play(house: House) -> None:
        answer = await house.unix("POST", "/admin/reload", {"file": "x"})
        assert (answer.status, answer.error["param"]) == (400, "file")

    in_house(tmp_path, play)


def test_a_change_survives_a_restart(tmp_path):
    async def main() -> None:
        async with open_house(tmp_path) as house:
            await house.unix("PATCH", "/settings", {"maxConcurrent": 4})
        async with open_house(tmp_path) as house:
            listed = (await house.unix("GET", "/settings")).json
            assert listed["maxConcurrent"]["value"] == 4

    run(main())


def test_a_secret_is_shown_nowhere_and_kept_in_no_database(tmp_path):
    async def play(house: House) -> None:
        for key in ("sharedKeys", "anonymousKey"):
            told = await house.unix("GET", f"/settings/{key}")
            assert told.json["value"] == "(set)"
            refused = await house.unix("PATCH", "/settings", {key: "hush-hush-new"})
            assert refused.status == 400
            assert "not kept in the database" in refused.json["errors"][0]
        house.file = {"sharedKeys": "hush-hush-file", "maxQueue": 3}
        reloaded = await house.unix("POST", "/admin/reload", {})
        assert reloaded.json["changed"] == {"maxQueue": 3}
        house.environ.pop("PROXY_API_KEY")
        again = await house.unix("POST", "/admin/reload", {})
        assert again.json["changed"] == {"sharedKeys": "(set)"}
        pages = [await house.unix("GET", page) for page in ("/settings", "/admin/audit")]
        assert pages[0].json["sharedKeys"]["value"] == "(set)"
        for page in (*pages, told, refused, reloaded, again):
            assert b"hush" not in page.body
        assert house.store.knobs.all() == {}
        assert house.desk.settings.shared_keys == "hush-hush-file"

    environ = {"PROXY_API_KEY": "hush-hush", "PROXY_ANONYMOUS_KEY": "hush-everybody"}
    in_house(tmp_path, play, environ=environ)
    (tmp_path / "bare").mkdir()
    in_house(tmp_path / "bare", _is_unset)


async def _is_unset(house: House) -> None:
    assert (await house.unix("GET", "/settings")).json["sharedKeys"]["value"] == ""
