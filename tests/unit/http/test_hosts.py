"""Promise: a name is read whole or not at all, and only this machine's own names open a door."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpd.errors import Refused
from ocpd.http.hosts import (
    Authority,
    check_host,
    check_origin,
    is_address,
    is_loopback,
    parse_authority,
    refuse_strangers,
)
from ocpd.http.message import Headers, Request


def ask(*headers: tuple[str, str], target: str = "/x") -> Request:
    found = Headers((name.encode(), value.encode("latin-1")) for name, value in headers)
    return Request("GET", target, "/x", "", found, "1.1", "127.0.0.1")


def code(*headers: tuple[str, str], target: str = "/x") -> str | None:
    """Why a request is refused, or None."""
    try:
        refuse_strangers(ask(*headers, target=target))
    except Refused as refused:
        return refused.code
    return None


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost", "localhost", ""),
        ("LocalHost.:80", "localhost", "80"),
        ("127.0.0.1:65535", "127.0.0.1", "65535"),
        ("[::1]", "::1", ""),
        ("[0:0:0:0:0:0:0:1]:3456", "::1", "3456"),
        ("my_box-2.lan:1", "my_box-2.lan", "1"),
    ],
)
def test_a_host_and_its_port_are_told_apart(text: str, host: str, port: str) -> None:
    assert parse_authority(text) == Authority(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ":80",
        "localhost..",
        "localhost:",
        "localhost:evil",
        "localhost:123456",
        "localhost:65536",
        "localhost:80:80",
        "localhost:80@evil.com",
        "user@localhost",
        "localhost@evil.com",
        "localhost, evil.com",
        "localhost\tevil",
        " localhost",
        "localhost\n",
        "localhost/x",
        "localhost\\@evil.com",
        "localhost#x",
        "localhost?x",
        "local%68ost",
        "::1",
        "[::1",
        "::1]",
        "[::1]evil.com",
        "[::1]:",
        "[::1]:x",
        "[::1%evil.com]",
        "[::1%25lo]",
        "[localhost]",
        "[127.0.0.1]",
        "[]",
        "[v1.x]",
        "l\xf6calhost",
        "127.0.0.1:\xb2",
    ],
)
def test_what_is_not_wholly_a_host_and_port_is_nothing(text: str) -> None:
    assert parse_authority(text) is None
    assert code(("host", text)) == "foreign_host"


@given(st.text(st.characters(max_codepoint=255), max_size=300))
@settings(deadline=None, database=None)
def test_what_any_text_is_read_as_stands_in_it(text: str) -> None:
    found = parse_authority(text)
    if found is not None and ":" not in found.host:
        assert text.lower().startswith(found.host)
        assert text.endswith(found.port)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.255.1.2", "::1", "::ffff:127.0.0.1"]
)
def test_names_and_addresses_of_this_machine_are_its_own(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "example.com", "localhost.example.com", "127.0.0.1.nip.io", "127.1", "0.0.0.0"),
        *("2130706433", "0x7f.1", "192.168.1.7", "::", "fe80::1", "::ffff:192.0.2.1"),
    ],
)
def test_all_others_are_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("192.168.1.7", True), ("fe80::1", True), ("box.lan", False), ("", False)],
)
def test_an_address_is_told_from_a_name(host: str, expected: bool) -> None:
    assert is_address(host) is expected


def test_an_ipv4_address_may_be_dressed_as_an_ipv6_one() -> None:
    assert code(("host", "[::FFFF:127.0.0.1]:1")) is None


def test_a_request_without_a_host_is_no_browsers() -> None:
    assert code() is None


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (("localhost", "localhost"), None),
        (("localhost", "127.0.0.1"), "foreign_host"),
        (("localhost", "evil.com"), "foreign_host"),
        (("evil.com", "localhost"), "foreign_host"),
    ],
)
def test_several_hosts_that_differ_are_refused(hosts: tuple[str, ...], expected: str) -> None:
    assert code(*(("host", host) for host in hosts)) == expected


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        ("http://localhost:1/x", "localhost:1", None),
        ("HTTP://127.0.0.1", "evil.com", None),
        ("http://[::1]:1?q=/", "localhost", None),
        ("http://evil.com/x", "localhost", "foreign_host"),
        ("https://evil.com?http://localhost/", "localhost", "foreign_host"),
        ("http://localhost@evil.com/x", "localhost", "foreign_host"),
        ("http://evil.com#@localhost/x", "localhost", "foreign_host"),
        ("http://evil.com\\@localhost/x", "localhost", "foreign_host"),
        ("http:///x", "localhost", "foreign_host"),
        ("*", "evil.com", "foreign_host"),
        ("*", "localhost", None),
        ("/http://localhost/", "evil.com", "foreign_host"),
    ],
)
def test_a_target_that_names_a_host_counts_and_host_does_not(
    target: str, host: str, expected: str | None
) -> None:
    # RFC 9112, 3.2.2.
    assert code(("host", host), target=target) == expected


@pytest.mark.parametrize(
    "origin", ["http://localhost:1", "https://localhost:1", "HTTP://LOCALHOST:1"]
)
def test_a_page_of_the_host_that_was_asked_is_our_own(origin: str) -> None:
    assert code(("host", "LocalHost:1"), ("origin", origin)) is None


@pytest.mark.parametrize(
    "origins",
    [
        ("null",),
        ("",),
        ("http://localhost",),
        ("http://127.0.0.1:1",),
        ("https://evil.com",),
        ("http://localhost:1/",),
        ("http://localhost:1 http://evil.com",),
        ("http://localhost:1", "http://evil.com"),
        ("http://localhost:1", "https://localhost:1"),
    ],
)
def test_any_other_page_is_refused_and_so_are_two(origins: tuple[str, ...]) -> None:
    found = code(("host", "localhost:1"), *(("origin", origin) for origin in origins))
    assert found == "foreign_origin"


def test_the_origin_is_held_against_the_host_of_the_target() -> None:
    request = ask(("host", "evil.com"), ("origin", "http://evil.com"), target="http://localhost/x")
    with pytest.raises(Refused, match=r"evil\.com"):
        check_origin(request)


def test_a_refusal_is_a_short_403() -> None:
    for headers in ([("host", "x" * 60_000)], [("host", "localhost"), ("origin", "x" * 60_000)]):
        with pytest.raises(Refused) as caught:
            refuse_strangers(ask(*headers))
        assert caught.value.status == 403
        assert len(caught.value.message) < 300


def test_who_counts_as_own_is_up_to_the_asker() -> None:
    check_host(ask(("host", "Box.lan:3456")), {"box.lan"}.__contains__)
    with pytest.raises(Refused):
        check_host(ask(("host", "localhost")), {"box.lan"}.__contains__)
