"""What `make apt-repo` needs and does not have, it asks for by name, before it makes anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.arch.tree import TOP

# What the script calls before it has decided whether it can work.
PLAIN = ("sh", "dirname", "cat")
HAS_KEYS = '#!/bin/sh\ncase "$*" in *GOOD*) exit 0 ;; esac\nexit 2\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A PATH with tools that do nothing, a gpg that knows the key GOOD, and one package."""
    (tmp_path / "bin").mkdir()
    for tool in PLAIN:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    for tool in ("reprepro", "dpkg-deb", "gpg"):
        program = tmp_path / "bin" / tool
        program.write_text(HAS_KEYS if tool == "gpg" else "#!/bin/sh\n")
        program.chmod(0o755)
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs/ocpd_1_all.deb").touch()
    return tmp_path


def _refusal(place: Path, **environ: str) -> str:
    done = subprocess.run(
        ["sh", str(TOP / "packaging/apt/build.sh")],
        env={
            "PATH": str(place / "bin"),
            "HOME": str(place),
            "APT_DEBS": str(place / "debs"),
            "APT_OUT": str(place / "out"),
            **environ,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert not (place / "out").exists()
    return done.stderr


def test_without_a_key_it_says_how_to_make_one(place):
    told = _refusal(place, APT_URL="https://packages.example")
    for words in ("APT_KEY names no key", "gpg --quick-generate-key", "APT_KEY=FINGERPRINT"):
        assert words in told


def test_a_key_that_is_not_there_is_named_with_the_folder_that_was_looked_in(place):
    told = _refusal(place, APT_KEY="GOOD OTHER", GNUPGHOME="somewhere")
    assert "the secret key OTHER is not in somewhere" in told


def test_a_public_key_that_is_not_there_is_named(place):
    assert "APT_KEYS names NEXT" in _refusal(place, APT_KEY="GOOD", APT_KEYS="GOOD NEXT")


@pytest.mark.parametrize("url", ["", "packages.example", "https://"])
def test_an_address_that_is_none_is_refused(place, url):
    assert f"APT_URL={url} is no address" in _refusal(place, APT_KEY="GOOD", APT_URL=url)


def test_without_packages_it_says_what_makes_them(place):
    (place / "debs/ocpd_1_all.deb").unlink()
    assert "make deb" in _refusal(place, APT_KEY="GOOD")


def test_a_tool_that_is_missing_is_named_with_its_package(place):
    (place / "bin/reprepro").unlink()
    assert "reprepro is missing" in _refusal(place)


def test_no_key_is_in_the_checkout():
    def looks_secret(path: Path) -> bool:
        return path.suffix in {".gpg", ".asc", ".key"} or b"PRIVATE KEY" in path.read_bytes()

    found = [path for path in (TOP / "packaging").rglob("*") if path.is_file()]
    assert not [path for path in found if looks_secret(path)]
    assert os.access(TOP / "packaging/apt/build.sh", os.R_OK)
