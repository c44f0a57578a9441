"""What the facts mean: findings, each with the next thing to type.

What may live here: judgement over ``Facts``, and the order in which findings are told. Pure:
nothing is asked of the machine, so that every finding can be tested with a table. What is about the
CLI and its login is judged in ``engine``, what is about the machine in ``surroundings``.
"""

from __future__ import annotations

from ocpctl import engine, surroundings
from ocpctl.claude import read_version
from ocpctl.facts import ABSENT, FORBIDDEN, NOT_YET, Facts
from ocpctl.findings import MUST, OK, WARNING, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Judge = Callable[[Facts], Iterable[Finding]]

# Exit codes of the daemon, as systemd keeps them, and one of systemd's own (EXIT_CREDENTIALS).
_REASONS = {
    69: "the system's ocpd has its port",
    78: "its settings do not fit",
    243: "its secrets cannot be read",
}
_REMEDIES = {
    78: ("the log names the setting; one that was changed at run time, with how to forget it",),
    243: ("sudo install -d -m 700 /etc/ocpd/credentials",),
}
_RECENT_S = 3600.0


def judge(facts: Facts) -> list[Finding]:
    """Return every finding, in the order in which a newcomer has to go through them."""
    judges = JUDGES if not facts.is_remote else TOLD
    return [finding for each in judges for finding in each(facts)]


# The daemon.


def judge_daemon(facts: Facts) -> Iterable[Finding]:
    """Who answers, and who runs it; or how to start it."""
    if facts.is_up:
        yield Finding(OK, "daemon", f"ocpd {_version(facts)} answers on {facts.place}{_run(facts)}")
    elif facts.reached == FORBIDDEN:
        yield Finding(MUST, "daemon", facts.trouble, _entry_commands(facts))
    elif facts.reached == ABSENT:
        yield Finding(MUST, "daemon", *_explain_absence(facts))
    else:
        yield Finding(MUST, "daemon", facts.trouble, _log_commands(facts))


def _version(facts: Facts) -> str:
    return facts.health.text("version", "of an unknown version")


def _run(facts: Facts) -> str:
    pid = facts.health.count("pid") or facts.peer_pid
    process = f"process {pid}, " if pid > 1 else ""
    owner = next((service for service in facts.services if service.is_owner), None)
    if facts.is_remote:
        return " (another machine: what is here was not looked at)"
    if owner is None:
        return f" ({process}started by hand)"
    return f" ({process}run by the {owner.kind}'s {owner.name})"


def _entry_commands(facts: Facts) -> tuple[str, ...]:
    if facts.socket_group == NOT_YET:
        return ("you are in group ocpd since after your last login: log out and in again",)
    if facts.place.startswith("/run/ocpd/"):
        return (
            f"sudo usermod -aG ocpd {facts.caller}",
            "then log out and in again; or use sudo ocpctl",
        )
    instance = f" --instance {facts.instance}" if facts.instance else ""
    return (f"sudo ocpctl doctor{instance}",)


def _explain_absence(facts: Facts) -> tuple[str, tuple[str, ...]]:
    masked = next((s for s in facts.services if s.is_masked), None)
    if masked is not None and not any(s.is_running or s.is_enabled for s in facts.services):
        text = f"ocpd does not run: an admin has forbidden {masked.name} to start (it is masked)"
        return text, (masked.start, "then: sudo ocpctl doctor")
    failed = next((s for s in facts.services if s.last_exit and not s.is_running), None)
    if failed is not None:
        why = _REASONS.get(failed.last_exit, "it ended")
        return (
            f"ocpd does not run: {why} (exit code {failed.last_exit} of {failed.name})",
            (failed.log, *_REMEDIES.get(failed.last_exit, ()), failed.start),
        )
    running = next((s for s in facts.services if s.is_running), None)
    if running is not None and running.kind == "user" and facts.is_root and facts.caller != "root":
        # Root's folders are not where a user's daemon has its socket.
        return f"{facts.caller}'s {running.name} runs, and root does not look for its socket", (
            "without sudo: ocpctl doctor",
        )
    if running is not None:
        return f"{running.name} runs, but its ocpd does not answer", (running.log,)
    if facts.services:
        return "ocpd does not run", _or(service.start for service in facts.services)
    return "ocpd does not run, and no service manager here knows it", (
        "start it as you did before: ocpd, or make run in a checkout",
        "if it ends at once, the line it ends with says why, and what to do",
    )


def _log_commands(facts: Facts) -> tuple[str, ...]:
    return _or(service.log for service in facts.services if service.is_running)


def _or(commands: Iterable[str]) -> tuple[str, ...]:
    found = [command for command in commands if command]
    return tuple(f"or: {command}" if at else command for at, command in enumerate(found))


def judge_versions(facts: Facts) -> Iterable[Finding]:
    """Do daemon and ocpctl belong together?"""
    theirs, ours = facts.health.text("version"), facts.version
    if not theirs:
        return
    if theirs == ours:
        yield Finding(OK, "versions", f"ocpctl is {ours} too")
        return
    is_older = (read_version(theirs) or ()) < (read_version(ours) or ())
    command = "ocpctl restart" if is_older else "ocpctl update"
    yield Finding(WARNING, "versions", f"ocpd is {theirs}, this ocpctl is {ours}", (command,))


def judge_demo(facts: Facts) -> Iterable[Finding]:
    """Are the answers canned?"""
    if facts.health.flag("demo"):
        text = "this ocpd is a demo: its answers are canned"
        yield Finding(WARNING, "demo", text, ("sign in, then: make run LOGIN=required",))


# What it does.

_PLAIN = (
    "ocpctl settings bind 127.0.0.1",
    "or have TLS there: a certificate, or a proxy in front that has one",
)


def judge_doors(facts: Facts) -> Iterable[Finding]:
    """Who could come in who should not?"""
    warnings = facts.health.texts("warnings")
    for warning in warnings:
        yield Finding(WARNING, "doors", warning, ("ocpctl settings authMode multi",))
    open_to = [address for address in _addresses(facts) if not _is_loopback(address)]
    has_tls = bool(facts.settings.part("tlsCertificate").text("value"))
    if open_to and not has_tls and not any("HTTP" in warning for warning in warnings):
        text = f"bind is {', '.join(open_to)}, and what travels there is plain HTTP, keys too"
        yield Finding(WARNING, "doors", text, _PLAIN)
    if facts.is_up and not warnings and not open_to:
        mode = facts.health.text("authMode", "unknown")
        yield Finding(OK, "doors", f"only this machine can connect (authMode {mode})")


def _addresses(facts: Facts) -> list[str]:
    told = facts.settings.part("bind").value("value")
    texts = [str(each) for each in told] if isinstance(told, list) else str(told or "").split(",")
    return [text.strip() for text in texts if text.strip()]


def _is_loopback(address: str) -> bool:
    return address in ("localhost", "::1", "[::1]") or address.startswith("127.")


def judge_plan(facts: Facts) -> Iterable[Finding]:
    """Whom does the plan guard stop?"""
    guard = facts.health.part("planGuard")
    if not guard.names():
        return
    is_stopping = False
    if until := guard.text("overageUntil"):
        is_stopping = True
        what = "every turn is refused" if guard.flag("planOnly") else "turns are charged extra"
        yield Finding(
            WARNING, "plan", f"the plan is used up: {what} until {until}", ("ocpctl usage",)
        )
    for each in guard.parts("stopped"):
        is_stopping = True
        yield Finding(
            WARNING,
            "plan",
            f"callers of class {each.text('role')} are stopped until {each.text('until')}:"
            f" {each.text('window')} is used to {each.text('percent')}%",
            ("ocpctl usage", f"ocpctl settings planStopAt{each.text('role').title()} PERCENT"),
        )
    if not is_stopping:
        only = "on" if guard.flag("planOnly") else "off"
        yield Finding(
            OK, "plan", f"nobody is stopped (planGuard {guard.text('mode')}, planOnly {only})"
        )


def judge_errors(facts: Facts) -> Iterable[Finding]:
    """What failed last?"""
    errors = facts.health.parts("recentErrors")
    if errors:
        age_s = max(0.0, facts.now - (errors[-1].number("time") or 0.0))
        level = WARNING if age_s < _RECENT_S else OK
        text = f"last error {_spell_age(age_s)} ago: {errors[-1].text('message')}"
        yield Finding(level, "errors", text, ("ocpctl logs",))
    elif facts.is_up:
        yield Finding(OK, "errors", "nothing has failed since the start")


def _spell_age(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h"


def judge_store(facts: Facts) -> Iterable[Finding]:
    """Is the database well?"""
    store = facts.status.part("store")
    if error := store.text("lastError"):
        lost = store.count("lostRows")
        rows = f" ({lost} rows of usage are lost)" if lost else ""
        yield Finding(WARNING, "store", f"the database said: {error}{rows}", ("ocpctl logs",))
    if aside := store.text("movedAside"):
        text = f"the database was damaged; it was moved to {aside}, and a new one is in use"
        yield Finding(WARNING, "store", text, ("ocpctl restore FILE, if you have a backup",))


# What the daemon says of itself counts wherever it runs.
TOLD: tuple[Judge, ...] = (
    judge_daemon,
    judge_versions,
    judge_demo,
    engine.judge_login,
    judge_doors,
    judge_plan,
    judge_errors,
    judge_store,
)

JUDGES: tuple[Judge, ...] = (
    judge_daemon,
    judge_versions,
    judge_demo,
    surroundings.judge_services,
    surroundings.judge_linger,
    surroundings.judge_port,
    surroundings.judge_sockets,
    surroundings.judge_config,
    engine.judge_cli,
    engine.judge_login,
    judge_doors,
    judge_plan,
    judge_errors,
    judge_store,
    surroundings.judge_state,
    surroundings.judge_room,
)
