"""From `apt install` to the first answer."""

from tests.packages.machine import wait_until
from tests.wire.stage import conversation

TIME_LIMIT_S = 180


def test_after_the_installation_the_service_is_up_and_says_what_is_missing(machine, figure):
    seconds = machine.install()
    assert machine.systemctl("is-active", "ocpd") == "active"
    assert machine.systemctl("is-enabled", "ocpd") == "enabled"
    assert machine.fetch("GET", "/health").status == 200
    assert "no Claude CLI to ask" in machine.ocpctl("status").stdout
    figure("apt install, seconds", f"{seconds:.1f}")
    started = int(machine.show("ExecMainStartTimestampMonotonic"))
    ready = int(machine.show("ActiveEnterTimestampMonotonic"))
    figure("start until ready, seconds", f"{(ready - started) / 1e6:.2f}")
    for package in ("ocpd", "ocpctl"):
        kib = machine.container.check("dpkg-query", "-W", "-f", "${Installed-Size}", package)
        size = machine.repository.package(package).stat().st_size
        figure(f"{package}, MB to fetch and on disk", f"{size / 1e6:.1f}, {int(kib) / 1e3:.1f}")


def test_with_its_port_taken_it_is_installed_and_says_that_it_does_not_run(machine):
    holder = ("python3", "-m", "http.server", "3456", "--bind", "127.0.0.1")
    machine.container.check("systemd-run", "--quiet", "--unit=holder", *holder)
    wait_until(lambda: "3456" in machine.container.check("ss", "-ltn"), 20, "the other program")
    said = machine.apt("install", "-y", "ocpd")
    assert "does not run yet" in said
    assert "held by python3" in machine.ocpctl("doctor").stdout
    # It has not given up.
    machine.systemctl("stop", "holder")
    wait_until(machine.is_active, 20, "the service")


def test_with_the_cli_there_but_no_login_it_says_not_signed_in_and_how_to(installed, api):
    installed.point_cli_at(api.url)
    installed.systemctl("restart", "ocpd")
    wait_until(lambda: _is_signed_in(installed) is False, 20, "the word that nobody is signed in")
    assert "not signed in; run: sudo ocpctl auth login" in installed.ocpctl("status").stdout
    doctor = installed.ocpctl("doctor")
    assert doctor.returncode == 5, doctor.stdout
    assert "ocpctl auth" in doctor.stdout


def test_a_token_leads_to_an_answer_through_the_real_cli_in_the_sandbox(signed_in, api):
    page = signed_in.ask("Hello from a container")
    assert page.status == 200, page.text
    assert "canned answer" in page.json()["choices"][0]["message"]["content"]
    assert conversation(api.requests[-1]) == [("user", ["Hello from a container"])]
    children = signed_in.container.check("pgrep", "-u", "ocpd", "-f", "/opt/claude/claude")
    assert children.split()
    wait_until(lambda: _is_signed_in(signed_in), 20, "the word that somebody is signed in")
    doctor = signed_in.ocpctl("doctor")
    assert doctor.returncode == 0, doctor.stdout


def test_a_reload_takes_over_what_the_admin_wrote_and_keeps_the_process(installed):
    before = installed.main_pid()
    installed.container.write("/etc/ocpd/ocpd.toml", "maxQueue = 7\n")
    installed.systemctl("reload", "ocpd")
    wait_until(
        lambda: installed.health()["concurrency"]["maxQueue"] == 7, 10, "the admin's setting"
    )
    assert installed.main_pid() == before


def test_a_setting_that_does_not_fit_stops_the_service_for_good_and_is_named(installed):
    installed.container.write("/etc/ocpd/ocpd.toml", 'maxQueue = "many"\n')
    installed.container.run("systemctl", "restart", "ocpd")
    wait_until(lambda: installed.show("ActiveState") == "failed", 20, "the failure")
    assert installed.show("ExecMainStatus") == "78"
    assert installed.show("NRestarts") == "0"
    assert "maxQueue" in installed.container.journal()


def _is_signed_in(machine):
    return machine.health().get("auth", {}).get("ok")
