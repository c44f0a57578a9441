"""`ocpctl update`, which has apt do the work and sees that the new version answers."""

import pytest

TIME_LIMIT_S = 240


def test_an_update_installs_restarts_and_sees_the_new_version_answer(older):
    before = older.main_pid()
    check = older.ocpctl("update", "--check")
    assert check.returncode == 5, check.stdout
    assert "0.1.0" in check.stdout
    done = older.ocpctl("update", "--yes")
    assert done.returncode == 0, done.stdout
    assert older.version() == older.version("ocpctl") == older.health()["version"] != "0.0.9"
    assert older.main_pid() != before
    assert older.ocpctl("update", "--check").returncode == 0


def test_a_held_package_is_left_alone_and_what_runs_is_told(older):
    older.container.check("apt-mark", "hold", "ocpd", "ocpctl")
    done = older.ocpctl("update", "--yes")
    assert done.returncode != 0
    assert "hold" in done.stdout or "held" in done.stdout
    assert "0.0.9" in done.stdout
    assert older.version() == older.health()["version"] == "0.0.9"


def test_without_rights_nothing_happens_and_sudo_is_named(older):
    older.add_user("member", "ocpd")
    done = older.ocpctl("update", "--yes", user="member")
    assert done.returncode != 0
    assert "sudo" in done.stdout
    assert "0.0.9" in done.stdout
    assert older.version() == "0.0.9"


@pytest.mark.parametrize("words", [("--yes",), ("--check",)])
def test_offline_it_fails_and_says_what_still_runs(older, words):
    older.repository.site.rename(older.repository.site.with_name("gone"))
    done = older.ocpctl("update", *words)
    assert done.returncode != 0
    assert "0.0.9" in done.stdout
    assert older.version() == older.health()["version"] == "0.0.9"
