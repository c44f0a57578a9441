"""What each way of not being answered means, and what an answer may look like."""

import io
import os
import socket

import pytest

from ocpctl.client import ANSWER_LIMIT, Client
from ocpctl.failures import Broken, NoAccess, NotRunning, Refused
from ocpctl.places import GIVEN, SYSTEM, USER, Place
from tests.unit.ocpctl.fake_daemon import FakeDaemon, answered, refused


def _client(*places, **more):
    warned = []
    client = Client(places, warn=warned.append, **more)
    return client, warned


@pytest.fixture
def client(daemon):
    return _client(Place(GIVEN, str(daemon.path)))[0]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_becomes_json_however_it_is_sent(daemon, client, chunked):
    daemon.answers["GET /health"] = answered({"status": "ok", "ü": [1]}, chunked=chunked)
    assert client.get("health") == {"status": "ok", "ü": [1]}
    assert daemon.last.headers["host"] == "localhost"
    assert daemon.last.headers["user-agent"] == "ocpctl/0.1.0"
    assert "authorization" not in daemon.last.headers


def test_a_body_is_sent_as_json(daemon, client):
    daemon.answers["POST /api/keys"] = answered({"id": 1}, status=201)
    assert client.call("POST", "api", "keys", body={"name": 'a"b'}) == {"id": 1}
    assert daemon.last.json == {"name": 'a"b'}
    assert daemon.last.headers["content-type"] == "application/json"


def test_an_answer_without_a_body_is_nothing(daemon, client):
    daemon.answers["DELETE /x"] = answered(b"", status=204)
    assert client.call("DELETE", "x") is None


def test_the_listening_process_is_known(daemon, client):
    daemon.answers["GET /health"] = answered({})
    client.get("health")
    assert client.peer_pid == os.getpid()
    assert str(client.place) == str(daemon.path)


# Refusals.


def test_a_refusal_is_told_in_the_daemons_words(daemon, client):
    daemon.answers["GET /a"] = refused("no \x1bsuch setting", 404)
    with pytest.raises(Refused) as told:
        client.get("a")
    assert (told.value.status, told.value.message) == (404, "no \ufffdsuch setting")
    daemon.answers["GET /b"] = answered({"error": "Key not found"}, status=404)
    with pytest.raises(Refused, match="Key not found"):
        client.get("b")
    daemon.answers["GET /c"] = answered(b"<html>", status=502)
    with pytest.raises(Refused, match="HTTP status 502"):
        client.get("c")


@pytest.mark.parametrize("status", [401, 403])
def test_being_turned_away_is_no_access(daemon, status):
    daemon.answers["GET /a"] = refused("not for you", status)
    client, _ = _client(Place(GIVEN, str(daemon.path)), command="ocpctl keys add 'a b'")
    with pytest.raises(NoAccess, match="not for you") as told:
        client.get("a")
    assert told.value.advice[0] == "try: sudo ocpctl keys add 'a b'"
    assert "usermod -aG ocpd $USER" in told.value.advice[1]


def test_a_user_of_macos_is_not_told_of_usermod(daemon):
    daemon.answers["GET /a"] = refused("no", 403)
    client, _ = _client(Place(GIVEN, str(daemon.path)), platform="darwin")
    with pytest.raises(NoAccess) as told:
        client.get("a")
    assert told.value.advice == ("try: sudo ocpctl",)


# Versions.


def test_another_version_is_warned_of_once(daemon):
    daemon.answers["GET /health"] = answered({}, version="0.2.0")
    client, warned = _client(Place(GIVEN, str(daemon.path)))
    client.get("health")
    client.get("health")
    assert warned == ["ocpd is 0.2.0, this ocpctl is 0.1.0: restart or update"]


@pytest.mark.parametrize("version", [None, "0.1.0"])
def test_the_same_version_or_none_is_not_warned_of(daemon, version):
    daemon.answers["GET /health"] = answered({}, version=version)
    client, warned = _client(Place(GIVEN, str(daemon.path)))
    client.get("health")
    assert warned == []


def test_a_demo_is_warned_of_once(daemon):
    daemon.answers["GET /health"] = answered({}, demo=True)
    client, warned = _client(Place(GIVEN, str(daemon.path)))
    client.get("health")
    client.get("health")
    assert len(warned) == 1
    assert "this ocpd is a demo" in warned[0]


# Nobody there.


def test_the_first_place_where_somebody_listens_is_used(daemon, tmp_path):
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(stale))
    daemon.answers["GET /health"] = answered({"status": "ok"})
    places = [tmp_path / "none.sock", stale, daemon.path]
    client, _ = _client(*(Place(USER, str(path)) for path in places))
    assert client.get("health") == {"status": "ok"}


def test_nobody_anywhere_names_every_place_and_what_to_try(tmp_path):
    file = tmp_path / "file"
    file.touch()
    long = tmp_path / ("x" * 120)
    paths = [tmp_path / "none.sock", file, long]
    client, _ = _client(*(Place(USER, str(path)) for path in paths), Place(SYSTEM, "/nope"))
    with pytest.raises(NotRunning) as told:
        client.get("health")
    *places, advice = told.value.advice
    assert places == [
        f"{paths[0]}: no such file or directory",
        f"{file}: connection refused",
        f"{long}: af_unix path too long",
        "/nope: no such file or directory",
    ]
    assert advice == (
        "is the daemon running? try: systemctl status ocpd, or: systemctl --user status ocpd"
    )


def test_on_macos_homebrew_knows(tmp_path):
    client, _ = _client(Place(USER, str(tmp_path / "none")), platform="darwin")
    with pytest.raises(NotRunning) as told:
        client.get("health")
    assert told.value.advice[-1] == "is the daemon running? try: brew services info ocpd"


# Answers that are none.


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([b"220 mail ESMTP\r\n"], "not HTTP"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"], "broke off"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{"], "not JSON"),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"[" * 200_000], "not JSON"),
        ([b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe"], "not JSON"),
        ([], "closed the connection"),
    ],
)
def test_an_answer_that_is_none_is_broken(daemon, client, raw, message):
    daemon.answers["GET /a"] = raw
    with pytest.raises(Broken, match=message):
        client.get("a")


def test_an_endless_answer_is_given_up(daemon, client, monkeypatch):
    monkeypatch.setattr("ocpctl.client.ANSWER_LIMIT", 1000)
    daemon.answers["GET /a"] = [b"HTTP/1.1 200 OK\r\n\r\n", b" " * 5000]
    with pytest.raises(Broken, match="longer than 1000 bytes"):
        client.get("a")
    assert ANSWER_LIMIT > 1000


def test_a_daemon_that_says_nothing_is_not_waited_for_forever(daemon, client, monkeypatch):
    monkeypatch.setattr("ocpctl.client.PROMPT_S", 0.05)
    waits_for_us = lambda _heard: iter([b""])  # noqa: E731
    daemon.answers["GET /a"] = waits_for_us
    with socket.socket(socket.AF_UNIX) as silent:
        path = daemon.path.with_name("silent")
        silent.bind(str(path))
        silent.listen(1)
        quiet, _ = _client(Place(GIVEN, str(path)))
        with pytest.raises(Broken, match="did not answer in time"):
            quiet.get("a")


# Streams and uploads.


def test_a_stream_comes_in_pieces_and_ends(daemon, client):
    daemon.answers["GET /admin/backup"] = answered(b"x" * 200_000, chunked=True)
    with client.stream("admin", "backup") as stream:
        assert b"".join(stream) == b"x" * 200_000


def test_a_stream_that_breaks_off_is_broken(daemon, client):
    daemon.answers["GET /admin/backup"] = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234"]
    with client.stream("admin", "backup") as stream, pytest.raises(Broken, match="broke off"):
        list(stream)


def test_a_refused_stream_is_a_refusal(daemon, client):
    daemon.answers["GET /admin/backup"] = refused("the disk is full", 507)
    with pytest.raises(Refused, match="the disk is full"):
        client.stream("admin", "backup")


def test_a_file_is_sent_with_its_length(daemon, client):
    content = os.urandom(300_000)
    daemon.answers["POST /admin/restore"] = answered({"keys": 1})
    assert client.upload("admin", "restore", content=io.BytesIO(content), size=300_000)
    assert daemon.last.body == content
    assert daemon.last.headers["content-type"] == "application/octet-stream"


def test_a_file_that_shrinks_meanwhile_is_noticed(client):
    with pytest.raises(Broken, match="shorter"):
        client.upload("admin", "restore", content=io.BytesIO(b"123"), size=5)


# Over the network.


def test_over_tcp_the_admin_key_goes_along_and_the_host_is_named():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        port = listening.getsockname()[1]
        client, _ = _client(Place(GIVEN, host="127.0.0.1", port=port), bearer="secret")
        request, place = client._connect()
        accepted, _ = listening.accept()
        with request, accepted:
            assert place.authority == f"127.0.0.1:{port}"
    with pytest.raises(NotRunning, match="does not answer"):
        client.get("health")


def test_the_admin_key_stays_away_from_the_socket(daemon):
    daemon.answers["GET /health"] = answered({})
    client, _ = _client(Place(GIVEN, str(daemon.path)), bearer="secret")
    client.get("health")
    assert "authorization" not in daemon.last.headers


def test_a_fake_daemon_can_be_left_alone(tmp_path):
    with FakeDaemon(tmp_path / "a.sock") as unused:
        assert unused.heard == []
