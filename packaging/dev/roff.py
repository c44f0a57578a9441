"""Words of roff that our man pages share.

What may live here: escaping, and lists of terms.
"""

from collections.abc import Iterable


def escape(text: str) -> str:
    """Return ``text`` so that roff prints it as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    text = text.replace("'", "\\(aq").replace("~", "\\(ti").replace("`", "\\(ga")
    return f"\\&{text}" if text.startswith(".") else text


def list_terms(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return the lines of a list: each term in bold, its text indented below."""
    lines: list[str] = []
    for term, text in rows:
        lines += [".TP", f".B {escape(term)}", escape(text)]
    return lines
