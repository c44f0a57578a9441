"""Who comes in at a real daemon: modes, keys, revocation, guesses, pages and addresses, asked for
over real sockets. A caller from another machine is one that a trusted proxy speaks for."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from tests.kit.fake_script import Answer, Silent
from tests.wire.conftest import OpenStage
from tests.wire.operator import Operator, ask_unix, bearer
from tests.wire.process import environ_of, run
from tests.wire.stage import Caller, Page, Stage, body_of, fetch, quick

CHAT = "/v1/chat/completions"
PAGE = "https://chat.example"


@pytest.fixture
def open_doors(open_fake: OpenStage) -> Any:
    """Opens daemons whose loopback peers are trusted proxies."""

    def start(script: Any = (), **settings: Any) -> AbstractContextManager[Stage]:
        told = {"trusted_proxies": "127.0.0.1", **settings}
        return open_fake(script, settings=quick(**told))

    return start


def operator_of(stage: Stage, tmp_path: Path) -> Operator:
    return Operator(stage.daemon.socket, tmp_path)


def chat(stage: Stage, token: str | None = None, **headers: str) -> Page:
    told = {"content-type": "application/json"} | ({} if token is None else bearer(token))
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    return fetch(stage.daemon.port, "POST", CHAT, body_of("hello"), told)


def get(stage: Stage, path: str, token: str | None = None, **headers: str) -> Page:
    told = {} if token is None else bearer(token)
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    return fetch(stage.daemon.port, "GET", path, headers=told)


def refused(page: Page, status: int, code: str) -> Page:
    assert (page.status, page.error["code"]) == (status, code)
    return page


# The modes.


def test_in_multi_a_key_is_needed_from_afar_and_not_here(open_doors: Any, tmp_path: Path) -> None:
    with open_doors(auth_mode="multi") as stage:
        operator = operator_of(stage, tmp_path)
        secret = operator.add_key("laptop")
        afar = {"x_forwarded_for": "192.0.2.9"}
        assert chat(stage).status == 200
        page = refused(chat(stage, **afar), 401, "no_token")
        assert page.error["type"] == "auth_error"
        assert page.headers["www-authenticate"].startswith("Bearer")
        assert chat(stage, secret, **afar).status == 200
        assert chat(stage, None, x_api_key=secret, **afar).status == 200
        assert get(stage, "/v1/models", secret, **afar).status == 200
        refused(get(stage, "/v1/models", **afar), 401, "no_token")
        # A wrong one is wrong here too, and so is a revoked one.
        refused(chat(stage, "ocp_wrong"), 401, "bad_token")
        operator.does("keys", "revoke", "laptop")
        refused(chat(stage, secret), 401, "bad_token")
        with (
            openai.OpenAI(
                base_url=f"{stage.daemon.url}/v1", api_key=secret, max_retries=0
            ) as client,
            pytest.raises(openai.AuthenticationError, match="unknown, revoked or expired"),
        ):
            client.models.list()
        used = {
            row["key_name"]: row["requests"] for row in operator.told("usage", "--by-key")["byKey"]
        }
        assert used == {"laptop": 2, "local": 1}


def test_in_shared_every_key_is_counted_by_itself(open_doors: Any, tmp_path: Path) -> None:
    with open_doors(shared_keys="first-key, second-key") as stage:
        operator = operator_of(stage, tmp_path)
        refused(chat(stage), 401, "no_token")
        assert chat(stage, "first-key").status == 200
        assert chat(stage, "second-key", x_forwarded_for="192.0.2.9").status == 200
        refused(chat(stage, operator.add_key("laptop")), 401, "bad_token")
        # Whoever has the machine has the socket.
        told = {"content-type": "application/json"}
        page = ask_unix(stage.daemon.socket, "POST", CHAT, body_of("hello"), told)
        assert page.status == 200
        used = {
            row["key_name"]: row["requests"] for row in operator.told("usage", "--by-key")["byKey"]
        }
        assert used == {"shared": 1, "shared-2": 1, "local": 1}
        own = get(stage, "/api/usage", "second-key", x_forwarded_for="192.0.2.9")
        assert [row["key_name"] for row in own.json()["byKey"]] == ["shared-2"]
        refused(get(stage, "/status", "first-key", x_forwarded_for="192.0.2.9"), 403, "not_admin")
        for shown in ("settings", "health", "audit"):
            assert "-key" not in operator.does("--json", shown).replace("admin-key", "")
        assert "not kept in the database" in operator.fails("settings", "sharedKeys", "other")


def test_the_mode_can_be_changed_while_it_runs(open_doors: Any, tmp_path: Path) -> None:
    with open_doors(trusted_proxies="") as stage:
        operator = operator_of(stage, tmp_path)
        assert chat(stage, "anything").status == 200
        operator.does("settings", "authMode", "multi")
        refused(chat(stage, "anything"), 401, "bad_token")
        assert get(stage, "/health").json()["authMode"] == "multi"
        assert "sharedKeys" in operator.fails("settings", "authMode", "shared")
        operator.does("settings", "loopbackChat", "false")
        refused(chat(stage), 401, "no_token")
        # It names what does not fit, and changes nothing.
        assert "corsOrigins" in operator.fails("settings", "corsOrigins", "chat.example")
        assert "trustedProxies" in operator.fails("settings", "trustedProxies", "10.0.0.1/8")


def test_a_door_that_stands_open_is_said_to(
    open_doors: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_doors() as stage:
        operator = operator_of(stage, tmp_path)
        (warning,) = get(stage, "/health").json()["warnings"]
        assert "authMode" in warning
        assert warning in operator.does("status")
        assert warning in operator.does("health")
        assert "door_is_open" in caplog.text
        operator.does("settings", "authMode", "multi")
        assert get(stage, "/health").json()["warnings"] == []


STARTS = {
    "shared without a key": ({"CLAUDE_AUTH_MODE": "shared"}, ["authMode", "PROXY_API_KEYS"]),
    "keys asked for and none": ({"REQUIRE_AUTH": "true"}, ["REQUIRE_AUTH", "multi"]),
    "a page that is none": ({"OCPD_CORS_ORIGINS": "*"}, ["corsOrigins", "'*'", "scheme://host"]),
    "no network": ({"OCPD_ALLOWED_ADDRESSES": "lan"}, ["allowedAddresses", "lan"]),
    "two different keys": (
        {"PROXY_API_KEY": "hush-one", "PROXY_API_KEYS": "hush-two"},
        ["PROXY_API_KEY", "disagree"],
    ),
    "a key nobody can send": ({"PROXY_API_KEYS": "hush me"}, ["sharedKeys", "header"]),
}


@pytest.mark.parametrize(("values", "named"), STARTS.values(), ids=STARTS.keys())
def test_a_start_without_the_guard_that_was_asked_for_ends_with_78(
    tmp_path: Path, make_fake: Any, values: dict[str, str], named: list[str]
) -> None:
    ended = run(environ_of(tmp_path / "home", make_fake(), **values))
    assert (ended.code, ended.stdout) == (78, "")
    assert all(text in ended.stderr for text in named), ended.stderr
    assert "hush" not in ended.stderr


# Revocation.


@pytest.fixture
def begun(open_doors: Any, tmp_path: Path) -> Iterator[tuple[Stage, Operator, Caller]]:
    """A stream of a key's holder that has said two words and nothing since."""
    with open_doors(Silent(after=2), auth_mode="multi") as stage:
        operator = operator_of(stage, tmp_path)
        secret = operator.add_key("laptop")
        line = f"authorization: Bearer {secret}"
        with Caller(stage.daemon.port, body_of("hello", stream=True), (line,)) as caller:
            caller.read_until(b"word1")
            yield stage, operator, caller


def test_a_revoked_key_ends_its_running_stream_with_an_error(
    begun: tuple[Stage, Operator, Caller],
) -> None:
    stage, operator, caller = begun
    operator.does("keys", "revoke", "laptop")
    seen = caller.read_until(b"[DONE]")
    assert b'"code":"key_revoked"' in seen
    assert b'"type":"auth_error"' in seen
    assert stage.wait_report(lambda r: r.stats.cancelled == 1)


def change_key(stage: Stage, name: str, **fields: str) -> None:
    told = {"content-type": "application/json"}
    body = msgspec.json.encode(fields)
    page = ask_unix(stage.daemon.socket, "PATCH", f"/api/keys/{name}", body, told)
    assert page.status == 200, page.text


def test_a_key_that_is_rotated_ends_its_running_stream_too(
    begun: tuple[Stage, Operator, Caller],
) -> None:
    stage, operator, caller = begun
    # It is still the same key, whatever else is changed.
    change_key(stage, "laptop", note="mine")
    operator.does("keys", "set", "laptop", "--weight", "3")
    operator.does("settings", "authMode", "none")
    assert stage.daemon.report().stats.active_requests == 1
    operator.told("keys", "rotate", "laptop")
    assert b'"code":"key_revoked"' in caller.read_until(b"[DONE]")


def test_a_key_that_runs_out_ends_its_running_stream_at_that_moment(
    begun: tuple[Stage, Operator, Caller],
) -> None:
    stage, _, caller = begun
    soon = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    change_key(stage, "laptop", expires_at=soon.isoformat())
    assert b'"code":"key_revoked"' in caller.read_until(b"[DONE]")
    assert datetime.now(UTC) >= soon
    assert stage.wait_report(lambda r: r.stats.cancelled == 1)


def test_the_setting_lets_a_running_stream_go_on(begun: tuple[Stage, Operator, Caller]) -> None:
    stage, operator, caller = begun
    operator.does("settings", "revokeRunning", "false")
    operator.does("keys", "revoke", "laptop")
    assert stage.daemon.report().stats.active_requests == 1
    caller.leave()
    assert stage.wait_report(lambda r: r.stats.active_requests == 0)
    assert b"key_revoked" not in caller.seen


def test_a_whole_answer_to_a_revoked_key_is_401(open_doors: Any, tmp_path: Path) -> None:
    with open_doors(Silent(after=1), auth_mode="multi") as stage:
        operator = operator_of(stage, tmp_path)
        line = f"authorization: Bearer {operator.add_key('laptop')}"
        with Caller(stage.daemon.port, body_of("hello"), (line, "connection: close")) as caller:
            stage.wait_report(lambda r: r.concurrency.inflight == 1)
            operator.does("keys", "revoke", "laptop")
            assert caller.read_all().startswith(b"HTTP/1.1 401 ")
        assert b'"key_revoked"' in caller.seen


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_key_that_ends_in_the_queue_gets_no_place(
    open_doors: Any, tmp_path: Path, streamed: bool
) -> None:
    with open_doors(Silent(after=1), auth_mode="multi", max_concurrent=1) as stage:
        operator = operator_of(stage, tmp_path)
        told = (f"authorization: Bearer {operator.add_key('laptop')}", "connection: close")
        with stage.call("hold", stream=True) as holder:
            holder.read_until(b"word0")
            with Caller(stage.daemon.port, body_of("hello", stream=streamed), told) as caller:
                stage.wait_report(lambda r: r.concurrency.queued == 1)
                operator.does("keys", "revoke", "laptop")
                assert caller.read_all().startswith(b"HTTP/1.1 401 ")
            assert b'"key_revoked"' in caller.seen
            assert stage.wait_report(lambda r: r.concurrency.queued == 0).concurrency.inflight == 1


def wait_crowd(stage: Stage, *, making: int, waiting: int) -> None:
    """Wait until so many answers are made that may be given again, for so many others."""
    until = time.monotonic() + 10
    while True:
        told = ask_unix(stage.daemon.socket, "GET", "/cache/stats").json()
        if (told["inflight"], told["requesters"]) == (making, waiting):
            return
        assert time.monotonic() < until, told


def test_a_key_that_ends_takes_along_those_who_wait_for_its_answer(
    open_doors: Any, tmp_path: Path
) -> None:
    with open_doors(Silent(after=1), auth_mode="multi", cache_ttl_ms=60_000) as stage:
        operator = operator_of(stage, tmp_path)
        told = (f"authorization: Bearer {operator.add_key('laptop')}", "connection: close")
        with contextlib.ExitStack() as stack:
            callers = [
                stack.enter_context(Caller(stage.daemon.port, body_of("hello"), told))
                for _ in range(3)
            ]
            wait_crowd(stage, making=1, waiting=2)
            operator.does("keys", "revoke", "laptop")
            for caller in callers:
                assert caller.read_all().startswith(b"HTTP/1.1 401 ")
            wait_crowd(stage, making=0, waiting=0)
        # Nobody took over.
        assert stage.wait_report(lambda r: r.stats.active_requests == 0).stats.attempts == 1


def test_an_ended_key_goes_on_with_no_conversation(open_doors: Any, tmp_path: Path) -> None:
    with open_doors(auth_mode="multi", cache_ttl_ms=60_000) as stage:
        operator = operator_of(stage, tmp_path)
        secret = operator.add_key("laptop")
        for _ in range(2):
            assert chat(stage, secret).status == 200
        stage.daemon.wait_quiet()
        operator.does("keys", "revoke", "laptop")
        refused(chat(stage, secret), 401, "bad_token")
        # Nor does the next one of that name get what was its.
        page = chat(stage, operator.add_key("laptop"))
        assert (page.status, page.headers["x-ocpd-cache"]) == (200, "miss")


# Guesses.


def test_who_guesses_is_slowed_down_and_his_neighbour_is_not(
    open_doors: Any, tmp_path: Path
) -> None:
    with open_doors(auth_mode="multi") as stage:
        secret = operator_of(stage, tmp_path).add_key("laptop")
        guesser, neighbour = {"x_forwarded_for": "192.0.2.9"}, {"x_forwarded_for": "192.0.2.10"}
        for number in range(10):
            refused(get(stage, "/v1/models", f"ocp_{number}", **guesser), 401, "bad_token")
        page = refused(chat(stage, "ocp_10", **guesser), 429, "too_many_wrong_keys")
        assert 1 <= int(page.headers["retry-after"]) <= 60
        # At the back door too, where the admin key is.
        refused(get(stage, "/status", "ocp_11", **guesser), 429, "too_many_wrong_keys")
        assert get(stage, "/v1/models", secret, **neighbour).status == 200
        assert chat(stage).status == 200


# Pages.


def test_pages_of_the_setting_may_use_the_api_and_nothing_else(open_doors: Any) -> None:
    with open_doors(Answer(), shared_keys="first-key", cors_origins=PAGE) as stage:
        port = stage.daemon.port
        asked = {"origin": PAGE, "access-control-request-method": "POST"}
        for path in (CHAT, "/v1/models", "/v1/nothing"):
            page = fetch(port, "OPTIONS", path, headers=asked)
            assert (page.status, page.body) == (204, b"")
            assert page.headers["access-control-allow-origin"] == PAGE
        assert get(stage, "/v1/models", origin=PAGE).status == 401
        for page in (
            get(stage, "/v1/models", origin=PAGE),
            get(stage, "/v1/models", "first-key", origin=PAGE),
            chat(stage, "first-key", origin=PAGE),
            get(stage, "/v1/nothing", "first-key", origin=PAGE),
        ):
            assert page.headers["access-control-allow-origin"] == PAGE
            assert page.headers["vary"] == "Origin"
        body = body_of("hello", stream=True)
        told = {**bearer("first-key", json=True), "origin": PAGE}
        streamed = fetch(port, "POST", CHAT, body, told)
        assert streamed.headers["access-control-allow-origin"] == PAGE
        for path in ("/status", "/api/keys", "/settings"):
            refused(get(stage, path, origin=PAGE), 403, "foreign_origin")
            page = fetch(port, "OPTIONS", path, headers=asked)
            assert page.status in (403, 405)
            assert "access-control-allow-origin" not in page.headers
        evil = fetch(port, "OPTIONS", CHAT, headers=asked | {"origin": "https://evil.example"})
        assert evil.status == 204
        assert "access-control-allow-origin" not in evil.headers


def test_a_name_of_the_setting_is_served_without_a_key_and_no_other(open_doors: Any) -> None:
    with open_doors(allowed_hosts="claude.lan", trusted_proxies="") as stage:
        assert chat(stage, host="claude.lan:3456").status == 200
        page = refused(chat(stage, host="other.lan"), 403, "foreign_host")
        assert "allowedHosts" in page.error["message"]


# Addresses.


def test_only_addresses_of_the_list_come_in_anywhere(open_doors: Any) -> None:
    with open_doors(auth_mode="multi", allowed_addresses="192.0.2.0/24") as stage:
        inside, outside = {"x_forwarded_for": "192.0.2.9"}, {"x_forwarded_for": "198.51.100.1"}
        assert get(stage, "/health").status == get(stage, "/health", **inside).status == 200
        for path in ("/health", "/v1/models", "/status", "/nothing"):
            page = refused(get(stage, path, **outside), 403, "address_not_allowed")
            assert "allowedAddresses" in page.error["message"]


# What everybody sees.


def test_health_tells_others_what_they_need_and_no_more(open_doors: Any, tmp_path: Path) -> None:
    with open_doors(
        auth_mode="multi", anonymous_key="everybody", advertise_anonymous_key=True
    ) as stage:
        operator = operator_of(stage, tmp_path)
        secret, afar = operator.add_key("laptop"), {"x_forwarded_for": "192.0.2.9"}
        told = get(stage, "/health", **afar).json()
        assert set(told) == {"status", "version", "authMode", "uptime", "anonymousKey"}
        assert (told["authMode"], told["anonymousKey"]) == ("multi", "everybody")
        assert chat(stage, told["anonymousKey"], **afar).status == 200
        for token in (None, "everybody", "ocp_wrong"):
            assert "claudeBinary" not in get(stage, "/health", token, **afar).json()
        assert "claudeBinary" in get(stage, "/health", secret, **afar).json()
        assert "claudeBinary" in get(stage, "/health").json()
        operator.does("settings", "advertiseAnonymousKey", "false")
        assert get(stage, "/health", **afar).json()["anonymousKey"] is None
        used = {
            row["key_name"]: row["requests"] for row in operator.told("usage", "--by-key")["byKey"]
        }
        assert used == {"anonymous": 1}
