"""Which package may import what: the table of CONTRIBUTING.md, read from the source of every file."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY, MODULE = "MedTranslateLib", "MedTranslate"
STANDARD = frozenset(sys.stdlib_module_names) | {"__future__", "tomllib", "tomli"}  # tomli is tomllib on Python 3.10


@dataclass(frozen=True)
class Layer:
    """What a package may import: packages of ours, and packages from outside beside the standard library."""

    ours: frozenset[str]
    outside: frozenset[str]


def layer(ours: str, outside: str) -> Layer:
    return Layer(frozenset(ours.split()), frozenset(outside.split()))


BELOW_EVALUATION = "core imaging bundles checks trust methods metrics inference training studies dicom"
LAYERS = {
    "core": layer("", "numpy"),
    "imaging": layer("core", "numpy scipy SimpleITK"),
    "bundles": layer("core", ""),
    "checks": layer("core imaging bundles", "numpy scipy SimpleITK"),
    "trust": layer("core imaging bundles", "numpy scipy"),
    "dicom": layer("core imaging", "numpy pydicom highdicom"),
    "methods": layer("core", "numpy scipy torch monai skimage"),
    "metrics": layer("core imaging", "numpy scipy skimage"),
    "studies": layer("core imaging bundles metrics", "numpy scipy"),
    "inference": layer("core imaging bundles checks trust methods", "numpy torch safetensors"),
    "training": layer(
        "core imaging bundles checks trust methods metrics inference", "numpy scipy torch monai skimage safetensors"
    ),
    "evaluation": layer(BELOW_EVALUATION, "numpy scipy skimage dask distributed matplotlib"),
    "cli": layer(f"{BELOW_EVALUATION} evaluation", "numpy torch tqdm"),
    "mrml": layer("core imaging bundles checks trust metrics studies", "numpy slicer vtk vtkmodules"),
    "__main__": layer("cli", ""),
    "__init__": layer("", ""),
    MODULE: layer(
        "core imaging bundles checks trust studies mrml",
        "slicer qt ctk SampleData PyTorchUtils MedTranslate MedTranslateWidgets",
    ),
}
ALSO_ALLOWED = {
    "MedTranslateLib/metrics/distribution": {"torch", "monai"},
    "MedTranslateLib/studies/report.py": {"matplotlib"},
}


def layer_name(path: PurePosixPath) -> str:
    """`core` for MedTranslateLib/core/volume.py, `__main__` for MedTranslateLib/__main__.py."""
    if path.parts[0] == MODULE:
        return MODULE
    return path.parts[1] if len(path.parts) > 2 else path.stem


def imported_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, wherever it stands; a relative one begins with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            name = node.args[0] if node.args else None
            yield node.lineno, name.value if isinstance(name, ast.Constant) else "a computed name"


def violations(path: PurePosixPath, source: str) -> list[str]:
    """One line for each import that the table does not allow in the file `path` (relative to the repository)."""
    name = layer_name(path)
    rule = LAYERS.get(name)
    if rule is None:
        return [f"{path}: the package {name} is not in the layer table"]
    extra = {word for place, words in ALSO_ALLOWED.items() if str(path).startswith(place) for word in words}
    outside = STANDARD | rule.outside | extra
    return [
        f"{path}:{line}: {name} may not import {imported}"
        for line, imported in imported_names(ast.parse(source))
        if not is_allowed(imported, name, rule.ours, outside)
    ]


def is_allowed(imported: str, name: str, ours: frozenset[str], outside: frozenset[str]) -> bool:
    if imported == "a computed name":
        return name == "cli"  # it imports the file of the subcommand that was asked for
    if imported.endswith(".*"):
        return False
    top, _, rest = imported.partition(".")
    if top != LIBRARY:
        return top in outside
    package = rest.split(".")[0]
    return package in ours | {name, "", "__version__"}


def sources() -> list[PurePosixPath]:
    folders = [ROOT / LIBRARY, ROOT / MODULE]
    return [PurePosixPath(path.relative_to(ROOT).as_posix()) for folder in folders for path in folder.rglob("*.py")]


def test_every_import_of_the_project_is_in_the_layer_table() -> None:
    found = [line for path in sources() for line in violations(path, (ROOT / path).read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


def test_the_table_of_the_contributing_guide_is_the_one_that_is_enforced() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| package |")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:] if line.startswith("|")
    ]
    written = {name: (words(ours), words(outside.partition(";")[0])) for name, ours, outside in rows}
    own = {"MedTranslate", "MedTranslateWidgets"}
    enforced = {name: (set(rule.ours), set(rule.outside) - own) for name, rule in LAYERS.items() if "__" not in name}
    assert written == enforced


def words(cell: str) -> set[str]:
    return set(cell.replace(",", " ").split()) - {"-"}


def test_the_check_has_read_the_library() -> None:
    assert {layer_name(path) for path in sources()} >= {"core", "imaging", "bundles", "methods", "inference", "cli"}


@pytest.mark.parametrize(
    ("path", "source", "what"),
    [
        ("MedTranslateLib/core/a.py", "import torch", "torch"),
        ("MedTranslateLib/core/a.py", "import scipy.ndimage as n", "scipy.ndimage"),
        ("MedTranslateLib/core/a.py", "def f():\n    from MedTranslateLib.imaging import scale", "imaging"),
        (
            "MedTranslateLib/core/a.py",
            "if TYPE_CHECKING:\n    from MedTranslateLib.methods.contract import M",
            "methods",
        ),
        ("MedTranslateLib/core/a.py", "from MedTranslateLib import methods", "methods"),
        ("MedTranslateLib/core/a.py", "import MedTranslateLib.cli.main", "cli"),
        ("MedTranslateLib/core/a.py", "from ..imaging import scale", "..imaging"),
        ("MedTranslateLib/core/a.py", "from .volume import Volume", ".volume"),
        ("MedTranslateLib/core/a.py", "from MedTranslateLib.core.volume import *", "*"),
        ("MedTranslateLib/imaging/a.py", "import importlib\nimportlib.import_module('torch')", "torch"),
        ("MedTranslateLib/imaging/a.py", "__import__('MedTranslateLib.cli')", "cli"),
        ("MedTranslateLib/imaging/a.py", "from importlib import import_module\nimport_module(name)", "computed"),
        ("MedTranslateLib/bundles/a.py", "import numpy", "numpy"),
        ("MedTranslateLib/methods/a.py", "from MedTranslateLib.imaging.scale import measure", "imaging"),
        ("MedTranslateLib/methods/networks/a.py", "import SimpleITK", "SimpleITK"),
        ("MedTranslateLib/metrics/a.py", "import torch", "torch"),
        ("MedTranslateLib/studies/b.py", "import matplotlib.pyplot", "matplotlib"),
        ("MedTranslateLib/cli/a.py", "from MedTranslateLib.mrml import scene", "mrml"),
        ("MedTranslateLib/cli/a.py", "import slicer", "slicer"),
        ("MedTranslateLib/mrml/a.py", "from MedTranslateLib.inference import pipeline", "inference"),
        ("MedTranslateLib/mrml/a.py", "try:\n    import torch\nexcept ImportError:\n    torch = None", "torch"),
        ("MedTranslate/MedTranslateWidgets/a.py", "from MedTranslateLib.inference import pipeline", "inference"),
        ("MedTranslate/MedTranslate.py", "import torch", "torch"),
        ("MedTranslateLib/newcomer/a.py", "import os", "not in the layer table"),
        ("MedTranslateLib/newcomer.py", "import os", "not in the layer table"),
    ],
)
def test_the_check_finds_what_is_forbidden(path: str, source: str, what: str) -> None:
    (line,) = violations(PurePosixPath(path), source)
    assert what in line


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("MedTranslateLib/core/a.py", "import json, numpy.typing\nfrom MedTranslateLib.core.volume import Volume"),
        ("MedTranslateLib/metrics/distribution.py", "import torch"),
        ("MedTranslateLib/metrics/distribution/fid.py", "from monai.metrics import FIDMetric"),
        ("MedTranslateLib/studies/report.py", "import matplotlib.pyplot as plt"),
        ("MedTranslateLib/training/a.py", "import tomli as tomllib\nfrom MedTranslateLib.metrics import intensity"),
        ("MedTranslateLib/cli/main.py", "importlib.import_module(COMMANDS[name].module)"),
        ("MedTranslateLib/__main__.py", "from MedTranslateLib.cli.main import main"),
        ("MedTranslateLib/inference/a.py", "import MedTranslateLib\nfrom MedTranslateLib import __version__"),
        ("MedTranslate/MedTranslate.py", "import qt\nfrom MedTranslateWidgets.TranslatePanel import TranslatePanel"),
    ],
)
def test_the_check_lets_pass_what_the_table_allows(path: str, source: str) -> None:
    assert violations(PurePosixPath(path), source) == []
