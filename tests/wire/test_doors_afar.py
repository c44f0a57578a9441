"""A door that others reach: the daemon listens on all addresses, and is asked at the machine's own,
as another machine would ask. Nothing of it leaves the machine."""

import http.client
import socket
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.wire.conftest import OpenStage
from tests.wire.operator import Operator, bearer
from tests.wire.stage import Page, Stage, body_of, quick

CHAT = "/v1/chat/completions"
ADMIN = ("/status", "/settings", "/api/keys", "/api/usage", "/logs")
PUBLIC = {"status", "version", "authMode", "uptime", "anonymousKey"}
EVERYWHERE = "0.0.0.0"


def find_own_address() -> str | None:
    """The address of this machine that others see, if it has one. No packet is sent for that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found = str(asking.getsockname()[0])
    return None if ip_address(found).is_loopback or ip_address(found).is_unspecified else found


OWN = find_own_address()
pytestmark = pytest.mark.skipif(OWN is None, reason="this machine has no address but loopback")


def knock(
    stage: Stage,
    method: str,
    path: str,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Page:
    """Ask at the machine's own address, as somebody else."""
    body = body_of("hello") if method == "POST" else b"{}" if method == "PATCH" else b""
    told = {} if token is None else bearer(token)
    told |= {"content-type": "application/json"} if body else {}
    connection = http.client.HTTPConnection(str(OWN), stage.daemon.port, timeout=30)
    try:
        connection.request(method, path, body or None, {**told, **(headers or {})})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Page(response.status, found, response.read())
    finally:
        connection.close()


@pytest.fixture
def multi(open_fake: OpenStage) -> Iterator[Stage]:
    settings = quick(bind=EVERYWHERE, auth_mode="multi", loopback_admin="full")
    environ = {"OCPD_ADMIN_KEY": "the-admin-key"}
    with open_fake(settings=settings, environ=environ) as stage:
        yield stage


def test_without_a_key_nothing_is_served_but_the_little_that_all_may_know(multi: Stage) -> None:
    for method, path in (("POST", CHAT), ("GET", "/v1/models"), ("GET", "/v1/models/sonnet")):
        page = knock(multi, method, path)
        assert (page.status, page.error["code"]) == (401, "no_token")
        assert page.headers["www-authenticate"].startswith("Bearer")
    assert set(knock(multi, "GET", "/health").json()) == PUBLIC
    # Here it is another matter.
    assert multi.post("hello").status == 200
    assert set(multi.get("/health").json()) > PUBLIC


def test_nobody_is_the_administrator_without_the_admin_key(multi: Stage, tmp_path: Path) -> None:
    secret = Operator(multi.daemon.socket, tmp_path).add_key("laptop")
    for path in ADMIN:
        assert knock(multi, "GET", path).status == 401
        assert knock(multi, "GET", path, "the-admin-key").status == 200
        if path != "/api/usage":
            assert knock(multi, "GET", path, secret).status == 403
    assert knock(multi, "PATCH", "/settings").status == 401
    assert knock(multi, "PATCH", "/settings", secret).status == 403
    # This machine may, as the setting says: who asks by a loopback address.
    assert multi.get("/status").status == 200


def test_a_key_opens_the_door_and_a_wrong_one_does_not(multi: Stage, tmp_path: Path) -> None:
    secret = Operator(multi.daemon.socket, tmp_path).add_key("laptop")
    assert knock(multi, "POST", CHAT, secret).status == 200
    assert set(knock(multi, "GET", "/health", secret).json()) > PUBLIC
    assert set(knock(multi, "GET", "/health", "ocp_wrong").json()) == PUBLIC
    assert knock(multi, "POST", CHAT, "ocp_wrong").status == 401


def test_no_header_makes_a_stranger_one_of_the_house(multi: Stage) -> None:
    for headers in (
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
        {"x-real-ip": "127.0.0.1"},
        {"host": "localhost"},
        {"host": f"127.0.0.1:{multi.daemon.port}"},
    ):
        assert knock(multi, "POST", CHAT, headers=headers).status == 401
        assert knock(multi, "GET", "/status", headers=headers).status == 401
        assert set(knock(multi, "GET", "/health", headers=headers).json()) == PUBLIC
    for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
        assert knock(multi, "POST", CHAT, headers=headers).status == 403


def test_where_no_key_is_asked_for_all_may_chat_and_none_may_administer(
    open_fake: OpenStage, tmp_path: Path
) -> None:
    settings = quick(bind=EVERYWHERE, loopback_admin="full")
    with open_fake(settings=settings) as stage:
        assert knock(stage, "POST", CHAT).status == 200
        assert knock(stage, "POST", CHAT, "anything").status == 200
        assert set(knock(stage, "GET", "/health").json()) == PUBLIC
        for path in ADMIN:
            assert knock(stage, "GET", path).status == 401
            assert knock(stage, "GET", path, "anything").status == 401
        assert knock(stage, "PATCH", "/settings").status == 401
        assert any("0.0.0.0" in warning for warning in stage.get("/health").json()["warnings"])
        stage.daemon.wait_quiet()
        operator = Operator(stage.daemon.socket, tmp_path)
        (row,) = operator.told("usage", "--by-key")["byKey"]
        assert (row["key_name"], row["requests"]) == ("remote", 2)
