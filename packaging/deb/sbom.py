"""Writes the bill of materials of one package: CycloneDX 1.5, the same bytes for the same package.

    python3 -I packaging/deb/sbom.py --deb FILE --bill vendored.json --tree DIR --into FILE

What may live here: CycloneDX around what ``vendor.py`` unpacked, and around what a frozen ocpctl
carries. No time and no random number is written: both would differ from build to build. Standard
library only.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from locked import read_lock

Json = dict[str, object]

_MIT = [{"license": {"id": "MIT"}}]

_SPACE = uuid.UUID("6f0d2a3e-52c5-5d0c-9b0e-6f63706400aa")
"""Names the documents: the same package has the same serial number."""


def main() -> int:
    """Write it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    for flag in ("--deb", "--bill", "--tree", "--into"):
        parser.add_argument(flag, type=Path, required=True)
    given = parser.parse_args()
    if given.deb.name.startswith("ocpd_"):
        components = [vendored(row) for row in json.loads(given.bill.read_text("utf-8"))]
    else:
        components = frozen(given.tree)
    told = document(given.deb, components)
    given.into.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", "utf-8")
    return 0


def document(deb: Path, components: list[Json]) -> Json:
    """Return the CycloneDX document of one package, whose file is called NAME_VERSION_ARCH.deb."""
    package, version, architecture = deb.stem.split("_")
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    purl = f"pkg:deb/ocpd/{package}@{version}?arch={architecture}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, purl)}",
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": purl,
                "name": package,
                "version": version,
                "purl": purl,
                "licenses": _MIT,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        },
        "components": components,
        "dependencies": [
            {"ref": purl, "dependsOn": sorted(str(part["bom-ref"]) for part in components)}
        ],
    }


def vendored(row: dict[str, object]) -> Json:
    """Return the component of one Python distribution, with the files it was unpacked from."""
    name, version = str(row["name"]), str(row["version"])
    files, parts = row["files"], row["parts"]
    assert isinstance(files, list)
    assert isinstance(parts, list)
    made = _component(name, version, f"pkg:pypi/{name}@{version}", str(row["licence"]))
    # One hash for each ABI's wheel: CycloneDX has one set of hashes for one file.
    inside: list[Json] = [
        {
            "type": "file",
            "name": file["name"],
            "hashes": [{"alg": "SHA-256", "content": file["sha256"]}],
        }
        for file in files
    ]
    inside += [_part(part, f"{name}@{version}") for part in parts]
    if name == "uvloop":
        # Linked into it; its wheels do not say which version.
        inside.append({"type": "library", "name": "libuv", "licenses": _MIT})
    return made | {"components": inside}


def _part(part: dict[str, str], owner: str) -> Json:
    # Its own purl names a path on the machine where it was compiled, for what is no crate.
    purl = f"pkg:cargo/{part['name']}@{part['version']}"
    made = _component(part["name"], part["version"], purl, part["licence"])
    made["bom-ref"] = f"{owner}/{purl}"
    return made


def frozen(tree: Path) -> list[Json]:
    """Return what a frozen ocpctl carries: PyInstaller's start, and Debian's Python. Nothing, where
    ocpctl is a script."""
    folder = tree / "debian/ocpctl/usr/lib/ocpctl/_internal"
    if not folder.is_dir():
        return []
    lock = read_lock(tree / "packaging/locks/freeze.lock")
    version, hashes = lock["pyinstaller"]
    licence = "GPL-2.0-or-later WITH Bootloader-exception"
    start = _component("pyinstaller", version, f"pkg:pypi/pyinstaller@{version}", licence)
    # The exception is PyInstaller's own; SPDX lists it under this name.
    start["components"] = [
        {"type": "file", "name": "bootloader (of one of these files)", "hashes": _hashes(hashes)}
    ]
    return [start, *_debian_parts(folder)]


def _hashes(digests: frozenset[str]) -> list[Json]:
    return [{"alg": "SHA-256", "content": digest} for digest in sorted(digests)]


def _debian_parts(folder: Path) -> list[Json]:
    """Return the packages of Debian that the libraries in ``folder`` were copied from."""
    names = {path.name for path in folder.rglob("*.so*") if path.is_file()}
    packages: dict[str, str] = {}
    for name in sorted(names):
        done = subprocess.run(  # noqa: S603 - names of files that were built here
            ["/usr/bin/dpkg-query", "-S", f"*/{name}"], capture_output=True, text=True, check=False
        )
        owners = {line.split(":")[0] for line in done.stdout.splitlines() if "-dbg" not in line}
        for owner in owners:
            packages[owner] = _debian_version(owner)
    return [
        _component(name, version, f"pkg:deb/debian/{name}@{version}", "PSF-2.0")
        for name, version in sorted(packages.items())
    ]


def _debian_version(package: str) -> str:
    command = ["/usr/bin/dpkg-query", "-W", "-f", "${Version}", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()


def _component(name: str, version: str, purl: str, licence: str) -> Json:
    made: Json = {"type": "library", "bom-ref": purl, "name": name, "version": version}
    made["purl"] = purl
    if licence:
        made["licenses"] = [{"expression": licence}]
    return made


if __name__ == "__main__":
    sys.exit(main())
