"""What the facts mean for what ocpd drives: the Claude CLI, and the login under which it answers.

What may live here: judgement over ``Facts`` that ``diagnosis`` puts in its place. Pure.
"""

from __future__ import annotations

from ocpctl.claude import (
    FLOOR,
    NEWEST_TESTED,
    install_commands,
    read_version,
    spell_version,
    update_command,
)
from ocpctl.facts import FORBIDDEN, Facts
from ocpctl.findings import MUST, OK, WARNING, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def judge_cli(facts: Facts) -> Iterable[Finding]:
    """Is the CLI there, may the daemon's user run it, and will its version do?"""
    if facts.reached == FORBIDDEN:
        # The daemon knows, and whoever may ask it will hear it.
        return
    told = facts.health.part("claude")
    if facts.is_up and not told.text("path"):
        yield _no_cli(facts)
        return
    path = told.text("path") or facts.cli.path
    if not path:
        yield _no_cli(facts)
        return
    if not facts.is_up and facts.cli.hindrance:
        yield _hindered(facts)
        return
    yield _judge_version(facts, path, told.text("version") or facts.cli.version)


def _no_cli(facts: Facts) -> Finding:
    if facts.cli.path and facts.cli.hindrance:
        return _hindered(facts)
    user = _other(facts)
    if facts.cli.path:
        text = f"the daemon finds no Claude CLI; there is one at {facts.cli.path}"
        return Finding(MUST, "cli", text, (f"ocpctl settings claudeBin {facts.cli.path}",))
    commands = install_commands(facts.platform, user)
    if not facts.is_up and user and not facts.is_root:
        # It may lie in that user's home, which is closed to us.
        text = f"no Claude CLI for {user} is seen from here"
        return Finding(WARNING, "cli", text, ("sudo ocpctl doctor", *commands))
    whose = f" that {user} can run" if user else ""
    return Finding(MUST, "cli", f"there is no Claude CLI{whose}", commands)


def _hindered(facts: Facts) -> Finding:
    cli, user = facts.cli, facts.user
    return Finding(
        MUST,
        "cli",
        f"the Claude CLI at {cli.path} is not for {user}: {cli.hindrance}",
        (
            *install_commands(facts.platform, user),
            f"or a copy for all: sudo install -m 755 {cli.real_path or cli.path}"
            " /usr/local/bin/claude",
            "or name another one: sudo ocpctl settings claudeBin PATH",
        ),
    )


def _judge_version(facts: Facts, path: str, version: str) -> Finding:
    found = read_version(version)
    real_path = facts.cli.real_path if facts.cli.path == path else ""
    update = update_command(path, real_path, _other(facts))
    told = facts.health.part("claude").text("problem")
    if found is None:
        text = told or f"the Claude CLI at {path} tells no version"
        return Finding(MUST, "cli", text, _unreadable_commands(facts, path, real_path))
    if told or found < FLOOR:
        text = told or f"the Claude CLI {version} is too old: {spell_version(FLOOR)} is needed"
        return Finding(MUST, "cli", f"{text} ({path})", (update,))
    text = f"Claude CLI {version} at {path}"
    newer = facts.health.part("claude").text("warning")
    if newer or found > NEWEST_TESTED:
        text += f", newer than the newest one tested ({spell_version(NEWEST_TESTED)})"
        return Finding(WARNING, "cli", newer or text, ("ocpctl update --check",))
    return Finding(OK, "cli", text)


def _unreadable_commands(facts: Facts, path: str, real_path: str) -> tuple[str, ...]:
    """What shows why a CLI tells no version, as the daemon's user: another one may have another
    PATH."""
    user = _other(facts)
    commands = [f"sudo -u {user} -H {path} --version" if user else f"{path} --version"]
    if "/node_modules/" in real_path:
        install = install_commands(facts.platform, user)[0]
        commands.append(f"if node is missing there, install one that needs none: {install}")
    return tuple(commands)


def _other(facts: Facts) -> str:
    return facts.user if facts.is_other_user else ""


def judge_login(facts: Facts) -> Iterable[Finding]:
    """Is somebody signed in? In a demo nobody need be."""
    if not facts.auth.names() or facts.health.flag("demo"):
        return
    # The daemon names the command for whoever runs it, and that may be somebody else.
    says = facts.auth.text("message").partition("; run:")[0]
    sudo = "sudo " if facts.is_other_user and not facts.is_root else ""
    commands = (
        f"{sudo}ocpctl auth login",
        "or, with a token of claude setup-token: ocpctl auth token",
    )
    match facts.auth.flag("signed_in"):
        case True:
            method = facts.auth.text("method")
            yield Finding(OK, "login", f"signed in{f' ({method})' if method else ''}")
        case False:
            yield Finding(MUST, "login", says or "nobody is signed in", commands)
        case None:
            text = f"nobody knows yet whether somebody is signed in: {says or 'no turn ran'}"
            yield Finding(WARNING, "login", text, ("ocpctl auth", *commands[:1]))
