"""Completion, man page: fresh, and understood by the shells that are here."""

import shutil
import subprocess
import sys

import pytest

from ocpctl import cli
from ocpctl.completions import SHELLS, list_words, write_completion
from tests.arch.tree import TOP

FILES = {"bash": "ocpctl.bash", "zsh": "_ocpctl", "fish": "ocpctl.fish"}


def test_the_shipped_pages_are_what_the_parsers_say():
    done = subprocess.run(
        [sys.executable, "packaging/dev/write_man.py", "--check"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_writes_what_is_shipped(ctl, shell):
    shipped = (TOP / "packaging/completions" / FILES[shell]).read_text("utf-8")
    assert ctl("completion", shell).out == shipped


@pytest.mark.parametrize("shell", SHELLS)
def test_every_word_is_completed(shell):
    text = write_completion(shell)
    for word in list_words():
        assert all(part in text for part in word.path)
        for option in word.options:
            assert (option if shell != "fish" else f"-l {option[2:]}") in text


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_understands_it(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    done = subprocess.run(
        [shell, "-n", str(TOP / "packaging/completions" / FILES[shell])],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("typed", "wanted", "unwanted"),
    [
        ("ocpctl ", {"usage", "keys", "--json"}, {"add"}),
        ("ocpctl ke", {"keys"}, {"usage"}),
        ("ocpctl keys ", {"add", "revoke", "--json"}, {"--note"}),
        ("ocpctl keys add --", {"--note", "--models"}, {"--force"}),
        ("ocpctl keys add laptop --n", {"--note"}, {"--models"}),
        ("ocpctl --socket /x keys r", {"revoke", "rotate", "rename"}, {"add"}),
        ("ocpctl --json auth ", {"login", "token", "admin-key"}, {"add"}),
        ("ocpctl completion ", {"bash", "zsh", "fish"}, set()),
        ("ocpctl help k", {"keys"}, {"usage"}),
        ("ocpctl restart g", {"gateway"}, set()),
        ("ocpctl nonsense ", set(), {"usage"}),
    ],
)
def test_bash_completes_what_can_follow(typed, wanted, unwanted):
    words = typed.split(" ")
    script = (
        f"source {TOP}/packaging/completions/ocpctl.bash\n"
        f"COMP_WORDS=({' '.join(repr(word) for word in words)})\n"
        f'COMP_CWORD={len(words) - 1}\n_ocpctl\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert done.stderr == ""
    assert wanted <= found
    assert not unwanted & found


def test_bash_completes_files_where_files_are_wanted(tmp_path):
    (tmp_path / "store.db").touch()
    for words in ("'ocpctl' 'restore' 'st'", "'ocpctl' '--socket' 'st'"):
        script = (
            f"cd {tmp_path}; source {TOP}/packaging/completions/ocpctl.bash\n"
            f'COMP_WORDS=({words}); COMP_CWORD=2; _ocpctl; echo "${{COMPREPLY[@]}}"\n'
        )
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout == "store.db\n"


def test_the_man_page_names_every_word_option_and_exit_code():
    page = (TOP / "packaging/man/ocpctl.1").read_text("utf-8").replace("\\-", "-")
    for word in list_words():
        assert f".B ocpctl {' '.join(word.path)}" in page
        assert all(option in page for option in word.options)
    for option, _ in cli.GLOBAL_OPTIONS:
        assert option in page
    for code, meaning in cli.EXIT_CODES:
        assert f".B {code}\n{meaning}" in page


def test_the_man_page_is_sound():
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8", str(TOP / "packaging/man/ocpctl.1")],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
