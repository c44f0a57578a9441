"""Promise: without a key only programs on this machine are served, never a foreign web page."""

import pytest

from ocpd.api.access import check_caller, guard
from ocpd.errors import Refused
from ocpd.http.exchange import Exchange
from ocpd.http.message import Headers, Request, Response
from tests.unit.api.stage import Link, make_exchange
from tests.unit.http.stage import run


def ask(target: str = "/x", **given: str) -> Request:
    found = Headers((k.encode(), v.encode("latin-1")) for k, v in given.items())
    return Request("POST", target, "/x", "", found, "1.1", "127.0.0.1")


@pytest.mark.parametrize("host", ["localhost:3456", "[::1]", "[::1]:3456", "127.0.0.1:1"])
def test_a_port_does_not_matter(host: str) -> None:
    check_caller(ask(host=host))


def test_a_caller_without_a_host_is_no_browser() -> None:
    check_caller(ask())


@pytest.mark.parametrize(
    "host", ["[::1", "[::1]evil", "localhost:3456:evil", "localhost:80@evil.example", "[localhost]"]
)
def test_an_odd_host_opens_the_door_to_no_page(host: str) -> None:
    with pytest.raises(Refused) as caught:
        check_caller(ask(host=host))
    assert (caught.value.status, caught.value.code) == (403, "foreign_host")


def test_a_foreign_name_in_the_target_counts_for_more_than_host() -> None:
    with pytest.raises(Refused) as caught:
        check_caller(ask("http://evil.example/health", host="localhost"))
    assert caught.value.code == "foreign_host"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_origin_of_our_own_pages_is_the_host_that_was_asked(scheme: str) -> None:
    check_caller(ask(host="localhost:3456", origin=f"{scheme}://localhost:3456"))


@pytest.mark.parametrize(
    "origin", ["null", "", "http://localhost", "http://127.0.0.1:3456", "https://evil.example"]
)
def test_any_other_origin_is_refused(origin: str) -> None:
    with pytest.raises(Refused) as caught:
        check_caller(ask(host="localhost:3456", origin=origin))
    assert (caught.value.status, caught.value.code) == (403, "foreign_origin")


def test_a_guarded_handler_is_not_reached_by_a_stranger() -> None:
    reached: list[str] = []

    async def handler(exchange: Exchange) -> None:
        reached.append(exchange.request.path)
        await exchange.respond(Response(200))

    async def main() -> None:
        with pytest.raises(Refused):
            await guard(handler)(make_exchange(Link(), headers={"host": "evil.example"}))
        assert reached == []
        link = Link()
        await guard(handler)(make_exchange(link, headers={"host": "localhost"}))
        assert (reached, link.status) == (["/x"], 200)

    run(main())
