"""``ocpctl backup`` and ``ocpctl restore``: the caller's file, the daemon's bytes."""

import json  # noqa: TID251 - what programs read
import os
import stat

import pytest

from tests.unit.ocpctl.fake_daemon import answered, refused

STORE = b"SQLite format 3\0" + os.urandom(200_000)
RESTORED = {"keys": 3, "usage": 120, "settings": 2}


@pytest.fixture
def file(tmp_path):
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "ocpd.db"


def _left(file):
    return sorted(path.name for path in file.parent.iterdir())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_backup_is_the_bytes_and_only_its_owner_reads_it(ctl, daemon, file, chunked):
    daemon.answers["GET /admin/backup"] = answered(STORE, chunked=chunked)
    said = ctl("backup", str(file))
    assert said == (0, f"✓ {file}: {len(STORE)} bytes\n", "")
    assert file.read_bytes() == STORE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert _left(file) == ["ocpd.db"]


def test_a_file_that_is_there_is_not_replaced_without_force(ctl, daemon, file):
    daemon.answers["GET /admin/backup"] = answered(STORE)
    file.write_bytes(b"mine")
    file.chmod(0o644)
    said = ctl("backup", str(file))
    assert said == (1, "", f"ocpctl: {file} exists\n  --force replaces it\n")
    assert file.read_bytes() == b"mine"
    assert daemon.heard == []
    assert ctl("backup", "--force", str(file)).code == 0
    assert file.read_bytes() == STORE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_is_replaced_and_not_followed(ctl, daemon, file):
    daemon.answers["GET /admin/backup"] = answered(STORE)
    other = file.with_name("other")
    other.write_bytes(b"mine")
    file.symlink_to(other)
    assert ctl("backup", str(file)).code == 1
    assert ctl("backup", "--force", str(file)).code == 0
    assert other.read_bytes() == b"mine"
    assert not file.is_symlink()


def test_a_file_that_appears_meanwhile_is_not_lost(ctl, daemon, file):
    def answer(_heard):
        file.write_bytes(b"mine")
        return answered(STORE)

    daemon.answers["GET /admin/backup"] = answer
    said = ctl("backup", str(file))
    assert said.code == 1
    assert "--force replaces it" in said.err
    assert file.read_bytes() == b"mine"
    assert _left(file) == ["ocpd.db"]


def test_a_file_system_without_links_will_do(ctl, daemon, file, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    daemon.answers["GET /admin/backup"] = answered(STORE)
    assert ctl("backup", str(file)).code == 0
    assert file.read_bytes() == STORE


def test_half_a_backup_is_none(ctl, daemon, file):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n"
    daemon.answers["GET /admin/backup"] = [head, STORE]
    said = ctl("backup", str(file))
    assert said == (1, "", "ocpctl: the answer broke off\n")
    assert _left(file) == []


def test_a_refusal_leaves_no_file(ctl, daemon, file):
    daemon.answers["GET /admin/backup"] = refused("the disk is full", 507)
    assert ctl("backup", str(file)) == (1, "", "ocpctl: the disk is full\n")
    assert _left(file) == []


def test_a_place_that_cannot_be_written_is_told(ctl, daemon, file):
    daemon.answers["GET /admin/backup"] = answered(STORE)
    path = file.parent / "none" / "x"
    assert ctl("backup", str(path)) == (1, "", f"ocpctl: {path}: no such file or directory\n")


def test_a_backup_for_programs_tells_its_size(ctl, daemon, file):
    daemon.answers["GET /admin/backup"] = answered(STORE)
    said = ctl("backup", str(file), "--json")
    assert json.loads(said.out) == {"file": str(file), "bytes": len(STORE)}


# Back again.


def test_a_restore_sends_the_file_when_the_user_agrees(ctl, daemon, file, typed):
    file.write_bytes(STORE)
    daemon.answers["POST /admin/restore"] = answered(RESTORED)
    typed("y\n")
    said = ctl("restore", str(file))
    assert said.code == 0
    assert said.out == "✓ Restored: 3 keys, 120 usage rows, 2 settings\n"
    assert said.err == f"Replace all keys, usage and settings of ocpd by {file}? [y/N] "
    assert daemon.last.body == STORE


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "maybe\n"])
def test_anything_but_yes_is_no(ctl, daemon, file, typed, answer):
    file.write_bytes(STORE)
    typed(answer)
    said = ctl("restore", str(file))
    assert said.code == 1
    assert "nothing was changed" in said.err
    assert daemon.heard == []


def test_without_a_terminal_yes_must_be_said(ctl, daemon, file, piped):
    file.write_bytes(STORE)
    daemon.answers["POST /admin/restore"] = answered(RESTORED)
    piped("y\n")
    said = ctl("restore", str(file))
    assert said.code == 2
    assert "--yes" in said.err
    assert json.loads(ctl("restore", "--yes", str(file), "--json").out) == RESTORED


def test_what_is_no_store_is_refused_by_the_daemon(ctl, daemon, file):
    file.write_bytes(b"hello")
    daemon.answers["POST /admin/restore"] = refused("this is no store of ocpd")
    assert ctl("restore", "--yes", str(file)) == (1, "", "ocpctl: this is no store of ocpd\n")


def test_a_file_that_cannot_be_read_is_told(ctl, daemon, file):
    assert ctl("restore", "--yes", str(file)) == (
        1,
        "",
        f"ocpctl: {file}: no such file or directory\n",
    )
    assert ctl("restore", "--yes", str(file.parent)).code == 1
    os.mkfifo(file)
    fd = os.open(file, os.O_RDWR)
    try:
        assert ctl("restore", "--yes", str(file)) == (1, "", f"ocpctl: {file} is no file\n")
    finally:
        os.close(fd)
    assert daemon.heard == []
