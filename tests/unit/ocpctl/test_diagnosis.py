"""Facts in, findings out: every finding of ``ocpctl doctor``, by tables."""

import pytest

from ocpctl import diagnosis, engine, surroundings
from ocpctl.facts import (
    ABSENT,
    ANSWERED,
    BROKEN,
    FORBIDDEN,
    NOT_YET,
    OUTSIDE,
    Entry,
    Facts,
    Service,
)
from ocpctl.fields import Fields
from ocpctl.findings import MUST, OK, WARNING, count

HEALTH = {
    "status": "ok",
    "version": "0.1.0",
    "pid": 500,
    "authMode": "none",
    "claude": {"path": "/usr/bin/claude", "version": "2.1.330", "problem": "", "warning": ""},
    "planGuard": {"mode": "warn", "planOnly": True, "overageUntil": None, "stopped": []},
    "warnings": [],
    "recentErrors": [],
}
AUTH = {"signed_in": True, "message": "signed in", "method": "login", "uid": 990}
SETTINGS = {"bind": {"value": "127.0.0.1"}, "port": {"value": 3456}}


def entry(path, mode=0o700, *, owner="ocpd", group="ocpd", uid=990):
    made = Entry(path)
    made.is_there, made.mode = True, mode
    made.owner, made.group, made.uid = owner, group, uid
    return made


def service(kind="system", **changes):
    made = Service(kind, "ocpd.service")
    user = "--user " if kind == "user" else ""
    made.start = f"systemctl {user}enable --now ocpd.service"
    made.disable = f"systemctl {user}disable --now ocpd.service"
    made.log = f"journalctl {user}-u ocpd -n 50"
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def known(**changes):
    """The facts of a machine on which all is well."""
    facts = Facts()
    facts.version, facts.now, facts.caller = "0.1.0", 1_000_000.0, "anna"
    facts.reached, facts.place = ANSWERED, "/run/ocpd/ocpd.sock"
    facts.health, facts.auth, facts.settings = Fields(HEALTH), Fields(AUTH), Fields(SETTINGS)
    facts.user, facts.uid = "ocpd", 990
    facts.services = (service(is_owner=True, is_running=True, is_enabled=True, pid=500),)
    facts.sockets = (entry("/run/ocpd/ocpd.sock", 0o660),)
    facts.state = entry("/var/lib/ocpd")
    facts.config = entry("/etc/ocpd/ocpd.toml", 0o644, owner="root", group="root", uid=0)
    facts.port, facts.port_holder, facts.port_pid = 3456, "ocpd (pid 500)", 500
    facts.free_mb, facts.memory_mb = 90_000, 8_000
    for name, value in changes.items():
        assert hasattr(facts, name), name
        setattr(facts, name, value)
    return facts


def down(**changes):
    """The same machine, with no daemon that answers."""
    nothing = Fields(None)
    told = {"health": nothing, "auth": nothing, "settings": nothing, "place": ""}
    idle = {"services": (service(),), "port_holder": "", "port_pid": 0}
    return known(**({"reached": ABSENT, "trouble": "ocpd does not answer"} | told | idle | changes))


def only(findings):
    (finding,) = findings
    return finding.level, finding.text, finding.commands


def healthy(**changes):
    return Fields(HEALTH | changes)


def test_where_all_is_well_every_check_says_so_once():
    findings = diagnosis.judge(known())
    assert {finding.level for finding in findings} == {OK}
    checks = [finding.check for finding in findings]
    assert len(checks) == len(set(checks))
    assert set(checks) >= {"daemon", "versions", "port", "socket", "config", "cli", "login"}
    assert set(checks) >= {"doors", "plan", "errors", "state", "disk", "memory"}


def test_whatever_is_unknown_is_no_reason_to_complain():
    facts = Facts()
    facts.reached, facts.health = ANSWERED, Fields({"claude": {"path": "/c", "version": "2.1.330"}})
    assert count(diagnosis.judge(facts), MUST) == 0


def test_of_another_machine_only_the_daemons_own_words_count():
    checks = {f.check for f in diagnosis.judge(known(is_remote=True, place="http://nas:3456"))}
    assert not checks & {"port", "socket", "config", "cli", "state", "disk", "memory"}


@pytest.mark.parametrize(
    ("facts", "text", "command"),
    [
        (
            known(),
            "ocpd 0.1.0 answers on /run/ocpd/ocpd.sock (process 500, run by the system's",
            "",
        ),
        (known(services=()), "(process 500, started by hand)", ""),
        (down(), "ocpd does not run", "systemctl enable --now ocpd.service"),
        (down(services=()), "no service manager here knows it", "start it as you did before"),
        (down(services=()), "no service manager here knows it", "if it ends at once, the line"),
        (down(services=(service(last_exit=78),)), "its settings do not fit", "journalctl -u ocpd"),
        (down(services=(service(last_exit=78),)), "its settings do not fit", "how to forget it"),
        (
            down(services=(service("user", last_exit=69),)),
            "the system's ocpd has its port",
            "--user",
        ),
        (down(services=(service(last_exit=1),)), "it ended (exit code 1", "journalctl -u ocpd"),
        (down(services=(service(last_exit=243),)), "cannot be read", "etc/ocpd/credentials"),
        (down(services=(service(is_masked=True),)), "(it is masked)", "then: sudo ocpctl doctor"),
        (down(services=(service(is_running=True),)), "runs, but its ocpd does not answer", "journ"),
        (
            down(services=(service("user", is_running=True),), is_root=True),
            "root does not look for its socket",
            "without sudo: ocpctl doctor",
        ),
        (
            down(
                reached=FORBIDDEN,
                trouble="you may not",
                place="/run/ocpd/ocpd.sock",
                socket_group=OUTSIDE,
            ),
            "you may not",
            "sudo usermod -aG ocpd anna",
        ),
        (
            down(
                reached=FORBIDDEN,
                trouble="you may not",
                place="/run/ocpd/ocpd.sock",
                socket_group=NOT_YET,
            ),
            "you may not",
            "log out and in again",
        ),
        (down(reached=FORBIDDEN, trouble="you may not", place="/x"), "you may not", "sudo ocpctl"),
        (
            down(reached=FORBIDDEN, place="/run/ocpd-guest/ocpd.sock", instance="guest"),
            "",
            "sudo ocpctl doctor --instance guest",
        ),
        (down(reached=BROKEN, trouble="it broke off"), "it broke off", ""),
    ],
)
def test_the_daemon(facts, text, command):
    level, said, commands = only(diagnosis.judge_daemon(facts))
    assert level == (OK if facts.is_up else MUST)
    assert text in said
    assert command in " ".join(commands)


@pytest.mark.parametrize(
    ("theirs", "level", "commands"),
    [
        ("0.1.0", OK, ()),
        ("0.0.9", WARNING, ("ocpctl restart",)),
        ("0.10.0", WARNING, ("ocpctl update",)),
    ],
)
def test_versions(theirs, level, commands):
    found = only(diagnosis.judge_versions(known(health=healthy(version=theirs))))
    assert (found[0], found[2]) == (level, commands)


def cli(path="/srv/anna/claude", **changes):
    facts = down(**changes)
    facts.cli.path = facts.cli.real_path = path
    facts.cli.version = "2.1.330"
    return facts


def npm(facts):
    facts.cli.path = "/usr/bin/claude"
    facts.cli.real_path = "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js"
    return facts


def hindered(facts):
    facts.cli.hindrance = "ocpd may not use /srv/anna"
    return facts


def told(**changes):
    return healthy(claude=HEALTH["claude"] | changes)


UP = {"reached": ANSWERED, "health": told(path=None)}


@pytest.mark.parametrize(
    ("facts", "level", "text", "command"),
    [
        (known(), OK, "Claude CLI 2.1.330 at /usr/bin/claude", ""),
        (known(health=told(path=None)), MUST, "no Claude CLI that ocpd can run", "sudo -u ocpd -H"),
        (known(health=told(path=None), user="anna"), MUST, "there is no Claude CLI", "| bash"),
        (known(health=told(path=None), user="anna", platform="darwin"), MUST, "no", "brew install"),
        (cli(**UP), MUST, "there is one at", "ocpctl settings claudeBin /srv/anna/claude"),
        (hindered(cli(**UP)), MUST, "ocpd may not use /srv/anna", "sudo install -m 755"),
        (hindered(cli()), MUST, "is not for ocpd", "settings claudeBin PATH"),
        (cli(), OK, "Claude CLI 2.1.330", ""),
        (cli(path="", is_root=True), MUST, "no Claude CLI", "sudo -u ocpd -H"),
        (cli(path=""), WARNING, "is seen from here", "sudo ocpctl doctor"),
        (
            known(health=told(version="2.1.9", problem="too old")),
            MUST,
            "too old (",
            "claude update",
        ),
        (
            known(health=told(version="2.1.400", warning="newer")),
            WARNING,
            "newer",
            "update --check",
        ),
        (
            known(health=told(version="", problem="no version")),
            MUST,
            "no version",
            "sudo -u ocpd -H /usr/bin/claude --version",
        ),
        (npm(known(health=told(version="", problem="no version"))), MUST, "no", "node is missing"),
    ],
)
def test_the_cli(facts, level, text, command):
    found = only(engine.judge_cli(facts))
    assert found[0] == level
    assert text in found[1]
    assert command in "; ".join(found[2])


def test_whoever_may_not_ask_hears_nothing_of_the_cli():
    assert list(engine.judge_cli(cli(path="", reached=FORBIDDEN))) == []


@pytest.mark.parametrize(
    ("version", "level", "text"),
    [
        ("2.1.247", MUST, "too old: 2.1.248 is needed"),
        ("2.1.331", WARNING, "newer than the newest one tested (2.1.330)"),
        ("", MUST, "tells no version"),
    ],
)
def test_the_version_of_the_cli_is_judged_without_a_daemon_too(version, level, text):
    facts = cli()
    facts.cli.version = version
    found = only(engine.judge_cli(facts))
    assert found[0] == level
    assert text in found[1]


@pytest.mark.parametrize(
    ("auth", "changes", "level", "command"),
    [
        (AUTH, {}, OK, None),
        (AUTH | {"signed_in": False}, {}, MUST, "sudo ocpctl auth login"),
        (AUTH | {"signed_in": False}, {"is_root": True}, MUST, "ocpctl auth login"),
        (AUTH | {"signed_in": False}, {"user": "anna"}, MUST, "ocpctl auth login"),
        (AUTH | {"signed_in": None}, {}, WARNING, "ocpctl auth"),
    ],
)
def test_the_login(auth, changes, level, command):
    found = only(engine.judge_login(known(auth=Fields(auth), **changes)))
    assert found[0] == level
    assert (found[2] or (None,))[0] == command


def test_the_login_is_not_judged_by_a_command_for_somebody_else():
    auth = AUTH | {"signed_in": False, "message": "not signed in; run: /x/claude auth login"}
    assert only(engine.judge_login(known(auth=Fields(auth))))[1] == "not signed in"


@pytest.mark.parametrize(
    ("bind", "tls", "warnings", "levels"),
    [
        ("127.0.0.1", "", [], [OK]),
        ("127.0.0.1,::1,localhost", "", [], [OK]),
        (["127.0.0.1", "::1"], "", [], [OK]),
        ("0.0.0.0", "", ["authMode is none"], [WARNING, WARNING]),
        ("0.0.0.0", "/c.pem", ["authMode is none"], [WARNING]),
        ("0.0.0.0", "", ["it speaks plain HTTP"], [WARNING]),
        ("127.0.0.1,192.0.2.1", "", [], [WARNING]),
        ("192.0.2.1", "/c.pem", [], []),
    ],
)
def test_doors_that_stand_open(bind, tls, warnings, levels):
    settings = Fields({"bind": {"value": bind}, "tlsCertificate": {"value": tls}})
    facts = known(settings=settings, health=healthy(warnings=warnings))
    assert [finding.level for finding in diagnosis.judge_doors(facts)] == levels


@pytest.mark.parametrize(
    ("changes", "level", "text"),
    [
        ({}, OK, "nobody is stopped (planGuard warn, planOnly on)"),
        ({"overageUntil": "15:00"}, WARNING, "every turn is refused until 15:00"),
        ({"overageUntil": "15:00", "planOnly": False}, WARNING, "charged extra until 15:00"),
        (
            {"stopped": [{"role": "batch", "window": "w", "percent": 61, "until": "15:00"}]},
            WARNING,
            "class batch are stopped until 15:00: w is used to 61%",
        ),
    ],
)
def test_the_plan_guard(changes, level, text):
    guard = HEALTH["planGuard"] | changes
    found = only(diagnosis.judge_plan(known(health=healthy(planGuard=guard))))
    assert found[0] == level
    assert text in found[1]


@pytest.mark.parametrize(
    ("age_s", "level", "text"),
    [(120, WARNING, "2 min ago: it broke"), (7_300, OK, "2 h ago"), (-50, WARNING, "0 min ago")],
)
def test_the_last_error(age_s, level, text):
    errors = [{"time": 1, "message": "old"}, {"time": 1_000_000 - age_s, "message": "it broke"}]
    found = only(diagnosis.judge_errors(known(health=healthy(recentErrors=errors))))
    assert found[0] == level
    assert text in found[1]


def test_the_database_is_told_of_only_if_it_complains():
    assert list(diagnosis.judge_store(known())) == []
    store = {"lastError": "disk full", "lostRows": 7, "movedAside": "/x.bad"}
    first, second = diagnosis.judge_store(known(status=Fields({"store": store})))
    assert "disk full (7 rows" in first.text
    assert "/x.bad" in second.text


def test_a_demo_says_so():
    assert list(diagnosis.judge_demo(known())) == []
    assert only(diagnosis.judge_demo(known(health=healthy(demo=True))))[0] == WARNING
    assert list(engine.judge_login(known(health=healthy(demo=True)))) == []


# Around it.


@pytest.mark.parametrize(
    ("user", "system", "text"),
    [
        ({"is_running": True}, {"is_running": True}, "run at once"),
        ({"is_running": True}, {"is_enabled": True}, "are to run at once"),
        ({"is_running": True}, {}, ""),
        ({}, {}, ""),
    ],
)
def test_two_services_are_one_too_many(user, system, text):
    facts = known(services=(service("user", **user), service("system", **system)))
    found = list(surroundings.judge_services(facts))
    assert bool(found) == bool(text)
    if text:
        assert text in found[0].text
        assert "systemctl --user disable --now ocpd.service" in found[0].commands[0]


@pytest.mark.parametrize(
    ("kind", "lingers", "levels"),
    [
        ("user", True, [OK]),
        ("user", False, [WARNING]),
        ("user", None, []),
        ("system", False, []),
    ],
)
def test_a_users_service_should_outlive_the_login(kind, lingers, levels):
    facts = known(services=(service(kind, is_enabled=True),), lingers=lingers)
    found = list(surroundings.judge_linger(facts))
    assert [finding.level for finding in found] == levels
    if levels == [WARNING]:
        assert found[0].commands == ("loginctl enable-linger anna",)


@pytest.mark.parametrize(
    ("facts", "level", "text"),
    [
        (known(), OK, "port 3456 is ocpd's"),
        (known(port_holder="?", port_pid=0), OK, "is ocpd's"),
        (known(port_holder="systemd (pid 1)", port_pid=1), OK, "kept by systemd"),
        (known(port_holder="node (pid 7)", port_pid=7), WARNING, "held by node (pid 7) too"),
        (known(port_holder="", port_pid=0), WARNING, "nobody is seen"),
        (down(), OK, "is free"),
        (down(port_holder="node (pid 7)", port_pid=7), MUST, "held by node (pid 7), so"),
        (down(port_holder="?"), MUST, "a program of another user"),
        (down(port_holder="?", reached=FORBIDDEN), OK, "is in use, by ocpd as far as"),
        (down(port_holder="?", services=(service(is_running=True),)), OK, "is in use"),
    ],
)
def test_the_port(facts, level, text):
    found = only(surroundings.judge_port(facts))
    assert found[0] == level
    assert text in found[1]
    assert level != MUST or "ss -ltnp" in found[2][0]


@pytest.mark.parametrize(
    ("socket", "level", "command"),
    [
        (entry("/run/ocpd/ocpd.sock", 0o660), OK, None),
        (entry("/run/ocpd/ocpd.sock", 0o666), MUST, "sudo chmod o= /run/ocpd/ocpd.sock"),
        (entry("/run/ocpd/ocpd.sock", 0o600), WARNING, "sudo chmod g+rw /run/ocpd/ocpd.sock"),
        (
            entry("/run/ocpd/ocpd.sock", 0o660, group="x"),
            WARNING,
            "sudo chgrp ocpd /run/ocpd/ocpd.sock",
        ),
        (entry("/x/ocpd.sock", 0o600, group="anna"), OK, None),
    ],
)
def test_the_socket_is_for_those_who_may(socket, level, command):
    found = only(surroundings.judge_sockets(known(sockets=(socket, Entry("/none")))))
    assert (found[0], (found[2] or (None,))[0]) == (level, command)


@pytest.mark.parametrize(
    ("changes", "level", "text"),
    [
        ({}, OK, "/etc/ocpd/ocpd.toml (root:root, mode 0644)"),
        ({"config": Entry("")}, OK, "no config file"),
        ({"config_fault": "config file: x"}, MUST, "config file: x"),
        ({"is_config_hidden": True}, MUST, "ocpd cannot read /etc/ocpd/ocpd.toml"),
    ],
)
def test_the_config_file(changes, level, text):
    found = only(surroundings.judge_config(known(**changes)))
    assert found[0] == level
    assert text in found[1]


@pytest.mark.parametrize(
    ("state", "levels", "command"),
    [
        (entry("/var/lib/ocpd"), [OK], ""),
        (entry("/var/lib/ocpd", uid=0), [MUST], "sudo chown -R ocpd: /var/lib/ocpd"),
        (entry("/var/lib/ocpd", 0o755), [WARNING], "sudo chmod 700 /var/lib/ocpd"),
        (Entry("/var/lib/ocpd"), [], ""),
    ],
)
def test_the_state_directory_is_the_daemons_alone(state, levels, command):
    found = list(surroundings.judge_state(known(state=state)))
    assert [finding.level for finding in found] == levels
    assert command in "".join(command for finding in found for command in finding.commands)


@pytest.mark.parametrize(
    ("free", "memory", "levels"),
    [
        (90_000, 8_000, [OK, OK]),
        (400, 300, [WARNING, WARNING]),
        (10, None, [MUST]),
        (None, None, []),
    ],
)
def test_disk_and_memory(free, memory, levels):
    found = surroundings.judge_room(known(free_mb=free, memory_mb=memory))
    assert [finding.level for finding in found] == levels


def test_what_is_wrong_comes_with_what_to_type():
    state = entry("/var/lib/ocpd", uid=0)
    sick = down(port_holder="?", config_fault="x", state=state, free_mb=1)
    wrong = [finding for finding in diagnosis.judge(sick) if finding.level == MUST]
    assert len(wrong) >= 5
    assert all(finding.commands for finding in wrong)


def test_the_packages_unit_for_users_alone_makes_it_nobodys_own():
    both = (service("user"), service("system", is_enabled=True))
    assert down(services=both).is_system
    assert not down(services=(service("user", is_enabled=True), service("system"))).is_system
    assert not down(services=(service("user"), service("system"))).is_system
