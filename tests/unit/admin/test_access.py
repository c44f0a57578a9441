"""Who may do what: every kind of caller, every level, every setting."""

import pytest

from ocpd.admin.access import Access, Actor, Doorman, Policy, Via, make_policy, read_token
from ocpd.errors import BadRequest, OcpdError
from ocpd.http.message import Headers, Request
from ocpd.http.sentry import Sentry
from ocpd.settings.doors import read_doors
from ocpd.settings.values import Settings
from ocpd.store.records import KeyRecord

ADMIN, USER, UNKNOWN = "the-admin-key", "ocp_a_valid_key", "ocp_nobody_knows"

RECORD = KeyRecord(
    id=3,
    name="laptop",
    preview="ocp_…",
    created_at=0.0,
    revoked_at=None,
    expires_at=None,
    models=None,
    note="",
    last_used_at=None,
    role="user",
)


class Ring:
    def find(self, token: str) -> KeyRecord | None:
        return RECORD if token == USER else None

    def is_admin(self, token: str) -> bool:
        return token == ADMIN


def make_request(method="GET", peer="127.0.0.1", uid=None, **headers):
    told = {"host": "127.0.0.1:3456"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    fields = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    return Request(
        method=method,
        target="/x",
        path="/x",
        query="",
        headers=Headers(fields),
        version="1.1",
        peer=peer,
        uid=uid,
    )


def judge(request: Request, access: Access, **policy) -> Actor | int:
    """The actor, or the status of the refusal."""
    doorman = Doorman(Ring(), lambda: Policy(**policy), {0, 1000}.__contains__, {1000: "alice"}.get)
    try:
        return doorman.admit(request, access)
    except OcpdError as error:
        return error.status


def outcome(request: Request, access: Access, **policy) -> str:
    found = judge(request, access, **policy)
    return found.via.value if isinstance(found, Actor) else str(found)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# who: request, and for each level (open, own, read, write) what comes of it in mode none.
CALLERS = {
    "root on the socket": (make_request(peer="", uid=0), "unix unix unix unix"),
    "a guest on the socket": (make_request(peer="", uid=1000), "unix unix unix unix"),
    "a stranger on the socket": (make_request(peer="", uid=1001), "403 403 403 403"),
    "nobody on the socket": (make_request(peer="", uid=-1), "403 403 403 403"),
    "a proxy on the socket": (
        make_request(peer="", uid=0, x_forwarded_for="192.0.2.1"),
        "nobody 401 401 401",
    ),
    "a proxy on the socket with the admin key": (
        make_request(peer="", uid=0, via="1.1 x", **bearer(ADMIN)),
        "admin-key admin-key admin-key admin-key",
    ),
    "the admin from afar": (
        make_request(peer="192.0.2.1", **bearer(ADMIN)),
        "admin-key admin-key admin-key admin-key",
    ),
    "the admin with x-api-key": (
        make_request(peer="192.0.2.1", x_api_key=ADMIN),
        "admin-key admin-key admin-key admin-key",
    ),
    "the admin behind a proxy": (
        make_request(forwarded="for=192.0.2.1", **bearer(ADMIN)),
        "admin-key admin-key admin-key admin-key",
    ),
    "a key's holder from afar": (
        make_request(peer="192.0.2.1", **bearer(USER)),
        "key key 403 403",
    ),
    "a key's holder on this machine": (make_request(**bearer(USER)), "key key 403 403"),
    "a stranger from afar": (make_request(peer="192.0.2.1"), "nobody 401 401 401"),
    "a wrong token from afar": (
        make_request(peer="192.0.2.1", **bearer(UNKNOWN)),
        "nobody 401 401 401",
    ),
    "this machine": (make_request(), "loopback loopback loopback 401"),
    "this machine with any token": (
        make_request(**bearer(UNKNOWN)),
        "loopback loopback loopback 401",
    ),
    "this machine over IPv6": (make_request(peer="::1"), "loopback loopback loopback 401"),
    "this machine, mapped": (
        make_request(peer="::ffff:127.0.0.1"),
        "loopback loopback loopback 401",
    ),
    "a foreign page": (make_request(origin="https://evil.example"), "403 403 403 403"),
    "a foreign page with the admin key": (
        make_request(origin="https://evil.example", **bearer(ADMIN)),
        "403 403 403 403",
    ),
    "a foreign page through a tunnel": (
        make_request(peer="", uid=0, origin="https://evil.example"),
        "403 403 403 403",
    ),
    "a rebound name": (make_request(host="evil.example:3456"), "403 403 403 403"),
    "a rebound name with the admin key": (
        make_request(host="evil.example", **bearer(ADMIN)),
        "403 403 403 403",
    ),
}


@pytest.mark.parametrize("who", CALLERS)
def test_every_caller_gets_what_the_table_says(who):
    request, expected = CALLERS[who]
    found = [outcome(request, access) for access in Access]
    assert [access.name for access in Access] == ["OPEN", "OWN", "READ", "WRITE"]
    assert " ".join(found) == expected


@pytest.mark.parametrize(
    "header", ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via"]
)
def test_whoever_comes_through_a_proxy_is_not_this_machine(header):
    request = make_request(**{header: "for=10.0.0.1"})
    assert outcome(request, Access.READ, loopback_admin="full") == "401"


@pytest.mark.parametrize(
    ("setting", "reads", "writes"),
    [("off", "401", "401"), ("read", "loopback", "401"), ("full", "loopback", "loopback")],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_the_setting_decides_over_this_machine(setting, reads, writes, method):
    request = make_request(method)
    for access in (Access.OWN, Access.READ):
        assert outcome(request, access, loopback_admin=setting) == reads
    assert outcome(request, Access.WRITE, loopback_admin=setting) == writes


@pytest.mark.parametrize("setting", ["off", "read", "full"])
def test_the_setting_changes_nothing_for_others(setting):
    for who in ("a stranger from afar", "a key's holder from afar", "the admin from afar"):
        request, expected = CALLERS[who]
        found = [outcome(request, access, loopback_admin=setting) for access in Access]
        assert " ".join(found) == expected


@pytest.mark.parametrize(
    "marks",
    [
        {"origin": "http://127.0.0.1:3456"},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_mode": "cors", "origin": "http://127.0.0.1:3456"},
    ],
)
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, "403"),
        ("text/plain", "403"),
        ("application/x-www-form-urlencoded", "403"),
        ("application/json", "loopback"),
        ("Application/JSON; charset=utf-8", "loopback"),
        ("text/plain; application/json", "403"),
    ],
)
def test_a_page_of_ours_may_change_things_only_with_json(marks, kind, expected):
    headers = marks | ({} if kind is None else {"content_type": kind})
    request = make_request("POST", **headers)
    assert outcome(request, Access.WRITE, loopback_admin="full") == expected
    assert outcome(request, Access.READ, loopback_admin="full") == "loopback"


def test_a_program_may_send_any_content_type():
    for kind in ("text/plain", "application/x-www-form-urlencoded", "x"):
        request = make_request("POST", content_type=kind)
        assert outcome(request, Access.WRITE, loopback_admin="full") == "loopback"
        request = make_request("POST", content_type=kind, peer="192.0.2.1", **bearer(ADMIN))
        assert outcome(request, Access.WRITE) == "admin-key"


@pytest.mark.parametrize("mode", ["shared", "multi"])
def test_where_keys_are_asked_for_an_unknown_one_is_401_even_here(mode):
    assert outcome(make_request(**bearer(UNKNOWN)), Access.READ, auth_mode=mode) == "401"
    assert outcome(make_request(), Access.READ, auth_mode=mode) == "loopback"


@pytest.mark.parametrize(
    ("host", "policy", "is_own"),
    [
        ("127.0.0.1", {}, True),
        ("127.0.0.1:1", {}, True),
        ("127.8.8.8", {}, True),
        ("localhost:3456", {}, True),
        ("LOCALHOST.", {}, True),
        ("[::1]:3456", {}, True),
        ("[::1]", {}, True),
        ("", {}, False),
        ("localhost.evil.example", {}, False),
        ("127.0.0.1.evil.example", {}, False),
        ("127.0.0.1@evil.example", {}, False),
        ("2130706433", {}, False),
        ("192.168.1.7:3456", {}, False),
        ("192.168.1.7:3456", {"any_address": True}, True),
        ("[fe80::1]", {"any_address": True}, True),
        ("evil.example", {"any_address": True}, False),
        ("Box.lan:3456", {"hosts": frozenset({"box.lan"})}, True),
        ("box.lan.evil.example", {"hosts": frozenset({"box.lan"})}, False),
    ],
)
def test_the_host_must_be_this_machine(host, policy, is_own):
    expected = "loopback" if is_own else "403"
    assert outcome(make_request(host=host), Access.READ, **policy) == expected


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        ("http://127.0.0.1:3456", True),
        ("HTTP://127.0.0.1:3456", True),
        ("https://127.0.0.1:3456", True),
        ("http://127.0.0.1", False),
        ("http://127.0.0.1:3457", False),
        ("http://localhost:3456", False),
        ("null", False),
        ("", False),
        ("file://", False),
    ],
)
def test_the_origin_must_be_the_page_of_this_host(origin, is_own):
    expected = "loopback" if is_own else "403"
    assert outcome(make_request(origin=origin), Access.READ) == expected


def test_an_old_client_without_a_host_is_served():
    request = Request("GET", "/x", "/x", "", Headers(()), "1.0", "127.0.0.1", None)
    assert outcome(request, Access.READ) == "loopback"


def test_actors_have_names_for_the_books():
    assert judge(make_request(peer="", uid=1000), Access.WRITE) == Actor(Via.UNIX, 1000, "alice")
    names = {
        "a guest on the socket": "alice",
        "root on the socket": "uid 0",
        "the admin from afar": "admin",
        "this machine": "local",
        "a key's holder from afar": "laptop",
        "a stranger from afar": "nobody",
    }
    for who, name in names.items():
        actor = judge(CALLERS[who][0], Access.OPEN)
        assert isinstance(actor, Actor)
        assert actor.name == name


def test_a_refusal_names_the_setting_and_the_key():
    doorman = Doorman(Ring(), Policy, {0}.__contains__, lambda _: None)
    for peer in ("127.0.0.1", "192.0.2.1"):
        with pytest.raises(OcpdError, match=r"admin key.*loopbackAdmin") as caught:
            doorman.admit(make_request(peer=peer), Access.WRITE)
        assert caught.value.code == "admin_key_required"


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, None),
        ({"authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer abc"}, "abc"),
        ({"authorization": "BEARER   abc  "}, "abc"),
        ({"authorization": "Bearer"}, None),
        ({"authorization": "Bearer "}, None),
        ({"authorization": "Basic dTpw"}, None),
        ({"x-api-key": "abc"}, "abc"),
        ({"x-api-key": ""}, None),
        ({"x-api-key": "abc", "authorization": "Bearer abc"}, "abc"),
        ({"x-api-key": "abc", "authorization": "Bearer"}, "abc"),
    ],
)
def test_a_token_is_a_bearer_or_an_api_key(headers, token):
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert read_token(Headers(fields)) == token


def test_two_tokens_that_differ_are_refused():
    fields = [(b"x-api-key", b"abc"), (b"authorization", b"Bearer xyz")]
    with pytest.raises(BadRequest, match="two different tokens"):
        read_token(Headers(fields))


# Keys that many hold.


@pytest.mark.parametrize(
    ("mode", "changes", "name"),
    [("shared", {"shared_keys": "x,first"}, "shared-2"), ("multi", {}, "anonymous")],
)
def test_a_key_that_many_hold_sees_its_own_rows_and_is_nothing_here(mode, changes, name):
    told = {"auth_mode": mode, "anonymous_key": "first", "bind": "0.0.0.0", **changes}
    policy = make_policy("full", read_doors(Settings(**told)))
    doorman = Doorman(Ring(), lambda: policy, {0}.__contains__, lambda _: None)
    afar = make_request(peer="192.0.2.1", host="192.0.2.2", **bearer("first"))
    assert doorman.admit(afar, Access.OWN).name == name
    for access in (Access.READ, Access.WRITE):
        with pytest.raises(OcpdError) as caught:
            doorman.admit(afar, access)
        assert (caught.value.status, caught.value.code) == (403, "not_admin")
    # On this machine it is as none.
    assert doorman.admit(make_request(**bearer("first")), Access.WRITE).via is Via.LOOPBACK
    with pytest.raises(OcpdError) as caught:
        doorman.admit(make_request(**bearer("wrong")), Access.READ)
    assert (caught.value.status, caught.value.code) == (401, "bad_token")


@pytest.mark.parametrize("mode", ["none", "shared", "multi"])
def test_the_admin_key_cannot_be_guessed_from_afar(mode):
    sentry = Sentry(lambda: 0.0)
    doorman = Doorman(
        Ring(), lambda: Policy(auth_mode=mode, any_address=True), {0}.__contains__, str, sentry
    )

    def status(token, peer):
        request = make_request(peer=peer, host="192.0.2.2", **bearer(token))
        try:
            return doorman.admit(request, Access.READ).via
        except OcpdError as error:
            return error.status

    assert [status(f"wrong-{n}", "192.0.2.1") for n in range(12)] == [401] * 10 + [429] * 2
    assert status(ADMIN, "192.0.2.1") == 429
    assert status(ADMIN, "192.0.2.3") is Via.ADMIN
    if mode == "none":
        # Programs on this machine send whatever their settings want.
        assert {status("x", "127.0.0.1") for _ in range(50)} == {Via.LOOPBACK}


def test_a_trusted_proxy_tells_whom_to_slow_down():
    policy = make_policy("read", read_doors(Settings(trusted_proxies="127.0.0.1")))
    doorman = Doorman(Ring(), lambda: policy, {0}.__contains__, lambda _: None, Sentry(lambda: 0.0))

    def status(token, whom):
        request = make_request(x_forwarded_for=whom, **bearer(token))
        try:
            return doorman.admit(request, Access.READ).via
        except OcpdError as error:
            return error.status

    assert [status("wrong", "192.0.2.1") for _ in range(11)] == [401] * 10 + [429]
    assert status(ADMIN, "192.0.2.3") is Via.ADMIN
