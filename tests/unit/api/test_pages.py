"""Promise: only pages of the setting are shown an answer, and a preflight lets nobody in."""

import pytest

from ocpd.api.pages import EXPOSED, REQUEST_HEADERS, page_headers, preflight_headers, show_to_pages
from ocpd.http.body import Body
from ocpd.http.exchange import Exchange
from ocpd.http.message import Headers, Request, Response
from ocpd.settings.doors import read_doors
from ocpd.settings.values import Settings
from tests.unit.api.stage import Link
from tests.unit.http.stage import run

PAGE = "https://chat.example"
DOORS = read_doors(Settings(cors_origins=f"{PAGE},http://localhost:5173"))


def ask(method: str = "GET", path: str = "/v1/models", **headers: str) -> Request:
    found = [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
    return Request(method, path, path, "", Headers(found), "1.1", "127.0.0.1")


def answer_to(request: Request, origins: str = PAGE) -> tuple[Link, bool]:
    """What is sent, and whether the handler was reached."""
    link, reached = Link(), False

    async def handler(exchange: Exchange) -> None:
        nonlocal reached
        reached = True
        await exchange.respond(Response(200, (("x-request-id", "1"),)))

    doors = read_doors(Settings(cors_origins=origins))
    body = Body(0)
    body.end()
    run(show_to_pages(handler, lambda: doors)(Exchange(request, body, link)))
    return link, reached


def test_a_page_of_the_setting_is_shown_the_answer_and_its_headers() -> None:
    link, _ = answer_to(ask(origin=PAGE))
    assert link.headers["access-control-allow-origin"] == PAGE
    assert link.headers["vary"] == "Origin"
    exposed = link.headers["access-control-expose-headers"].split(", ")
    assert {"x-request-id", "retry-after", "x-ratelimit-remaining-tokens"} <= set(exposed)
    assert "access-control-allow-credentials" not in link.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", PAGE + ":444", PAGE + "/", ""])
def test_another_page_is_shown_nothing(origin: str) -> None:
    for method in ("GET", "OPTIONS"):
        link, _ = answer_to(ask(method, origin=origin))
        assert not [name for name in link.headers if name.startswith("access-control")]
        assert link.headers["vary"] == "Origin"


def test_without_the_setting_nothing_is_said() -> None:
    link, _ = answer_to(ask(origin=PAGE), origins="")
    assert set(link.headers) == {"x-request-id"}


@pytest.mark.parametrize("origins", ["", PAGE])
def test_a_preflight_is_204_and_goes_no_further(origins: str) -> None:
    request = ask(
        "OPTIONS",
        "/v1/chat/completions",
        origin=PAGE,
        access_control_request_method="POST",
        access_control_request_headers="authorization,X-Stainless-Lang,evil header",
    )
    link, reached = answer_to(request, origins)
    assert (link.status, link.sent, reached) == (204, b"", False)
    assert ("access-control-allow-origin" in link.headers) is bool(origins)
    if origins:
        allowed = link.headers["access-control-allow-headers"].split(", ")
        assert allowed == [*REQUEST_HEADERS, "x-stainless-lang"]
        assert "POST" in link.headers["access-control-allow-methods"]


def test_a_page_of_the_wide_net_may_ask_a_machine_of_the_near_one() -> None:
    request = ask("OPTIONS", origin=PAGE, access_control_request_private_network="true")
    found = dict(preflight_headers(request, DOORS.origins))
    assert found["access-control-allow-private-network"] == "true"
    assert dict(preflight_headers(ask("OPTIONS"), DOORS.origins)) == {}


@pytest.mark.parametrize("path", ["/health", "/status", "/api/keys", "/v1", "/v1x/models"])
def test_what_is_not_the_api_is_for_no_page(path: str) -> None:
    for method in ("GET", "OPTIONS"):
        link, reached = answer_to(ask(method, path, origin=PAGE))
        assert reached
        assert set(link.headers) == {"x-request-id"}


def test_two_origins_are_none() -> None:
    fields = [(b"origin", PAGE.encode()), (b"origin", PAGE.encode())]
    request = Request("GET", "/v1/x", "/v1/x", "", Headers(fields), "1.1", "")
    assert page_headers(request, DOORS.origins) == (("vary", "Origin"),)
    assert EXPOSED
