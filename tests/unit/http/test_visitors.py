"""Promise: an address counts as far as it cannot be made up, and a proxy's is nobody's own."""

import pytest

from ocpd.http.message import Headers, Request
from ocpd.http.visitors import Visitor, is_in, locate
from ocpd.settings.doors import read_doors
from ocpd.settings.values import Settings

PROXIES = read_doors(Settings(trusted_proxies="127.0.0.1,::1,10.0.0.0/24")).proxies


def ask(peer: str = "127.0.0.1", uid: int | None = None, **headers: str) -> Request:
    found = [(n.replace("_", "-").encode(), v.encode("latin-1")) for n, v in headers.items()]
    return Request("GET", "/x", "/x", "", Headers(found), "1.1", peer, uid)


@pytest.mark.parametrize(
    ("peer", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:192.0.2.1", False),
        ("fe80::1%eth0", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_else(peer: str, is_local: bool) -> None:
    assert locate(ask(peer)).is_local is is_local


def test_a_user_on_the_unix_socket_is_local_unless_a_proxy_speaks_for_him() -> None:
    assert locate(ask("", 1000)) == Visitor("", False, True)
    assert locate(ask("", 1000, via="1.1 proxy"), PROXIES) == Visitor("", True, False)


@pytest.mark.parametrize(
    "header",
    [
        "forwarded",
        "via",
        "x_real_ip",
        "x_forwarded_for",
        "x_forwarded_host",
        "cf_connecting_ip",
        "true_client_ip",
        "x_client_ip",
    ],
)
@pytest.mark.parametrize("proxies", [(), PROXIES])
def test_what_a_proxy_passed_on_is_never_local(header: str, proxies: tuple[()]) -> None:
    visitor = locate(ask(**{header: "127.0.0.1"}), proxies)
    assert (visitor.is_forwarded, visitor.is_local) == (True, False)


@pytest.mark.parametrize(
    ("peer", "told", "address"),
    [
        # Who is no trusted proxy is not believed.
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        # What stands before the last one may be made up.
        ("127.0.0.1", "127.0.0.1, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "198.51.100.1, 10.0.0.7", "198.51.100.1"),
        ("127.0.0.1", "evil, 198.51.100.1, 10.0.0.7", "198.51.100.1"),
        ("::ffff:10.0.0.3", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "198.51.100.1:5000", "198.51.100.1"),
        ("127.0.0.1", "[2001:db8::1]:5000", "2001:db8::1"),
        # All trusted, or nothing to read: the nearest that is known.
        ("127.0.0.1", "10.0.0.7", "10.0.0.7"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", ", 10.0.0.7", "10.0.0.7"),
    ],
)
def test_the_last_address_that_is_no_proxys_counts(peer: str, told: str, address: str) -> None:
    visitor = locate(ask(peer, x_forwarded_for=told), PROXIES)
    assert (visitor.address, visitor.is_local) == (address, False)


def test_networks_hold_addresses_and_nothing_else() -> None:
    assert is_in("10.0.0.255", PROXIES)
    assert is_in("::ffff:10.0.0.255", PROXIES)
    assert not is_in("10.0.1.0", PROXIES)
    assert not is_in("", PROXIES)
