"""``ocpctl settings``: the knobs of the running daemon."""

from __future__ import annotations

from ocpctl.failures import OK, REFUSED, Misuse, Refused
from ocpctl.fields import Fields, clean_text, spell_value
from ocpctl.grammar import Verb
from ocpctl.output import DIM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from ocpctl.desk import Desk
    from ocpctl.fields import Json
    from ocpctl.output import Output

_DIGITS = frozenset("0123456789")


def run_settings(args: Namespace, desk: Desk) -> int:
    """Show all or one, change some, reset some, or explain one."""
    if args.reset is not None:
        return _reset(_read_resets(args), desk)
    if args.explain is not None:
        path = ("settings", _only_key(args, args.explain))
        return desk.answer(desk.client.get(*path), _explain)
    if args.key is None:
        return desk.answer(desk.client.get("settings"), _show_all)
    if args.value is None:
        return desk.answer(desk.client.get("settings", args.key), _show_one)
    return _change(_read_changes((args.key, args.value, *args.more)), desk)


def _read_changes(words: tuple[str, ...]) -> dict[str, Json]:
    if len(words) % 2:
        raise Misuse(f"the setting {words[-1]} has no value", ("KEY VALUE KEY VALUE ...",))
    return {key: read_value(text) for key, text in zip(words[::2], words[1::2], strict=True)}


def read_value(text: str) -> Json:
    """Read a value as JSON means it: numbers, true and false; all else is a text.

    Quotes keep a text of digits a text: '"123"'.
    """
    if text in ("true", "false"):
        return text == "true"
    if text[:1] == '"' or (set(text) & _DIGITS and not set(text) - _DIGITS - set("+-.eE")):
        import json  # noqa: PLC0415, TID251 - ocpctl starts without msgspec

        try:
            value: Json = json.loads(text)
        except ValueError:
            return text
        return value
    return text


def _read_resets(args: Namespace) -> list[str]:
    """``--reset KEY KEY`` and ``KEY KEY --reset`` mean the same."""
    before = [word for word in (args.key, args.value, *args.more) if word is not None]
    keys: list[str] = args.reset or before
    if not all(keys) or not keys or (args.reset and before):
        raise Misuse(
            "settings --reset: one setting is wanted, or several, on one side of --reset",
            ("ocpctl settings lists them",),
        )
    return keys


def _only_key(args: Namespace, named: str) -> str:
    """``--explain KEY`` and ``KEY --explain`` mean the same."""
    keys = [key for key in (named, args.key) if key]
    if len(keys) != 1 or args.value is not None:
        raise Misuse("one setting is wanted", ("ocpctl settings lists them",))
    return str(keys[0])


def _change(
    changes: dict[str, Json],
    desk: Desk,
    show: Callable[[Fields, Output], None] | None = None,
) -> int:
    try:
        told = desk.client.call("PATCH", "settings", body=changes)
    except Refused as refused:
        errors = Fields(refused.body).texts("errors")
        if not errors:
            raise
        for error in errors:
            desk.out.cross(error)
        return REFUSED
    return desk.answer(told, show or _show_results) or _show_errors(Fields(told), desk)


def _show_results(body: Fields, out: Output) -> None:
    results = body.part("results")
    for key in results.names():
        result = results.part(key)
        if "error" not in result:
            out.tick(f"{clean_text(key)} = {spell_value(result.value('value'))}")


def _show_errors(body: Fields, desk: Desk) -> int:
    # An older daemon says yes to a part and no to the rest.
    errors = body.texts("errors")
    for error in errors:
        desk.out.cross(error)
    return REFUSED if errors else OK


def _reset(keys: list[str], desk: Desk) -> int:
    if len(keys) > 1:
        # Settings that belong together can only go together.
        return _change(dict.fromkeys(keys), desk, _show_resets)
    told = desk.client.call("DELETE", "settings", keys[0])
    return desk.answer(told, lambda body, out: _show_reset(body.text("key", keys[0]), body, out))


def _show_resets(body: Fields, out: Output) -> None:
    results, current = body.part("results"), body.part("current")
    for key in results.names():
        if "error" not in results.part(key):
            _show_reset(key, current.part(key) if key in current else results.part(key), out)


def _show_reset(key: str, told: Fields, out: Output) -> None:
    origin, value = told.text("origin"), spell_value(told.value("value"))
    out.tick(f"{clean_text(key)} = {value}" + (f" ({origin})" if origin else ""))


# Tables.


def _show_all(body: Fields, out: Output) -> None:
    out.title("OCP Settings")
    names = [name for name in body.names() if name != "tiers"]
    settings = {name: body.part(name) for name in names}
    values = {name: spell_value(told.value("value")) for name, told in settings.items()}
    # One long path must not push every other row out of sight.
    wide = max((len(value) for value in values.values() if len(value) <= 12), default=0)
    for name, told in settings.items():
        row = f"{clean_text(name):<20} {values[name]:>{max(8, wide)}} {told.text('unit'):<6} "
        origin = told.text("origin", "default")
        about = told.text("desc") + (f" [{origin}]" if origin != "default" else "")
        out.line(row + out.paint(out.cut(about, reserved=len(row)), DIM))
    tiers = body.part("tiers")
    if "tiers" in body:
        out.line()
        out.line("Timeout Tiers (first-byte):")
    for name in tiers.names():
        tier = tiers.part(name)
        out.line(
            f"  {clean_text(name):<8}base={tier.text('base'):>6}ms  perChar={_spell_rate(tier)}"
        )


def _spell_rate(tier: Fields) -> str:
    rate = tier.number("perPromptChar")
    return f"{rate:.6f}".rstrip("0").rstrip(".") if rate else "0"


def _show_one(body: Fields, out: Output) -> None:
    unit = body.text("unit")
    value = spell_value(body.value("value"))
    out.line(f"{body.text('key')} = {value}" + (f" {unit}" if unit else ""))


def _explain(body: Fields, out: Output) -> None:
    _show_one(body, out)
    out.line()
    out.pairs(
        (
            ("What it is", body.text("help")),
            ("Fits", _spell_fits(body)),
            ("Default", spell_value(body.value("default"))),
            ("Set by", body.text("origin")),
            ("Variables", ", ".join(body.texts("env"))),
            ("Flag", body.text("flag")),
        )
    )
    sources = body.parts("sources")
    if sources:
        out.line()
        out.line("Where a value was found, the strongest first:")
    for source in sources:
        mark = "  <- in force" if source.flag("wins") else ""
        out.line(f"  {source.text('origin'):<20} {spell_value(source.value('value'))}{mark}")


def _spell_fits(body: Fields) -> str:
    if choices := body.texts("choices"):
        return ", ".join(choices)
    kind, low, high = body.text("type"), body.text("min"), body.text("max")
    return f"{kind}, {low} to {high} {body.text('unit')}".rstrip() if low and high else kind


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", nargs="?", help="the setting; all, if it is left out")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="its new value, from now on")
    parser.add_argument(
        "more",
        metavar="KEY VALUE",
        nargs="*",
        help="more of both: all are changed at once, or none",
    )
    parser.add_argument(
        "--reset",
        metavar="KEY",
        nargs="*",
        help="forget what was set here, of several settings at once",
    )
    parser.add_argument(
        "--explain", metavar="KEY", nargs="?", const="", help="where the value comes from"
    )


COMMANDS = {
    "settings": {
        "": Verb(
            "show or change settings",
            run_settings,
            _declare,
            detail="A change takes effect at once and survives a restart; --reset gives the"
            " settings named back to flags, environment and config file.",
        )
    }
}
