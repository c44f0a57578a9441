"""Every knob is in one table, every value is checked strictly, and one source wins over another.

A value that does not fit names where it stood, what it was and what would fit.
"""

import re

import msgspec
import pytest

from ocpd.settings import load as module
from ocpd.settings.knob import Knob, SettingsError, Type, parse_value
from ocpd.settings.load import READ_ELSEWHERE, Sources, load_settings, sources_of
from ocpd.settings.table import BY_KEY, KNOBS
from ocpd.settings.unit import SocketUnit
from ocpd.settings.values import Settings

INTEGERS = [knob for knob in KNOBS if knob.type is Type.INTEGER]
CHOICES = [knob for knob in KNOBS if knob.type is Type.CHOICE]
TEXTS = [knob for knob in KNOBS if knob.type in (Type.STRING, Type.PATH)]
QUEUE = BY_KEY["maxQueue"]
FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}


def name_of(knob: Knob) -> str:
    return knob.key


def value_of(settings: Settings, knob: Knob) -> object:
    return getattr(settings, knob.field)


def other_value(knob: Knob) -> str:
    """A value that fits and is not the default."""
    match knob.type:
        case Type.BOOLEAN:
            return "false" if knob.default else "true"
        case Type.INTEGER:
            return str(knob.low if knob.default != knob.low else knob.high)
        case Type.CHOICE:
            return next(choice for choice in knob.choices if choice != knob.default)
        case Type.NUMBER:
            return str(knob.high)
        case Type.STRING | Type.PATH | Type.LIST:
            return "other"


# The table...


def test_the_defaults_of_settings_are_the_table_s() -> None:
    assert {name: field.default for name, field in FIELDS.items()} == {
        knob.field: knob.default for knob in KNOBS
    }
    assert load_settings({}, {}).settings == Settings()


UNSET = ("maxPromptChars", "processMemory", "queueTimeout", "anonymousQuota")


@pytest.mark.parametrize("knob", KNOBS, ids=name_of)
def test_a_knob_has_its_type_a_help_and_a_default_that_fits(knob: Knob) -> None:
    kinds = {Type.INTEGER: int, Type.NUMBER: float, Type.BOOLEAN: bool}
    assert FIELDS[knob.field].type is kinds.get(knob.type, str)
    assert knob.help.endswith(".")
    # Unset is no number there.
    if knob.default != "" and knob.key not in UNSET:
        assert parse_value(knob, knob.default, "table") == knob.default


def test_no_name_is_used_twice() -> None:
    for names in (
        [knob.key for knob in KNOBS],
        [knob.field for knob in KNOBS],
        [knob.flag for knob in KNOBS],
        [name for knob in KNOBS for name in (knob.variable, *knob.aliases)],
    ):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("key", "variable", "flag", "field"),
    [
        ("port", "OCPD_PORT", "--port", "port"),
        ("maxQueue", "OCPD_MAX_QUEUE", "--max-queue", "max_queue"),
        ("timeout", "OCPD_TIMEOUT", "--timeout", "timeout_ms"),
        ("queueRetryAfter", "OCPD_QUEUE_RETRY_AFTER", "--queue-retry-after", "queue_retry_after_s"),
        ("spareMemory", "OCPD_SPARE_MEMORY", "--spare-memory", "spare_memory_mb"),
        ("maxBodyBytes", "OCPD_MAX_BODY_BYTES", "--max-body-bytes", "max_body_bytes"),
        ("sessionTTL", "OCPD_SESSION_TTL", "--session-ttl", "session_ttl_ms"),
        (
            "tiers.opus.perChar",
            "OCPD_TIERS_OPUS_PER_CHAR",
            "--tiers-opus-per-char",
            "tiers_opus_per_char",
        ),
        ("cliMaxRetries", "OCPD_CLI_MAX_RETRIES", "--cli-max-retries", "cli_max_retries"),
    ],
)
def test_all_names_of_a_knob_follow_from_its_key(
    key: str, variable: str, flag: str, field: str
) -> None:
    knob = BY_KEY[key]
    assert (knob.variable, knob.flag, knob.field) == (variable, flag, field)


@pytest.mark.parametrize("knob", KNOBS, ids=name_of)
def test_names_have_the_form_of_their_kind(knob: Knob) -> None:
    assert re.fullmatch(r"([a-z]+\.)*[a-z]+([A-Z][a-z]+)*(TTL)?", knob.key)
    assert re.fullmatch(r"OCPD(_[A-Z]+)+", knob.variable)
    assert re.fullmatch(r"--[a-z]+(-[a-z]+)*", knob.flag)
    assert knob.field in FIELDS
    assert knob.flag.removeprefix("--").replace("-", "_").upper() == knob.variable[5:]


# ... where a value may stand ...


@pytest.mark.parametrize("knob", KNOBS, ids=name_of)
def test_every_knob_can_be_set_in_every_place(knob: Knob) -> None:
    raw = other_value(knob)
    kinds = {Type.INTEGER: int, Type.NUMBER: float, Type.BOOLEAN: lambda said: said == "true"}
    wanted = kinds.get(knob.type, str)(raw)
    places: list[tuple[dict[str, str], dict[str, str], dict[str, object], str]] = [
        ({knob.key: raw}, {}, {}, knob.flag),
        ({}, {knob.variable: raw}, {}, knob.variable),
        ({}, {}, {knob.key: wanted}, f"config file: {knob.key}"),
        *(({}, {alias: raw}, {}, alias) for alias in knob.aliases),
    ]
    for argv, environ, file, origin in places:
        loaded = load_settings(argv, environ, file)
        assert value_of(loaded.settings, knob) == wanted
        assert loaded.origins == {k.key: "default" for k in KNOBS} | {knob.key: origin}
        assert loaded.notes == ()


def test_argv_wins_over_the_environment_over_the_file_over_the_default() -> None:
    argv, environ, file = {"maxQueue": "1"}, {"OCPD_MAX_QUEUE": "2"}, {"maxQueue": 3}
    found = [
        load_settings(argv, environ, file),
        load_settings({}, environ, file),
        load_settings({}, {}, file),
        load_settings({}, {}),
    ]
    assert [loaded.settings.max_queue for loaded in found] == [1, 2, 3, 16]
    assert [loaded.origins["maxQueue"] for loaded in found] == [
        "--max-queue",
        "OCPD_MAX_QUEUE",
        "config file: maxQueue",
        "default",
    ]


def test_our_own_variable_wins_over_another_s_and_says_so() -> None:
    loaded = load_settings({}, {"OCPD_MAX_QUEUE": "2", "CLAUDE_MAX_QUEUE": "9"})
    assert loaded.settings.max_queue == 2
    assert loaded.notes == ("CLAUDE_MAX_QUEUE has no effect: OCPD_MAX_QUEUE wins",)


def test_variables_that_agree_need_no_word() -> None:
    assert load_settings({}, {"OCPD_MAX_QUEUE": "2", "CLAUDE_MAX_QUEUE": "2"}).notes == ()


def test_another_s_variable_wins_over_the_file() -> None:
    assert load_settings({}, {"CLAUDE_MAX_QUEUE": "9"}, {"maxQueue": 3}).settings.max_queue == 9


def test_an_empty_variable_is_not_set() -> None:
    for environ in ({"OCPD_MAX_QUEUE": ""}, {"CLAUDE_MAX_QUEUE": ""}):
        assert load_settings({}, environ, {"maxQueue": 3}).settings.max_queue == 3
    loaded = load_settings({}, {"OCPD_MAX_QUEUE": "", "CLAUDE_MAX_QUEUE": "9"})
    assert loaded.settings.max_queue == 9


def test_an_empty_flag_is_a_value_that_does_not_fit() -> None:
    with pytest.raises(SettingsError, match="--max-queue"):
        load_settings({"maxQueue": ""}, {})


def two_aliases(monkeypatch: pytest.MonkeyPatch) -> None:
    knob = msgspec.structs.replace(QUEUE, aliases=("CLAUDE_MAX_QUEUE", "PROXY_MAX_QUEUE"))
    knobs = tuple(knob if known is QUEUE else known for known in KNOBS)
    monkeypatch.setattr(module, "KNOBS", knobs)


def test_two_variables_of_one_rank_that_disagree_stop_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two_aliases(monkeypatch)
    environ = {"CLAUDE_MAX_QUEUE": "1", "PROXY_MAX_QUEUE": "2"}
    with pytest.raises(SettingsError, match="CLAUDE_MAX_QUEUE and PROXY_MAX_QUEUE disagree"):
        load_settings({}, environ)


def test_a_disagreement_below_the_winner_is_only_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    two_aliases(monkeypatch)
    environ = {"CLAUDE_MAX_QUEUE": "1", "PROXY_MAX_QUEUE": "2", "OCPD_MAX_QUEUE": "2"}
    loaded = load_settings({}, environ)
    assert loaded.settings.max_queue == 2
    assert loaded.notes == ("CLAUDE_MAX_QUEUE has no effect: OCPD_MAX_QUEUE wins",)


def test_two_variables_of_one_rank_may_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    two_aliases(monkeypatch)
    environ = {"CLAUDE_MAX_QUEUE": "5", "PROXY_MAX_QUEUE": "5"}
    assert load_settings({}, environ).settings.max_queue == 5


def test_a_variable_that_looks_like_ours_and_is_none_is_noted() -> None:
    loaded = load_settings({}, {"OCPD_MAX_QUEU": "5", "PATH": "/bin", "OCPDX": "1"})
    assert loaded.notes == ("OCPD_MAX_QUEU has no effect: there is no such setting",)
    assert loaded.settings == Settings()


@pytest.mark.parametrize("name", sorted(READ_ELSEWHERE))
def test_variables_that_others_read_are_not_noted(name: str) -> None:
    assert load_settings({}, {name: "x"}).notes == ()


@pytest.mark.parametrize("key", ["maxqueue", "max_queue", "OCPD_MAX_QUEUE", "nonsense", ""])
def test_an_unknown_setting_in_the_file_stops_the_start(key: str) -> None:
    with pytest.raises(SettingsError, match="config file: unknown setting") as caught:
        load_settings({}, {}, {key: 1})
    assert repr(key) in str(caught.value)


# ... and what it may be.


@pytest.mark.parametrize("knob", INTEGERS, ids=name_of)
def test_a_whole_number_may_be_anywhere_in_its_range(knob: Knob) -> None:
    for value in (knob.low, knob.high):
        assert parse_value(knob, value, "x") == value
        assert parse_value(knob, str(value), "x") == value


@pytest.mark.parametrize("knob", INTEGERS, ids=name_of)
def test_a_number_out_of_range_is_refused_with_the_range(knob: Knob) -> None:
    for value in (knob.low - 1, knob.high + 1):
        with pytest.raises(SettingsError) as caught:
            parse_value(knob, value, "OCPD_X")
        assert str(caught.value) == (
            f"OCPD_X: value {value} out of range [{knob.low}, {knob.high}] for {knob.key}"
        )
        # Named once is enough; clients of OCP know it like this.
        with pytest.raises(SettingsError) as caught:
            parse_value(knob, value, knob.key)
        assert str(caught.value) == (
            f"{knob.key}: value {value} out of range [{knob.low}, {knob.high}]"
        )


@pytest.mark.parametrize(
    "raw",
    [
        *("5MB", "1e3", " 5", "5 ", "+5", "-5", "٣", "5.0", "0x5", "5_0", "1,000", "unlimited"),
        *("", "true", "9" * 16, "5\n", True, False, 2.5, 5.0, None, [5], {"a": 5}),
    ],
)
def test_what_is_no_plain_whole_number_is_refused_with_what_would_fit(raw: object) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_value(QUEUE, raw, "OCPD_MAX_QUEUE")
    assert str(caught.value) == (
        f"OCPD_MAX_QUEUE: {raw!r} does not fit, maxQueue takes a whole number from 0 to 10000"
    )


def test_leading_zeros_change_nothing() -> None:
    assert parse_value(QUEUE, "007", "x") == 7


@pytest.mark.parametrize("knob", CHOICES, ids=name_of)
def test_a_choice_is_one_of_its_words_exactly(knob: Knob) -> None:
    for choice in knob.choices:
        assert parse_value(knob, choice, "x") == choice
    for raw in (knob.choices[0].upper(), f" {knob.choices[0]}", "", 0, None):
        with pytest.raises(SettingsError, match="one of " + ", ".join(knob.choices)):
            parse_value(knob, raw, "x")


@pytest.mark.parametrize("knob", TEXTS, ids=name_of)
def test_a_text_is_taken_as_it_is_and_is_never_empty(knob: Knob) -> None:
    assert parse_value(knob, " a b/é ", "x") == " a b/é "
    for raw in ("", "  ", "\t\n", "a\0b", 5, None, b"x"):
        with pytest.raises(SettingsError, match=f"{knob.key} takes a "):
            parse_value(knob, raw, "x")


@pytest.mark.parametrize(
    ("argv", "environ", "file", "where"),
    [
        ({"port": "x"}, {}, {}, "--port: 'x'"),
        ({}, {"OCPD_PORT": "x"}, {}, "OCPD_PORT: 'x'"),
        ({}, {"CLAUDE_PROXY_PORT": "x"}, {}, "CLAUDE_PROXY_PORT: 'x'"),
        ({}, {}, {"port": "x"}, "config file: port: 'x'"),
        ({}, {}, {"port": True}, "config file: port: True"),
    ],
)
def test_a_value_that_does_not_fit_says_where_it_stands(
    argv: dict[str, str], environ: dict[str, str], file: dict[str, object], where: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(argv, environ, file)
    assert str(caught.value).startswith(where)


# What an operator changed while ocpd ran...


def test_a_change_at_run_time_wins_over_everything_but_a_flag() -> None:
    environ, file, changed = {"OCPD_MAX_QUEUE": "2"}, {"maxQueue": 3}, {"maxQueue": 4}
    loaded = load_settings({}, environ, file, changed)
    assert loaded.settings.max_queue == 4
    assert loaded.origins["maxQueue"] == "changed at run time: maxQueue"
    assert loaded.notes == ("OCPD_MAX_QUEUE has no effect: changed at run time: maxQueue wins",)
    assert load_settings({"maxQueue": "1"}, environ, file, changed).settings.max_queue == 1


def test_every_place_that_gives_a_value_is_listed_the_winner_first() -> None:
    sources = Sources({}, {"CLAUDE_MAX_QUEUE": "2"}, {"maxQueue": 3}, {"maxQueue": 4})
    assert [(each.rank, each.raw) for each in sources_of(QUEUE, sources)] == [
        ("store", 4),
        ("environment", "2"),
        ("file", 3),
        ("default", 16),
    ]


def test_the_file_may_nest_what_has_dots() -> None:
    loaded = load_settings({}, {}, {"tiers": {"opus": {"base": 30_000, "perChar": 0.001}}})
    assert loaded.settings.tiers_opus_base_ms == 30_000
    assert loaded.settings.tiers_opus_per_char == 0.001


@pytest.mark.parametrize("raw", ["1e-3", "-0.001", ".5", "nan", "inf", True, None, "0,001"])
def test_what_is_no_plain_number_is_refused(raw: object) -> None:
    with pytest.raises(SettingsError, match=r"a number from 0 to 0\.01"):
        parse_value(BY_KEY["tiers.opus.perChar"], raw, "x")


# ... and what other programs' variables mean here.


def test_a_common_name_counts_only_on_request() -> None:
    assert load_settings({}, {"PORT": "4523"}).settings.port == 3456
    compat = {"PORT": "4523", "OCPD_COMPAT": "claude-proxy"}
    assert load_settings({}, compat).settings.port == 4523
    assert load_settings({}, {**compat, "CLAUDE_PROXY_PORT": "1"}).settings.port == 1


def test_another_proxy_s_own_names_always_count() -> None:
    assert load_settings({}, {"REQUEST_TIMEOUT_MS": "40000"}).settings.timeout_ms == 40_000


@pytest.mark.parametrize(
    ("said", "means"),
    [
        *((said, "on") for said in ("true", "1", "yes", "on", "True", "YES")),
        *((said, "off") for said in ("false", "0", "no", "off", "False", "Off")),
        ("auto", "auto"),
    ],
)
def test_a_choice_between_on_and_off_takes_the_words_of_a_switch(said: str, means: str) -> None:
    assert load_settings({}, {"ENABLE_THINKING": said}).settings.thinking == means
    assert load_settings({"thinking": said}, {}).settings.thinking == means


def test_a_switch_in_the_file_is_a_switch() -> None:
    assert load_settings({}, {}, {"thinking": True}).settings.thinking == "on"
    assert load_settings({}, {}, {"thinking": False}).settings.thinking == "off"


@pytest.mark.parametrize("said", ["maybe", "Auto", "", 1, None])
def test_what_is_no_switch_is_refused(said: object) -> None:
    with pytest.raises(SettingsError, match="one of auto, off, on"):
        parse_value(BY_KEY["thinking"], said, "x")
    with pytest.raises(SettingsError, match="one of off, read, full"):
        parse_value(BY_KEY["loopbackAdmin"], "false", "x")


@pytest.mark.parametrize(
    ("name", "value", "field", "found"),
    [
        ("PROXY_API_KEY", "hush-hush", "shared_keys", "hush-hush"),
        ("PROXY_API_KEYS", "one,two", "shared_keys", "one,two"),
        ("PROXY_ANONYMOUS_KEY", "everybody", "anonymous_key", "everybody"),
        ("PROXY_ADVERTISE_ANON_KEY", "1", "advertise_anonymous_key", True),
        ("CLAUDE_AUTH_MODE", "multi", "auth_mode", "multi"),
        ("REQUIRE_AUTH", "true", "require_auth", "on"),
        ("REQUIRE_AUTH", "false", "require_auth", "off"),
    ],
)
def test_the_older_names_of_the_guarded_door_are_ours(
    name: str, value: str, field: str, found: object
) -> None:
    loaded = load_settings({}, {name: value})
    assert (getattr(loaded.settings, field), loaded.notes) == (found, ())


def test_a_secret_that_does_not_fit_is_not_repeated() -> None:
    for knob in KNOBS:
        if knob.secret:
            with pytest.raises(SettingsError) as refused:
                load_settings({}, {}, {knob.key: 987654})
            assert "987654" not in str(refused.value)


def test_two_names_with_two_secrets_disagree_without_telling_them() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({}, {"PROXY_API_KEY": "hush", "PROXY_API_KEYS": "pst"})
    assert "disagree" in str(refused.value)
    assert not {"hush", "pst"} & set(str(refused.value).split())


@pytest.mark.parametrize(
    "name", ["CLAUDE_NO_CONTEXT", "CLAUDE_BREAKER_WINDOW", "OCP_INSTANCE_NAME"]
)
def test_a_variable_that_nothing_acts_on_gets_a_line(name: str) -> None:
    (note,) = load_settings({}, {name: "1"}).notes
    assert note.startswith(f"{name} has no effect")


LISTS = [knob for knob in KNOBS if knob.type is Type.LIST]


@pytest.mark.parametrize("knob", LISTS, ids=name_of)
@pytest.mark.parametrize(
    "said", ["127.0.0.1,::1", " 127.0.0.1 , ::1 ", ["127.0.0.1", "::1", "127.0.0.1"]]
)
def test_a_list_is_a_text_with_commas_or_an_array(knob: Knob, said: object) -> None:
    assert parse_value(knob, said, "here") == "127.0.0.1,::1"


@pytest.mark.parametrize("knob", LISTS, ids=name_of)
@pytest.mark.parametrize("said", ["", ",", "a,,b", [], ["a", ""], ["a,b"], ["a", 1], 1, True])
def test_what_is_no_list_is_refused(knob: Knob, said: object) -> None:
    with pytest.raises(SettingsError, match="texts with commas between them"):
        parse_value(knob, said, "here")


UNIT = SocketUnit("ocpd.socket", (("127.0.0.1", 4000), ("::1", 4000)), ("/run/ocpd/ocpd.sock",))


def test_a_socket_unit_decides_where_nobody_else_does() -> None:
    loaded = load_settings({}, {}, unit=UNIT)
    assert (loaded.settings.bind, loaded.settings.port) == ("127.0.0.1,::1", 4000)
    assert loaded.origins["bind"] == loaded.origins["port"] == "systemd's socket unit"


def test_who_says_the_same_as_the_socket_unit_is_not_in_its_way() -> None:
    environ = {"OCPD_BIND": "0::1, 127.0.0.1", "OCPD_PORT": "4000"}
    assert load_settings({"port": "4000"}, environ, unit=UNIT).settings.port == 4000


def test_localhost_is_what_the_socket_unit_has_of_it() -> None:
    environ = {"OCPD_BIND": "localhost"}
    for unit in (UNIT, SocketUnit("ocpd.socket", (("127.0.0.1", 4000),))):
        assert load_settings({}, environ, unit=unit).settings.port == 4000
    afar = SocketUnit("ocpd.socket", (("192.0.2.1", 4000),))
    # A unit takes addresses only.
    with pytest.raises(SettingsError, match=r"ListenStream=127\.0\.0\.1:4000; then"):
        load_settings({}, environ, unit=afar)


@pytest.mark.parametrize(
    ("argv", "environ", "file", "named"),
    [
        ({"port": "1"}, {}, {}, "--port: port cannot be 1: ocpd.socket listens"),
        ({}, {"CLAUDE_BIND": "::1"}, {}, "CLAUDE_BIND: bind cannot be ::1"),
        ({}, {}, {"bind": ["0.0.0.0"]}, "config file: bind: bind cannot be 0.0.0.0"),
    ],
)
def test_who_wants_another_address_than_the_socket_unit_is_told_how(
    argv: dict[str, str], environ: dict[str, str], file: dict[str, object], named: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(argv, environ, file, unit=UNIT)
    told = str(caught.value)
    assert told.startswith(named)
    assert "systemctl edit ocpd.socket, with the lines [Socket] / ListenStream= / " in told
    assert " / ListenStream=/run/ocpd/ocpd.sock; then: systemctl stop ocpd.service" in told


def test_the_way_to_another_address_names_the_service_that_runs_us_and_its_systemd() -> None:
    unit = SocketUnit("web.socket", (("127.0.0.1", 4000),), (), "ocpd@guest.service", is_users=True)
    with pytest.raises(SettingsError) as caught:
        load_settings({"port": "1"}, {}, unit=unit)
    told = str(caught.value)
    assert (
        "run: systemctl --user edit web.socket, with the lines [Socket] / ListenStream= /" in told
    )
    assert told.endswith(
        "ListenStream=127.0.0.1:1; then: systemctl --user stop ocpd@guest.service web.socket;"
        " systemctl --user start web.socket ocpd@guest.service"
    )
