"""The settings about who may come in: which mode follows, and what does not fit."""

import pytest

from ocpd.settings.doors import (
    AuthMode,
    digest_of,
    is_loopback,
    list_warnings,
    parse_address,
    read_doors,
    requires_keys,
)
from ocpd.settings.knob import SettingsError
from ocpd.settings.values import Settings


def mode_of(**changes: object) -> AuthMode | str:
    """The mode of these settings, or the first word of why there is none."""
    try:
        return read_doors(Settings(**changes)).mode  # type: ignore[arg-type] # as a test wants
    except SettingsError as error:
        return str(error).partition(":")[0]


NONE, SHARED, MULTI = AuthMode.NONE, AuthMode.SHARED, AuthMode.MULTI

MODES = [
    # authMode, requireAuth, are there shared keys, what follows
    ("auto", "auto", False, NONE),
    ("auto", "auto", True, SHARED),
    ("auto", "off", False, NONE),
    ("auto", "off", True, NONE),
    ("auto", "on", False, "requireAuth"),
    ("auto", "on", True, SHARED),
    ("none", "auto", False, NONE),
    ("none", "auto", True, NONE),
    ("none", "off", True, NONE),
    ("none", "on", False, "requireAuth"),
    ("none", "on", True, "requireAuth"),
    ("shared", "auto", False, "authMode"),
    ("shared", "auto", True, SHARED),
    ("shared", "off", True, SHARED),
    ("shared", "on", False, "authMode"),
    ("multi", "auto", False, MULTI),
    ("multi", "off", False, MULTI),
    ("multi", "on", False, MULTI),
    ("multi", "on", True, MULTI),
]


@pytest.mark.parametrize(("auth_mode", "require_auth", "has_keys", "expected"), MODES)
def test_the_mode_follows_from_three_settings(
    auth_mode: str, require_auth: str, has_keys: bool, expected: AuthMode | str
) -> None:
    keys = "key-one, key-two" if has_keys else ""
    found = mode_of(auth_mode=auth_mode, require_auth=require_auth, shared_keys=keys)
    assert found == expected


@pytest.mark.parametrize("text", [",", " , "])
def test_a_list_without_a_key_in_it_opens_no_door(text: str) -> None:
    assert mode_of(shared_keys=text) == "sharedKeys"


def test_every_shared_key_has_a_name_that_a_further_one_does_not_change() -> None:
    names = [s.name for s in read_doors(Settings(shared_keys=" a ,b,, a,c")).shared]
    assert names == ["shared", "shared-2", "shared-3"]
    (only,) = read_doors(Settings(shared_keys="a")).shared
    assert (only.name, only.digest) == ("shared", digest_of("a"))


@pytest.mark.parametrize("key", ["two words", "schlüssel", "tab\tbed", "new\nline"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(SettingsError, match=r"^sharedKeys: key 2 ") as caught:
        read_doors(Settings(shared_keys=f"fine,{key}"))
    assert key not in str(caught.value)
    with pytest.raises(SettingsError, match=r"^anonymousKey: ") as caught:
        read_doors(Settings(anonymous_key=key))
    assert key not in str(caught.value)


def test_hosts_are_our_own_and_those_of_the_setting() -> None:
    doors = read_doors(Settings(allowed_hosts="Claude.LAN., 192.168.1.7, [fe80::1]"), ("MyHost",))
    assert doors.own_names == {"host.docker.internal", "myhost"}
    assert doors.hosts == doors.own_names | {"claude.lan", "192.168.1.7", "fe80::1"}


@pytest.mark.parametrize("entry", ["http://x", "x:80", "*", "*.lan", "a b", "a..b", "/x", "[x]"])
def test_what_is_no_host_is_refused_by_name(entry: str) -> None:
    with pytest.raises(SettingsError, match=r"^allowedHosts: ") as caught:
        read_doors(Settings(allowed_hosts=f"fine.lan,{entry}"))
    assert repr(entry) in str(caught.value)


def test_origins_are_as_browsers_spell_them() -> None:
    text = "HTTPS://Chat.Example, http://localhost:80,http://[::1]:3000, app://obsidian.md"
    assert read_doors(Settings(cors_origins=text)).origins == {
        "https://chat.example",
        "http://localhost",
        "http://[::1]:3000",
        "app://obsidian.md",
    }


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "null",
        "chat.example",
        "https://chat.example/",
        "https://u@x",
        "https://x:99999",
        "://x",
    ],
)
def test_what_is_no_origin_is_refused_by_name(entry: str) -> None:
    with pytest.raises(SettingsError, match=r"^corsOrigins: ") as caught:
        read_doors(Settings(cors_origins=f"https://fine.example,{entry}"))
    assert repr(entry) in str(caught.value)


@pytest.mark.parametrize("field", ["allowed_addresses", "trusted_proxies"])
@pytest.mark.parametrize("entry", ["192.168.1.7/24", "host", "1.2.3", "10.0.0.0/33", "::/129"])
def test_what_is_no_network_is_refused_by_name(field: str, entry: str) -> None:
    setting = {"allowed_addresses": "allowedAddresses", "trusted_proxies": "trustedProxies"}[field]
    with pytest.raises(SettingsError, match=f"^{setting}: "):
        read_doors(Settings(**{field: f"10.0.0.0/8,{entry}"}))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), False),
        (Settings(shared_keys="a"), True),
        (Settings(auth_mode="multi"), True),
        (Settings(auth_mode="multi", loopback_chat=False), True),
        # Everybody may know that one.
        (Settings(auth_mode="multi", anonymous_key="everybody"), False),
        (Settings(auth_mode="shared", shared_keys="a", anonymous_key="everybody"), True),
    ],
)
def test_who_needs_a_key_from_afar(settings: Settings, expected: bool) -> None:
    assert requires_keys(read_doors(settings)) is expected


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 0),
        ({"bind": "::1"}, 0),
        ({"bind": "0.0.0.0"}, 1),
        ({"bind": "host.test"}, 1),
        ({"trusted_proxies": "127.0.0.1"}, 1),
        ({"bind": "::", "trusted_proxies": "10.0.0.0/8"}, 2),
        ({"bind": "0.0.0.0", "auth_mode": "multi"}, 0),
        ({"bind": "0.0.0.0", "shared_keys": "a"}, 0),
    ],
)
def test_an_open_door_is_warned_of(changes: dict[str, str], count: int) -> None:
    settings = Settings(**changes)  # type: ignore[arg-type] # as a test wants
    warnings = list_warnings(settings, read_doors(settings))
    assert len(warnings) == count
    assert all("authMode" in warning for warning in warnings)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "example.com", "localhost.evil", "10.0.0.1"])
def test_only_this_machine_is_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("localhost", None),
        ("10.0.0.1:80", None),
    ],
)
def test_an_address_is_read_as_what_it_is(text: str, found: str | None) -> None:
    address = parse_address(text)
    assert (None if address is None else str(address)) == found
