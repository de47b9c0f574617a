"""What Slicer imports runs on what Slicer ships: the standard library, numpy, scipy, SimpleITK and vtk."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED_WITH_SLICER = ["numpy", "scipy", "SimpleITK", "vtk", "vtkmodules", "slicer", "slicer_core"]
IMPORT_WITH_ALL_ELSE_BLOCKED = """
import importlib, sys

allowed = {"MedTranslateLib", *sys.stdlib_module_names, *sys.argv[1].split(",")}

class OnlyWhatSlicerShips:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed and not name.startswith("_"):  # _sysconfigdata and the like
            raise ModuleNotFoundError(f"No module named {name!r} in Slicer", name=name)

sys.meta_path.insert(0, OnlyWhatSlicerShips())
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


def modules_of(package: str) -> list[str]:
    files = sorted((ROOT / "MedTranslateLib" / package).rglob("*.py"))
    return [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]


def import_in_a_bare_slicer(*names: str) -> subprocess.CompletedProcess[str]:
    on_python_3_10 = ["tomli"] if sys.version_info < (3, 11) else []
    command = [sys.executable, "-c", IMPORT_WITH_ALL_ELSE_BLOCKED, ",".join(SHIPPED_WITH_SLICER + on_python_3_10)]
    return subprocess.run([*command, *names], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("package", ["core", "imaging", "bundles"])
def test_the_common_packages_import_with_what_slicer_ships(package: str) -> None:
    names = modules_of(package)
    assert f"MedTranslateLib.{package}" in names
    result = import_in_a_bare_slicer(*names)
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(importlib.util.find_spec("slicer") is None, reason="mrml needs slicer-core")
def test_the_scene_code_imports_with_what_slicer_ships() -> None:
    result = import_in_a_bare_slicer(*modules_of("mrml"))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "name", ["torch", "monai", "skimage", "safetensors", "matplotlib", "tqdm", "pydicom", "psutil"]
)
def test_what_slicer_lacks_is_really_blocked(name: str) -> None:
    result = import_in_a_bare_slicer(name)
    assert result.returncode == 1
    assert f"No module named '{name}' in Slicer" in result.stderr


def test_the_torch_arm_would_not_import_in_slicer() -> None:
    assert "'torch' in Slicer" in import_in_a_bare_slicer("MedTranslateLib.methods.contract").stderr
