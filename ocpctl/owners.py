"""From where ocpd was installed: apt, Homebrew or a checkout; what is new there, and getting it.

What may live here: asking those programs and having them upgrade. Who may do so, and what runs
afterwards, is for the command.
"""

from __future__ import annotations

import os
import sys

from ocpctl.failures import Failure, NoAccess
from ocpctl.fields import Fields, clean_text
from ocpctl.runner import MISSING, calling_account, find_account, run_quietly, run_shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocpctl.runner import Account, Done

PACKAGES = ("ocpd", "ocpctl")
_UPGRADED_WITHIN_S = 3600.0

# A config file that an admin has changed stays as it is; nobody is asked.
_KEEP_FILES = tuple(f"-oDpkg::Options::=--force-{word}" for word in ("confdef", "confold"))
# As apt says that a source could not be read; its exit code is 0 all the same.
_UNREAD = (
    *("Err:", "E:", "W: Failed to fetch", "W: Some index files failed"),
    *("W: GPG error", "W: An error occurred during the signature verification"),
)


class Offer:
    """What is installed, what could be, and a remark about how sure that is."""

    __slots__ = ("installed", "is_newer", "newest", "note")

    def __init__(self, installed: str, newest: str, *, is_newer: bool, note: str = "") -> None:
        self.installed = installed
        self.newest = newest
        self.is_newer = is_newer
        self.note = note


class Apt:
    """Packages of apt. ``packages`` are those of ours that are installed."""

    name = "apt"
    package_note = ""

    def __init__(self) -> None:
        self._packages: list[str] = []

    def look(self) -> Offer:
        """Compare with the package lists, which root renews first. Raises Failure if they cannot be
        read anew, and if they know nothing of us."""
        note = "as of the last sudo apt-get update"
        if is_root():
            done = run_quietly(["apt-get", "update"], within_s=_UPGRADED_WITHIN_S)
            unread = [line for line in done.output.splitlines() if line.startswith(_UNREAD)]
            note = ""
            if unread or not done.is_ok:
                offer = self._read_policy("some package lists could not be read anew")
                if not offer.is_newer:
                    said = clean_text((unread or [done.output])[0])
                    raise Failure(f"the package lists could not be read: {said}")
                return offer
        return self._read_policy(note)

    def _read_policy(self, note: str) -> Offer:
        done = run_quietly(["apt-cache", "policy", *PACKAGES])
        _demand(done, "apt-cache policy")
        known = _parse_policy(done.output)
        self._packages = [name for name in PACKAGES if known.get(name, ("", ""))[0]]
        if not self._packages:
            raise Failure("apt has none of ocpd's packages installed")
        installed, newest = known[self._packages[0]]
        is_newer = any(known[name][0] != known[name][1] for name in self._packages)
        return Offer(installed, newest, is_newer=is_newer, note=note)

    def check_rights(self) -> None:
        """Raise NoAccess if we may not install packages, Failure if ours are held."""
        if not is_root():
            raise NoAccess("only root may install packages", ("try: sudo ocpctl update",))
        held = run_quietly(["apt-mark", "showhold"]).output.split()
        if ours := [name for name in PACKAGES if name in held]:
            names = " ".join(ours)
            raise Failure(f"{names} is held", (f"to let it go: sudo apt-mark unhold {names}",))

    def upgrade(self, *, is_quiet: bool) -> None:
        """Install the newest packages. Raises Failure."""
        words = ["apt-get", "install", "--only-upgrade", "-y", *_KEEP_FILES, *self._packages]
        _run(words, find_account(os.geteuid()), is_quiet=is_quiet)
        left = self._read_policy("")
        if left.is_newer:
            raise Failure(f"apt has left ocpd at {left.installed}", ("apt-get install ocpd",))

    def installed_version(self) -> str:
        """The version that is installed now, as ocpd would tell it."""
        return _upstream(self._read_policy("").installed)


def _parse_policy(text: str) -> dict[str, tuple[str, str]]:
    """Return installed and newest version by package; "" where there is none."""
    found: dict[str, tuple[str, str]] = {}
    name, installed = "", ""
    for line in text.splitlines():
        word, _, value = line.strip().partition(" ")
        value = "" if value.strip() == "(none)" else value.strip()
        if line and not line[0].isspace():
            name, installed = line.rstrip(":"), ""
        elif word == "Installed:":
            installed = value
        elif word == "Candidate:":
            found[name] = (installed, value or installed)
    return found


def _upstream(version: str) -> str:
    """The version of ocpd in that of a package: 0.1.0 in 1:0.1.0-2, 0.1.0rc1 in 0.1.0~rc1-1."""
    bare = version.rpartition(":")[2].partition("-")[0].partition("_")[0]
    return bare.replace("~", "")


class Formula:
    """The formula of Homebrew."""

    name = "brew"
    package_note = ""

    def look(self) -> Offer:
        """Compare with the tap, after an update of it. Raises Failure."""
        _demand(_brew("update", "--quiet"), "brew update")
        told = self._told()
        newest = told.part("versions").text("stable") or self._installed(told)
        return Offer(self._installed(told), newest, is_newer=bool(told.flag("outdated")))

    def check_rights(self) -> None:
        """Raise Failure if the formula is pinned."""
        if self._told().flag("pinned"):
            raise Failure("ocpd is pinned", ("to let it go: brew unpin ocpd",))

    def upgrade(self, *, is_quiet: bool) -> None:
        """Install the newest version. Raises Failure."""
        _run(["brew", "upgrade", "ocpd"], calling_account(), is_quiet=is_quiet)
        told = self._told()
        if told.flag("outdated"):
            raise Failure(f"brew has left ocpd at {self._installed(told)}", ("brew upgrade ocpd",))

    def installed_version(self) -> str:
        """The version that is installed now."""
        return _upstream(self._installed(self._told()))

    def _told(self) -> Fields:
        done = _brew("info", "--json=v2", "ocpd")
        _demand(done, "brew info ocpd")
        import json  # noqa: PLC0415, TID251 - ocpctl starts without msgspec

        # Homebrew may write a warning before it.
        _, brace, rest = done.output.partition("{")
        try:
            told = Fields(json.loads(brace + rest)).parts("formulae")
        except ValueError:
            told = []
        if not told:
            raise Failure("brew info does not tell of ocpd")
        return told[0]

    def _installed(self, told: Fields) -> str:
        every = told.parts("installed")
        return every[-1].text("version") if every else ""


def _brew(*words: str) -> Done:
    # Homebrew refuses to run as root: under sudo it is whoever called that.
    return run_quietly(["brew", *words], calling_account(), within_s=_UPGRADED_WITHIN_S)


class Checkout:
    """A clone of the repository in ``folder``, used as whoever owns it."""

    def __init__(self, folder: str) -> None:
        self.name = f"the checkout {folder}"
        self._folder = folder
        self.package_note = ""

    def look(self) -> Offer:
        """Compare with the branch that this one follows. Raises Failure if there is none, or it
        cannot be fetched."""
        upstream = self._git("rev-parse", "--abbrev-ref", "@{upstream}")
        if upstream.code == MISSING:
            raise Failure(f"{self.name} needs git, which is not installed")
        if not upstream.is_ok:
            raise Failure(
                f"{self.name} follows no branch of another repository",
                ("git branch --set-upstream-to=origin/main says which",),
            )
        _demand(self._git("fetch", "--quiet"), "git fetch")
        missing = self._git("rev-list", "--count", "HEAD..@{upstream}")
        _demand(missing, "git rev-list")
        there = self._git("show", "@{upstream}:ocpctl/version.py")
        newest = _read_version(there.output) or "?"
        count = missing.output.strip()
        note = (
            f"behind {upstream.output} by {count} commit{'s'[: count != '1']}"
            if count != "0"
            else ""
        )
        return Offer(self.installed_version(), newest, is_newer=count != "0", note=note)

    def check_rights(self) -> None:
        """Raise NoAccess if it is somebody else's."""
        if not is_root() and os.stat(self._folder).st_uid != os.geteuid():
            owner = find_account(os.stat(self._folder).st_uid).name
            raise NoAccess(f"{self.name} is {owner}'s", ("try: sudo ocpctl update",))

    def upgrade(self, *, is_quiet: bool) -> None:
        """Go forward to the branch it follows, and install what that needs. Raises Failure; local
        work is never merged."""
        pull = ["git", "-C", self._folder, "pull", "--ff-only"]
        _run(pull, self._account(), is_quiet=is_quiet)
        script = f"{self._folder}/packaging/dev/venv.sh"
        if os.path.exists(f"{self._folder}/.venv") and os.path.exists(script):
            _run(["sh", script, "run"], self._account(), is_quiet=is_quiet)
        if getattr(sys, "frozen", False):
            self.package_note = "this ocpctl is still the old one: make ocpctl builds the new one"

    def installed_version(self) -> str:
        """The version of the files."""
        try:
            with open(f"{self._folder}/ocpctl/version.py", encoding="utf-8") as file:
                return _read_version(file.read())
        except OSError:
            return ""

    def _account(self) -> Account:
        return find_account(os.stat(self._folder).st_uid) if is_root() else calling_account()

    def _git(self, *words: str) -> Done:
        # Without the option git would ask for a password on the terminal, and wait.
        argv = ["git", "-C", self._folder, "-c", "core.askPass=true", *words]
        return run_quietly(argv, self._account())


def _read_version(text: str) -> str:
    lines = [line.partition("=") for line in text.splitlines()]
    return next((v.strip().strip("\"'") for name, _, v in lines if name.strip() == "VERSION"), "")


Owner = Apt | Formula | Checkout


def find_owner() -> Owner:
    """Find out by where this ocpctl lies. Raises Failure if that does not tell."""
    path = own_path()
    folder = os.path.dirname(path)
    while len(folder) > 1:
        is_ours = os.path.exists(f"{folder}/ocpctl/version.py")
        if is_ours and os.path.exists(f"{folder}/.git"):
            return Checkout(folder)
        folder = os.path.dirname(folder)
    if "/Cellar/ocpd/" in path:
        return Formula()
    done = run_quietly(["dpkg-query", "--search", path])
    name = done.output.partition(":")[0]
    if done.is_ok and name in PACKAGES:
        return Apt()
    raise Failure(
        "it cannot be told where ocpd was installed from: no package of apt or Homebrew, no"
        " checkout",
        ("update it the way you installed it, then: ocpctl restart",),
    )


def own_path() -> str:
    """The file that runs: the frozen program, or this module."""
    return os.path.realpath(sys.executable if getattr(sys, "frozen", False) else __file__)


def is_root() -> bool:
    """May we do everything?"""
    return os.geteuid() == 0


def _run(argv: Sequence[str], account: Account, *, is_quiet: bool) -> None:
    """Run what changes something, on the terminal unless programs read what we say."""
    said = ""
    if is_quiet:
        done = run_quietly(argv, account, within_s=_UPGRADED_WITHIN_S)
        code, said = done.code, _last_line(done.output)
    else:
        code = run_shown(argv, None, account)
    if code != 0:
        shown = " ".join(word for word in argv if not word.startswith("-o"))
        raise Failure(f"{shown} failed: {said or f'exit code {code}'}")


def _demand(done: Done, what: str) -> None:
    if not done.is_ok:
        raise Failure(f"{what} failed: {_last_line(done.output) or f'exit code {done.code}'}")


def _last_line(text: str) -> str:
    return clean_text(text.splitlines()[-1]) if text else ""
