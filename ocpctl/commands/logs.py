"""``ocpctl logs``: what happened lately, and with ``-f`` what happens now."""

from __future__ import annotations

from ocpctl.failures import OK, Failure, Misuse
from ocpctl.fields import Fields, spell_value
from ocpctl.grammar import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator

    from ocpctl.desk import Desk
    from ocpctl.fields import Json
    from ocpctl.output import Output

LEVELS = ("all", "debug", "info", "warn", "error")
# logLevel is spelled as the daemon's log has it.
_SPELLED = {"warning": "warn"}
MOST = 500
_FRAME_LIMIT = 1024 * 1024


def show_logs(args: Namespace, desk: Desk) -> int:
    """Show entries, oldest first; with ``-f`` go on until Ctrl-C."""
    number, level = read_amount(args.number, args.level, is_following=args.follow)
    query = {"n": str(number), "level": level}
    if args.follow:
        return _follow(desk, query)
    return desk.answer(
        desk.client.get("logs", query=query), lambda body, out: _show_entries(body, out, level)
    )


def read_amount(number: str | None, level: str | None, *, is_following: bool) -> tuple[int, str]:
    """Read how many entries of which level are wanted; either may be left out. Raises Misuse."""
    words = [word for word in (number, level) if word is not None]
    numbers = [word for word in words if word.isascii() and word.isdecimal()]
    levels = [_SPELLED.get(word, word) for word in words if word not in numbers]
    if len(numbers) > 1 or len(levels) > 1 or any(word not in LEVELS for word in levels):
        raise Misuse(
            f"logs {' '.join(words)}: a number and a level are wanted",
            (f"levels are {', '.join(LEVELS)}",),
        )
    if numbers and not 0 < int(numbers[0]) <= MOST:
        raise Misuse(f"logs {numbers[0]}: 1 to {MOST} entries can be asked for")
    # Who follows wants to see what happens; who looks back looks for what went wrong.
    usual = "all" if is_following else "error"
    return int(numbers[0]) if numbers else 20, levels[0] if levels else usual


def spell_entry(entry: Fields) -> str:
    """One entry on one line."""
    if raw := entry.text("raw"):
        return raw[:200]
    parts = [
        entry.text("ts", "-")[:19],
        entry.text("level", "-").upper(),
        entry.text("event", "-"),
    ]
    if model := entry.text("model"):
        parts.append(model)
    shown = ("ts", "level", "event", "model")
    rest = " ".join(f"{k}={spell_value(v)}" for k, v in entry.pairs() if k not in shown)
    return " | ".join((*parts, rest) if rest else parts)


def read_frames(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each server-sent event; comments and other fields are passed over."""
    held = b""
    data: list[str] = []
    for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        if len(held) > _FRAME_LIMIT:
            raise Failure("ocpd sent a line without an end")
        for line in lines:
            text = line.decode("utf-8", "replace").removesuffix("\r")
            if text.startswith("data:"):
                data.append(text.removeprefix("data:").removeprefix(" "))
            elif not text and data:
                yield "\n".join(data)
                data = []


def _show_entries(body: Fields, out: Output, level: str) -> None:
    entries = body.parts("entries")
    for entry in entries:
        out.line(out.cut(spell_entry(entry)))
    if not entries:
        out.line("No log entries." if level == "all" else f"No {level} entries.")


def _follow(desk: Desk, query: dict[str, str]) -> int:
    import json  # noqa: PLC0415, TID251 - ocpctl starts without msgspec

    with desk.client.stream("logs", query=query | {"follow": "1"}, endless=True) as stream:
        for data in read_frames(stream):
            try:
                entry: Json = json.loads(data)
            except ValueError:
                entry = {"raw": data}
            if desk.out.is_json:
                desk.out.show_json(entry, indent=None)
            else:
                desk.out.line(spell_entry(Fields(entry)))
                desk.out.flush()
    desk.out.remark("ocpd ended the log: it is stopping, or restarting")
    return OK


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("number", metavar="N", nargs="?", help="how many entries (20, at most 500)")
    parser.add_argument(
        "level",
        metavar="LEVEL",
        nargs="?",
        help=f"{', '.join(LEVELS)} (error; with -f all)",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")


COMMANDS = {"logs": {"": Verb("show recent log entries", show_logs, _declare)}}
