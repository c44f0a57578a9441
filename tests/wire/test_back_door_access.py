"""Who may do what at the back door of a real daemon: by socket, by kernel's uid, by loopback, by
what a browser or a proxy would send."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.fake_script import make_fake_cli
from tests.kit.upstream import Upstream
from tests.wire.operator import NOBODY, Operator, ask_as_nobody, ask_unix
from tests.wire.stage import Page, Stage, fetch, open_stage

READABLE = ("/usage", "/status", "/settings", "/settings/port", "/logs", "/sessions", "/api/keys")
READABLE += ("/api/usage", "/cache/stats", "/admin/auth", "/admin/audit")
CHANGES = (
    ("PATCH", "/settings", b"{}"),
    ("DELETE", "/sessions", b""),
    ("DELETE", "/cache", b""),
    ("POST", "/api/keys", b"{}"),
    ("DELETE", "/api/keys/none", b""),
    ("POST", "/admin/reload", b""),
    ("GET", "/admin/backup", b""),
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("doors")
    cli = make_fake_cli(folder / "bin")
    with Upstream() as upstream, open_stage(upstream, folder / "home", cli) as running:
        yield running


@pytest.fixture
def operator(stage: Stage, tmp_path: Path) -> Iterator[Operator]:
    """Whatever was set is taken back."""
    made = Operator(stage.daemon.socket, tmp_path)
    yield made
    made.does("settings", "--reset", "loopbackAdmin")


def knock(stage: Stage, method: str, path: str, body: bytes = b"", **headers: str) -> Page:
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    return fetch(stage.daemon.port, method, path, body, spelled)


def reads(stage: Stage) -> set[int]:
    return {knock(stage, "GET", path).status for path in READABLE}


def changes(stage: Stage) -> set[int]:
    return {knock(stage, *change).status for change in CHANGES}


# The setting.


def test_this_machine_may_read_and_not_change(stage: Stage) -> None:
    assert reads(stage) == {200}
    assert changes(stage) == {401}
    refused = knock(stage, "PATCH", "/settings", b'{"maxConcurrent":1}')
    assert refused.json()["errors"]
    assert "loopbackAdmin" in refused.json()["error"]["message"]


def test_off_keeps_this_machine_out_but_not_ocpctl(stage: Stage, operator: Operator) -> None:
    operator.does("settings", "loopbackAdmin", "off")
    assert reads(stage) == {401}
    assert changes(stage) == {401}
    assert stage.get("/health").status == 200
    assert stage.get("/v1/models").status == 200
    assert operator.does("status")


def test_full_lets_this_machine_change(stage: Stage, operator: Operator) -> None:
    operator.does("settings", "loopbackAdmin", "full")
    assert reads(stage) == {200}
    assert changes(stage) == {200, 201}
    # In mode none a token that nobody knows counts as none.
    unknown = knock(stage, "POST", "/api/keys", b"{}", authorization="Bearer ocp_unknown")
    assert unknown.status == 201
    # The seeds' curl examples send no JSON type.
    form = "application/x-www-form-urlencoded"
    assert knock(stage, "POST", "/api/keys", b'{"name":"curl"}', content_type=form).status == 201


# Strangers.


@pytest.mark.parametrize("setting", ["off", "read", "full"])
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, "foreign_host"),
        ({"origin": "https://evil.example"}, "foreign_origin"),
        ({"origin": "null"}, "foreign_origin"),
    ],
)
def test_a_foreign_host_or_page_is_always_refused(
    stage: Stage, operator: Operator, setting: str, headers: dict[str, str], code: str
) -> None:
    key = operator.told("auth", "admin-key", "--rotate")["key"]
    operator.does("settings", "loopbackAdmin", setting)
    for told in (headers, headers | {"authorization": f"Bearer {key}"}):
        for method, path in (("GET", "/status"), ("POST", "/api/keys"), ("GET", "/api/usage")):
            page = knock(stage, method, path, **told)
            assert (page.status, page.error["code"]) == (403, code)


@pytest.mark.parametrize(
    "header",
    ["forwarded", "x_forwarded_for", "x_forwarded_proto", "x_forwarded_host", "via"],
)
def test_what_a_proxy_passed_on_is_never_this_machine(
    stage: Stage, operator: Operator, header: str
) -> None:
    operator.does("settings", "loopbackAdmin", "full")
    assert knock(stage, "GET", "/status", **{header: "for=1.2.3.4"}).status == 401
    assert knock(stage, "POST", "/api/keys", b"{}", **{header: "1.1 proxy"}).status == 401
    # Nor is the uid of a proxy in front of the Unix socket the caller's.
    spelled = {header.replace("_", "-"): "1.1 proxy"}
    assert ask_unix(stage.daemon.socket, "GET", "/status", headers=spelled).status == 401


def test_a_page_may_change_things_only_with_json(stage: Stage, operator: Operator) -> None:
    operator.does("settings", "loopbackAdmin", "full")
    page = f"http://127.0.0.1:{stage.daemon.port}"
    for marks in ({"sec_fetch_site": "same-origin"}, {"origin": page}, {"sec_fetch_mode": "cors"}):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            told = knock(stage, "POST", "/api/keys", b"{}", content_type=kind, **marks)
            assert (told.status, told.error["code"]) == (403, "json_required")
        assert knock(stage, "POST", "/api/keys", b"{}", **marks).status == 201


# The Unix socket.


def test_the_socket_is_its_owners_alone(stage: Stage) -> None:
    found = os.stat(stage.daemon.socket)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_uid == os.geteuid()


@needs_root
def test_another_user_is_kept_out_by_the_mode(stage: Stage) -> None:
    done = ask_as_nobody(stage.daemon.socket, "GET", "/status")
    assert (done.returncode, done.stderr) == (1, "kept out\n")


@needs_root
def test_another_user_is_refused_by_the_kernels_word(stage: Stage, operator: Operator) -> None:
    """Somebody opened the socket to all: the uid decides, whatever the request says."""
    os.chmod(stage.daemon.socket, 0o666)
    try:
        for method, path in (("GET", "/status"), ("POST", "/api/keys"), ("GET", "/api/usage")):
            done = ask_as_nobody(stage.daemon.socket, method, path)
            assert done.stdout.startswith("HTTP/1.1 403 "), done
            assert "foreign_uid" in done.stdout
            assert str(NOBODY) in done.stdout
    finally:
        os.chmod(stage.daemon.socket, 0o600)
    assert not any(entry["uid"] == NOBODY for entry in operator.audit())


def test_every_change_is_written_down_with_the_kernels_uid(
    stage: Stage, operator: Operator
) -> None:
    operator.add_key("audited")
    operator.does("keys", "revoke", "audited")
    operator.does("settings", "maxQueue", "9")
    operator.does("settings", "--reset", "maxQueue")
    newest = operator.audit()[-4:]
    assert [entry["action"] for entry in newest] == [
        "keys.add",
        "keys.revoke",
        "settings.change",
        "settings.reset",
    ]
    assert {(entry["uid"], entry["via"]) for entry in newest} == {(os.geteuid(), "unix")}
    assert "audited" in newest[0]["detail"]
    assert newest[2]["detail"] == "maxQueue=9"
    assert all(entry["at"].endswith("Z") for entry in newest)
    shown = operator.does("audit")
    assert "keys.add" in shown
    assert "ocp_" not in shown


def test_what_was_refused_is_not_in_the_book(stage: Stage, operator: Operator) -> None:
    before = len(operator.audit())
    assert changes(stage) == {401}
    operator.fails("settings", "maxConcurrent", "0")
    operator.fails("keys", "add", "admin")
    assert len(operator.audit()) == before
