"""A displacement field in, a Deformable Spatial Registration object (PS3.3 C.20.3) out, and back.

Which way round: the object's own frame of reference is the *registered* one, and its vectors lead from a point of it to
the point of the *source* frame that is to be seen there: q = M_post (M_pre p + vector). That is what our fields do, so
vectors are stored as they are, in LPS millimetres, x fastest, and both matrices are the identity. The forward field's
registered images are the output and its source images the source; the inverse field's are the other way round.

Which frames: output and source lie on one grid in one patient's coordinates, so they share their frame of reference,
and a UID of its own for the output would stop every viewer from showing both at the same place. A frame alone therefore
does not say what is deformed. For a registration of *some* images of a frame the standard has a Referenced Image
Sequence: a first item names the registered images and leaves them where they are, a second names the source's images
and holds the grid. Both matrices and two items are what readers in the field expect.

The third axis of the stored grid is the cross product of the first two (C.20.3.1.1): a left-handed field is stored with
its slices in reverse order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeformableSpatialRegistrationStorage

from MedTranslateLib.core.correspondence import DisplacementField, Origin
from MedTranslateLib.core.errors import InvalidVolumeError, SourceUnreadableError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.dicom.codes import Concept, coded
from MedTranslateLib.dicom.composite import NewSeries, finished, new_instance, referenced, series_referenced
from MedTranslateLib.dicom.context import ExportContext, InstanceReference
from MedTranslateLib.dicom.decimal_strings import decimal_strings
from MedTranslateLib.imaging.geometry import LPS_FROM_RAS

IDENTITY = [str(value) for value in np.eye(4).astype(int).ravel()]
COMMENTS = {
    Origin.MODEL: "Made by the model: the output was drawn along this field",
    Origin.IDENTITY: "No deformation: the method leaves every pixel in place",
    Origin.ESTIMATED: "Estimated from both pictures afterwards, not by the model",
}
METHODS = {Origin.MODEL: None, Origin.IDENTITY: Concept.SAME_FRAME, Origin.ESTIMATED: Concept.IMAGE_ALIGNMENT}
PERPENDICULAR = 1e-4
"""Largest cosine between axes of a grid that the standard's three perpendicular axes can stand for."""


@dataclass(frozen=True)
class ImageSet:
    """A series and its images; without images where there is no series."""

    series_uid: str
    images: tuple[InstanceReference, ...]


@dataclass(frozen=True)
class FieldToWrite:
    """A field and what it leads from and to.

    Args:
        name: "FORWARD" or "INVERSE".
        field: Leads from points of the registered images to points of the source images.
        origin: Where it comes from.
        registered: The images on whose points the field starts.
        source: The images that it leads to.
    """

    name: str
    field: DisplacementField
    origin: Origin
    registered: ImageSet
    source: ImageSet


@dataclass(frozen=True)
class ReadField:
    """A registration as it was read.

    Args:
        field: Displacements in RAS mm.
        registered, source: UIDs of the images that the field leads from and to; empty where none were named.
        comment: What was said of it.
    """

    field: DisplacementField
    registered: tuple[str, ...]
    source: tuple[str, ...]
    comment: str


def build_registration(context: ExportContext, series: NewSeries, number: int, given: FieldToWrite) -> Dataset:
    """One registration object.

    Args:
        context: Patient, study and frame of reference.
        series: The series it belongs to.
        number: Instance Number.
        given: The field with what it leads from and to.

    Raises:
        InvalidVolumeError: If the axes of its grid are not perpendicular.
    """
    made = new_instance(context, series, DeformableSpatialRegistrationStorage, number)
    made.update(context.series.of_the_body())
    made.ContentLabel = f"{given.name} FIELD"
    made.ContentDescription = COMMENTS[given.origin]
    made.ContentCreatorName = None
    still = _item(context, given.registered, "The registered images, left where they are", None)
    moving = _item(context, given.source, COMMENTS[given.origin], METHODS[given.origin])
    moving.DeformableRegistrationGridSequence = [_grid_item(given.field)]
    made.DeformableRegistrationSequence = [still, moving]
    there = [_series_item(images) for images in (given.registered, given.source) if images.images]
    made.ReferencedSeriesSequence = there
    return finished(made)


def read_registration(path: Path) -> ReadField:
    """Reads an object that holds one deformation grid.

    Args:
        path: A file as `build_registration` makes it, or another maker's whose matrices are the identity.

    Raises:
        SourceUnreadableError: If it is no such object, or deforms in more than one step.
    """
    try:
        with config.disable_value_validation():
            made = dcmread(path)
    except (InvalidDicomError, OSError) as error:
        msg = f"{path} cannot be read as DICOM: {error}. Expected a Deformable Spatial Registration."
        raise SourceUnreadableError(msg) from error
    items = list(made.get("DeformableRegistrationSequence", []))
    moving = [item for item in items if item.get("DeformableRegistrationGridSequence")]
    if len(moving) != 1 or not _has_no_matrix(moving[0]):
        msg = f"{path}: expected a Deformable Spatial Registration with one grid and no other transformation."
        raise SourceUnreadableError(msg)
    still = [uid for item in items if item is not moving[0] for uid in _images_of(item)]
    comment = str(moving[0].get("FrameOfReferenceTransformationComment", ""))
    field = _field_of(moving[0].DeformableRegistrationGridSequence[0])
    return ReadField(field, tuple(still), tuple(_images_of(moving[0])), comment)


def _item(context: ExportContext, images: ImageSet, comment: str, method: Concept | None) -> Dataset:
    item = Dataset()
    item.SourceFrameOfReferenceUID = context.frame_of_reference
    if images.images:
        item.ReferencedImageSequence = [referenced(one) for one in images.images]
    item.FrameOfReferenceTransformationComment = comment
    item.RegistrationTypeCodeSequence = [] if method is None else [coded(method)]
    item.PreDeformationMatrixRegistrationSequence = [_identity()]
    item.PostDeformationMatrixRegistrationSequence = [_identity()]
    return item


def _identity() -> Dataset:
    item = Dataset()
    item.FrameOfReferenceTransformationMatrix = IDENTITY
    item.FrameOfReferenceTransformationMatrixType = "RIGID"
    return item


def _grid_item(field: DisplacementField) -> Dataset:
    """The grid with its third axis along the cross product of the others."""
    directions = LPS_FROM_RAS @ field.geometry.direction_ras
    if np.abs(directions.T @ directions - np.eye(3)).max() > PERPENDICULAR:
        msg = "The axes of the field's grid are not perpendicular, which a DICOM registration cannot hold."
        raise InvalidVolumeError(msg)
    right_handed = np.linalg.det(directions) > 0
    vectors = field.vectors_kji_ras if right_handed else field.vectors_kji_ras[::-1]
    first_ijk = (0, 0, 0 if right_handed else field.geometry.size_ijk[2] - 1)
    grid = Dataset()
    grid.ImageOrientationPatient = decimal_strings(directions[:, :2].T.ravel())
    grid.ImagePositionPatient = decimal_strings(LPS_FROM_RAS @ field.geometry.ras_from_ijk(first_ijk))
    grid.GridDimensions = list(field.geometry.size_ijk)
    grid.GridResolution = field.geometry.spacing_mm.tolist()
    grid.add_new("VectorGridData", "OF", _lps_bytes(vectors))
    return grid


def _lps_bytes(vectors_kji_ras: npt.NDArray[np.float32]) -> bytes:
    signs = LPS_FROM_RAS.diagonal().astype(np.float32)
    return (vectors_kji_ras * signs + np.float32(0)).astype("<f4").tobytes()


def _series_item(images: ImageSet) -> Dataset:
    return series_referenced(images.series_uid, images.images)


def _images_of(item: Dataset) -> Sequence[str]:
    return [str(image.ReferencedSOPInstanceUID) for image in item.get("ReferencedImageSequence", [])]


def _has_no_matrix(item: Dataset) -> bool:
    names = ("PreDeformationMatrixRegistrationSequence", "PostDeformationMatrixRegistrationSequence")
    matrices = [step.FrameOfReferenceTransformationMatrix for name in names for step in item.get(name, [])]
    return all(np.array_equal(np.array(matrix, dtype=float), np.eye(4).ravel()) for matrix in matrices)


def _field_of(grid: Dataset) -> DisplacementField:
    orientation = np.array(grid.ImageOrientationPatient, dtype=float).reshape(2, 3)
    directions = np.stack([*orientation, np.cross(*orientation)], axis=1)
    matrix = np.eye(4)
    matrix[:3, :3] = LPS_FROM_RAS @ directions @ np.diag(np.array(grid.GridResolution, dtype=float))
    matrix[:3, 3] = LPS_FROM_RAS @ np.array(grid.ImagePositionPatient, dtype=float)
    columns, rows, slices = (int(count) for count in grid.GridDimensions)
    vectors = np.frombuffer(grid.VectorGridData, dtype="<f4").reshape(slices, rows, columns, 3)
    in_ras = vectors * LPS_FROM_RAS.diagonal().astype(np.float32)
    return DisplacementField(in_ras, Geometry((columns, rows, slices), matrix))
