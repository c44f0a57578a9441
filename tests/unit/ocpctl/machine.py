"""A machine of pretence: systemctl, launchctl, brew and openclaw that keep their state in files.

The state of a unit is in ``state``: ``user.ocpd.service`` says that it is there, with ``.active``
(which holds its process) that it runs, with ``.enabled`` that it starts at boot, with ``.broken``
that it cannot be started, with ``.stuck`` that it cannot be stopped; ``.more`` holds what else
systemctl shows of it.
"""

import shlex
from pathlib import Path

SYSTEMCTL = """
scope=system
[ "$1" = --user ] && {{ scope=user; shift; }}
verb=$1; shift
[ "$1" = --now ] && shift
u={state}/$scope.$1
case $verb in
show)
    pid=0
    [ -e $u.active ] && read pid <$u.active
    [ -e $u ] && echo LoadState=loaded || echo LoadState=not-found
    echo MainPID=$pid
    [ -e $u.enabled ] && echo UnitFileState=enabled
    [ -e $u.more ] && while read -r line; do echo "$line"; done <$u.more
    exit 0 ;;
is-active) [ -e $u.active ] ;;
is-enabled) [ -e $u.enabled ] ;;
enable) : >$u.enabled ;;
disable) [ -e $u.stuck ] && {{ echo "Access denied"; exit 1; }}; /bin/rm -f $u.active $u.enabled ;;
stop) /bin/rm -f $u.active ;;
start | restart)
    [ -e $u.broken ] && {{ echo "Job for $1 failed."; exit 1; }}
    echo 4242 >$u.active ;;
esac
"""

LAUNCHCTL = """
case $1 in
print) [ -e {state}/${{2##*/}} ] ;;
bootout) /bin/rm {state}/${{2##*/}} ;;
bootstrap) label=${{3##*/}}; : >{state}/${{label%.plist}} ;;
esac
"""

BREW = """
case $2 in
list)
    echo "Name Status User File"
    [ -e {state}/brew ] && {{ read status <{state}/brew; echo "ocpd $status anna x"; }}
    exit 0 ;;
restart | start) echo started >{state}/brew ;;
stop) echo none >{state}/brew ;;
esac
"""


class Programs:
    """Fake programs: PATH holds nothing else. Each call is a line in ``calls``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "calls"
        folder.mkdir(mode=0o755)

    def add(self, name: str, script: str = "exit 0") -> None:
        """Put a program there; ``script`` is shell, with ``$*`` as its arguments."""
        path = self.folder / name
        log = shlex.quote(str(self.log))
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{log}\n{script}\n')
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """What was called, with its arguments."""
        return self.log.read_text().splitlines() if self.log.exists() else []


class Machine:
    """The fakes and their state."""

    def __init__(self, programs: Programs, state: Path) -> None:
        self._programs = programs
        self.state = state
        state.mkdir()

    def add_systemd(self) -> None:
        """A machine with systemd."""
        self._programs.add("systemctl", SYSTEMCTL.format(state=self.state))

    def add_launchd(self) -> None:
        """A machine with launchd."""
        self._programs.add("launchctl", LAUNCHCTL.format(state=self.state))

    def add_brew(self, status: str) -> None:
        """A machine with Homebrew and its formula of ocpd."""
        self._programs.add("brew", BREW.format(state=self.state))
        (self.state / "brew").write_text(f"{status}\n")

    def set_unit(self, unit: str, *marks: str, pid: int = 4242) -> None:
        """Put a unit there, such as user.ocpd, with these marks."""
        for mark in ("", *marks):
            text = f"{pid}\n" if mark == "active" else ""
            (self.state / f"{unit}.service{mark and '.'}{mark}").write_text(text)

    def has(self, unit: str, mark: str) -> bool:
        """Has the unit this mark?"""
        return (self.state / f"{unit}.service.{mark}").exists()

    @property
    def acts(self) -> list[str]:
        """The calls that change something."""
        asking = ("show", "is-active", "is-enabled", "print", "list")
        return [call for call in self._programs.calls if not set(asking) & set(call.split())]
