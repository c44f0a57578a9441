"""The source as the tests of this folder read it: files, their modules parsed, their functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec

TOP = Path(__file__).parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source(msgspec.Struct, frozen=True):
    """One Python file. ``name`` is its path from the top of the repository."""

    name: str
    text: str
    module: ast.Module


def sources(*folders: str) -> list[Source]:
    """Read every Python file below ``folders``, which may not exist yet."""
    paths = sorted(path for folder in folders for path in (TOP / folder).rglob("*.py"))
    texts = [(str(path.relative_to(TOP)), path.read_text("utf-8")) for path in paths]
    return [Source(name, text, ast.parse(text, name)) for name, text in texts]


def functions(node: ast.AST, path: str = "") -> Iterator[tuple[str, Function]]:
    """Yield every function below ``node`` with its dotted name, inner ones too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield f"{path}{child.name}", child
        inside = isinstance(child, Function | ast.ClassDef)
        yield from functions(child, f"{path}{child.name}." if inside else path)


def docstrings(module: ast.Module) -> set[ast.AST]:
    """The nodes that are docstrings: of the module, its classes, functions and constants."""
    found: set[ast.AST] = set()
    for node in ast.walk(module):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                found.add(statement.value)
    return found


def texts(source: Source) -> Iterator[str]:
    """Yield every text of the code that is no docstring; those inside f-strings too."""
    skipped = docstrings(source.module)
    for node in ast.walk(source.module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.value
