"""The Homebrew formula keeps the rules that `brew audit --strict` would hold it to, and follows the
lock. Ruby checks the language where there is one; the rest is read as text, always."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from types import ModuleType
from typing import Any

import msgspec
import pytest

from tests.arch.tree import TOP

FORMULA = TOP / "homebrew/ocpd.rb"
TEXT = FORMULA.read_text("utf-8")

# In the order in which Homebrew wants them, as far as we have them.
ORDER = (
    *("include", "desc", "homepage", "url", "sha256", "license", "depends_on", "pypi_packages"),
    *("resource", "def install", "service", "def caveats", "test"),
)
STANZA = re.compile(
    r"^  (include|desc|homepage|url|sha256|license|depends_on|pypi_packages|resource"
    r"|def install|service|def caveats|test)\b",
    re.MULTILINE,
)
ARCHIVES = re.compile(
    r"https://files\.python" r"hosted\.org/packages/[0-9a-f/]{64,}/[\w.-]+\.tar\.gz"
)

needs_ruby = pytest.mark.skipif(
    shutil.which("ruby") is None, reason="no ruby here (apt install ruby): read as text only"
)


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    path = TOP / "packaging/homebrew/write_formula.py"
    spec = importlib.util.spec_from_file_location("write_formula", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    """What Ruby makes of the formula."""
    loader = TOP / "tests/arch/formula_loader.rb"
    done = subprocess.run(
        ["ruby", str(loader), str(FORMULA)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=dict[str, Any])


def test_the_formula_is_what_the_lock_and_the_template_say():
    done = subprocess.run(
        [sys.executable, "packaging/homebrew/write_formula.py", "--check"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_each_resource_has_a_hash_of_the_lock_and_each_package_is_a_resource(writer):
    pins = writer.read_pins((TOP / "packaging/locks/run.lock").read_text("utf-8"))
    resources = writer.read_resources(TEXT)
    assert [one.name for one in resources] == sorted(pins)
    for one in resources:
        pin = pins[one.name]
        assert one.sha256 in pin.hashes
        file = one.url.rpartition("/")[2]
        assert file == f"{one.name.replace('-', '_')}-{pin.version}.tar.gz"
        assert ARCHIVES.fullmatch(one.url), one.url


def test_a_lock_that_moved_makes_the_formula_stale(writer):
    pins = writer.read_pins((TOP / "packaging/locks/run.lock").read_text("utf-8"))
    assert writer.is_fresh(TEXT, pins)
    moved = msgspec.structs.replace(pins["h11"], version="0.99")
    assert not writer.is_fresh(TEXT, {**pins, "h11": moved})
    rehashed = msgspec.structs.replace(pins["h11"], hashes=frozenset({"0" * 64}))
    assert not writer.is_fresh(TEXT, {**pins, "h11": rehashed})
    assert not writer.is_fresh(TEXT, {**pins, "newcomer": pins["h11"]})
    assert not writer.is_fresh(TEXT.replace("keep_alive true", "keep_alive false"), pins)


def test_what_resources_are_updated_from_is_what_the_lock_asks_for():
    asked = (TOP / "packaging/locks/run.in").read_text("utf-8").split()
    names = sorted(re.split(r"[<>=]", one)[0] for one in asked)
    assert f"extra_packages: %w[{' '.join(names)}]" in TEXT


def test_stanzas_stand_in_the_order_that_is_asked_for():
    found = STANZA.findall(TEXT)
    assert set(found) == set(ORDER)
    assert found == sorted(found, key=ORDER.index)


def test_the_description_keeps_the_rules():
    (told,) = re.findall(r'^  desc "(.*)"$', TEXT, re.MULTILINE)
    assert len(f"ocpd: {told}") <= 80
    assert told[0].isupper()
    assert not told.endswith(".")
    assert not re.match(r"(?i)(an?|the|ocpd)\b", told)


def test_build_dependencies_come_first_and_the_python_is_one_that_is_supported():
    found = re.findall(r'^  depends_on "([^"]+)"( => :build)?$', TEXT, re.MULTILINE)
    assert found == [("rust", " => :build"), (found[-1][0], "")]
    name, _, version = found[-1][0].partition("@")
    assert name == "python"
    assert (3, 11) <= tuple(map(int, version.split("."))) <= (3, 14)


def test_text_is_neat():
    assert TEXT.endswith("end\n")
    assert "\t" not in TEXT
    assert not [line for line in TEXT.splitlines() if line != line.rstrip()]
    long = [line for line in TEXT.splitlines() if len(line) > 118 and " url " not in line]
    assert not long


def test_the_formula_of_the_checkout_cannot_be_mistaken_for_a_release():
    assert 'url "https://ocpd.example/ocpd-' in TEXT
    assert f'sha256 "{"0" * 64}"' in TEXT


def test_files_that_are_installed_are_there_and_both_programs_are_scripts():
    for name in re.findall(r'\.install "([^"]+)"', TEXT):
        assert (TOP / name).is_file()
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))
    assert set(project["project"]["scripts"]) == {"ocpd", "ocpctl"}
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == {
        "ocpd",
        "ocpctl",
    }


def test_a_release_names_the_archive_that_it_was_given(writer, tmp_path, monkeypatch):
    resources = writer.read_resources(TEXT)
    monkeypatch.setattr(writer, "ask_index", lambda _: resources)
    archive = tmp_path / "ocpd-0.1.0.tar.gz"
    archive.write_bytes(b"an archive")
    out = tmp_path / "ocpd.rb"
    url = "https://ocpd.example/released.tar.gz"
    told = ["--source", str(archive), "--url", url, "--output", str(out)]
    assert writer.main(told) == 0
    written = out.read_text("utf-8")
    assert f'url "{url}"' in written
    assert "0" * 64 not in written
    assert writer.read_resources(written) == resources


@needs_ruby
def test_ruby_finds_no_fault():
    done = subprocess.run(["ruby", "-wc", str(FORMULA)], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("Syntax OK", "")


@needs_ruby
def test_ruby_reads_the_same_stanzas(facts):
    plain = [word.removeprefix("def ") for word in STANZA.findall(TEXT)]
    assert facts["order"] == plain
    assert facts["license"] == "MIT"
    assert facts["pypi_packages"]["package_name"] == ""
    assert set(facts["pypi_packages"]["extra"]) == set(facts["resources"])


@needs_ruby
def test_the_service_keeps_running_and_finds_programs(facts):
    service = facts["service"]
    assert service["run"] == "/opt/homebrew/opt/ocpd/bin/ocpd"
    assert service["keep_alive"] is True
    assert service["environment_variables"]["PATH"]
    assert {"working_dir", "log_path", "error_log_path"} <= set(service)


@needs_ruby
def test_install_puts_programs_man_page_and_completions_in_place(facts):
    done = [step[0] for step in facts["installed"]]
    assert done == [
        *("virtualenv_install_with_resources", "man1"),
        *("bash_completion", "fish_completion", "zsh_completion"),
    ]


@needs_ruby
def test_the_caveats_say_how_to_sign_in_and_start(facts):
    for words in ("claude auth login", "brew services start ocpd", "ocpctl status"):
        assert words in facts["caveats"]
