"""Promise: without a key only programs on this machine are served, never a foreign web page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.api.access import check_caller, guard, is_own_host
from ocpd.errors import Refused
from ocpd.http.exchange import Exchange
from ocpd.http.message import Headers, Response
from tests.unit.api.stage import Link, make_exchange
from tests.unit.http.stage import run


def headers(**given_ones: str) -> Headers:
    return Headers((k.encode(), v.encode("latin-1")) for k, v in given_ones.items())


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost.", "127.0.0.1", "127.255.1.2", "::1", "0:0:0:0:0:0:0:1"]
)
def test_names_and_addresses_of_this_machine_are_ours(host: str) -> None:
    assert is_own_host(host)


@pytest.mark.parametrize(
    "host",
    ["", ".", "example.com", "localhost.example.com", "127.0.0.1.nip.io", "127.1", "0.0.0.0", "::"],
)
def test_all_others_are_not(host: str) -> None:
    assert not is_own_host(host)


@pytest.mark.parametrize("host", ["localhost:3456", "[::1]", "[::1]:3456", "127.0.0.1:1"])
def test_a_port_does_not_matter(host: str) -> None:
    check_caller(headers(host=host))


def test_a_caller_without_a_host_is_no_browser() -> None:
    check_caller(headers())


@pytest.mark.parametrize("host", ["[::1", "[::1]evil", "localhost:3456:evil"])
def test_an_odd_host_opens_the_door_to_no_page(host: str) -> None:
    with pytest.raises(Refused):
        check_caller(headers(host=host, origin="http://evil.example"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_origin_of_our_own_pages_is_the_host_that_was_asked(scheme: str) -> None:
    check_caller(headers(host="localhost:3456", origin=f"{scheme}://localhost:3456"))


@pytest.mark.parametrize(
    "origin", ["null", "", "http://localhost", "http://127.0.0.1:3456", "https://evil.example"]
)
def test_any_other_origin_is_refused(origin: str) -> None:
    with pytest.raises(Refused) as caught:
        check_caller(headers(host="localhost:3456", origin=origin))
    assert (caught.value.status, caught.value.code) == (403, "foreign_origin")


@given(st.text(st.characters(max_codepoint=255), max_size=300))
def test_any_host_is_either_ours_or_refused_in_few_words(host: str) -> None:
    verdict = judge(host)
    assert verdict is None or (verdict.status == 403 and len(verdict.message) < 800)
    names = {host.partition(":")[0], host.removeprefix("[").partition("]")[0]}
    assert verdict is not None or any(map(is_own_host, names))


def judge(host: str) -> Refused | None:
    try:
        check_caller(headers(host=host))
    except Refused as refused:
        return refused
    return None


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
