"""ocpd beside the system's one: a person's own, and a second instance. And secrets of systemd's."""

import pytest

from tests.packages.machine import wait_until

TIME_LIMIT_S = 180

TOKEN = "scripted-token-of-a-test"


@pytest.fixture
def person(installed):
    """Runs commands as somebody whose systemd runs without a session."""
    uid = installed.add_user("person")
    # From a service, because logind asks where the question comes from, and we are from nowhere.
    linger = ("systemd-run", "--quiet", "--wait", "loginctl", "enable-linger", "person")
    installed.container.check(*linger)
    socket = f"/run/user/{uid}/systemd/private"
    wait_until(lambda: installed.container.exists(socket), 20, "the user's systemd")
    environ = {"XDG_RUNTIME_DIR": f"/run/user/{uid}", "HOME": installed.home_of("person")}

    def run(*command):
        # runuser keeps the environment that it is given.
        return installed.container.run(*command, user="person", environ=environ)

    return run


def test_a_persons_own_gives_way_to_the_systems_and_says_how_to_switch_that_off(installed, person):
    person("systemctl", "--user", "start", "ocpd")
    status = ("systemctl", "--user", "show", "--value", "-p", "ExecMainStatus", "ocpd")
    wait_until(lambda: person(*status).stdout.strip() == "69", 20, "the exit")
    assert "systemctl disable --now" in installed.container.journal()


def test_a_persons_own_runs_as_that_person_and_is_managed_without_a_group(installed, person, api):
    installed.systemctl("disable", "--now", "ocpd")
    installed.point_cli_at(api.url)
    done = person("systemctl", "--user", "enable", "--now", "ocpd")
    assert done.returncode == 0, done.stdout
    pid = person("systemctl", "--user", "show", "--value", "-p", "MainPID", "ocpd").stdout.strip()
    owner = installed.container.check("stat", "-c", "%U", f"/proc/{pid}").strip()
    assert owner == "person"
    assert person("ocpctl", "keys", "add", "laptop").returncode == 0
    assert "laptop" in person("ocpctl", "keys").stdout
    state = f"{installed.home_of('person')}/.local/state/ocpd"
    assert installed.container.exists(state)
    # And leaves with its user, not with the package: no home is touched.
    installed.apt("purge", "-y", "ocpd", "ocpctl")
    assert installed.container.exists(state)


def test_a_second_one_runs_under_another_user_with_a_port_and_keys_of_its_own(installed):
    guest = ("useradd", "--system", "--home-dir", "/var/lib/ocpd-guest", "guest")
    installed.container.check(*guest)
    installed.container.write("/etc/default/ocpd-guest", "OCPD_PORT=3457\n")
    installed.systemctl("enable", "--now", "ocpd@guest")
    assert installed.is_active("ocpd.service")
    pid = installed.show("MainPID", "ocpd@guest.service")
    assert installed.container.check("stat", "-c", "%U", f"/proc/{pid}").strip() == "guest"
    done = installed.ocpctl("--instance", "guest", "keys", "add", "tablet")
    assert done.returncode == 0, done.stdout
    assert "tablet" in installed.container.check("ocpctl", "--instance", "guest", "keys")
    assert "tablet" not in installed.container.check("ocpctl", "keys")


def test_a_token_among_systemds_credentials_signs_it_in_and_nobody_else_reads_it(installed, api):
    installed.point_cli_at(api.url)
    secret = "/etc/ocpd/credentials/claude-oauth-token"
    installed.container.write(secret, TOKEN, mode="600")
    installed.systemctl("restart", "ocpd")
    page = installed.ask("Hello")
    assert page.status == 200, page.text
    assert api.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    # The service's user itself cannot read where it comes from.
    assert installed.container.run("cat", secret, user="ocpd").returncode != 0
    assert TOKEN not in installed.container.journal()
