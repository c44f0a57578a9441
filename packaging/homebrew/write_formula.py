"""Writes the Homebrew formula, whose resources are what packaging/locks/run.lock pins.

    make formula                                    homebrew/ocpd.rb, for the checkout
    make formula ARGS="--source FILE --url URL --homepage URL --output PATH"
                                                    for a tap: FILE is the release's source archive,
                                                    and URL is where it will be found
    make formula ARGS=--check                       compares, asks nobody, exits 1 if it is stale

What may live here: the formula's text, and the question to the package index. Which files a pinned
version has, and where, uv says (`uv pip compile --format pylock.toml`), under the index it is set
up with; a file is taken only if the lock has its hash.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

TOP = Path(__file__).parents[2]
LOCK = TOP / "packaging/locks/run.lock"
TEMPLATE = Path(__file__).with_name("ocpd.rb.in")
FORMULA = TOP / "homebrew/ocpd.rb"

# Reserved for examples, so it can never be fetched: a tap's formula has the real ones.
PLACEHOLDER = "https://ocpd.example"

_PINNED = re.compile(r"^([\w.-]+)==(\S+) \\$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_RESOURCE = re.compile(r'resource "([^"]+)" do\n    url "([^"]+)"\n    sha256 "([^"]+)"\n')


class Pin(Struct, frozen=True):
    """What the lock says of one package."""

    version: str
    hashes: frozenset[str]


class Resource(Struct, frozen=True):
    """One source archive that the formula fetches."""

    name: str
    url: str
    sha256: str


class Release(Struct, frozen=True):
    """Where the formula finds ocpd itself."""

    homepage: str
    url: str
    sha256: str


def read_pins(lock: str) -> dict[str, Pin]:
    """Return what ``lock``, the text of a lock file with hashes, pins."""
    found: dict[str, tuple[str, set[str]]] = {}
    hashes: set[str] = set()
    for line in lock.splitlines():
        if pinned := _PINNED.match(line):
            hashes = set()
            found[pinned[1]] = (pinned[2], hashes)
        hashes.update(_HASH.findall(line))
    return {name: Pin(version, frozenset(own)) for name, (version, own) in found.items()}


def read_resources(formula: str) -> list[Resource]:
    """Return the resources that ``formula``, the text of one, has."""
    return [Resource(*found) for found in _RESOURCE.findall(formula)]


def version_of() -> str:
    """Return the version of ocpd that this checkout is."""
    project: Mapping[str, str] = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]
    return project["version"]


def ask_index(pins: Mapping[str, Pin]) -> list[Resource]:
    """Ask the configured index where the source archives are; needs uv and the network.

    Raises LookupError for a package without a source archive or with one that is not in the lock,
    and CalledProcessError if uv fails; it has said why.
    """
    uv = shutil.which("uv") or str(TOP / ".venv/bin/uv")
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "pylock.toml"
        options = "--quiet --universal --python-version 3.11 --no-deps --format pylock.toml"
        subprocess.run(  # noqa: S603 - nothing of it comes from elsewhere
            [uv, "pip", "compile", *options.split(), "--output-file", str(lock), str(LOCK)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        packages = tomllib.loads(lock.read_text("utf-8"))["packages"]
    found = []
    for package in sorted(packages, key=lambda one: str(one["name"])):
        name, archive = package["name"], package.get("sdist")
        if archive is None:
            raise LookupError(f"{name} {package['version']} has no source archive")
        digest = archive["hashes"]["sha256"]
        if digest not in pins[name].hashes:
            raise LookupError(f"the lock does not have the hash of {archive['url']}: make lock")
        found.append(Resource(name, archive["url"], digest))
    return found


def write_formula(release: Release, resources: Sequence[Resource]) -> str:
    """Return the text of the formula."""
    stanzas = [
        f'  resource "{one.name}" do\n    url "{one.url}"\n    sha256 "{one.sha256}"\n  end\n'
        for one in resources
    ]
    text = TEMPLATE.read_text("utf-8").partition("\n\n")[2]
    for name, value in {
        "HOMEPAGE": release.homepage,
        "URL": release.url,
        "SHA256": release.sha256,
        "RESOURCES": "\n".join(stanzas).strip("\n"),
    }.items():
        text = text.replace(f"@{name}@", value)
    return text


def placeholder() -> Release:
    """Return what the formula of the checkout says of an archive that does not exist yet."""
    return Release(PLACEHOLDER, f"{PLACEHOLDER}/ocpd-{version_of()}.tar.gz", "0" * 64)


def is_fresh(formula: str, pins: Mapping[str, Pin]) -> bool:
    """Whether ``formula`` is what would be written, as far as one can say without the index."""
    resources = read_resources(formula)
    named = {one.name: one for one in resources}
    return (
        formula == write_formula(placeholder(), resources)
        and list(named) == sorted(pins)
        and all(one.sha256 in pins[one.name].hashes for one in resources)
        and all(f"-{pins[one.name].version}.tar.gz" in one.url for one in resources)
    )


def main(argv: Sequence[str]) -> int:
    """Write the formula or compare it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make formula", description="Writes the formula.")
    parser.add_argument("--check", action="store_true", help="compare; ask no index")
    parser.add_argument("--source", type=Path, help="the source archive of a release")
    parser.add_argument("--url", help="where that archive will be found")
    parser.add_argument("--homepage", default=PLACEHOLDER, help="the product's page")
    parser.add_argument("--output", type=Path, default=FORMULA, help="where to write")
    told = parser.parse_args(argv)
    if (told.source is None) != (told.url is None):
        parser.error("--source and --url go together: the archive, and where it will be found")
    pins = read_pins(LOCK.read_text("utf-8"))
    if told.check:
        if is_fresh(FORMULA.read_text("utf-8"), pins):
            return 0
        sys.stderr.write("homebrew/ocpd.rb is stale: make formula\n")
        return 1
    release = placeholder()
    if told.source is not None:
        digest = hashlib.sha256(told.source.read_bytes()).hexdigest()
        release = Release(told.homepage, told.url, digest)
    try:
        text = write_formula(release, ask_index(pins))
    except (LookupError, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"make formula: {error}\n")
        return 1
    told.output.parent.mkdir(parents=True, exist_ok=True)
    told.output.write_text(text, "utf-8")
    sys.stdout.write(f"{os.path.relpath(told.output)}: {text.count('resource ')} resources\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
