"""``ocpctl keys``: who may ask. A key is meant by its number or by its name."""

from __future__ import annotations

from argparse import ArgumentTypeError

from ocpctl.failures import REFUSED, Misuse
from ocpctl.fields import Fields
from ocpctl.grammar import Verb
from ocpctl.limits import PERIODS, name_limit, spell_amount
from ocpctl.output import DIM, GREEN, RED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ocpctl.desk import Desk
    from ocpctl.fields import Json
    from ocpctl.output import Output


def list_keys(_args: Namespace, desk: Desk) -> int:
    """List all keys, revoked ones too."""
    return desk.answer(desk.client.get("api", "keys"), _show_keys)


def add_key(args: Namespace, desk: Desk) -> int:
    """Create a key and show it, once."""
    body: dict[str, Json] = {"name": args.name}
    if args.expires_in_days is not None:
        body["expires_in_days"] = args.expires_in_days
    if args.models is not None:
        body["models"] = list(args.models)
    if args.mcp_servers is not None:
        body["mcp_servers"] = list(args.mcp_servers)
    if args.allowed_tools is not None:
        body["allowed_tools"] = list(args.allowed_tools)
    if args.role is not None:
        body["role"] = args.role
    if args.weight is not None:
        body["weight"] = args.weight
    if args.note is not None:
        body["note"] = args.note
    told = desk.client.call("POST", "api", "keys", body=body)
    return desk.answer(told, lambda key, out: show_secret(key, out, "created"))


def rotate_key(args: Namespace, desk: Desk) -> int:
    """Give a key a new secret and show it, once."""
    told = desk.client.call("POST", "api", "keys", read_ref(args.ref), "rotate")
    return desk.answer(told, lambda key, out: show_secret(key, out, "rotated"))


def revoke_key(args: Namespace, desk: Desk) -> int:
    """Take a key back. That there was none to take back is a failure."""
    told = desk.client.call("DELETE", "api", "keys", read_ref(args.ref))
    is_revoked = Fields(told).flag("revoked")
    if desk.out.is_json:
        desk.out.show_json(told)
    elif is_revoked:
        desk.out.tick(f'Key "{args.ref}" revoked')
    if is_revoked:
        return 0
    desk.out.cross(f'Key "{args.ref}" not found or already revoked')
    return REFUSED


def show_key(args: Namespace, desk: Desk) -> int:
    """Tell all about one key, but the secret."""
    path = ("api", "keys", read_ref(args.ref))
    return desk.answer(
        desk.client.get(*path),
        lambda key, out: _show_key(key, Fields(desk.client.get(*path, "quota")), out),
    )


def rename_key(args: Namespace, desk: Desk) -> int:
    """Give a key another name."""
    told = desk.client.call("PATCH", "api", "keys", read_ref(args.ref), body={"name": args.name})
    return desk.answer(
        told, lambda key, out: out.tick(f'Key "{args.ref}" is now "{key.text("name")}"')
    )


def set_key(args: Namespace, desk: Desk) -> int:
    """Give a key another role or weight."""
    body: dict[str, Json] = {}
    if args.role is not None:
        body["role"] = args.role
    if args.weight is not None:
        body["weight"] = args.weight
    if not body:
        raise Misuse("nothing to change: --role or --weight is wanted")
    told = desk.client.call("PATCH", "api", "keys", read_ref(args.ref), body=body)
    return desk.answer(
        told,
        lambda key, out: out.tick(
            f'Key "{key.text("name")}" is {key.text("role")}, weight'
            f" {key.text('weight', 'that of the role')}"
        ),
    )


def read_ref(text: str) -> str:
    """Return a number or name that can stand in a path. Raises Misuse if it is empty."""
    if not text.strip():
        raise Misuse("the key is missing: its number or its name is wanted")
    return text


def show_secret(key: Fields, out: Output, done: str) -> None:
    """Show a new secret and say that it is shown only now."""
    out.tick(f'Key {done} for "{key.text("name")}"')
    out.line(f"  API Key: {key.text('key')}")
    out.line("  Copy this key now — you won't see it again.")
    out.line()
    out.line(f"  On the client: export OPENAI_API_KEY={key.text('key')}")


def _show_keys(body: Fields, out: Output) -> None:
    out.title("API Keys")
    keys = body.parts("keys")
    if not keys:
        out.line("  No keys yet. Make one: ocpctl keys add NAME")
    wide = max((len(key.text("name")) for key in keys), default=0)
    for key in keys:
        name = f"  {key.text('name'):<{max(20, min(wide, 40))}}{_preview(key):<20}"
        # As wide as the longest state, whatever the colours add.
        state = _spell_state(key)
        mark = out.paint(state, GREEN if state.startswith("✓") else RED) + " " * (11 - len(state))
        made = _moment(key.text("created_at", "-"))
        rest = out.cut(_spell_rest(key), reserved=len(name) + 11 + len(made) + 2)
        out.line(f"{name}{mark}{made}  {out.paint(rest, DIM)}")


def _preview(key: Fields) -> str:
    return f"{key.text('keyPreview', '?')} "


def _spell_state(key: Fields) -> str:
    if key.flag("revoked"):
        return "✗ revoked"
    expires_at = key.text("expires_at")
    if expires_at and _moment(expires_at) <= _now():
        return "✗ expired"
    return "✓ active"


def _spell_rest(key: Fields) -> str:
    said = [f"#{key.text('id', '?')}"]
    if expires_at := key.text("expires_at"):
        said.append(f"until {_moment(expires_at)}")
    if models := key.texts("models"):
        said.append(f"only {', '.join(models)}")
    if key.value("mcp_servers") is not None:
        said.append(f"MCP servers {_spell_names(key, 'mcp_servers', 'all')}")
    if key.value("allowed_tools") is not None:
        said.append(f"tools {_spell_names(key, 'allowed_tools', '')}")
    if (role := key.text("role", "user")) != "user":
        said.append(role)
    if key.value("weight") is not None:
        said.append(f"weight {key.text('weight')}")
    if note := key.text("note"):
        said.append(note)
    return " · ".join(said)


def _spell_names(key: Fields, name: str, unset: str) -> str:
    # An empty list is none at all, other than with models.
    if key.value(name) is None:
        return unset
    return ", ".join(key.texts(name)) or "none"


def _spell_limits(quota: Fields) -> str:
    limits = [(name_limit(limit), limit) for limit in quota.parts("limits")]
    if "limits" not in quota:
        limits = [(period, quota.part("quota").part(period)) for period in PERIODS]
    known = ((name, limit.number("limit")) for name, limit in limits)
    told = [f"{name} {spell_amount(most, name)}" for name, most in known if most is not None]
    return ", ".join(told) or "none"


def _show_key(key: Fields, quota: Fields, out: Output) -> None:
    out.pairs(
        (
            ("Name", key.text("name")),
            ("Number", key.text("id")),
            ("Key", key.text("keyPreview")),
            ("State", _spell_state(key)),
            ("Role", key.text("role")),
            ("Weight", key.text("weight", "that of the role")),
            ("Created", _moment(key.text("created_at"))),
            ("Last used", _moment(key.text("last_used_at", "never"))),
            ("Expires", _moment(key.text("expires_at", "never"))),
            ("Revoked", _moment(key.text("revoked_at"))),
            ("Models", ", ".join(key.texts("models")) or "all"),
            ("MCP servers", _spell_names(key, "mcp_servers", "all")),
            ("Tools", _spell_names(key, "allowed_tools", "as the setting allowedTools says")),
            ("Quota", _spell_limits(quota)),
            ("Note", key.text("note")),
        )
    )


def _moment(text: str) -> str:
    """One form for both in which the daemon writes moments; UTC like them."""
    return text[:19].replace("T", " ") if text[:1].isdecimal() else text


def _now() -> str:
    from time import gmtime, strftime  # noqa: PLC0415 - few keys expire

    return strftime("%Y-%m-%d %H:%M:%S", gmtime())


# Arguments.


def _read_models(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ArgumentTypeError(f"{text!r} is no list of models such as opus,sonnet")
    return names


def _read_names(text: str, such_as: str = "files,search") -> list[str]:
    names = [name.strip() for name in text.split(",")] if text.strip() else []
    if not all(names):
        raise ArgumentTypeError(f"{text!r} is no list of names such as {such_as}")
    return names


def _read_tools(text: str) -> list[str]:
    return _read_names(text, "Read,Bash")


def read_weight(text: str) -> int:
    """Read a weight, 1 to 100."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 100):
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 to 100")
    return int(text)


def read_days(text: str) -> int:
    """Read a number of days, at least 1."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 100_000):
        raise ArgumentTypeError(f"{text!r} is no number of days")
    return int(text)


def _declare_ref(parser: ArgumentParser) -> None:
    parser.add_argument("ref", metavar="KEY", help="number or name of the key")


def _declare_add(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what the key is called; each name is unique")
    parser.add_argument(
        "--expires-in-days", metavar="N", type=read_days, help="it stops working after N days"
    )
    parser.add_argument(
        "--models", metavar="A,B", type=_read_models, help="only these models; aliases will do"
    )
    parser.add_argument(
        "--mcp-servers",
        metavar="A,B",
        type=_read_names,
        help='only these servers of the registry (mcpRegistry); "" is none',
    )
    parser.add_argument(
        "--allowed-tools",
        metavar="A,B",
        type=_read_tools,
        help="these tools of the CLI itself, on the daemon's machine, instead of those of"
        ' allowedTools; "" is none',
    )
    _declare_standing(parser)
    parser.add_argument("--note", metavar="TEXT", help="a remark, shown in the list")


def _declare_standing(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--role",
        choices=("user", "owner", "batch"),
        help="batch waits for all others; an owner weighs 4, a user 2, batch 1",
    )
    parser.add_argument(
        "--weight",
        metavar="N",
        type=read_weight,
        help="its share of the places while others wait too, 1 to 100, instead of the role's",
    )


def _declare_set(parser: ArgumentParser) -> None:
    _declare_ref(parser)
    _declare_standing(parser)


def _declare_rename(parser: ArgumentParser) -> None:
    _declare_ref(parser)
    parser.add_argument("name", metavar="NAME", help="the new name")


COMMANDS = {
    "keys": {
        "": Verb("list all keys", list_keys),
        "add": Verb(
            "create a key",
            add_key,
            _declare_add,
            detail="Its secret is shown once and never again.",
        ),
        "revoke": Verb("take a key back; it stops at once", revoke_key, _declare_ref),
        "rotate": Verb(
            "give a key a new secret", rotate_key, _declare_ref, detail="The old one stops at once."
        ),
        "show": Verb("tell all about one key", show_key, _declare_ref),
        "set": Verb(
            "say where a key stands in the queue",
            set_key,
            _declare_set,
            detail="It counts from its next request.",
        ),
        "rename": Verb("give a key another name", rename_key, _declare_rename),
    }
}
