"""The signed repository: what it takes in, and what it keeps out."""

import pytest

from tests.packages.repository import KEYRING

TIME_LIMIT_S = 180


def test_a_signed_repository_is_taken_without_a_warning_and_names_both_programs(machine):
    told = machine.update()
    assert f"127.0.0.1:8080 {machine.codename} InRelease" in told
    for package in ("ocpd", "ocpctl"):
        offered = machine.container.check("apt-cache", "policy", package)
        assert f"127.0.0.1:8080 {machine.codename}/main" in offered


def test_a_repository_signed_by_another_key_is_not_believed(
    machine, packages, older_packages, key, stranger
):
    machine.repository.publish(older_packages, [key])
    machine.update()
    machine.repository.publish(packages, [stranger])
    done = machine.try_apt("update")
    # apt keeps the lists it has, and ends well: what it says is all that tells.
    assert "\nW:" in done.stdout
    assert "signature" in done.stdout.lower()
    policy = machine.container.check("apt-cache", "policy", "ocpd")
    assert "0.0.9" in policy
    assert machine.try_apt("install", "-y", "ocpd").returncode != 0
    assert not machine.version()


def test_without_the_key_nothing_of_it_can_be_installed(machine):
    machine.apt("remove", "-y", "ocpd-archive-keyring")
    assert not machine.container.exists(KEYRING)
    machine.container.check("find", "/var/lib/apt/lists", "-name", "127*", "-delete")
    machine.try_apt("update")
    assert machine.try_apt("install", "-y", "ocpd").returncode != 0
    assert not machine.version()


def test_a_package_that_was_tampered_with_is_refused(machine):
    package = machine.repository.package("ocpd")
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 1
    package.write_bytes(content)
    done = machine.try_apt("install", "-y", "ocpd")
    assert done.returncode != 0
    assert "Hash Sum mismatch" in done.stdout
    assert not machine.version()


def test_the_key_is_rotated_by_an_upgrade_of_the_keyring_package(machine, packages, key, stranger):
    before = machine.container.check("sha256sum", KEYRING)
    machine.repository.publish(packages, [key], trust=[key, stranger])
    machine.update()
    machine.apt("install", "-y", "--only-upgrade", "ocpd-archive-keyring")
    assert machine.container.check("sha256sum", KEYRING) != before
    # Now the new key may sign, alone or beside the old one.
    machine.repository.publish(packages, [key, stranger], trust=[key, stranger])
    machine.update()
    machine.repository.publish(packages, [stranger])
    machine.update()
    machine.apt("install", "-y", "--only-upgrade", "ocpd-archive-keyring")
    machine.update()
    assert machine.install()


@pytest.mark.parametrize("how", ["remove", "purge"])
def test_the_keyring_package_takes_the_source_away_only_when_it_is_purged(machine, how):
    machine.apt(how, "-y", "ocpd-archive-keyring")
    source = "/etc/apt/sources.list.d/ocpd.sources"
    assert machine.container.exists(source) is (how == "remove")
    assert not machine.container.exists(KEYRING)
