"""One field file read by Slicer, by SimpleITK and by the library: how far apart they map the same points, in mm.

    python Testing/benchmarks/field_agreement.py

ends with one JSON line: the greatest distances between any two of the three readers, for points on the grid and
between grid points, for a smooth field and for the identity, on an oblique, anisotropic, left-handed grid. Needs
slicer-core.
"""

from __future__ import annotations

import json
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import slicer

from MedTranslateLib.core.correspondence import DisplacementField
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.field_files import read_field, write_field
from MedTranslateLib.imaging.fields import map_points, slice_points_ras

POINTS = 1000
LPS = np.array([-1.0, -1.0, 1.0])
Points = npt.NDArray[np.float64]


def oblique_grid() -> Geometry:
    """60 x 50 x 20 voxels of 1.1 x 1.3 x 4.0 mm, turned about two axes and mirrored."""
    a, b = np.radians(17), np.radians(-11)
    about_s = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_r = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_s @ about_r @ np.diag([-1.1, 1.3, 4.0])
    matrix[:3, 3] = [31.0, -57.0, 12.5]
    return Geometry((60, 50, 20), matrix)


def smooth_displacement(points_ras: Points) -> Points:
    """Up to 5 mm along each axis, with waves of 120 to 200 mm along R, A and S.

    Cubic and linear interpolation differ by about h^2 / 8 times the second derivative at a grid spacing h, so waves of
    6 mm and 60 mm length, sharp for slices of 4 mm, would put Slicer 0.08 mm apart from the other two.
    """
    r, a, s = np.moveaxis(points_ras, -1, 0) * (2 * np.pi)
    waves = [np.sin(r / 150 + s / 200), np.sin(a / 120 - r / 180) * np.cos(s / 200), np.cos(a / 150 + r / 120)]
    return np.stack(waves, axis=-1) * [5.0, 4.0, 3.0]


def smooth_field() -> DisplacementField:
    """That displacement on the oblique grid."""
    geometry = oblique_grid()
    vectors = smooth_displacement(np.stack(list(slice_points_ras(geometry))))
    return DisplacementField(vectors.astype(np.float32), geometry)


def mapped_by_slicer(path: Path, points_ras: Points) -> Points:
    """Through the node that `slicer.util.loadTransform` makes: its reader calls this method of the same logic."""
    scene = slicer.vtkMRMLScene()
    transform = slicer.vtkSlicerTransformLogic().AddTransform(str(path), scene).GetTransformFromParent()
    return np.array([transform.TransformPoint(point) for point in points_ras.tolist()])


def mapped_by_simpleitk(path: Path, points_ras: Points) -> Points:
    """Through SimpleITK's transform, which counts in LPS."""
    transform = sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return np.array([transform.TransformPoint(point) for point in (points_ras * LPS).tolist()]) * LPS


def mapped_by_the_library(path: Path, points_ras: Points) -> Points:
    """Through the field read back."""
    return map_points(read_field(path), points_ras)


READERS = {"slicer": mapped_by_slicer, "simpleitk": mapped_by_simpleitk, "library": mapped_by_the_library}


def random_points(on_grid: bool) -> Points:
    """Points of the oblique grid, or between its grid points up to its outermost centres."""
    generator = np.random.default_rng(2024)
    geometry = oblique_grid()
    last = np.array(geometry.size_ijk) - 1
    indices = generator.uniform(0, last, (POINTS, 3))
    return geometry.ras_from_ijk(np.round(indices) if on_grid else indices)


def greatest_distance_mm(path: Path, points_ras: Points) -> float:
    """Greatest distance between where any two readers map a point."""
    mapped = [read_and_map(path, points_ras) for read_and_map in READERS.values()]
    return max(float(np.linalg.norm(one - other, axis=1).max()) for one, other in combinations(mapped, 2))


def measure(folder: Path) -> dict[str, float]:
    """Writes both files into `folder` and compares the readers."""
    smooth, identity = folder / "smooth.nrrd", folder / "identity.nrrd"
    write_field(smooth, smooth_field())
    write_field(identity, DisplacementField.zero(oblique_grid()))
    on_grid, between = random_points(on_grid=True), random_points(on_grid=False)
    return {
        "points": POINTS,
        "on_grid_mm": greatest_distance_mm(smooth, on_grid),
        "between_mm": greatest_distance_mm(smooth, between),
        "identity_mm": greatest_distance_mm(identity, between),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder))))
