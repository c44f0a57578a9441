"""``ocpctl restart`` and ``ocpctl reload``: the daemon as a service."""

from __future__ import annotations

from ocpctl.failures import OK, REFUSED, Failure, NotRunning
from ocpctl.fields import Fields, spell_value
from ocpctl.grammar import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ocpctl.client import Client
    from ocpctl.desk import Desk
    from ocpctl.output import Output


def reload_config(_args: Namespace, desk: Desk) -> int:
    """Have the daemon read its config file again."""
    return desk.answer(desk.client.call("POST", "admin", "reload"), _show_changes)


def _show_changes(body: Fields, out: Output) -> None:
    changed = list(body.part("changed").pairs())
    for key, value in changed:
        out.tick(f"{key} = {spell_value(value)}")
    if not changed:
        out.line("Nothing has changed.")
    for note in body.texts("notes"):
        out.line(f"Note: {note}")


def restart(args: Namespace, desk: Desk) -> int:
    """Restart ocpd by whatever keeps it running, and see that a new one answers."""
    if args.what == "gateway":
        return _restart_gateway(desk)
    from ocpctl import services  # noqa: PLC0415 - reload needs no other program

    health = services.read_health(desk.client)
    place = desk.client.place
    if place is not None and place.is_tcp and not services.is_here(place.host):
        raise Failure(
            f"{place} is on another machine, and so is what restarts it",
            ("type this there: ocpctl restart",),
        )
    before, pid = health.text("version"), services.daemon_pid(desk.client, health)
    managers = services.find_managers(desk.instance)
    manager = services.choose_manager(managers, desk.client, pid)
    if manager is None:
        raise _unmanaged(desk.client, pid)
    desk.out.remark(" ".join(manager.command("restart")))
    if health.part("stats").count("activeRequests"):
        desk.out.remark("answers that are being given may end first (setting drainTimeout)")
    health = services.restart(manager, desk.client)
    version, pid = health.text("version", "?"), services.daemon_pid(desk.client, health)
    if desk.out.is_json:
        desk.out.show_json({"version": version, "before": before or None, "pid": pid})
        return OK
    was = f" (it was {before})" if before not in ("", version) else ""
    process = f" as process {pid}" if pid else ""
    desk.out.tick(f"ocpd {version} answers{process}{was}")
    return OK


def _restart_gateway(desk: Desk) -> int:
    from ocpctl.runner import calling_account, has_program, run_shown  # noqa: PLC0415

    if not has_program("openclaw"):
        desk.out.line("OpenClaw is not installed here: there is no gateway to restart.")
        return OK
    desk.out.flush()
    code = run_shown(["openclaw", "gateway", "restart"], None, calling_account())
    return OK if code == 0 else REFUSED


def _unmanaged(client: Client, pid: int | None) -> Failure:
    pid = pid or client.peer_pid
    if client.place is None:
        return NotRunning(
            "ocpd is not running, and no service manager knows it",
            ("start it as you did before: ocpd, or make run in a checkout",),
        )
    line = _command_of(pid)
    how = f" as process {pid}" if pid else ""
    return Failure(
        f"ocpd was started by hand{how}, so it is yours to restart",
        ((f"it was started with: {line}",) if line else ())
        + ("stop it with Ctrl-C, or kill, and start it again",),
    )


def _command_of(pid: int | None) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return ""
    return spell_value(" ".join(word.decode("utf-8", "replace") for word in words if word))


def _declare_restart(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="gateway",
        nargs="?",
        choices=("gateway",),
        help="OpenClaw's gateway instead",
    )


COMMANDS = {
    "reload": {"": Verb("have the daemon read its config file again", reload_config)},
    "restart": {"": Verb("restart ocpd, or OpenClaw's gateway", restart, _declare_restart)},
}
