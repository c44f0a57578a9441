"""Writes debian/copyright: who holds the rights in what the packages contain, and under what terms.

    make deb                                          fails, and leaves build/deb/tree/build
    python3 -I packaging/deb/write_copyright.py build/deb/tree/build/vendored.json

What may live here: the parts that are named by hand, and rows for what ``vendor.py`` found linked
into compiled wheels. Texts of licences are in the folder beside it. Standard library only.
"""

import json
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
TOP = HERE.parents[1]

HEAD = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ocpd
Comment: Built upstream, with libraries of others as they were published, in
 compiled form. Their own notices, word for word, are in the folder notices
 beside this file.
"""

# Files, holders, licence, comment. Names stand as single words: the build looks for each.
PARTS = (
    ("*", ("2026 the ocpd authors",), "MIT", ""),
    (
        "usr/lib/ocpd/vendor/h11/*",
        ("2016 Nathaniel J. Smith <njs@pobox.com> and other contributors",),
        "MIT",
        "h11, HTTP/1.1 without sockets.",
    ),
    (
        "usr/lib/ocpd/vendor/msgspec/*",
        ("2021 Jim Crist-Harif",),
        "BSD-3-Clause",
        "msgspec, JSON and its types.",
    ),
    (
        "usr/lib/ocpd/vendor/sdnotify/*",
        ("2016 Brett Bethke",),
        "MIT",
        "sdnotify, what systemd is told.",
    ),
    (
        "usr/lib/ocpd/vendor/uvloop/*",
        ("2016-present the uvloop authors and contributors",),
        "MIT or Apache-2.0",
        "uvloop, an event loop.",
    ),
    (
        "usr/lib/ocpd/vendor/uvloop/loop.*.so",
        (
            "2015-present libuv project contributors",
            "Joyent, Inc. and other Node contributors",
            "2002 Niels Provos <provos@citi.umich.edu> (tree.h)",
            "2004 Internet Systems Consortium, Inc. (inet_pton, inet_ntop)",
        ),
        "MIT and BSD-2-Clause and ISC",
        "libuv, which is linked into it.",
    ),
    (
        "usr/lib/ocpctl/ocpctl",
        ("2010-2023 PyInstaller Development Team", "2005-2009 Giovanni Bajo"),
        "GPL-2.0-or-later-with-bootloader-exception",
        "The start of the frozen program, with ocpctl's own code behind it. Run-time hooks are"
        " under Apache-2.0.",
    ),
    (
        "usr/lib/ocpctl/_internal/*",
        ("2001-2023 Python Software Foundation",),
        "PSF-2.0",
        "Debian's own build of Python, copied. Everything else that is in it stands in the file"
        " notices/python.",
    ),
    (
        "usr/lib/ocpctl/ocpctl*",
        ("1995-2023 Jean-loup Gailly and Mark Adler",),
        "Zlib",
        "Linked into the start of the frozen program.",
    ),
)


def main() -> int:
    """Write it; returns the exit code."""
    bill = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    stanzas = [HEAD, *(stanza(*part) for part in PARTS)]
    used = {word for part in PARTS for word in part[2].split() if word not in ("and", "or")}
    for row in bill:
        if row["parts"]:
            told, licences = crates(row)
            stanzas.append(told)
            used |= licences
    stanzas += [licence(name) for name in sorted(used)]
    (TOP / "debian/copyright").write_text("\n".join(stanzas), "utf-8")
    return 0


def stanza(files: str, holders: tuple[str, ...], terms: str, comment: str) -> str:
    """Return one paragraph about files."""
    lines = [f"Files: {files}", f"Copyright: {holders[0]}", *(f" {more}" for more in holders[1:])]
    lines.append(f"License: {terms}")
    if comment:
        lines += textwrap.wrap(f"Comment: {comment}", 78, subsequent_indent=" ")
    return "\n".join(lines) + "\n"


def crates(row: dict[str, object]) -> tuple[str, set[str]]:
    """Return the paragraph about a wheel with others' code linked in, and the licences it uses."""
    parts = row["parts"]
    assert isinstance(parts, list)
    holders = ["Dmitry Dygalo <dmitry@dygalo.dev>", "the authors of the crates below"]
    comment = [
        "Comment: jsonschema-rs, checks of JSON. Its wheel says itself what it was",
        " built from; not all of it is needed on Linux. Name, version, terms, authors:",
    ]
    used = {"MIT"}
    for part in sorted(parts, key=lambda part: (part["name"], part["version"])):
        used |= choose(part["licence"])
        author = part["author"] or "its authors"
        line = f"{part['name']} {part['version']}: {part['licence']}; {author}"
        comment += textwrap.wrap(line, 90, initial_indent=" ", subsequent_indent="    ")
    terms = " and ".join(sorted(used))
    lines = [f"Files: usr/lib/ocpd/vendor/{str(row['name']).replace('-', '_')}/*"]
    lines += [f"Copyright: {holders[0]}", f" {holders[1]}", f"License: {terms}", *comment]
    return "\n".join(lines) + "\n", used


def choose(expression: str) -> set[str]:
    """Return the licences to obey for an SPDX expression: of alternatives, the first we have."""
    found: set[str] = set()
    for group in _split(expression, " AND "):
        options = _split(group.strip("()"), " OR ")
        known = [name for name in options if (HERE / f"licences/{name}.txt").exists()]
        if not known:
            raise ValueError(f"{expression}: its text is missing in packaging/deb/licences")
        found.add("MIT" if "MIT" in known else known[0])
    return found


def _split(expression: str, word: str) -> list[str]:
    """Split at ``word`` outside of parentheses."""
    parts, depth = [""], 0
    for piece in expression.replace("(", "( ").replace(")", " )").split():
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if depth == 0 and piece == word.strip():
            parts.append("")
        else:
            parts[-1] = f"{parts[-1]} {piece}".strip()
    return [part.strip("() ") if word == " OR " else part for part in parts]


def licence(name: str) -> str:
    """Return the paragraph with the text of one licence."""
    text = (HERE / f"licences/{name}.txt").read_text("utf-8").strip()
    lines = (f" {line}" if line.strip() else " ." for line in text.splitlines())
    return "\n".join((f"License: {name}", *lines)) + "\n"


if __name__ == "__main__":
    sys.exit(main())
