"""An upgrade from the version before, removal, and what is left then."""

from tests.kit.script import Hang, Say
from tests.packages.machine import PORT, wait_until
from tests.wire.stage import Caller

TIME_LIMIT_S = 240

STATE = "/var/lib/ocpd"
SETTINGS = "/etc/ocpd/ocpd.toml"
MINE = "# mine\nmaxQueue = 7\n"


def test_an_upgrade_in_the_middle_of_a_stream_loses_nothing(older, api):
    older.point_cli_at(api.url)
    older.ocpctl("auth", "token", stdin="scripted-token-of-a-test\n")
    older.systemctl("disable", "--now", "ocpd.service")
    older.systemctl("enable", "--now", "ocpd.socket", "ocpd-admin.socket")
    api.script(Hang(after=2, answer=Say(["One,", " two,", " three,", " four."])))
    with older.call("Count") as stream:
        stream.read_until(b" two,")
        upgrade = ("apt-get", "install", "-y", "--only-upgrade", "ocpd", "ocpctl")
        with older.container.running(*upgrade) as apt:
            wait_until(lambda: older.show("ActiveState") == "deactivating", 60, "the drain")
            # Who comes now waits in the socket for the new version.
            with older.container.network():
                late = Caller(PORT, b"{}")
            api.release()
            told = stream.read_all()
            said, _ = apt.communicate(timeout=120)
        assert apt.returncode == 0, said
        with late:
            assert b"HTTP/1.1 4" in late.read_until(b"\r\n\r\n")
    for word in (b"One,", b" two,", b" three,", b" four.", b"[DONE]"):
        assert word in told
    assert older.version() == older.version("ocpctl")
    assert older.health()["version"] == older.version() != "0.0.9"


def test_an_upgrade_without_sockets_finishes_the_stream_too(older, api):
    older.point_cli_at(api.url)
    older.ocpctl("auth", "token", stdin="scripted-token-of-a-test\n")
    api.script(Hang(after=2, answer=Say(["One,", " two,", " three,", " four."])))
    with older.call("Count") as stream:
        stream.read_until(b" two,")
        upgrade = ("apt-get", "install", "-y", "--only-upgrade", "ocpd", "ocpctl")
        with older.container.running(*upgrade) as apt:
            wait_until(lambda: older.show("ActiveState") == "deactivating", 60, "the drain")
            api.release()
            told = stream.read_all()
            said, _ = apt.communicate(timeout=120)
        assert apt.returncode == 0, said
    for word in (b"One,", b" two,", b" three,", b" four.", b"[DONE]"):
        assert word in told
    assert older.health()["version"] == older.version() != "0.0.9"


def test_keys_and_usage_survive_an_upgrade(older):
    older.container.check("ocpctl", "keys", "add", "laptop")
    older.apt("install", "-y", "--only-upgrade", "ocpd", "ocpctl")
    assert "laptop" in older.container.check("ocpctl", "keys")
    assert older.health()["version"] == older.version()


def test_settings_that_the_admin_changed_are_respected(older):
    older.container.write(SETTINGS, MINE)
    older.apt("install", "-y", "--only-upgrade", "ocpd")
    assert older.container.read(SETTINGS) == MINE
    assert older.health()["concurrency"]["maxQueue"] == 7
    assert not older.container.exists(f"{SETTINGS}.dpkg-new")


def test_a_service_that_the_admin_switched_off_stays_off(older):
    older.systemctl("disable", "--now", "ocpd")
    older.apt("install", "-y", "--only-upgrade", "ocpd")
    assert not older.is_active()
    assert older.container.run("systemctl", "is-enabled", "ocpd").stdout.strip() == "disabled"


def test_one_version_back_can_read_the_state(installed, older_packages, key):
    installed.container.check("ocpctl", "keys", "add", "laptop")
    installed.repository.publish(older_packages, [key])
    installed.update()
    installed.apt("install", "-y", "--allow-downgrades", "ocpd=0.0.9", "ocpctl=0.0.9")
    assert installed.health()["version"] == "0.0.9"
    assert "laptop" in installed.container.check("ocpctl", "keys")


def test_installing_again_changes_nothing(installed):
    installed.container.check("ocpctl", "keys", "add", "laptop")
    installed.apt("install", "-y", "--reinstall", "ocpd", "ocpctl")
    assert installed.is_active()
    assert "laptop" in installed.container.check("ocpctl", "keys")


def test_removal_keeps_keys_and_settings_for_whoever_comes_back(installed):
    installed.container.check("ocpctl", "keys", "add", "laptop")
    installed.container.write(SETTINGS, MINE)
    installed.apt("remove", "-y", "ocpd", "ocpctl")
    assert not installed.container.exists("/usr/lib/ocpd")
    assert not installed.container.exists("/usr/bin/ocpd")
    assert installed.container.run("pgrep", "-u", "ocpd").returncode == 1
    installed.install()
    assert installed.container.read(SETTINGS) == MINE
    assert "laptop" in installed.container.check("ocpctl", "keys")


def test_sockets_and_instances_that_were_switched_on_come_back_with_the_package(installed):
    installed.systemctl("disable", "--now", "ocpd.service")
    installed.systemctl("enable", "--now", "ocpd.socket", "ocpd-admin.socket")
    guest = ("useradd", "--system", "--home-dir", "/var/lib/ocpd-guest", "guest")
    installed.container.check(*guest)
    installed.container.write("/etc/default/ocpd-guest", "OCPD_PORT=3457\n")
    installed.systemctl("enable", "--now", "ocpd@guest")
    installed.apt("remove", "-y", "ocpd")
    assert not installed.is_active("ocpd.socket")
    assert not installed.is_active("ocpd@guest")
    installed.install()
    assert installed.health()["version"] == installed.version()
    installed.container.check("ocpctl", "keys")
    assert installed.is_active("ocpd@guest")


def test_an_upgrade_after_which_it_does_not_run_says_so(older):
    older.container.write(SETTINGS, 'maxQueue = "many"\n')
    said = older.apt("install", "-y", "--only-upgrade", "ocpd", "ocpctl")
    assert older.version() != "0.0.9"
    assert "sudo ocpctl doctor" in said
    doctor = older.ocpctl("doctor")
    assert doctor.returncode == 5
    assert "maxQueue" in doctor.stdout


def test_a_configuration_that_was_killed_is_finished_later_and_runs_what_is_installed(older):
    tool = "/usr/bin/py3compile"
    older.container.check("mv", tool, f"{tool}.real")
    older.container.write(tool, "#!/bin/sh\nkill -9 $PPID\n", mode="755")
    assert older.try_apt("install", "-y", "--only-upgrade", "ocpd", "ocpctl").returncode != 0
    assert older.health()["version"] == "0.0.9"
    older.container.check("mv", f"{tool}.real", tool)
    older.container.check("dpkg", "--configure", "-a")
    assert older.health()["version"] == older.version() != "0.0.9"


def test_a_masked_service_stays_masked_and_the_doctor_says_it_is(older):
    older.systemctl("disable", "--now", "ocpd")
    older.systemctl("mask", "ocpd")
    older.apt("install", "-y", "--only-upgrade", "ocpd", "ocpctl")
    assert older.container.run("systemctl", "is-enabled", "ocpd").stdout.strip() == "masked"
    assert "systemctl unmask ocpd.service" in older.ocpctl("doctor").stdout


def test_purge_leaves_nothing_but_the_user(installed):
    before = set(
        installed.container.check("find", "/", "-xdev", "-not", "-path", "/proc/*").split()
    )
    assert STATE in before
    told = installed.apt("purge", "-y", "ocpd", "ocpctl")
    assert "keys" in told
    left = installed.container.check(
        *("find", "/", "-xdev", "(", "-name", "*ocpd*", "-o", "-name", "*ocpctl*", ")"),
        *("-not", "-path", "/proc/*", "-not", "-path", "/sys/*"),
    ).split()
    known = ("/var/lib/apt/lists/", "/var/cache/apt/", "archive-keyring", "/ocpd.sources")
    assert not [path for path in left if not any(part in path for part in known)]
    assert installed.container.check("id", "-u", "ocpd").strip()
    assert installed.container.run("systemctl", "cat", "ocpd").returncode != 0
    assert installed.container.run("systemctl", "--failed", "--quiet", "--no-legend").stdout == ""
