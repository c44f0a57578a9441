"""Looks into finished packages, without installing them: also into those of another architecture.

    python3 -I packaging/deb/inspection.py dist/deb/ocpd_0.1.0_arm64.deb ...

What may live here: what every package of ours has or must not have. Standard library only.
"""

import io
import re
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from vendor import ABIS

# e_machine of ELF(5).
_MACHINES = {"amd64": 62, "arm64": 183}

# Debian 12's, which is the oldest release that is served.
_NEWEST_GLIBC = (2, 36)

Files = dict[str, tuple[tarfile.TarInfo, bytes]]


def main() -> int:
    """Look into the packages that are named; returns 1 and says why if one is not as it must be."""
    found = [f"{path}: {fault}" for path in sys.argv[1:] for fault in inspect(Path(path))]
    sys.stderr.write("".join(f"inspection: {line}\n" for line in found))
    return 1 if found else 0


def inspect(deb: Path) -> list[str]:
    """Return what is wrong with one package."""
    package, version, architecture = deb.stem.split("_")
    fields = _run("dpkg-deb", "--field", str(deb)).decode()
    with tarfile.open(fileobj=io.BytesIO(_run("dpkg-deb", "--fsys-tarfile", str(deb)))) as archive:
        files = {
            member.name.removeprefix("./"): (member, _data(archive, member)) for member in archive
        }
    _note_libc(deb, fields)
    faults = [*_check_common(files, architecture), *_check_scripts(deb), *check_strays(files)]
    if f"\nVersion: {version}\n" not in fields:
        faults.append("its file name has another version than its fields")
    faults += _check_daemon(files, version) if package == "ocpd" else _check_ctl(files, version)
    return faults


def _check_common(files: Files, architecture: str) -> list[str]:
    faults = []
    for name, (member, data) in files.items():
        if (member.uname, member.gname) != ("root", "root"):
            faults.append(f"{name}: is not root's")
        if name.endswith((".pyc", "usr/bin/ocp")) or name.startswith(("home/", "root/")):
            faults.append(f"{name}: must not be there")
        if data[:4] == b"\x7fELF":
            (machine,) = struct.unpack_from("<H", data, 18)
            if machine != _MACHINES[architecture]:
                faults.append(f"{name}: is not for {architecture}")
    return faults


def _check_scripts(deb: Path) -> list[str]:
    """An upgrade must not stop anything before it: sockets would refuse whoever comes meanwhile."""
    with tarfile.open(fileobj=io.BytesIO(_run("dpkg-deb", "--ctrl-tarfile", str(deb)))) as archive:
        first = [_data(archive, member) for member in archive if member.name == "./preinst"]
    return ["preinst: stops units"] if any(b"deb-systemd-invoke" in text for text in first) else []


def _note_libc(deb: Path, fields: str) -> None:
    needed = re.findall(r"libc6 \(>= (\d+)\.(\d+)\)", fields)
    newest = max(((int(a), int(b)) for a, b in needed), default=(0, 0))
    if newest > _NEWEST_GLIBC:
        told = f"{deb.name} needs libc6 {newest[0]}.{newest[1]}"
        sys.stderr.write(f"inspection: {told}: built on Debian 12 it would serve that, too\n")


def _check_daemon(files: Files, version: str) -> list[str]:
    faults = _check_version(files, "usr/lib/ocpd/ocpd/daemon/version.py", version)
    for module in ("msgspec/_core", "uvloop/loop"):
        for abi in ABIS:
            prefix = f"usr/lib/ocpd/vendor/{module}.cpython-{abi.removeprefix('cp')}-"
            if not any(name.startswith(prefix) for name in files):
                faults.append(f"{module}: not for {abi}")
    for name in ("etc/ocpd/ocpd.toml", "etc/default/ocpd", "usr/share/doc/ocpd/copyright"):
        if name not in files:
            faults.append(f"{name}: is missing")
    secrets = files.get("etc/ocpd/credentials")
    if secrets is None or secrets[0].mode & 0o777 != 0o700:
        faults.append("etc/ocpd/credentials: not a folder that only root reads")
    return faults


def check_strays(names: Iterable[str]) -> list[str]:
    """Return what lay about in the tree that was packed: what editors and tests leave."""
    own = re.compile(r"usr/lib/(ocpd/ocpd|ocpctl/ocpctl)/.*[^/]\.[^/]+")
    return [
        f"{name}: is no file of ocpd's; take it out of the tree"
        for name in names
        if own.fullmatch(name) and not name.endswith((".py", ".json"))
    ]


def _check_ctl(files: Files, version: str) -> list[str]:
    is_frozen = "usr/lib/ocpctl/_internal" in files
    if not is_frozen:
        faults = _check_version(files, "usr/lib/ocpctl/ocpctl/version.py", version)
        script = files["usr/bin/ocpctl"][1]
        has_elf = any(data[:4] == b"\x7fELF" for _, data in files.values())
        if has_elf or not script.startswith(b"#!/usr/bin/python3 -I\n"):
            faults.append("usr/bin/ocpctl: neither frozen nor a script for the system's Python")
        return faults
    link = files["usr/bin/ocpctl"][0]
    if not link.issym() or link.linkname != "../lib/ocpctl/ocpctl":
        return ["usr/bin/ocpctl: does not lead to the frozen program"]
    return check_copies(files)


def check_copies(names: Iterable[str]) -> list[str]:
    """Return what is wrong with the libraries a frozen ocpctl carries: Python's own is all that it
    may copy. Any other would miss Debian's security updates, and has a licence that is not told."""
    folder = "usr/lib/ocpctl/_internal/"
    copies = [name for name in names if re.fullmatch(rf"{folder}lib[^/]*\.so[^/]*", name)]
    return [
        f"{name}: is Debian's; take it out in debian/rules, so that it becomes a dependency"
        for name in copies
        if not name.startswith(f"{folder}libpython3.")
    ]


def _check_version(files: Files, name: str, version: str) -> list[str]:
    if f'VERSION = "{version}"'.encode() in files[name][1]:
        return []
    return [f"{name}: says another version"]


def _data(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    data = archive.extractfile(member) if member.isfile() else None
    return data.read() if data is not None else b""


def _run(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 - ours


if __name__ == "__main__":
    sys.exit(main())
