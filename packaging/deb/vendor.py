"""Unpacks the daemon's libraries from wheels: one folder that several Pythons share.

    python3 -I packaging/deb/vendor.py --wheels DIR --lock FILE --into DIR --notices DIR \\
        --bill FILE --copyright FILE

Compiled modules carry the ABI in their names, so those of cp311 to cp314 lie beside each other; all
other files must be the same in each wheel of a distribution.

What may live here: checking hashes against the lock, unpacking, the notices, and the bill of what
was unpacked (``sbom.py`` reads it). Standard library only.
"""

import argparse
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parent))

from locked import Lock, check_file, normalise, read_lock

ABIS = ("cp311", "cp312", "cp313", "cp314")
"""The Pythons of debian/control: python3 (>= 3.11), python3 (<< 3.15)."""

# Sources of what is compiled, and what only tells type checkers something.
_UNWANTED = {".pyx", ".pxd", ".pxi", ".pyi", ".c", ".h", ".typed"}
_NOTICE = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*$", re.IGNORECASE)


def main() -> int:
    """Do all of it; returns the exit code. Files that do not fit are named on stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    for flag in ("--wheels", "--lock", "--into", "--notices", "--bill", "--copyright"):
        parser.add_argument(flag, type=Path, required=True)
    given = parser.parse_args()
    try:
        lock = read_lock(given.lock)
        files = sorted(given.wheels.iterdir())
        bill = [unpack(path, lock, given.into, given.notices) for path in files]
        check_complete(bill, lock)
        components = merge(bill)
        given.bill.write_text(json.dumps(components, indent=1, sort_keys=True) + "\n", "utf-8")
        check_told(components, given.copyright.read_text("utf-8"))
    except ValueError as error:
        sys.stderr.write(f"vendor: {error}\n")
        return 1
    return 0


def unpack(path: Path, lock: Lock, into: Path, notices: Path) -> dict[str, object]:
    """Unpack one file that the lock names; returns what the bill says of it.

    Raises ValueError for a file the lock does not name, and for one that another wheel has, too,
    but with other bytes.
    """
    name, version, digest = check_file(path, lock)
    told: dict[str, object] = {
        "name": name,
        "version": version,
        "files": [{"name": path.name, "sha256": digest}],
        "parts": [],
        "licence": "",
    }
    for inside, data in _members(path):
        leaf = inside.name
        if leaf in ("METADATA", "PKG-INFO"):
            told["licence"] = _licence(data.decode("utf-8"))
        elif "sboms" in inside.parts:
            told["parts"] = _parts(data)
        elif _NOTICE.search(leaf) and not leaf.endswith(".py"):
            _put(notices / name / leaf, data)
        elif _is_wanted(inside):
            _put(into / inside, data)
    return told


def _members(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            for entry in wheel.infolist():
                if not entry.is_dir():
                    yield _inside(entry.filename), wheel.read(entry)
        return
    with tarfile.open(path) as archive:
        for member in archive:
            data = archive.extractfile(member) if member.isfile() else None
            parts = PurePosixPath(member.name).parts[1:]
            # Of a source archive: its metadata and its one package, no build scripts.
            if data is not None and parts and parts != ("setup.py",):
                yield _inside("/".join(parts)), data.read()


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name}: leads out of its archive")
    return path


def _is_wanted(inside: PurePosixPath) -> bool:
    folder = inside.parts[0]
    is_metadata = len(inside.parts) == 1 or folder.endswith((".dist-info", ".egg-info"))
    return not is_metadata and inside.suffix not in _UNWANTED


def _put(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() != data:
        raise ValueError(f"{path}: two wheels have it, and differ")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _licence(metadata: str) -> str:
    """The SPDX expression, as far as a package of before SPDX says it in other words."""
    headers = HeaderParser().parsestr(metadata)
    if expression := headers.get("License-Expression"):
        return str(expression)
    words = {
        "License :: OSI Approved :: MIT License": "MIT",
        "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    }
    told = [words[line] for line in headers.get_all("Classifier", []) if line in words]
    return " OR ".join(sorted(told)) or str(headers.get("License", ""))


def _parts(data: bytes) -> list[dict[str, str]]:
    """What is linked into a compiled wheel, as its own CycloneDX file says: no build tools."""
    found = []
    for part in json.loads(data).get("components", []):
        if part.get("scope") == "excluded":
            continue
        licences = part.get("licenses") or [{}]
        told = licences[0].get("expression") or licences[0].get("license", {}).get("id", "")
        row = {"name": part["name"], "version": part["version"], "purl": part.get("purl", "")}
        row["licence"] = " ".join(told.split())
        row["author"] = part.get("author", "")
        found.append(row)
    return found


def merge(bill: list[dict[str, object]]) -> list[dict[str, object]]:
    """Make one row of each distribution, whatever number of wheels it came in."""
    merged: dict[object, dict[str, object]] = {}
    for row in bill:
        first = merged.setdefault(row["name"], row)
        if first is not row:
            assert isinstance(first["files"], list)
            assert isinstance(row["files"], list)
            first["files"] += row["files"]
    return list(merged.values())


def check_complete(bill: list[dict[str, object]], lock: Lock) -> None:
    """Raise ValueError if a distribution, or its wheel for one of the Pythons, is missing."""
    for name in lock:
        files = [str(_first_file(row)) for row in bill if row["name"] == name]
        is_for_all = any("-abi3-" in file or not file.endswith(".whl") for file in files)
        is_for_all = is_for_all or any("-none-any." in file for file in files)
        missing = [abi for abi in ABIS if not any(f"-{abi}-" in file for file in files)]
        if not files or (missing and not is_for_all):
            raise ValueError(f"{name}: no file for {', '.join(missing)}")


def _first_file(row: dict[str, object]) -> object:
    assert isinstance(row["files"], list)
    return row["files"][0]["name"]


def check_told(components: list[dict[str, object]], text: str) -> None:
    """Raise ValueError if debian/copyright does not name something that is in the package."""
    words = set(re.findall(r"[\w+-]+(?:\.[\w+-]+)*", text))
    for row in components:
        parts = row["parts"]
        assert isinstance(parts, list)
        names = [normalise(str(row["name"])), *(str(part["name"]) for part in parts)]
        missing = [name for name in names if name not in words]
        if missing:
            raise ValueError(
                f"debian/copyright does not name {', '.join(missing)} (of {row['name']}):"
                " packaging/deb/write_copyright.py writes that part"
            )


if __name__ == "__main__":
    sys.exit(main())
