"""How much memory a process has for itself.

What may live here: asking the system. The CLI's binary is shared between all of its processes: what
counts is the rest.
"""

import os
from pathlib import Path

from ocpd.sched.staffing import SPARE_MB

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MB = 1 << 20


def private_mb(pid: int) -> int:
    """Return the private memory of a process in MB; what a parked one usually has where the system
    does not tell (macOS), or the process is gone."""
    try:
        # size resident shared ...; smaps_rollup is exact and takes a hundred times as long.
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
        return (int(fields[1]) - int(fields[2])) * _PAGE // _MB
    except (OSError, ValueError, IndexError):
        return SPARE_MB


def half_of_ram_mb() -> int:
    """Return half of this machine's memory in MB."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE // _MB // 2
