"""``ocpctl doctor``: what is well, what is not, and the next command to type."""

from __future__ import annotations

from ocpctl.failures import OK, TO_DO
from ocpctl.findings import MUST, WARNING, count
from ocpctl.grammar import Verb
from ocpctl.output import GREEN, RED, YELLOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from ocpctl.desk import Desk
    from ocpctl.fields import Json
    from ocpctl.findings import Finding
    from ocpctl.output import Output

_MARKS = {"ok": ("✓", GREEN), WARNING: ("!", YELLOW), MUST: ("✗", RED)}


def examine(_args: Namespace, desk: Desk) -> int:
    """Look at everything, and exit with TO_DO if something must be done."""
    from ocpctl.checkup import gather  # noqa: PLC0415 - --help needs none of it
    from ocpctl.diagnosis import judge  # noqa: PLC0415

    desk.client.hush()
    facts = gather(desk)
    findings = judge(facts)
    must, warnings = count(findings, MUST), count(findings, WARNING)
    if desk.out.is_json:
        told: list[Json] = [finding.spell() for finding in findings]
        desk.out.show_json(
            {
                "ok": must == 0,
                "must": must,
                "warnings": warnings,
                "ocpctl": facts.version,
                "ocpd": facts.health.text("version") or None,
                "findings": told,
            }
        )
    else:
        _show(findings, desk.out)
        desk.out.line()
        desk.out.line(_sum_up(must, warnings))
    return TO_DO if must else OK


def _show(findings: list[Finding], out: Output) -> None:
    wide = max((len(finding.check) for finding in findings), default=0)
    for finding in findings:
        mark, colour = _MARKS[finding.level]
        out.line(f"{out.paint(mark, colour)} {finding.check:<{wide}}  {finding.text}")
        if finding.level == "ok":
            continue
        for command in finding.commands:
            out.line(f"  {'':<{wide}}  → {command}")


def _sum_up(must: int, warnings: int) -> str:
    if not must and not warnings:
        return "All is well."
    told = [f"{must} must be done"] if must else ["Nothing must be done"]
    if warnings:
        told.append(f"{warnings} warning{'s' if warnings > 1 else ''}")
    return f"{', '.join(told)}."


COMMANDS = {
    "doctor": {
        "": Verb(
            "tell what must be done, with the next command to type",
            examine,
            detail="It looks at the daemon, its service, the Claude CLI and its login, port,"
            " sockets, files, disk and memory, also while the daemon is down, and changes nothing."
            " Exits 0 if nothing must be done, warnings or not, else 5.",
        )
    }
}
