"""``ocpctl auth``: the Claude login that the daemon uses, and the key for remote admins.

The daemon is believed about who it is, but not blindly: what runs as root, or as somebody else on
root's word, must lie where only they could have put it.
"""

from __future__ import annotations

import os
import stat
import sys

from ocpctl.failures import OK, TO_DO, Broken, Failure, Misuse
from ocpctl.fields import Fields
from ocpctl.grammar import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ocpctl.desk import Desk
    from ocpctl.fields import Json
    from ocpctl.output import Output
    from ocpctl.runner import Account

_LONGEST_TOKEN = 4096
_HOW = "what is wrong with it, and what to do: sudo ocpctl doctor"


def show_login(_args: Namespace, desk: Desk) -> int:
    """Tell whether somebody is signed in."""
    return _show_state(desk.client.get("admin", "auth"), desk)


def sign_in(_args: Namespace, desk: Desk) -> int:
    """Run the CLI's own login as the user the daemon runs as."""
    from ocpctl.runner import clean_environ, run_shown  # noqa: PLC0415 - only here

    told = Fields(desk.client.get("admin", "auth"))
    account = _daemon_account(told)
    if not account.is_self and os.geteuid() != 0:
        raise Failure(
            f"ocpd runs as {account.name}, and the login must be theirs",
            (f"try: sudo {desk.spell_command(desk.argv)}",),
        )
    binary, config_dir = told.raw("binary"), told.raw("config_dir")
    if not binary:
        raise Failure("ocpd has found no Claude CLI", (told.text("message"), _HOW))
    for path in (binary, account.home, config_dir):
        _refuse_foreign(path, account)
    environ = clean_environ(account)
    if config_dir:
        environ["CLAUDE_CONFIG_DIR"] = config_dir
    code = run_shown([binary, "auth", "login"], environ, account)
    if code != 0:
        raise Failure(f"the CLI's login ended with exit code {code}", (_HOW,))
    return _show_state(desk.client.call("POST", "admin", "auth", "refresh"), desk)


def store_token(args: Namespace, desk: Desk) -> int:
    """Store a token of ``claude setup-token``, or remove the stored one."""
    if args.remove:
        told = desk.client.call("DELETE", "admin", "auth", "token")
        return desk.answer(told, _show_removed)
    token = check_token(_read_token())
    told = desk.client.call("POST", "admin", "auth", "token", body={"token": token})
    return desk.answer(told, lambda _, out: out.tick("Token stored; it is used from the next turn"))


def make_admin_key(args: Namespace, desk: Desk) -> int:
    """Make the key of remote admins and show it, once."""
    body: Json = {"rotate": bool(args.rotate)}
    told = desk.client.call("POST", "admin", "auth", "admin-key", body=body)
    return desk.answer(told, _show_admin_key)


def check_token(text: str) -> str:
    """Return the token in ``text``. Raises Misuse for what cannot be one."""
    token = text.strip()
    if not token:
        raise Misuse("no token was given")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Misuse("this is no token: it has blanks or strange characters in it")
    if len(token) > _LONGEST_TOKEN:
        raise Misuse("this is no token: it is too long")
    return token


def _read_token() -> str:
    if not sys.stdin.isatty():
        # One more than fits, so that what is too long is seen to be.
        return sys.stdin.read(2 * _LONGEST_TOKEN)
    from getpass import getpass  # noqa: PLC0415 - only here

    try:
        return getpass("Token of `claude setup-token` (not shown): ", sys.stderr)
    except EOFError:
        return ""


# Whose login it is.


def _daemon_account(told: Fields) -> Account:
    from ocpctl.runner import Account, find_account  # noqa: PLC0415 - only for the login

    uid, home = told.number("uid"), told.raw("home")
    if not isinstance(uid, int) or uid < 0 or not home.startswith("/"):
        raise Broken("ocpd does not say as which user it runs")
    known = find_account(uid)
    return Account(uid, known.gid, known.name, home)


def _refuse_foreign(path: str, account: Account) -> None:
    """Raise Failure if anybody but root and ``account`` could have put something there."""
    if not path:
        return
    place = os.path.realpath(path)
    while not os.path.lexists(place):
        # What is not there yet is made by the CLI, in a place that is looked at next.
        place = os.path.dirname(place)
    while True:
        about = os.stat(place)
        is_open = about.st_mode & stat.S_IWOTH and not about.st_mode & stat.S_ISVTX
        if is_open or about.st_uid not in (0, account.uid):
            raise Failure(
                f"{path} is not used as {account.name}: others could have changed {place}",
                (f"sign in yourself, as {account.name}, with: claude auth login",),
            )
        if place == "/":
            return
        place = os.path.dirname(place)


# What was answered.


def _show_state(body: Json, desk: Desk) -> int:
    desk.answer(body, _show_login)
    return OK if Fields(body).flag("signed_in") else TO_DO


def _show_login(state: Fields, out: Output) -> None:
    is_in = state.flag("signed_in")
    spelled = {True: "yes", False: "no", None: "not known yet"}[is_in]
    user = state.text("user", "?")
    out.pairs(
        (
            ("Signed in", spelled),
            ("Says", state.text("message")),
            ("Method", state.text("method")),
            ("Claude CLI", f"{state.text('binary', 'not found')} {state.text('version')}".rstrip()),
            ("Runs as", f"{user} (uid {state.text('uid', '?')}), home {state.text('home', '?')}"),
            ("Token", "stored" if state.flag("token_stored") else "none stored"),
            ("Admin key", "set" if state.flag("admin_key_set") else "not set"),
            ("To sign in", "" if is_in else state.text("sign_in", "ocpctl auth login")),
        )
    )


def _show_removed(body: Fields, out: Output) -> None:
    if body.flag("removed"):
        out.tick("Token removed")
    else:
        out.line("There was no token to remove.")


def _show_admin_key(body: Fields, out: Output) -> None:
    out.tick("Admin key made")
    out.line(f"  Admin Key: {body.text('key')}")
    out.line("  Copy this key now — you won't see it again.")


def _declare_token(parser: ArgumentParser) -> None:
    parser.add_argument("--remove", action="store_true", help="remove the stored token")


def _declare_admin_key(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rotate", action="store_true", help="replace the one there is; it stops at once"
    )


COMMANDS = {
    "auth": {
        "": Verb("tell whether somebody is signed in", show_login),
        "status": Verb("tell whether somebody is signed in", show_login),
        "login": Verb(
            "sign in, as the user ocpd runs as",
            sign_in,
            detail="It is the Claude CLI's own login; ocpd takes no part in it.",
        ),
        "token": Verb(
            "store a token of claude setup-token",
            store_token,
            _declare_token,
            detail="It is read from a prompt, or from stdin; never from the command line.",
        ),
        "admin-key": Verb(
            "make the key that remote admins need", make_admin_key, _declare_admin_key
        ),
    }
}
