"""Who asks: a key of ours, else whoever is at the other end."""

import msgspec

from ocpd.api.callers import identify
from ocpd.http.message import Headers, Request
from ocpd.turn.caller import Caller


def ask(*headers: tuple[str, str], peer: str = "127.0.0.1", uid: int | None = None) -> Caller:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    request = msgspec.structs.replace(PLAIN, headers=Headers(raw), peer=peer, uid=uid)
    return identify(request, lambda _: None)


PLAIN = Request("GET", "/", "/", "", Headers(()), "1.1", "127.0.0.1")


def test_an_address_is_one_caller_and_a_user_of_this_machine_another() -> None:
    scopes = {ask().scope, ask(peer="::1").scope, ask(uid=0).scope, ask(uid=1).scope}
    assert len(scopes) == 4


def test_those_behind_a_proxy_are_told_apart_by_what_it_says() -> None:
    one, two = ask(("x-forwarded-for", "10.0.0.1")), ask(("x-forwarded-for", "10.0.0.2"))
    assert len({ask().scope, one.scope, two.scope}) == 3


def test_a_token_that_nobody_knows_is_none() -> None:
    assert ask(("authorization", "Bearer x")) == ask()
