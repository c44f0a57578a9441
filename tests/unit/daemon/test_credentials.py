"""Credentials of systemd's: each means what its variable does, gives way to it, and is hidden."""

import os
from pathlib import Path

import pytest

from ocpd.daemon.credentials import LARGEST_BYTES, VARIABLES, Credentials, read_credentials
from ocpd.settings.knob import SettingsError

SECRET = "qx7-a-secret"


def write(folder: Path, name: str, text: str = SECRET, mode: int = 0o400) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def read(folder: Path, **environ: str) -> Credentials:
    return read_credentials({"CREDENTIALS_DIRECTORY": str(folder), **environ})


def refusal(folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None or SECRET not in str(caught.value.__context__)
    return str(caught.value)


def test_without_a_directory_there_is_nothing(tmp_path: Path) -> None:
    assert read_credentials({}) == Credentials()
    assert read(tmp_path) == Credentials()
    assert read(tmp_path / "none") == Credentials()


@pytest.mark.parametrize("prefix", ["", "ocpd_"])
def test_each_file_is_its_variable(tmp_path: Path, prefix: str) -> None:
    for name in VARIABLES:
        write(tmp_path, prefix + name, f"{name}\n")
    assert read(tmp_path).variables == {
        "CLAUDE_CODE_OAUTH_TOKEN": "claude-oauth-token",
        "OCPD_ADMIN_KEY": "admin-key",
        "OCPD_SHARED_KEYS": "api-keys",
        "OCPD_ANONYMOUS_KEY": "anonymous-key",
    }
    assert read(tmp_path).notes == ()


def test_keys_may_stand_on_lines_of_their_own_and_others_may_not(tmp_path: Path) -> None:
    path = write(tmp_path, "ocpd_api-keys", "one\n\n two,three \n")
    assert read(tmp_path).variables == {"OCPD_SHARED_KEYS": "one,two,three"}
    path.unlink()
    write(tmp_path, "ocpd_claude-oauth-token", f"{SECRET}\nwrapped\n")
    assert "it has 2 lines" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "variable"), [(name, each) for name, names in VARIABLES.items() for each in names]
)
def test_a_variable_that_is_set_wins(tmp_path: Path, name: str, variable: str) -> None:
    write(tmp_path, f"ocpd_{name}")
    found = read(tmp_path, **{variable: "said"})
    assert found.variables == {}
    assert found.notes == (f"the credential ocpd_{name} has no effect: {variable} wins",)


@pytest.mark.parametrize("text", ["", " \n\r\n", "\ufeff"])
def test_an_empty_file_ends_the_start_and_opens_no_door(tmp_path: Path, text: str) -> None:
    # Taken for none it would make authMode none of what was meant to be shared.
    path = write(tmp_path, "ocpd_api-keys", text)
    assert refusal(tmp_path) == f"credential {path}: it is empty; fill it, or remove it"


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to nothing"])
def test_what_has_a_name_of_ours_and_is_no_file_ends_the_start(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ocpd_api-keys"
    match kind:
        case "pipe":
            os.mkfifo(path, 0o600)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(tmp_path / "none")
    assert refusal(tmp_path).startswith(f"credential {path}: ")


def test_the_same_secret_under_two_names_is_refused(tmp_path: Path) -> None:
    for name in ("api-keys", "ocpd_api-keys"):
        write(tmp_path, name)
    assert "credentials api-keys and ocpd_api-keys mean the same" in refusal(tmp_path)


def test_a_directory_that_anybody_may_write_to_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "ocpd_admin-key")
    tmp_path.chmod(0o777)
    assert refusal(tmp_path).endswith(f"anybody may write to it; run: chmod 700 {tmp_path}")


def test_marks_and_line_ends_of_other_systems_are_no_part_of_a_secret(tmp_path: Path) -> None:
    write(tmp_path, "ocpd_admin-key", f"\ufeff{SECRET}\r\n")
    assert read(tmp_path).variables == {"OCPD_ADMIN_KEY": SECRET}


def test_a_name_that_means_nothing_is_told_if_it_is_meant_for_us(tmp_path: Path) -> None:
    write(tmp_path, "ocpd_admin_key")
    write(tmp_path, "tls-key")
    (note,) = read(tmp_path).notes
    assert note.startswith("the credential ocpd_admin_key has no effect: there are claude-oauth")
    assert read(tmp_path).variables == {}


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "ocpd_admin-key", mode=0o444)
    assert refusal(tmp_path).endswith(f"it is open to others than its owner; run: chmod 400 {path}")
    for odd in (f"{SECRET}\0".encode(), SECRET.encode() + b"\xff", b"x" * (LARGEST_BYTES + 1)):
        path.unlink()
        path.write_bytes(odd)
        path.chmod(0o400)
        assert f"credential {path}: it is no text" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        assert "CREDENTIALS_DIRECTORY" in refusal(tmp_path)
    finally:
        tmp_path.chmod(0o700)
