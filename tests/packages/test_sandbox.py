"""The unit's sandbox is on, as far as a container can prove it.

Not proved here, because this machine's cgroups have no controllers and systemd-nspawn denies much
by itself: limits of memory and tasks, devices, and system calls that no container may make.
"""

import re

import pytest

TIME_LIMIT_S = 180


def test_the_process_has_no_rights_to_lose(installed):
    status = installed.container.read(f"/proc/{installed.main_pid()}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[name], 16) == 0, name
    uid = installed.container.check("id", "-u", "ocpd").strip()
    assert set(fields["Uid"].split()) == {uid}
    assert uid != "0"


@pytest.mark.parametrize("path", ["/usr/lib/ocpd/x", "/etc/ocpd/x", "/opt/x", "/var/log/x"])
def test_nothing_can_be_written_but_its_own_state(installed, path):
    done = _in_its_view(installed, "touch", path)
    assert done.returncode != 0
    assert "Read-only file system" in done.stdout


def test_state_and_a_tmp_of_its_own_can_be_written(installed):
    for path in ("/var/lib/ocpd/x", "/run/ocpd/x", "/tmp/mark-of-ocpd"):
        assert _in_its_view(installed, "touch", path).returncode == 0
    assert not installed.container.exists("/tmp/mark-of-ocpd")


def test_homes_and_other_processes_are_out_of_its_sight(installed):
    installed.add_user("somebody")
    installed.container.write(f"{installed.home_of('somebody')}/secret", "x")
    # As its own user: root's own files are root's to see.
    looked = _in_its_view(installed, "runuser", "-u", "ocpd", "--", "ls", "-A", "/home")
    assert looked.stdout == "" or "denied" in looked.stdout
    seen = _in_its_view(installed, "runuser", "-u", "ocpd", "--", "ls", "/proc").stdout.split()
    assert installed.main_pid() in seen
    assert "1" not in seen
    assert "meminfo" not in seen


def test_state_belongs_to_the_service_alone(installed):
    listed = installed.container.check(
        "stat", "-c", "%a %U", "/var/lib/ocpd", "/etc/ocpd/credentials"
    )
    assert listed.splitlines() == ["700 ocpd", "700 root"]


def test_systemd_rates_the_exposure_low(installed, figure):
    told = installed.container.check("systemd-analyze", "security", "--no-pager", "ocpd.service")
    (score,) = re.findall(r"Overall exposure level for ocpd.service: ([\d.]+)", told)
    assert float(score) <= 1.5
    figure("exposure", score)


def _in_its_view(machine, *command):
    """Run ``command`` as root where the service lives: with its mounts, not its rights."""
    return machine.container.run("nsenter", "-t", machine.main_pid(), "-m", "--", *command)
