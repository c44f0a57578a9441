"""``ocpctl usage``: what the plan has left, what each model and each key did."""

from __future__ import annotations

from ocpctl.fields import clean_text
from ocpctl.grammar import Verb
from ocpctl.output import DIM, RULE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ocpctl.desk import Desk
    from ocpctl.fields import Fields
    from ocpctl.output import Output

_LONG_HEAD = ("Reqs", "OK", "Err", "Avg Time", "Max Time", "Avg Prompt", "Max Prompt")
_SHORT_HEAD = ("Req", "OK", "Er", "AvgT", "MaxT", "AvgP", "MaxP")
_LONG_WIDTHS = (25, 6, 6, 6, 10, 10, 12, 12)
_SHORT_WIDTHS = (25, 4, 5, 4, 6, 6, 6, 6)


def show_usage(args: Namespace, desk: Desk) -> int:
    """Tell about the plan and the models, or about each key."""
    if not (args.by_key or args.since):
        return desk.answer(desk.client.get("usage"), _show_plan)
    query = {"all": "true"}
    if args.since:
        from ocpctl.moments import local_now, read_moment  # noqa: PLC0415 - datetime is slow

        query["since"] = read_moment(args.since, local_now())
    return desk.answer(desk.client.get("api", "usage", query=query), _show_keys)


# The plan.


def _show_plan(usage: Fields, out: Output) -> None:
    plan = usage.part("plan")
    out.title("Plan Usage Limits")
    _show_window(out, "Current session", plan.part("currentSession"))
    out.line()
    _show_window(out, "Weekly (all models)", plan.part("weeklyLimits").part("allModels"))
    out.line()
    _show_extra(out, plan.part("extraUsage"))
    if usage.flag("stale"):
        fetched = usage.text("fetchedAt", "never")
        out.line(out.paint(f"  Last told by the CLI: {fetched}", DIM))
    out.line()
    _show_models(usage, out)
    out.line()
    proxy = usage.part("proxy")
    out.line(
        f"Proxy: up {proxy.text('uptime', '?')} | {proxy.count('totalRequests')} reqs"
        f" | {proxy.count('activeRequests')} active | {proxy.count('errors')} err"
        f" | {proxy.count('timeouts')} timeout"
    )


def _show_window(out: Output, label: str, window: Fields) -> None:
    percent = window.text("percent", "?")
    if window.value("utilization") is None and percent == "?":
        out.line(f"  {label:<20}  unknown until a turn has been answered")
        return
    out.line(f"  {label:<20}{percent:>5} used")
    moment = window.text("resetsAtHuman")
    resets = f"Resets in {window.text('resetsIn', 'unknown')}"
    out.line(f"{'':22}{resets}" + (f"  ({moment})" if moment else ""))


def _show_extra(out: Output, extra: Fields) -> None:
    status = extra.text("status", "unknown")
    said = {"allowed": "on", "allowed_warning": "on", "unknown": "unknown"}.get(status, "off")
    reason = extra.text("disabledReason")
    out.line(f"  {'Extra usage':<20}{said}" + (f" ({reason})" if reason else ""))


# The models.


def _show_models(usage: Fields, out: Output) -> None:
    models = usage.part("models")
    out.line("Model Stats (since proxy start)")
    is_narrow = out.width is not None and out.width < sum(_LONG_WIDTHS)
    widths = _SHORT_WIDTHS if is_narrow else _LONG_WIDTHS
    out.line(_row(("Model", *(_SHORT_HEAD if is_narrow else _LONG_HEAD)), widths))
    out.line("─" * sum(widths))
    totals = [0, 0, 0]
    for name in sorted(models.names()):
        model = models.part(name)
        counts = [model.count(what) for what in ("requests", "successes", "errors")]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        cells = (
            *(str(count) for count in counts),
            *(_seconds(model.count(what)) for what in ("avgElapsed", "maxElapsed")),
            *(_thousands(model.count(what)) for what in ("avgPromptChars", "maxPromptChars")),
        )
        out.line(_row((clean_text(name), *cells), widths))
    out.line(_row(("Total", *(str(total) for total in totals)), widths))


def _row(cells: tuple[str, ...], widths: tuple[int, ...]) -> str:
    first = f"{cells[0]:<{widths[0]}}"
    return first + "".join(f"{c:>{w}}" for c, w in zip(cells[1:], widths[1:], strict=False))


def _seconds(elapsed_ms: int) -> str:
    return f"{elapsed_ms / 1000:.0f}s" if elapsed_ms else "-"


def _thousands(chars: int) -> str:
    return f"{chars / 1000:.0f}K" if chars else "-"


# The keys.


def _show_keys(usage: Fields, out: Output) -> None:
    out.line("Usage by Key")
    out.line(RULE)
    keys = usage.parts("byKey")
    if not keys:
        out.line("  No usage in that time.")
        return
    head = ("Key", "Reqs", "OK", "Err", "Avg Time", "Last Request")
    out.line(_key_row(head))
    for key in keys:
        elapsed_ms = key.number("avg_elapsed_ms") or 0
        cells = (
            key.text("key_name", "anonymous"),
            *(str(key.count(what)) for what in ("requests", "successes", "errors")),
            f"{elapsed_ms / 1000:.1f}s",
            key.text("last_request", "-")[:19].replace("T", " "),
        )
        out.line(_key_row(cells))


def _key_row(cells: tuple[str, ...]) -> str:
    name, requests, successes, errors, average, last = cells
    return f"  {name:<20}{requests:>5} {successes:>4} {errors:>4} {average:>9}  {last:<20}"


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("--by-key", action="store_true", help="one line for each API key")
    parser.add_argument(
        "--since",
        metavar="WHEN",
        help="by key, and only since then: 30m, 12h, 7d, today, yesterday, or a date",
    )


COMMANDS = {
    "usage": {"": Verb("tell what the plan has left and what the models did", show_usage, _declare)}
}
