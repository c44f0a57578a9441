"""Users as the system's books name them: root, ourselves, and the socket's group."""

import grp
import os
import pwd

import pytest

from ocpd.admin.peers import find_user, is_member, make_guest_list

NO_UID = 2_147_000_123
GROUP = grp.getgrgid(pwd.getpwuid(0).pw_gid).gr_name


def test_root_and_ourselves_may_always_come_in():
    for group in (None, "no-such-group"):
        may_enter = make_guest_list(group)
        assert may_enter(0)
        assert may_enter(os.geteuid())
        assert not may_enter(NO_UID)
        assert not may_enter(-1)


def test_a_member_is_one_by_the_primary_group_or_by_the_list():
    assert is_member(0, GROUP)
    assert not is_member(0, "no-such-group")
    assert not is_member(NO_UID, GROUP)
    assert not is_member(-1, GROUP)


def test_members_by_the_list_are_found():
    for group in grp.getgrall():
        for name in group.gr_mem:
            try:
                uid = pwd.getpwnam(name).pw_uid
            except KeyError:
                continue
            assert is_member(uid, group.gr_name)
            return
    pytest.skip("no group here has a member by the list")


def test_a_user_has_a_name_or_none():
    assert find_user(0) == pwd.getpwuid(0).pw_name
    assert find_user(NO_UID) is None
    assert find_user(-1) is None
