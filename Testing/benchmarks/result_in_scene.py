"""A finished 256x256x150 job into a scene: seconds, and memory as a multiple of the bytes of its arrays.

    python Testing/benchmarks/result_in_scene.py

ends with one JSON line: `seconds` and `cpu_seconds` from the job folder to the last node, `bytes_ratio` of what the
process holds afterwards and `peak_ratio` of the most it held meanwhile. The result has an output with noise, two
fields of a smooth random warp, uncertainty and validity; another process writes it. Needs Linux and slicer-core.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import slicer
from scipy.ndimage import zoom

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.job_folder import read_result, write_result
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.mrml.scene import ResultNodes, add_result
from MedTranslateLib.mrml.volumes import node_from_volume
from MedTranslateLib.mrml.voxel_memory import vtk_memory

SIZE_IJK = (256, 256, 150)
SPACING_MM = (0.9, 0.9, 1.2)
WARP_MM = 4.0
COARSE_KJI = (6, 8, 8)
ARRAY_BYTES = int(np.prod(SIZE_IJK)) * (4 + 2 * 12 + 4 + 1)
"""Output, two fields of three components, uncertainty (float32), validity (uint8)."""


def geometry() -> Geometry:
    """An axial grid as of a clinical head scan."""
    matrix = np.diag([*SPACING_MM, 1.0])
    matrix[:3, 3] = -np.array(SIZE_IJK) * SPACING_MM / 2
    return Geometry(SIZE_IJK, matrix)


def smooth_warp(seed: int) -> npt.NDArray[np.float32]:
    """Random displacements some centimetres apart, with cubic splines between them."""
    warp = np.empty((*geometry().shape_kji, 3), np.float32)
    coarse = np.random.default_rng(seed).normal(0, WARP_MM, (3, *COARSE_KJI)).astype(np.float32)
    factors = [fine / few for fine, few in zip(geometry().shape_kji, COARSE_KJI, strict=True)]
    for component, values in enumerate(coarse):
        warp[..., component] = zoom(values, factors)
    return warp


def write_case(folder: Path) -> None:
    """Writes the finished job."""
    head = head_phantom(geometry(), "head")
    noise = np.random.default_rng(3).normal(0, 0.02, head.array_kji.shape).astype(np.float32)
    scaled = head.array_kji / head.array_kji.max()
    forward, inverse = (DisplacementField(smooth_warp(seed), geometry()) for seed in (1, 2))
    result = TranslationResult(
        head.with_array(scaled + noise),
        Correspondence(forward, inverse, Origin.MODEL),
        (scaled > 0).astype(np.uint8),
        head.with_array(np.abs(noise)),
        {"bundle": {"name": "benchmark"}},
        "CT",
        "CT",
    )
    write_result(folder, result)


def memory_bytes(kind: str) -> int:
    """What the process holds now (`VmRSS`) or held at most (`VmHWM`)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(kind))
    return int(line.split()[1]) * 1024


def load(folder: Path, scene: slicer.vtkMRMLScene, source: slicer.vtkMRMLScalarVolumeNode) -> ResultNodes:
    """What is measured."""
    return add_result(scene, source, "head", read_result(folder, vtk_memory))


def measure(folder: Path) -> dict[str, float]:
    """Brings a finished job into a scene that has Slicer's colours and a source."""
    scene = slicer.vtkMRMLScene()
    colours = slicer.vtkMRMLColorLogic()
    colours.SetMRMLScene(scene)
    colours.AddDefaultColorNodes()
    small = Volume(np.arange(8.0).reshape(2, 2, 2), Geometry((2, 2, 2), np.eye(4)))
    source = node_from_volume(scene, small, "head")
    held, started, cpu = memory_bytes("VmRSS"), time.perf_counter(), time.process_time()
    nodes = load(folder, scene, source)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    gc.collect()
    check(nodes)
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "bytes_ratio": round((memory_bytes("VmRSS") - held) / ARRAY_BYTES, 3),
        "peak_ratio": round((memory_bytes("VmHWM") - held) / ARRAY_BYTES, 3),
    }


def check(nodes: ResultNodes) -> None:
    """Nothing was left out of what the figures stand for."""
    images = [nodes.output.GetImageData(), nodes.uncertainty.GetImageData(), nodes.validity.GetImageData()]
    grids = [node.GetTransformFromParent().GetDisplacementGrid() for node in (nodes.forward, nodes.inverse)]
    there = sum(image.GetPointData().GetScalars().GetDataSize() * image.GetScalarSize() for image in images + grids)
    if there != ARRAY_BYTES:
        sys.exit(f"The scene holds {there} bytes of voxels, expected {ARRAY_BYTES}.")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        write_case(Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, __file__, "write", folder], check=True)
            print(json.dumps(measure(Path(folder))))
