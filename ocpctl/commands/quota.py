"""``ocpctl quota``: what one key may spend, in requests, tokens or dollars."""

from __future__ import annotations

from ocpctl.commands.keys import read_ref
from ocpctl.failures import Misuse
from ocpctl.fields import Fields, spell_value
from ocpctl.grammar import Verb
from ocpctl.limits import PERIODS, name_limit, spell_amount
from ocpctl.output import RED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ocpctl.desk import Desk
    from ocpctl.fields import Json
    from ocpctl.output import Output

_NO_LIMIT = ("none", "off", "unlimited", "null")


def run_quota(args: Namespace, desk: Desk) -> int:
    """Change the limits that are given, or show all if none is."""
    path = ("api", "keys", read_ref(args.ref), "quota")
    if not args.limits:
        told = desk.client.get(*path)
        return desk.answer(told, lambda body, out: _show_quota(args.ref, body, out))
    told = desk.client.call("PATCH", *path, body=read_limits(args.limits))
    return desk.answer(told, _show_changes)


def read_limits(words: list[str]) -> dict[str, Json]:
    """Read limits such as daily=50 or cost.monthly=none. Raises Misuse."""
    limits: dict[str, Json] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise Misuse(f"{word!r} is no limit", ("limits look like daily=50 or weekly=none",))
        if name in limits:
            raise Misuse(f"{name} is given twice")
        limits[name] = _read_limit(name, value)
    return limits


def _read_limit(name: str, value: str) -> int | float | None:
    if value in _NO_LIMIT:
        return None
    whole, point, cents = value.partition(".")
    if not value.isascii() or not whole.isdecimal() or (point and not cents.isdecimal()):
        raise Misuse(f"{name}={value}: a number is wanted, or none")
    return float(value) if point else int(whole)


def _show_changes(body: Fields, out: Output) -> None:
    for name, limit in body.part("quota").pairs():
        out.tick(f"{name} = {'no limit' if limit is None else spell_value(limit)}")


def _show_quota(ref: str, body: Fields, out: Output) -> None:
    out.title(f"Quota of {ref}")
    rows = [_row(name_limit(limit), limit, out) for limit in body.parts("limits")]
    if not rows:
        quota = body.part("quota")
        rows = [_row(period, quota.part(period), out) for period in PERIODS if period in quota]
    for row in rows:
        out.line(row)
    if not rows:
        out.line("  no limits")


def _row(name: str, limit: Fields, out: Output) -> str:
    used, most = limit.number("used") or 0, limit.number("limit")
    spelled = "no limit" if most is None else f"of {spell_amount(most, name)}"
    text = f"  {name:<22}{spell_amount(used, name):>10}  {spelled}"
    return text if most is None or used < most else out.paint(text, RED)


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("ref", metavar="KEY", help="number or name of the key")
    parser.add_argument(
        "limits",
        metavar="LIMIT=N",
        nargs="*",
        help="daily=50, weekly=none, tokens.daily=100000, cost.monthly=5, minute=10, streams=2,"
        " ..."
        " (none takes a limit away, 0 blocks the key)",
    )


COMMANDS = {
    "quota": {
        "": Verb(
            "show or change what one key may spend",
            run_quota,
            _declare,
            detail="A bare period counts requests; tokens, input_tokens, output_tokens and cost"
            " (dollars) go before a point. Periods: minute, daily (UTC), weekly and monthly (7 and"
            " 30 days back), lifetime. streams counts requests at once."
            " Limits that are not given stay.",
        )
    }
}
