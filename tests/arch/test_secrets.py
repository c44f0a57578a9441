"""ocpd stays away from the login's secrets, from Anthropic's API, and from pretending.

The promises of README's "Sign in": the CLI's login is its own, and ocpd neither opens it nor goes
round the CLI. What is searched is the code without its docstrings and comments.
"""

import ast

from tests.arch.tree import Source, docstrings, sources, texts

TOKEN = "CLAUDE_CODE_OAUTH_TOKEN"


def _product() -> list[Source]:
    found = sources("ocpd", "ocpctl")
    assert len(found) > 50
    return found


def _said(*words: str) -> list[str]:
    """Every text of the product's code that holds one of ``words``."""
    return [
        f"{source.name}: {text!r}"
        for source in _product()
        for text in texts(source)
        if any(word in text.lower() for word in words)
    ]


def test_nothing_opens_the_files_of_the_login():
    assert not _said(".credentials", "credentials.json", "keychain", "find-generic-password")


def test_nothing_talks_to_anthropic_but_the_cli():
    said = _said("anthropic.com", "claude.ai", "claude.com", "oauth/token")
    # It may tell people how to install the CLI; what it runs itself is the CLI.
    assert said == ["ocpctl/claude.py: 'curl -fsSL https://claude.ai/install.sh | '"]


def test_no_variable_of_anthropic_is_read_set_or_passed_on():
    assert not _said("anthropic_")
    names = [
        f"{source.name}: {source.text.splitlines()[number].strip()}"
        for source in _product()
        for number, line in enumerate(source.text.splitlines())
        if "ANTHROPIC_" in line and source.name != "ocpd/claude/argv.py"
    ]
    assert not names


def test_the_token_is_passed_on_and_its_value_never_looked_at():
    """It may stand in a set of names, be asked for with ``in``, and have a name of its own where
    a stored token is put into a child's environment; nothing else."""
    for source in _product():
        allowed: set[ast.AST] = set(docstrings(source.module))
        if source.name == "ocpd/pool/token.py":
            allowed.update(n.value for n in source.module.body if isinstance(n, ast.Assign))
        for node in ast.walk(source.module):
            if isinstance(node, ast.Set):
                allowed.update(node.elts)
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
                allowed.add(node.left)
        for node in ast.walk(source.module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert TOKEN not in node.value or node in allowed, (source.name, node.lineno)


def test_the_entrypoint_that_classifies_the_use_is_not_ours_to_set():
    assert not _said("claude_code_entrypoint", "x-anthropic-billing")


def test_nothing_in_the_product_can_start_a_demo():
    for source in _product():
        for node in ast.walk(source.module):
            if isinstance(node, ast.keyword) and node.arg == "demo":
                assert ast.unparse(node.value) in ("lane.demo", "self._demo"), source.name
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "tests" not in ast.unparse(node).replace(",", " ").split(), source.name
        assert "tests.kit" not in source.text
        said = {text for text in texts(source) if "demo" in text.lower()}
        # It may say that it is one; the lane that makes it one is only set by tests/kit.
        assert said <= {
            "x-ocpd-demo",
            "no (demo: the answers are canned)",
            "a demo: nobody is signed in, and the answers are canned",
            "this ocpd is a demo: its answers are canned, and so is the plan it shows",
            "this ocpd is a demo: its answers are canned",
            "demo",
        }, source.name
