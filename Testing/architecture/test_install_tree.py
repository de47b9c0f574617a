"""The package: what git has is what CMake lists, what CMake lists is installed, and what is installed runs."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from extension_build import ROOT, build_extension, install_extension, run, tool

PACKAGED_RESOURCES = ("Bundles", "Evaluation", "Icons", "SampleData", "Studies", "Training", "UI")
LISTS = {  # folder of git: the lists of its CMakeLists.txt that together name its files
    "MedTranslate": ("MODULE_PYTHON_SCRIPTS",),
    "MedTranslateLib": ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES"),
    "Resources": ("RESOURCES",),
}
INDEX_ENTRY = ROOT / "Resources" / "ExtensionIndex" / "MedTranslate.json"
RAW = "https://raw.githubusercontent.com/MedTranslate/SlicerMedTranslate/main/"

# What a user's Slicer does first with the installed tree, with nothing beside it on the path and without PyTorch.
IN_THE_INSTALLED_TREE = """
import json, sys

sys.path.insert(0, sys.argv[1])
sys.modules["torch"] = None
import MedTranslateLib
from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.bundles.verify import verify_bundle
from MedTranslateLib.core.schemas import load_schema
from MedTranslateWidgets.Places import LIBRARY_FOLDER, resourcePath

bundles = default_store().list()
for bundle in bundles:
    verify_bundle(bundle.folder)
answer = {
    "library": MedTranslateLib.__file__,
    "schema": load_schema("bundle")["type"],
    "worker folder": str(LIBRARY_FOLDER),
    "bundles": {bundle.name: str(bundle.folder) for bundle in bundles},
    "icon": resourcePath("Icons/MedTranslate.png"),
}
print(json.dumps(answer))
"""


def in_git(folder: str) -> set[str]:
    """Files below a folder that are in git or will be, relative to the folder."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this copy of the sources has no git history to compare with")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", folder]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return {name.removeprefix(f"{folder}/") for name in names if name and (ROOT / name).exists()}


def to_package(folder: str) -> set[str]:
    """Files of git below a folder that belong into the package."""
    files = in_git(folder) - {"CMakeLists.txt"}
    if folder == "Resources":  # scripts that draw the icons are for developers
        files = {file for file in files if file.split("/")[0] in PACKAGED_RESOURCES and not file.endswith(".py")}
    return files


def listed(folder: str) -> list[str]:
    """Files in the lists of a folder's CMakeLists.txt, one a line."""
    text = (ROOT / folder / "CMakeLists.txt").read_text(encoding="utf-8")
    files = []
    for name in LISTS[folder]:
        (block,) = re.findall(rf"^set\({name}\n((?:  \S+\n)+)  \)$", text, re.MULTILINE)
        files += block.split()
    return files


@pytest.mark.parametrize("folder", LISTS)
def test_cmake_lists_exactly_the_files_of_git_once_and_in_order(folder: str) -> None:
    files = listed(folder)
    assert set(files) == to_package(folder)
    assert len(files) == len(set(files))
    per_list = [[file for file in files if file.endswith(".py") == python] for python in (True, False)]
    assert all(names == sorted(names) for names in per_list)


def test_beside_the_module_lies_no_python_file_that_slicer_would_take_for_a_module() -> None:
    beside = [file for file in to_package("MedTranslate") if "/" not in file]
    assert beside == ["MedTranslate.py"]


def test_only_names_that_begin_with_medtranslate_become_importable_in_slicer() -> None:
    importable = {file.split("/")[0].removesuffix(".py") for file in to_package("MedTranslate")} | {"MedTranslateLib"}
    assert all(name.startswith("MedTranslate") for name in importable)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_extension(tmp_path_factory.mktemp("extension"))


@pytest.fixture(scope="module")
def installed(build: Path) -> Path:
    return install_extension(build)


def test_the_install_tree_holds_every_file_of_git_unchanged_and_nothing_else(installed: Path) -> None:
    expected = {file: ROOT / "MedTranslate" / file for file in to_package("MedTranslate")}
    for folder in ("MedTranslateLib", "Resources"):
        expected |= {f"{folder}/{file}": ROOT / folder / file for file in to_package(folder)}
    there = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert there == set(expected)
    different = [name for name, source in expected.items() if (installed / name).read_bytes() != source.read_bytes()]
    assert different == []


def test_the_installed_library_finds_its_bundles_schemas_and_resources_without_torch(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDTRANSLATE_BUNDLES", str(tmp_path))  # not what the developer has added
    answer = json.loads(run(sys.executable, "-I", "-c", IN_THE_INSTALLED_TREE, installed))
    home = installed.resolve()
    assert answer["schema"] == "object"
    assert Path(answer["library"]).resolve() == home / "MedTranslateLib" / "__init__.py"
    assert Path(answer["worker folder"]).resolve() == home
    assert Path(answer["icon"]).resolve() == home / "Resources" / "Icons" / "MedTranslate.png"
    shipped = {path.name for path in (ROOT / "Resources" / "Bundles").iterdir()}
    assert {name: Path(folder).resolve() for name, folder in answer["bundles"].items()} == {
        name: home / "Resources" / "Bundles" / name for name in shipped
    }


def test_the_self_test_is_registered_with_ctest(build: Path) -> None:
    listing = run(tool("ctest"), "--test-dir", build, "--show-only=json-v1")
    assert [test["name"] for test in json.loads(listing)["tests"]] == ["py_MedTranslate"]


def test_the_index_entry_and_the_package_say_the_same_of_the_extension(build: Path) -> None:
    description = (build / "description.txt").read_text(encoding="utf-8")
    package = dict(line.split(" ", 1) for line in description.splitlines())
    entry = json.loads(INDEX_ENTRY.read_text(encoding="utf-8"))
    assert entry["category"] == package["CATEGORY"] == "Image Synthesis"
    assert entry["build_dependencies"] == package["DEPENDS"].split() == ["PyTorch"]
    assert entry["scm_url"] == package["HOMEPAGE"] + ".git"
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert set(entry) <= {"$schema", "build_dependencies", "category", "scm_revision", "scm_type", "scm_url", "tier"}


def test_the_pictures_that_the_extensions_manager_shows_are_in_the_repository(build: Path) -> None:
    description = (build / "description.txt").read_text(encoding="utf-8")
    package = dict(line.split(" ", 1) for line in description.splitlines())
    pictures = [*package["ICONURL"].split(), *package["SCREENSHOTURLS"].split()]
    assert all(picture.startswith(RAW) for picture in pictures)
    assert [picture for picture in pictures if not (ROOT / picture.removeprefix(RAW)).is_file()] == []


def test_the_icon_has_the_size_that_the_extensions_manager_wants() -> None:
    header = (ROOT / "Resources" / "Icons" / "MedTranslate.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:24]) == (128, 128)
