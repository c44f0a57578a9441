"""``ocpctl update``: the newest version, from where ocpd was installed, and running."""

from __future__ import annotations

from ocpctl.failures import OK, TO_DO, Failure
from ocpctl.grammar import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ocpctl.desk import Desk
    from ocpctl.fields import Json
    from ocpctl.owners import Offer, Owner


class _Running:
    """The daemon as it is at one moment: "" and None if none answers."""

    __slots__ = ("pid", "version")

    def __init__(self, desk: Desk) -> None:
        from ocpctl import services  # noqa: PLC0415 - --help needs none of it

        health = services.read_health(desk.client)
        self.version = health.text("version")
        self.pid = services.daemon_pid(desk.client, health)

    def __str__(self) -> str:
        return f"ocpd {self.version} still runs" if self.version else "ocpd does not run"


def update(args: Namespace, desk: Desk) -> int:
    """Upgrade, restart and see that the new version answers; or with ``--check`` only compare."""
    # All that is needed later, now: the files of this very program may be replaced in between.
    import json  # noqa: F401, PLC0415, TID251

    from ocpctl import owners  # noqa: PLC0415

    desk.client.hush()
    before = _Running(desk)
    try:
        owner = owners.find_owner()
        if not args.check:
            owner.check_rights()
        offer = owner.look()
        if args.check:
            return _show_offer(offer, owner, before, desk)
        if offer.is_newer:
            _upgrade(offer, owner, args, desk)
    except Failure as failure:
        raise _tell_what_runs(failure, desk) from failure
    return _settle(offer, owner, before, desk)


def _tell_what_runs(failure: Failure, desk: Desk) -> Failure:
    """The same failure, with what a reader must know beside it."""
    told = Failure(f"{failure.message}; {_Running(desk)}", failure.advice)
    told.exit_code = failure.exit_code
    return told


def _show_offer(offer: Offer, owner: Owner, before: _Running, desk: Desk) -> int:
    if desk.out.is_json:
        desk.out.show_json(
            {
                "owner": owner.name,
                "installed": offer.installed or None,
                "newest": offer.newest or None,
                "is_newer": offer.is_newer,
                "running": before.version or None,
                "note": offer.note,
            }
        )
        return TO_DO if offer.is_newer else OK
    desk.out.pairs(
        (
            ("Installed", f"{offer.installed} (by {owner.name})"),
            ("Newest", offer.newest),
            ("Running", before.version or "nothing answers"),
            ("Note", offer.note),
        )
    )
    if offer.is_newer:
        desk.out.line("There is something newer: ocpctl update")
    else:
        desk.out.line("That is the newest.")
    return TO_DO if offer.is_newer else OK


def _upgrade(offer: Offer, owner: Owner, args: Namespace, desk: Desk) -> None:
    if offer.note:
        desk.out.remark(offer.note)
    question = f"Update ocpd from {offer.installed} to {offer.newest} by {owner.name}, and restart?"
    desk.confirm(question, is_sure=args.yes)
    desk.out.flush()
    owner.upgrade(is_quiet=desk.out.is_json)


def _settle(offer: Offer, owner: Owner, before: _Running, desk: Desk) -> int:
    """See that what is installed is what runs; restart if it is not."""
    version = owner.installed_version()
    running = _Running(desk)
    code = OK
    # The packages restart the service themselves.
    is_fresh = running.version == version and (running.pid != before.pid or not running.pid)
    if not before.version and not running.version:
        said = f"ocpd {version} is installed; it does not run"
    elif is_fresh or (running.version == version and not offer.is_newer):
        said = f"ocpd {version} runs" if offer.is_newer else f"ocpd {version} runs, the newest"
    else:
        said, code = _restart(version, desk)
    if owner.package_note:
        desk.out.remark(owner.package_note)
    if desk.out.is_json:
        told: dict[str, Json] = {"owner": owner.name, "installed": version}
        told |= {"before": before.version or None, "running": _Running(desk).version or None}
        desk.out.show_json(told)
    elif code == OK:
        desk.out.tick(said)
    else:
        desk.out.remark(said)
    return code


def _restart(version: str, desk: Desk) -> tuple[str, int]:
    from ocpctl import services  # noqa: PLC0415 - loaded long ago

    running = _Running(desk)
    managers = services.find_managers(desk.instance)
    manager = services.choose_manager(managers, desk.client, running.pid)
    if manager is None:
        return f"ocpd {version} is installed, but {running}: stop it and start it again", TO_DO
    desk.out.remark(" ".join(manager.command("restart")))
    try:
        services.restart(manager, desk.client, version=version)
    except Failure as failure:
        raise _tell_what_runs(failure, desk) from failure
    return f"ocpd {version} runs", OK


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="only tell whether there is a newer")
    parser.add_argument("--yes", action="store_true", help="do not ask")


COMMANDS = {
    "update": {
        "": Verb(
            "get the newest version, from where ocpd was installed",
            update,
            _declare,
            detail="That is apt, Homebrew or a checkout. Then ocpd is restarted by what runs it,"
            " and the new version has to answer. With --check nothing is changed; it exits 0 if"
            " there is nothing newer, else 5.",
        )
    }
}
