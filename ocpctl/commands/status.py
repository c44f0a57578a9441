"""``ocpctl status`` and ``ocpctl health``: how the daemon does, at a glance and in full.

Both exit with TO_DO if the daemon says that it is not well.
"""

from __future__ import annotations

from ocpctl.failures import OK, TO_DO
from ocpctl.fields import Fields
from ocpctl.grammar import Verb
from ocpctl.output import GREEN, RED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from ocpctl.desk import Desk
    from ocpctl.output import Output


def show_status(_args: Namespace, desk: Desk) -> int:
    """Tell the few things one looks for first."""
    body = desk.client.get("status")
    desk.answer(body, _show_status)
    return OK if Fields(body).part("proxy").text("status") == "ok" else TO_DO


def show_health(_args: Namespace, desk: Desk) -> int:
    """Tell all that /health has to say."""
    body = desk.client.get("health")
    desk.answer(body, _show_health)
    return OK if Fields(body).text("status") == "ok" else TO_DO


def _show_status(status: Fields, out: Output) -> None:
    proxy, requests = status.part("proxy"), status.part("requests")
    out.pairs(
        (
            ("ocpd", _spell_state(proxy, out)),
            ("Listens", ", ".join(proxy.texts("urls"))),
            ("Login", proxy.text("auth")),
            ("Requests", _spell_counts(requests, ("total", "active", "errors", "timeouts"))),
            ("Plan", _spell_plan(status)),
            ("Plan guard", spell_guard(status.part("planGuard"))),
            ("Sessions", proxy.text("activeSessions")),
        )
    )
    _show_warnings(status, out)
    _show_errors(status, out)


def _spell_state(told: Fields, out: Output) -> str:
    state = told.text("status", "unknown")
    colour = GREEN if state == "ok" else RED
    return (
        f"{told.text('version', '?')}  {out.paint(state, colour)}"
        f"  up {told.text('uptimeHuman', '?')}"
    )


def _spell_counts(told: Fields, names: tuple[str, ...]) -> str:
    return ", ".join(f"{told.text(name)} {_spaced(name)}" for name in names if name in told)


def _spaced(name: str) -> str:
    """maxConcurrent as two words."""
    return "".join(f" {char.lower()}" if char.isupper() else char for char in name)


def _spell_plan(status: Fields) -> str:
    plan = status.part("plan")
    if not plan.names():
        return status.text("plan", "unknown") if isinstance(status.value("plan"), str) else ""
    windows = (
        ("session", plan.part("currentSession")),
        ("week", plan.part("weeklyLimits").part("allModels")),
    )
    return ", ".join(
        f"{label} unknown"
        if window.text("percent", "?") == "?"
        else f"{label} {window.text('percent')} used, resets in {window.text('resetsIn', '?')}"
        for label, window in windows
    )


def spell_guard(guard: Fields) -> str:
    """Return what the plan guard does in words; "" if the daemon does not tell."""
    mode = guard.text("mode")
    if not mode:
        return ""
    said = [mode]
    said += [
        f"{each.text('role')} stopped until {each.text('until')}"
        f" ({each.text('window')} {each.text('percent')}%)"
        for each in guard.parts("stopped")
    ]
    if until := guard.text("overageUntil"):
        what = "all stopped" if guard.flag("planOnly") else "charged beyond the plan"
        said.append(f"{what} until {until} (the plan is used up)")
    return ", ".join(said)


def _show_warnings(told: Fields, out: Output) -> None:
    for warning in told.texts("warnings"):
        out.line(out.paint(f"Caution: {warning}", RED))


def _show_errors(told: Fields, out: Output) -> None:
    errors = told.parts("recentErrors")
    if errors:
        out.line("Recent errors:")
    for error in errors:
        out.line(out.cut(f"  {error.text('time', '?')[:19]}  {error.text('message')}"))


def _show_health(health: Fields, out: Output) -> None:
    claude, auth = health.part("claude"), health.part("auth")
    queue, processes = health.part("concurrency"), health.part("processes")
    counted = ("totalRequests", "activeRequests", "errors", "timeouts")
    out.pairs(
        (
            ("ocpd", _spell_state(health, out)),
            ("Listens", ", ".join(health.texts("urls"))),
            ("Instance", health.text("instanceName")),
            ("Claude CLI", _spell_claude(health, claude)),
            ("Login", _spell_login(auth)),
            ("Callers", f"auth mode {health.text('authMode', 'unknown')}"),
            ("Tools here", _spell_tools(health.part("config"))),
            ("Requests", _spell_counts(health.part("stats"), counted)),
            (
                "Turns",
                f"{queue.count('inflight')} of {queue.text('maxConcurrent', '?')} running,"
                f" {queue.count('queued')} waiting, {queue.count('queueRejections')} turned away",
            ),
            ("Plan guard", spell_guard(health.part("planGuard"))),
            (
                "Processes",
                ", ".join(f"{processes.text(n)} {_spaced(n)}" for n, _ in _flat(processes)),
            ),
        )
    )
    for warning in health.part("models").texts("warnings"):
        out.line(f"Note: {warning}")
    _show_warnings(health, out)
    _show_errors(health, out)


def _flat(told: Fields) -> list[tuple[str, object]]:
    return [(name, value) for name, value in told.pairs() if isinstance(value, int | float)]


def _spell_claude(health: Fields, claude: Fields) -> str:
    path = claude.text("path") or health.text("claudeBinary", "not found")
    said = [path, claude.text("version")]
    trouble = claude.text("problem") or claude.text("warning")
    return " ".join(word for word in said if word) + (f": {trouble}" if trouble else "")


def _spell_tools(config: Fields) -> str:
    said = config.texts("allowedTools")
    if said and config.flag("skipPermissions"):
        said.append("without any check")
    said += [f"MCP server {name}" for name in config.texts("mcpServers")]
    return ", ".join(said)


def _spell_login(auth: Fields) -> str:
    verdict = {True: "ok", False: "rejected", None: "not known yet"}[auth.flag("ok")]
    message = auth.text("message")
    return f"{verdict}: {message}" if message and message != verdict else verdict


COMMANDS = {
    "status": {"": Verb("give a quick overview", show_status)},
    "health": {"": Verb("tell what runs and what is wrong with it", show_health)},
}
