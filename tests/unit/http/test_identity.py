"""Promise: only a usable pair of files becomes an identity, and a renewed one is found."""

import errno
import os
import ssl
from pathlib import Path

import pytest

from ocpd.http.identity import LARGEST_BYTES, Identity, UnusablePair
from tests.kit.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def identify(pair: Pair) -> Identity:
    return Identity(str(pair.certificate), str(pair.key), 5.0)


def refusal(pair: Pair) -> str:
    with pytest.raises(UnusablePair) as caught:
        identify(pair)
    return str(caught.value)


def test_a_context_stays_the_same_while_the_files_do(authority: Authority) -> None:
    identity = identify(authority.issue())
    context = identity.context()
    assert context is identity.context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE


def test_renewed_files_are_found_when_somebody_comes(authority: Authority) -> None:
    identity = identify(authority.issue())
    before = identity.context()
    authority.issue()
    assert identity.context() is not before
    assert identity.problem == ""


def test_links_that_are_turned_to_renewed_files_are_followed(
    authority: Authority, tmp_path: Path
) -> None:
    live = Pair(tmp_path / "live.pem", tmp_path / "live.key")
    for name in ("first", "second"):
        issued = authority.issue(name)
        for link, file in ((live.certificate, issued.certificate), (live.key, issued.key)):
            link.unlink(missing_ok=True)
            link.symlink_to(file)
        if name == "first":
            identity = identify(live)
            before = identity.context()
    assert identity.context() is not before


def test_a_pair_that_does_not_fit_any_more_changes_nothing_and_is_logged_once(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair = authority.issue()
    identity = identify(pair)
    before = identity.context()
    other = authority.issue("other")
    pair.key.write_bytes(other.key.read_bytes())
    for _ in range(3):
        assert identity.context() is before
    assert [record.message for record in caplog.records] == ["certificate_not_renewed"]
    assert identity.problem.startswith(f"tlsKey: {pair.key} is not the key of {pair.certificate}")
    authority.issue()
    assert identity.context() is not before
    assert identity.problem == ""


def test_what_was_looked_at_is_what_is_used_whatever_is_put_in_its_place(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, other = authority.issue(), authority.issue("other")
    load = ssl.SSLContext.load_cert_chain

    def swap_first(context: ssl.SSLContext, *given: object) -> None:
        other.key.chmod(0o666)
        other.key.replace(pair.key)
        load(context, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", swap_first)
    identify(pair)


def test_a_renewal_is_tried_again_when_it_was_not_the_files_fault(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    identity = identify(authority.issue())
    before = identity.context()
    authority.issue()

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as crowded:
        crowded.setattr(os, "open", refuse)
        for _ in range(3):
            assert identity.context() is before
    assert "Too many open files" in identity.problem
    assert len(caplog.records) == 1
    assert identity.context() is not before
    assert identity.problem == ""


def test_files_that_are_gone_change_nothing(authority: Authority) -> None:
    pair = authority.issue()
    identity = identify(pair)
    before = identity.context()
    pair.key.unlink()
    assert identity.context() is before
    assert f"tlsKey: {pair.key}: No such file" in identity.problem


def test_a_file_that_cannot_be_used_is_named_with_its_setting(
    authority: Authority, tmp_path: Path
) -> None:
    pair, none = authority.issue(), tmp_path / "none"
    assert refusal(Pair(none, pair.key)) == f"tlsCertificate: {none}: No such file or directory"
    assert refusal(Pair(pair.certificate, none)) == f"tlsKey: {none}: No such file or directory"
    assert "tlsCertificate: " in (told := refusal(Pair(pair.key, pair.key)))
    assert "there is no certificate in it" in told
    none.touch(mode=0o600)
    assert "there is no private key in it" in refusal(Pair(pair.certificate, none))
    folder = refusal(Pair(tmp_path, pair.key))
    assert folder == f"tlsCertificate: {tmp_path}: Is a directory"
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "is no plain file" in refusal(Pair(pair.certificate, tmp_path / "pipe"))
    (tmp_path / "large").write_bytes(b" " * (LARGEST_BYTES + 1))
    assert "more than" in refusal(Pair(tmp_path / "large", pair.key))


def test_a_pair_that_is_none_is_told_apart(authority: Authority) -> None:
    pair, other = authority.issue(), authority.issue("other")
    told = refusal(Pair(pair.certificate, other.key))
    assert told == f"tlsKey: {other.key} is not the key of {pair.certificate} (tlsCertificate)"
    text = pair.certificate.read_text().splitlines()
    pair.certificate.write_text("\n".join([text[0], "bm9uc2Vuc2U=", text[-1]]))
    assert refusal(pair).startswith("tlsCertificate, tlsKey: ")


def test_an_encrypted_key_is_refused_and_nobody_is_asked(authority: Authority) -> None:
    told = refusal(authority.issue(password=b"hush"))
    assert "it is encrypted" in told
    assert "openssl pkey" in told


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602, 0o644, 0o666, 0o660])
def test_a_key_that_is_open_to_others_is_refused_with_the_command_that_closes_it(
    authority: Authority, mode: int
) -> None:
    pair = authority.issue()
    pair.key.chmod(mode)
    told = refusal(pair)
    assert told.startswith(f"tlsKey: {pair.key}: it is open")
    assert "run: chmod 6" in told


@pytest.mark.parametrize(("owner", "is_fine"), [(0, True), (4711, False)])
def test_a_group_may_read_the_key_only_if_root_gave_it(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, owner: int, is_fine: bool
) -> None:
    pair = authority.issue()
    pair.key.chmod(0o640)
    fstat = os.fstat

    def told(descriptor: int) -> os.stat_result:
        found = list(fstat(descriptor))
        found[4] = owner
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", told)
    if is_fine:
        identify(pair)
    else:
        assert refusal(pair).endswith(f"run: chmod 600 {pair.key}")
