"""Every door says what it is for: docstrings, names, empty package files."""

import ast
from pathlib import PurePath

from tests.arch.tree import TOP, functions, sources

EMPTY_WORDS = {"base", "common", "helper", "helpers", "manager", "misc", "shared", "util", "utils"}

PRODUCT = ("ocpd", "ocpctl")
EVERYTHING = (*PRODUCT, "tests", "bench", "packaging")


def _is_public(path: str) -> bool:
    return not any(name.startswith("_") for name in path.split("."))


def test_every_module_begins_with_what_may_live_there():
    silent = [
        source.name
        for source in sources(*EVERYTHING)
        if source.text and ast.get_docstring(source.module) is None
    ]
    assert not silent
    empty = [source.name for source in sources(*PRODUCT) if not source.text]
    assert not empty


def test_every_public_class_and_function_of_the_product_says_what_it_is():
    silent: list[str] = []
    for source in sources(*PRODUCT):
        doors = {name: node for name, node in functions(source.module) if "." not in name}
        for node in source.module.body:
            if isinstance(node, ast.ClassDef):
                doors[node.name] = node
                doors |= {name: f for name, f in functions(node, f"{node.name}.")}
        inner = {f for _, outer in functions(source.module) for _, f in functions(outer)}
        silent += [
            f"{source.name} {name}"
            for name, node in doors.items()
            if _is_public(name) and node not in inner and ast.get_docstring(node) is None
        ]
    assert not silent


def test_package_files_hold_a_docstring_and_nothing_else():
    full = [
        source.name
        for source in sources(*PRODUCT, "tests")
        if PurePath(source.name).name == "__init__.py"
        and any(not isinstance(node, ast.Expr) for node in source.module.body)
    ]
    assert not full


def test_no_file_or_folder_is_called_by_a_word_that_says_nothing():
    called = [
        source.name
        for source in sources(*EVERYTHING)
        if EMPTY_WORDS & {part.removesuffix(".py") for part in PurePath(source.name).parts}
    ]
    assert not called


def test_the_product_is_there_to_be_read():
    assert (TOP / "ocpd/daemon/house.py").exists()
    assert len(sources("ocpd")) > 50
