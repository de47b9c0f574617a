"""Pins, metadata and wheel: what is installed is what is tested, and the package holds every file it needs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from packaging.requirements import Requirement

from MedTranslateLib import __version__

ROOT = Path(__file__).parents[2]
PLATFORMS = {"linux": "x86_64", "darwin": "arm64", "win32": "AMD64"}
ENVIRONMENTS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.4",
        "sys_platform": system,
        "platform_machine": machine,
        "extra": "",
    }
    for python in ("3.10", "3.11", "3.12", "3.13")
    for system, machine in PLATFORMS.items()
]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins(*names: str) -> list[Requirement]:
    lines = [line for name in names for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


ALL_PINS = pins("requirements.txt", "requirements-scene.txt", "requirements-test.txt")


def pinned_in(environment: dict[str, str]) -> dict[str, str]:
    """Version by name; fails where two pins of one name apply."""
    chosen = [pin for pin in ALL_PINS if pin.marker is None or pin.marker.evaluate(environment)]
    names = [key(pin.name) for pin in chosen]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
    return {key(pin.name): str(pin.specifier).removeprefix("==") for pin in chosen}


def test_every_pin_is_one_exact_version() -> None:
    assert [str(pin) for pin in ALL_PINS if not re.fullmatch(r"==[\w.]+", str(pin.specifier))] == []


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: f"{e['sys_platform']} {e['python_version']}")
@pytest.mark.parametrize("part", ["dependencies", "tests", "scene"])
def test_the_pins_satisfy_the_package_on_every_platform(part: str, environment: dict[str, str]) -> None:
    table = project()
    wanted = table["dependencies"] if part == "dependencies" else table["optional-dependencies"][part]
    versions = pinned_in(environment)
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.specifier.contains(versions[key(requirement.name)]), requirement


def test_citation_and_package_state_one_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert __version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of the wheel that pip builds from a copy of the sources, without a download."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        ROOT / "MedTranslateLib", folder / "source/MedTranslateLib", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "LICENSE.txt"):
        shutil.copy(ROOT / name, folder / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    options = ["--disable-pip-version-check", "--wheel-dir", str(folder), str(folder / "source")]
    result = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_every_file_of_the_library(wheel_files: dict[str, bytes]) -> None:
    library = ROOT / "MedTranslateLib"
    files = {path for path in library.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    files.remove(library / "CMakeLists.txt")  # how Slicer's extension installs them
    assert {name for name in wheel_files if name.startswith("MedTranslateLib/")} == {
        path.relative_to(ROOT).as_posix() for path in files
    }


def test_the_wheel_brings_the_command_and_the_licence(wheel_files: dict[str, bytes]) -> None:
    info = f"medtranslatelib-{__version__}.dist-info"
    assert b"medtranslate = MedTranslateLib.cli.main:main" in wheel_files[f"{info}/entry_points.txt"]
    assert wheel_files[f"{info}/licenses/LICENSE.txt"] == (ROOT / "LICENSE.txt").read_bytes()
    assert b"Requires-Python: <3.14,>=3.10" in wheel_files[f"{info}/METADATA"]
