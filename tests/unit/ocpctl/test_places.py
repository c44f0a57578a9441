"""Which sockets are tried, in which order."""

import pytest

from ocpctl.failures import Misuse
from ocpctl.places import GIVEN, SYSTEM, USER, list_places

ENVIRON = {"HOME": "/h", "XDG_RUNTIME_DIR": "/r"}


def _list(environ=ENVIRON, *, socket=None, instance=None, platform="linux"):
    return [
        str(place)
        for place in list_places(environ, socket=socket, instance=instance, platform=platform)
    ]


def test_the_users_daemon_comes_before_the_systems():
    assert _list() == [
        "/r/ocpd/ocpd.sock",
        "/h/.local/state/ocpd/ocpd.sock",
        "/run/ocpd/ocpd.sock",
    ]
    places = list_places(ENVIRON, socket=None, instance=None, platform="linux")
    assert [place.kind for place in places] == [USER, USER, SYSTEM]


def test_without_a_runtime_directory_the_state_directory_is_left():
    assert _list({"HOME": "/h"}) == ["/h/.local/state/ocpd/ocpd.sock", "/run/ocpd/ocpd.sock"]
    assert _list({"HOME": "/h", "XDG_STATE_HOME": "/s"})[0] == "/s/ocpd/ocpd.sock"
    assert _list({"HOME": "/h", "OCPD_STATE_DIR": "/o"})[0] == "/o/ocpd.sock"
    assert _list({}) == ["/run/ocpd/ocpd.sock"]


def test_macos_keeps_it_in_application_support():
    found = _list({"HOME": "/h"}, platform="darwin")
    assert found[0] == "/h/Library/Application Support/ocpd/ocpd.sock"


def test_an_instance_has_folders_of_its_own():
    assert _list(instance="lab") == [
        "/r/ocpd-lab/ocpd.sock",
        "/h/.local/state/ocpd-lab/ocpd.sock",
        "/run/ocpd-lab/ocpd.sock",
    ]
    # A state directory that was moved is that of the one ocpd, and so is OCPD_SOCKET.
    moved = ENVIRON | {"OCPD_STATE_DIR": "/o", "OCPD_SOCKET": "/x"}
    assert _list(moved, instance="lab") == _list(instance="lab")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", ".hidden", "a b", "ü"])
def test_an_instance_is_a_name_and_no_path(name):
    with pytest.raises(Misuse, match="instance"):
        _list(instance=name)


def test_a_socket_that_is_named_leaves_no_other_choice():
    named = ENVIRON | {"OCPD_SOCKET": "/env.sock"}
    assert _list(named) == ["/env.sock"]
    assert _list(named, socket="/flag.sock") == ["/flag.sock"]
    (place,) = list_places(named, socket=None, instance=None, platform="linux")
    assert place.kind == GIVEN
    with pytest.raises(Misuse, match="exclude each other"):
        _list(socket="/x", instance="lab")


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("http://127.0.0.1:3456", "127.0.0.1:3456"),
        ("http://localhost", "localhost:3456"),
        ("http://nas:80/", "nas:80"),
        ("http://[::1]:3456", "[::1]:3456"),
        ("http://[::1]", "[::1]:3456"),
    ],
)
def test_an_address_can_be_named_too(text, authority):
    (place,) = list_places({}, socket=text, instance=None, platform="linux")
    assert place.is_tcp
    assert place.authority == authority
    assert str(place) == f"http://{authority}"
    (place,) = list_places(
        {}, socket=text.replace("http", "https"), instance=None, platform="linux"
    )
    assert place.is_tls
    assert str(place) == f"https://{authority}"


@pytest.mark.parametrize(
    "text",
    [
        "ftp://nas",
        "https://",
        "http://",
        "http://a:b",
        "http://a:99999",
        "http://u@h:1",
        "http://h/x:1",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(Misuse, match="socket"):
        _list(socket=text)
