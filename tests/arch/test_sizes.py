"""Nothing grows out of sight: files, functions, nesting and parameters have a limit.

A name in ``RATCHET`` may stay as large as it says and not grow; a line that is no longer needed
must go. So the list only shrinks.
"""

import ast

import pytest

from tests.arch.tree import Function, Source, functions, sources

FILE_LINES = 450
FUNCTION_LINES = 50
NESTING = 4
PARAMETERS = 6

RATCHET = {
    # Every failure goes through this one door, and all but the message are optional facts.
    "ocpd/errors.py OcpdError.__init__ parameters": 7,
}

_NESTING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar)


def _lines(function: Function) -> int:
    """Lines of the body without decorators and docstring."""
    first = function.body[0]
    if ast.get_docstring(function) is None:
        return (function.end_lineno or 0) - function.lineno + 1
    if len(function.body) == 1:
        return 1
    return (function.end_lineno or 0) - function.body[1].lineno + 1 + first.lineno - function.lineno


def _depth(node: ast.AST) -> int:
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            continue
        is_elif = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
        step = isinstance(child, (*_NESTING, ast.Match)) and not is_elif
        deepest = max(deepest, step + _depth(child))
    return deepest


def _parameters(function: Function) -> int:
    told = function.args
    every = (*told.posonlyargs, *told.args, *told.kwonlyargs)
    stars = (told.vararg is not None) + (told.kwarg is not None)
    return len([a for a in every if a.arg not in ("self", "cls")]) + stars


def _measure(source: Source) -> dict[str, tuple[int, int]]:
    """Every measure of one file: what it is, and its limit."""
    found = {f"{source.name} lines": (source.text.count("\n"), FILE_LINES)}
    for name, function in functions(source.module):
        place = f"{source.name} {name}"
        found[f"{place} lines"] = (_lines(function), FUNCTION_LINES)
        found[f"{place} nesting"] = (_depth(function), NESTING)
        found[f"{place} parameters"] = (_parameters(function), PARAMETERS)
    return found


@pytest.fixture(scope="module")
def measures() -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for source in sources("ocpd", "ocpctl", "tests/kit", "packaging"):
        found |= _measure(source)
    return found


def test_nothing_is_over_its_limit(measures):
    over = {
        what: f"{size}, at most {RATCHET.get(what, limit)}"
        for what, (size, limit) in measures.items()
        if size > RATCHET.get(what, limit)
    }
    assert not over


def test_the_ratchet_holds_nothing_it_need_not(measures):
    loose = [
        what
        for what, allowed in RATCHET.items()
        if what not in measures or not measures[what][1] < measures[what][0] == allowed
    ]
    assert not loose


def test_the_measures_count_what_they_should():
    text = '''
def plain(a, b, *, c, **d):
    """One.

    Two.
    """
    if a:
        return b
    elif b:
        for x in c:
            with x:
                return d
'''
    found = _measure(Source("x.py", text, ast.parse(text)))
    assert found["x.py plain lines"][0] == 7
    assert found["x.py plain nesting"][0] == 3
    assert found["x.py plain parameters"][0] == 4
