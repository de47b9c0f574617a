"""What all tests share: `--slow`, the GPU skip, a library without Slicer, small images and bundles."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.phantom import head_phantom

# Small tensors: a second thread only waits for the first, for minutes where another program uses that core. Set before
# torch is imported, and inherited by the worker processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long tests took is of no use to the user who runs them; inherited by the worker processes as well.
os.environ.setdefault("MEDTRANSLATE_RUN_TIMES", str(Path(tempfile.gettempdir()) / "medtranslate-test-run-times.json"))

LIBRARY_TESTS = Path(__file__).parent / "library"
SLICER_PACKAGES = ("slicer", "slicer_core", "vtk", "vtkmodules")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the kill, soak and fuzz tests as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
    needing_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if needing_gpu and not has_gpu():
        for item in needing_gpu:
            item.add_marker(pytest.mark.skip(reason=f"{item.name} needs a CUDA device"))


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(autouse=True)
def library_without_slicer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library test in which anything imports Slicer's packages fails, whether or not they are installed."""
    if LIBRARY_TESTS in request.path.parents:
        for name in SLICER_PACKAGES:
            monkeypatch.setitem(sys.modules, name, None)


def rotation_about(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    """Rotation matrix by Rodrigues' formula."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@pytest.fixture
def oblique_geometry() -> Geometry:
    """Anisotropic, rotated by 17 degrees about a skew axis, left-handed, off the origin, all sizes different."""
    matrix = np.eye(4)
    flipped = rotation_about((1, 2, 3), 17) @ np.diag([-1.0, 1.0, 1.0])
    matrix[:3, :3] = flipped @ np.diag([1.1, 1.3, 4.0])
    matrix[:3, 3] = [31.0, -57.0, 12.5]
    return Geometry((150, 130, 30), matrix)


@pytest.fixture
def oblique_head(oblique_geometry: Geometry) -> Volume:
    """A head phantom on that grid."""
    return head_phantom(oblique_geometry, "oblique")


@pytest.fixture
def make_bundle(tmp_path: Path):
    """Writes a bundle with untrained weights; `make_bundle(name, method, options, ...)` gives its folder."""

    def make(name: str, method: str = "identity", options: dict | None = None, **changes: object) -> Path:
        import torch
        from safetensors.torch import save

        from MedTranslateLib.bundles.manifest import WEIGHTS, Manifest, write_manifest
        from MedTranslateLib.bundles.verify import sha256_of
        from MedTranslateLib.methods.catalogue import build_method

        folder = tmp_path / "bundles" / name
        folder.mkdir(parents=True)
        torch.manual_seed(3)
        state = build_method(method, options or {}).state_dict()
        (folder / WEIGHTS).write_bytes(save({key: value.half().contiguous() for key, value in state.items()}))
        manifest = {**tiny_manifest(name, method, options or {}), "files": {WEIGHTS: sha256_of(folder / WEIGHTS)}}
        write_manifest(folder, Manifest(**{**manifest, **changes}))
        return folder

    return make


@pytest.fixture
def make_manifest():
    """A card without files: `make_manifest(name=..., method=..., ...)`."""
    from MedTranslateLib.bundles.manifest import Manifest

    return lambda **changes: Manifest(**{**tiny_manifest("tiny", "identity", {}), "files": {}, **changes})


def tiny_manifest(name: str, method: str, options: dict) -> dict:
    """Values of a manifest without its files."""
    from MedTranslateLib.bundles.manifest import Metrics, Scale, Side, Training

    scale = Scale("relative", 0.5, 99.8)
    return {
        "name": name,
        "version": "1.0.0",
        "summary": "A bundle for tests.",
        "anatomy": "brain",
        "method": method,
        "method_options": options,
        "source": Side("MR", "T1", scale),
        "target": Side("MR", "FLAIR", scale),
        "reversible": True,
        "plane": "axial",
        "spacing_mm": 1.2,
        "spacing_origin": "stated",
        "spacing_rule": "made for tests",
        "slice_spacing_mm": (0.5, 8.0),
        "size_hw": (192, 160),
        "training": Training("none", "none", "ms-ssim", {}, 0, (0,)),
        "metrics": Metrics("not measured", ()),
        "limits": ("Not trained.",),
        "citation": "none",
        "licence": "Apache-2.0",
    }
