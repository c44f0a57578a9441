"""An ocpd that speaks HTTPS: callers who verify it, renewals, changes while it runs, and pairs that
cannot be used."""

import http.client
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from ocpd.settings.values import Settings
from tests.kit.certificates import Authority, Pair, serial_of
from tests.kit.fake_script import make_fake_cli
from tests.kit.script import Hang, Say
from tests.wire.conftest import OpenStage
from tests.wire.operator import Operator
from tests.wire.process import Ocpd, environ_of, run
from tests.wire.stage import Page, Stage, quick


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue()


def with_tls(pair: Pair) -> Settings:
    return quick(tls_certificate=str(pair.certificate), tls_key=str(pair.key))


def sdk(url: str, authority: Authority) -> openai.OpenAI:
    """The official client as its user would point it here."""
    return openai.OpenAI(
        base_url=f"{url}/v1",
        api_key="unused",
        max_retries=0,
        http_client=openai.DefaultHttpx2Client(verify=authority.trusting()),
    )


def fetch(port: int, authority: Authority, path: str = "/health", **headers: str) -> Page:
    """Make one request on a connection of its own."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=30, context=authority.trusting()
    )
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Page(response.status, found, response.read())
    finally:
        connection.close()


def serial_at(port: int, authority: Authority) -> int:
    """The serial number of the certificate that is shown at ``port``."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as raw,
        authority.trusting().wrap_socket(raw, server_hostname="127.0.0.1") as secured,
    ):
        told = secured.getpeercert()
        assert told is not None
        return int(str(told["serialNumber"]), 16)


# A stage...


@pytest.mark.real_cli
def test_the_official_client_verifies_it_and_a_renewal_leaves_its_stream_alone(
    open_real: OpenStage, authority: Authority, pair: Pair
) -> None:
    with open_real(settings=with_tls(pair)) as stage:
        stage.upstream.script(Hang(after=1), Say("later"))
        daemon = stage.daemon
        assert daemon.url == f"https://127.0.0.1:{daemon.port}"
        with sdk(daemon.url, authority) as client:
            asked = [{"role": "user", "content": "hello"}]
            stream = client.chat.completions.create(
                model="sonnet",
                messages=asked,
                stream=True,  # type: ignore[arg-type]
            )
            text = next(c.choices[0].delta.content for c in stream if c.choices[0].delta.content)
            first = serial_at(daemon.port, authority)
            assert first == serial_of(pair)
            authority.issue()
            assert serial_at(daemon.port, authority) == serial_of(pair) != first
            stage.upstream.release()
            rest = [c.choices[0].delta.content or "" for c in stream if c.choices]
            assert text + "".join(rest) == "Hello there, friend."
        with sdk(daemon.url, authority) as client:
            answer = client.chat.completions.create(model="sonnet", messages=asked)  # type: ignore[arg-type]
            assert answer.choices[0].message.content == "later"


@pytest.fixture
def stage(open_fake: OpenStage, pair: Pair) -> Iterator[Stage]:
    with open_fake(settings=with_tls(pair)) as running:
        yield running


def test_a_caller_who_does_not_know_the_authority_does_not_talk_to_it(stage: Stage) -> None:
    with pytest.raises(httpx2.ConnectError, match="certificate"):
        httpx2.get(f"{stage.daemon.url}/health", trust_env=False)


def test_plain_http_is_told_what_to_write(stage: Stage) -> None:
    answer = httpx2.get(f"http://127.0.0.1:{stage.daemon.port}/health", trust_env=False)
    assert answer.status_code == 400
    assert "https://" in answer.text


def test_its_own_pages_may_ask_and_foreign_ones_may_not(stage: Stage, authority: Authority) -> None:
    port = stage.daemon.port
    for origin, status in (
        (f"https://127.0.0.1:{port}", 200),
        ("https://evil.example", 403),
        # Whoever sits between can make one of these; no page of ours begins so.
        (f"http://127.0.0.1:{port}", 403),
    ):
        assert fetch(port, authority, Origin=origin).status == status
    assert fetch(port, authority, Host="evil.example").status == 403


def test_health_and_ocpctl_say_https(stage: Stage, authority: Authority, tmp_path: Path) -> None:
    url = stage.daemon.url
    assert fetch(stage.daemon.port, authority).json()["urls"] == [url]
    operator = Operator(stage.daemon.socket, tmp_path)
    for command in ("status", "health"):
        assert f"{url}\n" in operator.run(command).stdout
    operator.environ["OCPD_SOCKET"] = url
    told = operator.run("status", environ={"SSL_CERT_FILE": str(authority.file)})
    assert f"{url}\n" in told.stdout, told
    told = operator.run("status")
    assert "is not one to trust" in told.stderr
    assert "SSL_CERT_FILE" in told.stderr


def test_it_is_switched_on_and_off_at_once_as_a_whole(
    open_fake: OpenStage, authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    with open_fake() as stage:
        operator, port = Operator(stage.daemon.socket, tmp_path), stage.daemon.port
        told = operator.fails("settings", "tlsCertificate", str(pair.certificate))
        assert "tlsKey: it is missing, and tlsCertificate is set; set both at once" in told
        both = ("tlsCertificate", str(pair.certificate), "tlsKey", str(pair.key))
        other = authority.issue("other")
        told = operator.fails("settings", *both[:3], str(other.key))
        assert f"tlsKey: {other.key} is not the key of" in told
        assert stage.get("/health").status == 200
        operator.does("settings", *both)
        assert fetch(port, authority).status == 200
        assert stage.daemon.url.startswith("https://")
        told = operator.fails("settings", "--reset", "tlsKey")
        assert "tlsKey: it is missing" in told
        assert "ocpctl settings --reset tlsCertificate tlsKey" in told
        assert fetch(port, authority).status == 200
        told = operator.does("settings", "--reset", "tlsCertificate", "tlsKey")
        assert told.count("(default)") == 2
        assert stage.get("/health").status == 200
        assert stage.daemon.url.startswith("http://")


def test_a_renewal_that_fails_is_in_health_until_it_is_mended(
    stage: Stage, authority: Authority, pair: Pair
) -> None:
    first = serial_of(pair)
    pair.key.write_bytes(authority.issue("other").key.read_bytes())
    told = fetch(stage.daemon.port, authority).json()["warnings"]
    assert any(f"tlsKey: {pair.key} is not the key of" in line for line in told)
    assert serial_at(stage.daemon.port, authority) == first
    authority.issue()
    told = fetch(stage.daemon.port, authority).json()["warnings"]
    assert not any("tlsKey" in line for line in told)


# A process...


def environ_with(tmp_path: Path, pair: Pair) -> dict[str, str]:
    return environ_of(
        tmp_path / "home",
        make_fake_cli(tmp_path / "bin"),
        OCPD_TLS_CERTIFICATE=str(pair.certificate),
        OCPD_TLS_KEY=str(pair.key),
    )


def test_a_reload_takes_the_files_or_says_why_not_and_keeps_what_it_had(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    surroundings = environ_with(tmp_path, pair)
    operator = Operator(surroundings["OCPD_SOCKET"], tmp_path)
    with Ocpd(surroundings) as ocpd:
        port, first = ocpd.port, serial_of(pair)
        assert serial_at(port, authority) == first
        pair.key.chmod(0o644)
        assert "chmod 6" in operator.fails("reload")
        ocpd.signal(signal.SIGHUP)
        assert f"tlsKey: {pair.key}: it is open" in ocpd.wait_logged("reload_refused")["reason"]
        assert serial_at(port, authority) == first
        authority.issue()
        operator.does("reload")
        assert serial_at(port, authority) == serial_of(pair) != first


def test_a_pair_that_cannot_be_used_ends_the_start_with_78(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    surroundings = environ_with(tmp_path, pair)
    alone = {name: value for name, value in surroundings.items() if name != "OCPD_TLS_KEY"}
    refused = {
        "tlsKey: it is missing, and tlsCertificate is set": alone,
        "No such file": surroundings | {"OCPD_TLS_KEY": str(tmp_path / "none")},
        "it is encrypted": environ_with(tmp_path, authority.issue("sealed", b"hush")),
    }
    for named, environ in refused.items():
        ended = run(environ)
        assert (ended.code, ended.stdout) == (78, "")
        assert named in ended.stderr
        assert "Traceback" not in ended.stderr
