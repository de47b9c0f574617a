"""Any file or DICOM folder in, one checked Volume out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from MedTranslateLib.core.errors import InvalidVolumeError, SourceNotFoundError, SourceUnreadableError
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.geometry import geometry_of
from MedTranslateLib.imaging.nifti_values import count_not_finite
from MedTranslateLib.imaging.nrrd_stream import Allocate, new_array, stream_nrrd
from MedTranslateLib.imaging.promised_size import check_promise
from MedTranslateLib.imaging.synthetic_mark import SYNTHETIC_TAGS, is_synthetic

READABLE = "NIfTI (.nii, .nii.gz), NRRD, MetaImage (.mha, .mhd) or a folder with one DICOM series"
MODALITY_TAG = "0008|0060"
POSITION_TAG = "0020|0032"
UNEVEN_SHARE = 0.02
"""Slice distances are rounded in headers; a missing slice is off by a whole distance."""
STRAIGHT_MM = 0.2
"""What rounded directions may add up to at the last slice; one degree of tilt is ten times as much."""


def read_volume(path: Path, allocate: Allocate = new_array) -> Volume:
    """Reads a scalar 3-D image, or one slice, as float32 with its geometry in RAS.

    Args:
        path: Any file SimpleITK reads, or a folder that holds one DICOM series.
        allocate: Gives the memory for the voxels of a file that `write_volume` wrote as .nrrd; others are copied.

    Raises:
        SourceNotFoundError: If nothing is there.
        SourceUnreadableError: If it cannot be read, or holds several series (listed).
        InvalidVolumeError: If it is not one finite scalar volume with a usable geometry.
    """
    if not path.exists():
        msg = f"{path} does not exist; expected {READABLE}."
        raise SourceNotFoundError(msg)
    streamed = stream_nrrd(path, sitk.sitkFloat32, allocate)
    if streamed is not None:
        header = streamed.header
        synthetic = is_synthetic(header, path)
        return Volume(streamed.array_kji, geometry_of(header), _stem(path), _modality(header), synthetic)
    image = _read_series(path) if path.is_dir() else _read_file(path)
    lost = 0 if path.is_dir() else count_not_finite(path)
    if lost:
        msg = f"{path} holds {lost} voxels that are not finite (NaN or infinite); repair the image first."
        raise InvalidVolumeError(msg)
    return replace(_volume_from(image, _stem(path)), synthetic=is_synthetic(image, path))


def read_mask(path: Path, allocate: Allocate = new_array) -> npt.NDArray[np.uint8]:
    """Reads an image of whole numbers 0 to 255 as uint8 (slices, rows, columns); see `read_volume`.

    Args:
        path: File that `write_mask` wrote.
        allocate: Gives the memory for the voxels.

    Raises:
        SourceUnreadableError: If it cannot be read.
    """
    streamed = stream_nrrd(path, sitk.sitkUInt8, allocate)
    if streamed is not None:
        return streamed.array_kji
    return sitk.GetArrayFromImage(_read_file(path)).astype(np.uint8)


def read_slices(files: Sequence[Path], name: str) -> Volume:
    """Reads the given files of one DICOM series, one a slice, in the order in which they are given.

    Args:
        files: The files, neighbours in space.
        name: How the volume is called.

    Raises:
        SourceUnreadableError: If one cannot be read.
        InvalidVolumeError: If they are not one finite scalar volume with evenly spaced slices.
    """
    return _volume_from(_read_slices([str(file) for file in files], files[0].parent), name)


def read_picture(path: Path) -> npt.NDArray[np.float32]:
    """Reads a grey picture, such as a PNG, as float32 (rows, columns); of a coloured one the first channel.

    Raises:
        SourceUnreadableError: If it cannot be read or is no picture.
    """
    pixels = sitk.GetArrayFromImage(_read_file(path)).astype(np.float32)
    if pixels.ndim == 3:
        pixels = pixels[..., 0]
    if pixels.ndim != 2:
        msg = f"{path} is no picture: it has {pixels.ndim} dimensions, expected rows and columns."
        raise SourceUnreadableError(msg)
    return pixels


def _read_file(path: Path) -> sitk.Image:
    check_promise(path)
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        msg = f"{path} cannot be read: {_last_line(error)} Expected {READABLE}."
        raise SourceUnreadableError(msg) from error


def _read_series(folder: Path) -> sitk.Image:
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        msg = f"{folder} holds no DICOM series; expected {READABLE}."
        raise SourceUnreadableError(msg)
    names = {uid: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid) for uid in series}
    if len(series) > 1:
        listed = "; ".join(f"{uid} ({len(files)} files, first {Path(files[0]).name})" for uid, files in names.items())
        msg = f"{folder} holds {len(series)} DICOM series: {listed}. Put the one to translate into a folder of its own."
        raise SourceUnreadableError(msg)
    return _read_slices(names[series[0]], folder)


def _read_slices(names: Sequence[str], folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(names)
    reader.MetaDataDictionaryArrayUpdateOn()
    try:
        image = reader.Execute()
    except RuntimeError as error:
        msg = f"The DICOM series in {folder} cannot be read: {_last_line(error)}"
        raise SourceUnreadableError(msg) from error
    positions = _positions_lps(reader, len(names))
    if positions is not None:
        _check_even(positions, folder)
        _check_not_tilted(positions, image, folder)
    for tag in (MODALITY_TAG, *SYNTHETIC_TAGS):
        if reader.HasMetaDataKey(0, tag):
            image.SetMetaData(tag, reader.GetMetaData(0, tag).strip())
    return image


def _positions_lps(reader: sitk.ImageSeriesReader, count: int) -> npt.NDArray[np.float64] | None:
    """Where the first pixel of each slice lies, (slices, 3); None for one slice, or where that is not stated."""
    if count < 2 or not all(reader.HasMetaDataKey(n, POSITION_TAG) for n in range(count)):
        return None
    return np.array([[float(v) for v in reader.GetMetaData(n, POSITION_TAG).split("\\")] for n in range(count)])


def _check_even(positions: npt.NDArray[np.float64], folder: Path) -> None:
    """A missing slice would squeeze the volume: ITK only warns of it, we refuse."""
    steps = np.diff(positions, axis=0)
    usual = np.median(steps, axis=0)
    off = np.linalg.norm(steps - usual, axis=1)
    if off.max() > UNEVEN_SHARE * np.linalg.norm(usual):
        where = int(off.argmax())
        msg = (
            f"The slices of {folder} are not evenly spaced: {np.linalg.norm(steps[where]):.3f} mm between slices "
            f"{where + 1} and {where + 2}, {np.linalg.norm(usual):.3f} mm elsewhere. A slice may be missing; "
            "resample the series in Slicer first."
        )
        raise InvalidVolumeError(msg)


def _check_not_tilted(positions: npt.NDArray[np.float64], image: sitk.Image, folder: Path) -> None:
    """A tilted gantry moves each slice a little further within its plane: ITK stacks them straight, we refuse."""
    last = image.TransformIndexToPhysicalPoint((0, 0, len(positions) - 1))
    off = float(np.linalg.norm(positions[-1] - last))
    if off > STRAIGHT_MM:
        msg = (
            f"The slices of {folder} are shifted within their planes (a tilted gantry): the last lies {off:.3f} mm "
            "from where a straight stack has it. Resample the series in Slicer first (its acquisition transform)."
        )
        raise InvalidVolumeError(msg)


def _volume_from(image: sitk.Image, name: str) -> Volume:
    if image.GetNumberOfComponentsPerPixel() != 1:
        count = image.GetNumberOfComponentsPerPixel()
        msg = f"{name}: has {count} components a voxel (a colour or vector image); expected 1."
        raise InvalidVolumeError(msg)
    image = _as_three_dimensions(image, name)
    if "complex" in image.GetPixelIDTypeAsString():
        msg = f"{name}: has complex values; expected a magnitude image."
        raise InvalidVolumeError(msg)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which Volume refuses
        array = sitk.GetArrayFromImage(image).astype(np.float32)
    return Volume(array, geometry_of(image), name, _modality(image))


def _modality(header: sitk.Image | sitk.ImageFileReader) -> str | None:
    stated = header.GetMetaData(MODALITY_TAG).strip() if header.HasMetaDataKey(MODALITY_TAG) else ""
    return stated or None


def _as_three_dimensions(image: sitk.Image, name: str) -> sitk.Image:
    size = image.GetSize()
    if len(size) == 2:
        return sitk.JoinSeries(image)
    if len(size) == 4 and size[3] == 1:
        return sitk.Extract(image, [*size[:3], 0])
    if len(size) != 3:
        msg = f"{name}: is {len(size)}-D with size {size}; expected one 3-D volume. Export a single time point first."
        raise InvalidVolumeError(msg)
    return image


def _stem(path: Path) -> str:
    name = path.resolve().name
    for ending in (".nii.gz", ".seg.nrrd", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name if path.is_dir() else path.stem


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "unknown reason."
