"""What the packages carry of others: only what the lock names, and the same for each Python."""

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from tests.arch.tree import TOP

FOLDER = TOP / "packaging/deb"
METADATA = "Metadata-Version: 2.4\nName: thing\nVersion: 1.0\nLicense-Expression: MIT\n\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("wheels", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "copyright").write_text("Comment: thing, and part inside it.\n")
    return tmp_path


def _wheel(place: Path, abi: str, files: dict[str, str]) -> None:
    path = place / f"wheels/thing-1.0-{abi}-{abi}-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {"thing-1.0.dist-info/METADATA": METADATA, **files}.items():
            wheel.writestr(name, text)


def _wheels(place: Path, *abis: str, **files: str) -> None:
    for abi in abis:
        _wheel(place, abi, {"thing/__init__.py": "same\n", f"thing/fast.{abi}.so": abi, **files})


def _lock(place: Path) -> None:
    digests = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (place / "wheels").iterdir()]
    lines = " \\\n".join(["thing==1.0", *(f"    --hash=sha256:{digest}" for digest in digests)])
    (place / "lock").write_text(f"{lines}\n")


def _vendor(place: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(FOLDER / "vendor.py")]
    for flag, name in (
        ("--wheels", "wheels"),
        ("--lock", "lock"),
        ("--into", "out/vendor"),
        ("--notices", "out/notices"),
        ("--bill", "out/bill.json"),
        ("--copyright", "copyright"),
    ):
        command += [flag, str(place / name)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


ALL = ("cp311", "cp312", "cp313", "cp314")


def test_wheels_of_several_pythons_lie_in_one_folder(place):
    _wheels(place, *ALL, **{"thing-1.0.dist-info/licenses/LICENSE": "terms", "thing/x.pyx": ""})
    _lock(place)
    done = _vendor(place)
    assert done.returncode == 0, done.stderr
    found = sorted(str(p.relative_to(place / "out")) for p in (place / "out").rglob("*.*"))
    modules = [f"vendor/thing/fast.{abi}.so" for abi in ALL]
    assert found == ["bill.json", "vendor/thing/__init__.py", *modules]
    assert (place / "out/notices/thing/LICENSE").read_text() == "terms"
    (row,) = msgspec.json.decode((place / "out/bill.json").read_text())
    assert (row["name"], row["version"], row["licence"]) == ("thing", "1.0", "MIT")
    assert len(row["files"]) == 4


def test_a_file_that_the_lock_does_not_name_is_refused(place):
    _wheels(place, *ALL)
    _lock(place)
    _wheels(place, "cp313", **{"thing/evil.py": ""})
    done = _vendor(place)
    assert done.returncode == 1
    assert "cp313" in done.stderr
    assert "not what the lock names" in done.stderr


def test_a_python_without_its_wheel_is_named(place):
    _wheels(place, "cp311", "cp312", "cp314")
    _lock(place)
    done = _vendor(place)
    assert done.returncode == 1
    assert "thing: no file for cp313" in done.stderr


def test_wheels_that_differ_in_what_they_share_are_refused(place):
    _wheels(place, *ALL[:3])
    _wheel(place, "cp314", {"thing/__init__.py": "other\n"})
    _lock(place)
    done = _vendor(place)
    assert done.returncode == 1
    assert "__init__.py: two wheels have it, and differ" in done.stderr


def test_a_part_that_the_copyright_file_does_not_name_is_refused(place):
    parts = [{"name": "part", "version": "2"}, {"name": "secret", "version": "3"}]
    tool = {"name": "compiler", "version": "4", "scope": "excluded"}
    sbom = msgspec.json.encode({"components": [*parts, tool]}).decode()
    _wheels(place, *ALL, **{"thing-1.0.dist-info/sboms/x.cyclonedx.json": sbom})
    _lock(place)
    done = _vendor(place)
    assert done.returncode == 1
    assert "does not name secret (of thing)" in done.stderr
    assert "compiler" not in done.stderr


def test_a_path_out_of_the_archive_is_refused(place):
    _wheels(place, *ALL, **{"../outside.py": ""})
    _lock(place)
    done = _vendor(place)
    assert done.returncode == 1
    assert "leads out of its archive" in done.stderr
    assert not (place / "out/outside.py").exists()


def test_the_bill_of_materials_says_the_same_each_time(place):
    _wheels(place, *ALL)
    _lock(place)
    assert _vendor(place).returncode == 0
    deb = place / "ocpd_1.0_amd64.deb"
    deb.write_bytes(b"a package")
    texts = []
    for name in ("one.json", "two.json"):
        command = [sys.executable, "-I", str(FOLDER / "sbom.py"), "--deb", str(deb)]
        command += ["--bill", str(place / "out/bill.json"), "--tree", str(place)]
        subprocess.run([*command, "--into", str(place / name)], check=True)
        texts.append((place / name).read_text())
    assert texts[0] == texts[1]
    told = msgspec.json.decode(texts[0])
    assert told["bomFormat"] == "CycloneDX"
    whole = told["metadata"]["component"]
    assert whole["hashes"][0]["content"] == hashlib.sha256(b"a package").hexdigest()
    (thing,) = told["components"]
    assert thing["purl"] == "pkg:pypi/thing@1.0"
    assert thing["licenses"] == [{"expression": "MIT"}]
    assert len(thing["components"]) == 4


@pytest.mark.parametrize(
    ("expression", "obeyed"),
    [
        ("MIT OR Apache-2.0", {"MIT"}),
        ("Apache-2.0 OR ISC", {"Apache-2.0"}),
        ("Unlicense OR MIT", {"MIT"}),
        ("ISC AND (Apache-2.0 OR ISC OR MIT) AND BSD-3-Clause", {"ISC", "MIT", "BSD-3-Clause"}),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", {"MIT", "Unicode-3.0"}),
    ],
)
def test_of_alternatives_in_a_licence_one_is_obeyed(expression, obeyed):
    spec = importlib.util.spec_from_file_location("writer", FOLDER / "write_copyright.py")
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    assert writer.choose(expression) == obeyed
