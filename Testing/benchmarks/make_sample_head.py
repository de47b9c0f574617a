"""Debian's Colin27 file in, the down-sampled head of `Resources/SampleData` out; equal input gives equal bytes.

`ch2.nii.gz` comes from the package mricron-data (`/usr/share/mricron/templates/ch2.nii.gz`, 1 mm, 8 bit, with skull)::

    python Testing/benchmarks/make_sample_head.py ch2.nii.gz Resources/SampleData/colin27_t1.nii.gz
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

SLICES_PER_SLAB = 2


def main() -> None:
    """Reads the two paths from the command line."""
    parser = argparse.ArgumentParser(description="Makes the sample head from Debian's ch2.nii.gz.")
    parser.add_argument("source", type=Path, help="ch2.nii.gz of the package mricron-data")
    parser.add_argument("out", type=Path, help="the .nii.gz to write")
    arguments = parser.parse_args()
    write_without_date(arguments.out, thick_slices(sitk.ReadImage(str(arguments.source)), SLICES_PER_SLAB))


def thick_slices(image: sitk.Image, per_slab: int) -> sitk.Image:
    """Averages `per_slab` neighbouring slices, as a scanner's thicker slice does; an incomplete slab is left out."""
    array_kji = sitk.GetArrayFromImage(image)
    slabs = len(array_kji) // per_slab
    means = array_kji[: slabs * per_slab].reshape(slabs, per_slab, *array_kji.shape[1:]).mean(axis=1)
    thick = sitk.GetImageFromArray(np.rint(means).astype(np.uint8))
    thick.SetDirection(image.GetDirection())
    thick.SetSpacing((*image.GetSpacing()[:2], image.GetSpacing()[2] * per_slab))
    thick.SetOrigin(image.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, (per_slab - 1) / 2)))
    return thick


def write_without_date(path: Path, image: sitk.Image) -> None:
    """Writes .nii.gz whose gzip header holds neither a date nor a file name."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "image.nii"
        sitk.WriteImage(image, str(plain))
        with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(plain.read_bytes())


if __name__ == "__main__":
    main()
