"""Who may come in: every mode, every caller, every place; and what the refusals say."""

import itertools
import math

import msgspec
import pytest

from ocpd.aio import wall_clock
from ocpd.errors import OcpdError, Refused, Unauthorized
from ocpd.http.exchange import Exchange
from ocpd.http.message import Headers, Request, Response
from ocpd.http.sentry import Sentry
from ocpd.store.records import KeyRecord
from ocpd.turn.caller import Caller, Kind
from tests.unit.api.stage import Link, Ring, make_doorkeeper, make_exchange
from tests.unit.http.stage import run

LAPTOP = KeyRecord(7, "laptop", "ocp_...", 1.0, None, None, ("m",), "", None, "batch", ("files",))
# A name is never a role.
NAMED = KeyRecord(8, "administrator", "ocp_...", 2.0, None, None, None, "", None, "user")
RING = Ring({"ocp_laptop": LAPTOP, "ocp_named": NAMED}, admin="the-admin-key")

MODES = {
    "none": {"auth_mode": "none", "shared_keys": "first,second", "anonymous_key": "everybody"},
    "shared": {"auth_mode": "shared", "shared_keys": "first,second", "anonymous_key": "everybody"},
    "multi": {"auth_mode": "multi", "shared_keys": "first,second", "anonymous_key": "everybody"},
}

TOKENS = {
    "nothing": None,
    "shared": "first",
    "second": "second",
    "admin": "the-admin-key",
    "anonymous": "everybody",
    "key": "ocp_laptop",
    "unknown": "ocp_nobody_knows",
}

PLACES = {
    "here": ("127.0.0.1", {}),
    "six": ("::1", {"host": "[::1]:3456"}),
    "mapped": ("::ffff:127.0.0.1", {}),
    "afar": ("192.168.1.9", {"host": "192.168.1.2:3456"}),
    "proxied": ("127.0.0.1", {"x-forwarded-for": "192.168.1.9"}),
    "via": ("127.0.0.1", {"via": "1.1 proxy"}),
}
HERE = ("here", "six", "mapped")

# What becomes of a token, by mode: for a caller on this machine, and for one who is not.
CELLS = {
    ("none", "nothing"): ("local", "remote"),
    ("none", "shared"): ("shared", "remote"),
    ("none", "second"): ("shared-2", "remote"),
    ("none", "admin"): ("admin", "remote"),
    ("none", "anonymous"): ("anonymous", "remote"),
    ("none", "key"): ("laptop", "laptop"),
    ("none", "unknown"): ("local", "remote"),
    ("shared", "nothing"): ("no_token", "no_token"),
    ("shared", "shared"): ("shared", "shared"),
    ("shared", "second"): ("shared-2", "shared-2"),
    ("shared", "admin"): ("bad_token", "bad_token"),
    ("shared", "anonymous"): ("bad_token", "bad_token"),
    ("shared", "key"): ("bad_token", "bad_token"),
    ("shared", "unknown"): ("bad_token", "bad_token"),
    ("multi", "nothing"): ("local", "no_token"),
    ("multi", "shared"): ("bad_token", "bad_token"),
    ("multi", "second"): ("bad_token", "bad_token"),
    ("multi", "admin"): ("admin", "admin"),
    ("multi", "anonymous"): ("anonymous", "anonymous"),
    ("multi", "key"): ("laptop", "laptop"),
    ("multi", "unknown"): ("bad_token", "bad_token"),
}


def ask(
    token: str | None = None,
    peer: str = "127.0.0.1",
    uid: int | None = None,
    **headers: str,
) -> Request:
    told = {"host": "127.0.0.1:3456"} | {n.replace("_", "-"): v for n, v in headers.items()}
    if token is not None:
        told["authorization"] = f"Bearer {token}"
    fields = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    return Request("POST", "/x", "/x", "", Headers(fields), "1.1", peer, uid)


def judge(request: Request, **settings: object) -> Caller | OcpdError:
    """Who comes in, or why not."""
    settings = {"bind": "0.0.0.0", **settings}
    try:
        return make_doorkeeper(RING, **settings).admit(request)
    except OcpdError as error:
        return error


def outcome(request: Request, **settings: object) -> str:
    """His name, or the code of the refusal."""
    found = judge(request, **settings)
    return found.name if isinstance(found, Caller) else str(found.code)


def request_from(place: str, token: str | None, *, lower: bool = False) -> Request:
    peer, headers = PLACES[place]
    spelled = {name.replace("-", "_"): value for name, value in headers.items()}
    if lower and token is not None:
        return ask(peer=peer, **spelled, authorization=f"bEARER  {token} ")
    return ask(token, peer, **spelled)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("place", PLACES)
def test_every_cell_of_the_table(mode: str, token: str, place: str) -> None:
    expected = CELLS[mode, token][0 if place in HERE else 1]
    settings = MODES[mode]
    assert outcome(request_from(place, TOKENS[token]), **settings) == expected
    assert outcome(request_from(place, TOKENS[token], lower=True), **settings) == expected
    peer, headers = PLACES[place]
    if (secret := TOKENS[token]) is not None:
        spelled = {name.replace("-", "_"): value for name, value in headers.items()}
        assert outcome(ask(peer=peer, **spelled, x_api_key=secret), **settings) == expected


def test_the_table_is_whole() -> None:
    assert set(CELLS) == set(itertools.product(MODES, TOKENS))


@pytest.mark.parametrize(
    ("mode", "token", "kind", "role"),
    [
        ("none", None, Kind.LOCAL, "owner"),
        ("multi", None, Kind.LOCAL, "user"),
        ("shared", "second", Kind.SHARED, "user"),
        ("multi", "the-admin-key", Kind.ADMIN, "owner"),
        ("multi", "everybody", Kind.ANONYMOUS, "user"),
        ("multi", "ocp_laptop", Kind.KEY, "batch"),
        ("multi", "ocp_named", Kind.KEY, "user"),
    ],
)
def test_kind_and_role_come_from_the_key_and_never_from_a_name(
    mode: str, token: str | None, kind: Kind, role: str
) -> None:
    caller = judge(ask(token), **MODES[mode])
    assert isinstance(caller, Caller)
    assert (caller.kind, caller.role, caller.address) == (kind, role, "127.0.0.1")
    assert (caller.key_id is not None) == (kind is Kind.KEY)


def test_without_a_key_the_owner_is_who_has_the_socket_or_a_machine_that_asks_for_none() -> None:
    roles = {
        (mode, place): caller.role
        for mode in MODES
        for place, request in {
            "socket": ask(uid=1000),
            "here": ask(),
            "proxied socket": ask(uid=1000, via="1.1 proxy"),
            "proxied": ask(x_forwarded_for="192.0.2.1"),
            "tunnel": ask(host="192.168.1.2:3456"),
        }.items()
        if isinstance(caller := judge(request, **MODES[mode]), Caller)
    }
    assert roles == {
        ("none", "socket"): "owner",
        ("none", "here"): "owner",
        ("none", "proxied socket"): "user",
        ("none", "proxied"): "user",
        ("none", "tunnel"): "user",
        ("shared", "socket"): "owner",
        ("multi", "socket"): "owner",
        # Else a key of the role user would be worth less than none.
        ("multi", "here"): "user",
    }


def test_what_a_key_may_is_what_its_record_says() -> None:
    caller = judge(ask("ocp_laptop"), **MODES["multi"])
    assert isinstance(caller, Caller)
    assert (caller.models, caller.servers, caller.key_id) == (("m",), ("files",), 7)


def test_who_can_be_anybody_runs_nothing_on_this_machine() -> None:
    tools = {
        (mode, place, token): caller.own_tools
        for mode, place, token in [
            ("none", "here", None),
            ("none", "afar", None),
            ("none", "proxied", None),
            ("shared", "afar", "first"),
            ("multi", "afar", "everybody"),
            ("multi", "afar", "the-admin-key"),
        ]
        if isinstance(caller := judge(request_from(place, token), **MODES[mode]), Caller)
    }
    assert list(tools.values()) == [None, (), (), None, (), None]


def test_nothing_is_shared_between_two_callers() -> None:
    scopes = [
        judge(request, **MODES[mode])
        for mode, request in [
            ("none", ask()),
            ("none", ask(peer="::1", host="[::1]")),
            ("none", ask(uid=0)),
            ("none", ask(uid=1)),
            ("none", ask(x_forwarded_for="10.0.0.1")),
            ("none", ask(x_forwarded_for="10.0.0.2")),
            ("none", ask(peer="::ffff:127.0.0.1", x_forwarded_for="10.0.0.3")),
            ("none", ask(peer="::ffff:127.0.0.1", x_forwarded_for="10.0.0.4")),
            ("shared", ask("first")),
            ("shared", ask("second")),
            ("multi", ask("ocp_laptop")),
            ("multi", ask("ocp_named")),
            ("multi", ask("everybody")),
            ("multi", ask("the-admin-key")),
        ]
    ]
    assert len({caller.scope for caller in scopes if isinstance(caller, Caller)}) == len(scopes)


def test_a_shared_key_keeps_its_conversations_when_another_is_taken_away() -> None:
    before = judge(ask("second"), auth_mode="shared", shared_keys="first,second")
    after = judge(ask("second"), auth_mode="shared", shared_keys="second")
    assert isinstance(before, Caller)
    assert isinstance(after, Caller)
    assert before.scope == after.scope


# Without a key.


@pytest.mark.parametrize("mode", MODES)
def test_a_user_on_the_unix_socket_needs_no_key(mode: str) -> None:
    request = ask(peer="", uid=1000, host="whatever.example")
    assert outcome(request, **MODES[mode], loopback_chat=False) == "local"
    # What a proxy passes on is not his.
    assert outcome(ask(peer="", uid=1000, via="x"), **MODES[mode]) != "local"


def test_local_chat_can_be_switched_off() -> None:
    assert outcome(ask(), auth_mode="multi", loopback_chat=False) == "no_token"
    error = judge(ask(), auth_mode="multi", loopback_chat=False)
    assert "loopbackChat" in str(error)
    assert outcome(ask(), auth_mode="none", loopback_chat=False) == "local"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:1", "local"),
        ("host.docker.internal:3456", "local"),
        ("MyHost", "local"),
        # Ours to be asked by, but not from here: a tunnel that adds no header shows by it.
        ("claude.lan", "no_token"),
        ("192.168.1.2:3456", "no_token"),
        ("evil.example", "foreign_host"),
        ("", "foreign_host"),
    ],
)
def test_local_chat_is_for_names_of_this_machine(host: str, expected: str) -> None:
    assert outcome(ask(host=host), auth_mode="multi", allowed_hosts="claude.lan") == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("token", [None, "ocp_nobody_knows", "everybody"])
@pytest.mark.parametrize(
    ("headers", "code", "setting"),
    [
        ({"host": "evil.example"}, "foreign_host", "allowedHosts"),
        ({"origin": "https://evil.example"}, "foreign_origin", "corsOrigins"),
        ({"origin": "null"}, "foreign_origin", "corsOrigins"),
    ],
)
def test_without_a_key_of_ones_own_a_foreign_page_or_name_is_refused(
    mode: str, token: str | None, headers: dict[str, str], code: str, setting: str
) -> None:
    error = judge(ask(token, **headers), **MODES[mode])
    assert isinstance(error, OcpdError)
    assert (error.status, error.code) == (403, code)
    assert setting in error.message


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "https://evil.example"}])
def test_with_a_key_host_and_origin_do_not_matter(headers: dict[str, str]) -> None:
    assert outcome(ask("ocp_laptop", "192.0.2.1", **headers), **MODES["multi"]) == "laptop"
    assert outcome(ask("first", "192.0.2.1", **headers), **MODES["shared"]) == "shared"


def test_hosts_and_pages_can_be_allowed() -> None:
    settings = {"allowed_hosts": "claude.lan", "cors_origins": "https://chat.example"}
    assert outcome(ask(host="claude.lan"), **settings) == "remote"
    assert outcome(ask(origin="https://chat.example"), **settings) == "local"
    assert outcome(ask(origin="https://chat.example:444"), **settings) == "foreign_origin"
    assert outcome(ask(origin="http://127.0.0.1:3456")) == "local"


def test_an_address_is_a_name_of_ours_only_where_others_can_reach_it() -> None:
    request = ask(peer="192.168.1.9", host="192.168.1.2")
    assert outcome(request, bind="0.0.0.0") == "remote"
    assert outcome(request, bind="127.0.0.1") == "foreign_host"


# Refusals.


@pytest.mark.parametrize(("mode", "token"), [("shared", None), ("multi", "x"), ("shared", "x")])
def test_a_missing_or_wrong_key_is_401_in_the_shape_of_old(mode: str, token: str | None) -> None:
    error = judge(ask(token, "192.0.2.1", host="192.0.2.2"), **MODES[mode])
    assert isinstance(error, Unauthorized)
    assert (error.status, error.kind) == (401, "auth_error")
    assert "x" not in error.message.split()


def test_two_keys_that_differ_are_refused_where_a_key_counts() -> None:
    both = ask("ocp_laptop", x_api_key="ocp_named")
    assert outcome(both, **MODES["multi"]) == "two_tokens"
    assert outcome(ask("junk", x_api_key="ocp_named"), **MODES["none"]) == "administrator"
    assert outcome(ask("ocp_laptop", x_api_key="ocp_laptop"), **MODES["multi"]) == "laptop"


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic dTpw", "sk-123"])
def test_what_is_no_key_counts_as_none(header: str) -> None:
    assert outcome(ask(authorization=header), **MODES["multi"]) == "local"
    assert outcome(ask(authorization=header), **MODES["shared"]) == "no_token"


# Guessing.


def test_who_guesses_has_to_wait_and_nobody_else() -> None:
    now = [0.0]
    keeper = make_doorkeeper(RING, Sentry(lambda: now[0]), bind="::", **MODES["multi"])
    afar = {"peer": "192.0.2.1", "host": "192.0.2.2"}

    def code(token: str, **where: str) -> tuple[str, int | None]:
        try:
            return keeper.admit(ask(token, **where)).name, None
        except OcpdError as error:
            return str(error.code), error.retry_after_s

    assert code("ocp_named", **afar) == ("administrator", None)
    assert [code(f"wrong-{n}", **afar)[0] for n in range(10)] == ["bad_token"] * 10
    assert code("wrong", **afar) == ("too_many_wrong_keys", 1)
    # Not even the right one, unless it was used from there before.
    assert code("ocp_laptop", **afar) == ("too_many_wrong_keys", 1)
    assert code("ocp_named", **afar) == ("administrator", None)
    assert code("ocp_laptop", peer="192.0.2.7", host="192.0.2.2") == ("laptop", None)
    now[0] = 1.0
    assert code("wrong", **afar)[0] == "bad_token"
    assert code("ocp_laptop", **afar) == ("too_many_wrong_keys", 2)
    now[0] = 3.0
    assert code("ocp_laptop", **afar) == ("laptop", None)


def test_where_no_key_is_asked_for_no_guess_is_counted() -> None:
    keeper = make_doorkeeper(RING, bind="::")
    for _ in range(100):
        assert keeper.admit(ask("not-needed")).name == "local"
        assert keeper.admit(ask("not-needed", "192.0.2.1", host="192.0.2.2")).name == "remote"


def test_guesses_against_the_public_page_count_too() -> None:
    keeper = make_doorkeeper(RING, Sentry(lambda: 0.0), bind="::", **MODES["multi"])
    afar = {"peer": "192.0.2.1", "host": "192.0.2.2"}
    for number in range(20):
        assert not keeper.sees_all(ask(f"wrong-{number}", **afar))
    assert not keeper.sees_all(ask("ocp_laptop", **afar))


# Who sees all of /health.


@pytest.mark.parametrize(
    ("mode", "token", "place", "expected"),
    [
        ("none", None, "here", True),
        ("none", None, "afar", False),
        ("none", "the-admin-key", "afar", False),
        ("none", "ocp_laptop", "afar", True),
        ("shared", None, "here", True),
        ("shared", None, "afar", False),
        ("shared", "first", "afar", True),
        ("multi", None, "here", True),
        ("multi", None, "proxied", False),
        ("multi", "everybody", "afar", False),
        ("multi", "ocp_laptop", "afar", True),
        ("multi", "the-admin-key", "proxied", True),
        ("multi", "ocp_nobody_knows", "afar", False),
    ],
)
def test_who_sees_all(mode: str, token: str | None, place: str, expected: bool) -> None:
    keeper = make_doorkeeper(RING, bind="::", **MODES[mode])
    assert keeper.sees_all(request_from(place, token)) is expected


# Addresses.


@pytest.mark.parametrize(
    ("request_", "may"),
    [
        (ask(), True),
        (ask(peer="", uid=5), True),
        (ask(peer="192.168.1.5"), True),
        (ask(peer="192.168.2.5"), False),
        # A proxy on this machine is not this machine.
        (ask(via="proxy"), False),
        (ask(peer="10.0.0.1", x_forwarded_for="192.168.1.5"), True),
        (ask(peer="10.0.0.1", x_forwarded_for="192.168.2.5"), False),
    ],
)
def test_only_addresses_of_the_list_may_connect(request_: Request, may: bool) -> None:
    keeper = make_doorkeeper(allowed_addresses="192.168.1.0/24", trusted_proxies="10.0.0.1")
    make_doorkeeper().check_address(request_)
    if may:
        keeper.check_address(request_)
        return
    with pytest.raises(Refused, match="allowedAddresses") as caught:
        keeper.check_address(request_)
    assert (caught.value.status, caught.value.code) == (403, "address_not_allowed")


def test_a_guarded_handler_is_not_reached_by_a_stranger() -> None:
    reached: list[str] = []

    async def handler(exchange: Exchange) -> None:
        reached.append(exchange.request.path)
        await exchange.respond(Response(200))

    async def main() -> None:
        guarded = make_doorkeeper(auth_mode="shared", shared_keys="first").guard(handler)
        with pytest.raises(Unauthorized):
            await guarded(make_exchange(Link(), headers={"host": "localhost"}))
        assert reached == []
        link = Link()
        await guarded(make_exchange(link, headers={"x-api-key": "first"}))
        assert (reached, link.status) == (["/x"], 200)

    run(main())


# For how long.


def left(ring: Ring, token: str | None, caller: Caller | None = None, **changes: str) -> float:
    """For how long who came with ``token`` under authMode multi may stay after ``changes``."""
    keeper = make_doorkeeper(ring, **MODES["multi"])
    request = ask(token)
    found = caller or keeper.admit(request)
    keeper.doors = make_doorkeeper(ring, **(MODES["multi"] | changes)).doors
    return keeper.time_left(request, found)


def test_who_holds_a_key_holds_it_until_it_ends() -> None:
    forever = (None, "the-admin-key", "everybody", "ocp_laptop")
    assert [left(RING, token) for token in forever] == [math.inf] * 4
    soon = msgspec.structs.replace(LAPTOP, expires_at=wall_clock() + 600)
    assert 0 < left(Ring({"ocp_soon": soon}), "ocp_soon") <= 600
    then = msgspec.structs.replace(LAPTOP, expires_at=wall_clock() - 1)
    assert left(Ring({"ocp_then": then}), "ocp_then") == 0


def test_a_key_that_is_another_one_by_now_has_ended() -> None:
    holder = Caller("laptop", 7, key_stamp="1.0", kind=Kind.KEY)
    assert left(RING, "ocp_laptop", holder) == math.inf
    assert left(Ring(), "ocp_laptop", holder) == 0
    # The same number, in a store that was restored.
    assert left(RING, "ocp_laptop", msgspec.structs.replace(holder, key_stamp="0.5")) == 0


def test_a_key_that_many_hold_ends_when_it_is_taken_away() -> None:
    assert left(RING, "everybody", anonymous_key="somebody") == 0
    assert left(RING, "ocp_laptop", anonymous_key="somebody") == math.inf
    assert left(RING, "everybody", auth_mode="shared") == 0
    assert left(RING, None, auth_mode="shared") == math.inf
    # Where no key is asked for any more, nobody has lost one.
    assert left(RING, "everybody", auth_mode="none", anonymous_key="") == math.inf
    assert left(Ring(), "ocp_laptop", Caller("laptop", 7, kind=Kind.KEY), auth_mode="none") == 0


def test_to_look_again_is_no_guess() -> None:
    keeper = make_doorkeeper(RING, **MODES["multi"])
    caller = keeper.admit(ask("ocp_laptop"))
    for _ in range(20):
        assert keeper.time_left(ask("ocp_nobody_knows"), caller) == 0
    with pytest.raises(Unauthorized):
        keeper.admit(ask("ocp_nobody_knows"))
