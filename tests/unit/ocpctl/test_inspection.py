"""Looking at files: whose they are, who may use them, and never a traceback."""

import os

import pytest

from ocpctl import inspection
from ocpctl.facts import IN_GROUP, NO_GROUP, NOT_YET, OUTSIDE
from ocpctl.runner import Account

STRANGER = Account(64_321, 64_321, "64321", "/nowhere")


def test_an_entry_says_whose_it_is(tmp_path):
    (tmp_path / "file").touch(0o600)
    entry = inspection.look_at(str(tmp_path / "file"))
    assert (entry.is_there, entry.uid, entry.mode) == (True, os.getuid(), 0o600)
    assert not inspection.look_at(str(tmp_path / "none")).is_there
    assert not inspection.look_at("").is_there


@pytest.mark.parametrize(
    ("changed", "uid", "hindrance"),
    [
        ({}, 64_321, ""),
        ({"/srv": (0o700, 0, 0)}, 64_321, "/srv"),
        ({"/srv": (0o700, 0, 0)}, 0, ""),
        ({"/srv": (0o700, 64_321, 0)}, 64_321, ""),
        ({"/srv": (0o710, 0, 64_321)}, 64_321, ""),
        # Who is in the group is not among the others.
        ({"/srv": (0o705, 0, 64_321)}, 64_321, "/srv"),
        ({"/srv/bin/claude": (0o750, 0, 0)}, 64_321, "/srv/bin/claude"),
        ({"/srv/bin/claude": (0o744, 0, 0)}, 64_321, "/srv/bin/claude"),
        ({"/srv/bin": None}, 64_321, ""),
    ],
)
def test_what_is_in_somebodys_way_is_named(monkeypatch, changed, uid, hindrance):
    open_to_all = (0o755, 0, 0)
    tree = {"/srv": open_to_all, "/srv/bin": open_to_all, "/srv/bin/claude": open_to_all} | changed

    def stat(path):
        if tree[path] is None:
            raise PermissionError(path)
        mode, owner, group = tree[path]
        return os.stat_result((mode, 0, 0, 0, owner, group, 0, 0, 0, 0))

    monkeypatch.setattr("ocpctl.inspection.os.stat", stat)
    account = Account(uid, uid, str(uid), "/")
    wanted = os.R_OK | os.X_OK
    assert inspection.find_hindrance("/srv/bin/claude", account, wanted) == hindrance


def test_membership_is_of_the_books_and_of_this_login(monkeypatch):
    from grp import getgrgid

    me = Account(os.geteuid(), os.getegid(), "64321", "/")
    own = getgrgid(os.getegid()).gr_name
    assert inspection.find_membership("no such group here", me) == NO_GROUP
    assert inspection.find_membership(own, me) == IN_GROUP
    assert inspection.find_membership(own, STRANGER) == OUTSIDE
    monkeypatch.setattr("os.getegid", lambda: 64_999)
    monkeypatch.setattr("os.getgroups", list)
    assert inspection.find_membership(own, me) == NOT_YET


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("port = 4000", "4000"),
        ('claudeBin="/x"\nport = 1 # why', "1"),
        ("[tiers]\nport = 1", ""),
        ("# port = 1", ""),
        ("", ""),
    ],
)
def test_one_entry_of_the_config_file_is_read(tmp_path, text, value):
    (tmp_path / "ocpd.toml").write_text(text)
    assert inspection.read_entry(str(tmp_path / "ocpd.toml"), "port") == value
    assert inspection.read_entry(str(tmp_path / "none"), "port") == ""


def test_room_is_counted_in_megabytes(tmp_path):
    assert (inspection.free_mb(str(tmp_path / "not/yet/there")) or 0) >= 0
    assert inspection.free_mb("") is None
    (tmp_path / "meminfo").write_text("MemTotal: 1 kB\nMemAvailable:  2097152 kB\n")
    assert inspection.memory_mb(str(tmp_path / "meminfo")) == 2048
    assert inspection.memory_mb(str(tmp_path / "none")) is None
