"""Who may manage it is decided by who they are, and the audit log says who it was."""

TIME_LIMIT_S = 180


def test_a_member_of_its_group_makes_a_key_and_the_audit_log_has_the_real_uid(installed):
    uid = installed.add_user("member", "ocpd")
    done = installed.ocpctl("keys", "add", "laptop", user="member")
    assert done.returncode == 0, done.stdout
    assert "ocp" in done.stdout
    newest = installed.ocpctl_json("audit", "1")["entries"][-1]
    assert (newest["uid"], newest["user"], newest["via"]) == (uid, "member", "unix")
    assert uid >= 1000


def test_another_user_is_refused_and_changes_nothing(installed):
    installed.add_user("outsider")
    done = installed.ocpctl("keys", "add", "laptop", user="outsider")
    assert done.returncode != 0
    assert "ocpd" in done.stdout
    assert "laptop" not in installed.container.check("ocpctl", "keys")


def test_root_may_always(installed):
    assert installed.ocpctl("keys", "add", "laptop").returncode == 0
    assert "laptop" in installed.container.check("ocpctl", "keys")
