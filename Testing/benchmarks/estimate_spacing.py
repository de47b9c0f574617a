"""The rule by which the pixel spacing of TCGA-LGG was estimated: heads there against heads of known spacing.

    python Testing/benchmarks/estimate_spacing.py DATA_ROOT

DATA_ROOT holds data/tcga-lgg and data/synthrad-brain, as for training. The head of a slice is the largest component
above half the Otsu threshold of the smoothed image. Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects, gaussian_filter, label
from skimage.filters import threshold_otsu

from MedTranslateLib.imaging.reading import read_picture


def head_extent(image: npt.NDArray[np.floating], threshold: float) -> tuple[int, int]:
    """Breadth (columns) and length (rows) in pixels of the largest component; the slice is in display order."""
    components, count = label(image > threshold)
    if not count:
        return 0, 0
    largest = int(np.argmax(np.bincount(components.ravel())[1:]))
    rows, columns = find_objects(components)[largest]
    return columns.stop - columns.start, rows.stop - rows.start


def tcga_extent(path: Path) -> npt.NDArray[np.float64]:
    """Largest breadth and length over the upper half of a patient's slices, above the ears."""
    with np.load(path, allow_pickle=False) as stored:
        both = [stored[key].astype(float) / max(np.percentile(stored[key], 99), 1) for key in ("t1", "flair")]
    brighter = np.clip(np.maximum(*both), 0, 1)
    smooth = gaussian_filter(brighter, (0, 1, 1))
    threshold = 0.5 * threshold_otsu(brighter)
    extents = [head_extent(image, threshold) for image in smooth[len(smooth) // 2 :]]
    return np.max(extents, axis=0).astype(float)


def synthrad_extent(path: Path) -> npt.NDArray[np.float64]:
    """Breadth and length in mm of the middle axial slice, whose pixels are 1 mm."""
    image = read_picture(path).T
    smooth = gaussian_filter(np.clip(image / np.percentile(image, 99), 0, 1), 1)
    return np.array(head_extent(smooth, 0.5 * threshold_otsu(smooth)), dtype=float)


def main(root: Path) -> None:
    pixels = np.median([tcga_extent(path) for path in sorted(root.glob("data/tcga-lgg/train/*.npz"))], axis=0)
    millimetres = np.median(
        [synthrad_extent(path) for path in sorted(root.glob("data/synthrad-brain/train/axial/*_mri.png"))], axis=0
    )
    ratio = millimetres / pixels
    figures = {
        "tcga_px": pixels.tolist(),
        "synthrad_mm": millimetres.tolist(),
        "ratio": ratio.round(3).tolist(),
        "spacing_mm": round(float(np.sqrt(ratio.prod())), 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
