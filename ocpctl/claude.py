"""The Claude CLI as the daemon looks for it, for the times when no daemon can be asked.

What may live here: where it may lie, which versions will do, and how people install it. The daemon
has the same rules (``ocpd.pool.probe``, ``ocpd.claude.version``); a test compares them.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FLOOR = (2, 1, 248)
NEWEST_TESTED = (2, 1, 330)

Version = tuple[int, ...]

_FETCHED = "claude_agent_sdk/_bundled/claude"
_TREES = (".nvm/versions/node", ".local/share/fnm/node-versions", ".asdf/installs/nodejs")


def find_cli(environ: Mapping[str, str]) -> str:
    """Return the path of the CLI that a daemon with this environment would find; "" if none."""
    folders = [folder for folder in environ.get("PATH", "").split(":") if folder]
    places = [f"{folder}/claude" for folder in folders]
    places += usual_places(environ.get("HOME") or "/nonexistent")
    return next((path for path in places if is_executable(path)), "")


def usual_places(home: str) -> Iterator[str]:
    """Yield where the CLI is put, beside the folders on PATH."""
    yield f"{home}/.local/bin/claude"
    yield f"{home}/.claude/local/claude"
    yield "/opt/homebrew/bin/claude"
    yield "/usr/local/bin/claude"
    yield "/usr/bin/claude"
    yield f"{home}/.npm-global/bin/claude"
    for tree in _TREES:
        try:
            versions = sorted(os.listdir(f"{home}/{tree}"), reverse=True)
        except OSError:
            continue
        for version in versions:
            yield f"{home}/{tree}/{version}/bin/claude"
            yield f"{home}/{tree}/{version}/installation/bin/claude"


def find_fetched(program: str = "") -> str:
    """Return the path of the CLI that ``make run`` fetched into the checkout which ocpctl, at
    ``program``, belongs to; "" if it is of no checkout, or has none.

    The frozen one lies in dist/ocpctl of its checkout.
    """
    is_frozen = getattr(sys, "frozen", False)
    parts = os.path.realpath(program or (sys.executable if is_frozen else __file__)).split("/")
    top = "/".join(parts[:-3] if parts[-3:] == ["dist", "ocpctl", "ocpctl"] else parts[:-2])
    library = f"{top}/.venv/lib"
    try:
        pythons = sorted(os.listdir(library), reverse=True)
    except OSError:
        return ""
    places = (f"{library}/{name}/site-packages/{_FETCHED}" for name in pythons)
    return next((path for path in places if is_executable(path)), "")


def is_executable(path: str) -> bool:
    """Is it a file that we may run?"""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def read_version(text: str) -> Version | None:
    """Read "2.1.330 (Claude Code)" and the like; None for what is no version of three numbers."""
    numbers = text.strip().partition(" ")[0].split(".")[:3]
    if len(numbers) != 3 or not all(n.isascii() and n.isdecimal() for n in numbers):
        return None
    return tuple(int(number) for number in numbers)


def spell_version(version: Version) -> str:
    """Spell it with dots."""
    return ".".join(map(str, version))


def install_commands(platform: str, user: str) -> tuple[str, ...]:
    """Return the commands that install the CLI, one of which is enough. ``user`` is whom the
    service runs as, "" if that is who reads this."""
    installer = "curl -fsSL https://claude.ai/install.sh | "
    if user:
        return (f"{installer}sudo -u {user} -H bash",)
    if platform == "darwin":
        return ("brew install --cask claude-code", f"or: {installer}bash")
    return (f"{installer}bash", "or, with Node.js: npm install -g @anthropic-ai/claude-code")


def update_command(path: str, real_path: str, user: str) -> str:
    """Return what brings the CLI at ``path`` up to date."""
    as_user = f"sudo -u {user} -H " if user else ""
    if "/Caskroom/" in real_path:
        return "brew upgrade --cask claude-code"
    if "/node_modules/" in real_path:
        return f"{as_user}npm install -g @anthropic-ai/claude-code@latest"
    return f"{as_user}{path} update"
