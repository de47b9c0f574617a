"""What every written object shares, in one value: patient, study, frame of reference, slices and who made the source.

Nothing of a source's header reaches a written file except through this value, so what is not named here is not copied,
and removing identities from this value removes them from every file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydicom.dataset import Dataset


@dataclass(frozen=True)
class InstanceReference:
    """One DICOM instance: its class and its own UID."""

    class_uid: str
    instance_uid: str


@dataclass(frozen=True)
class SlicePlace:
    """Where one slice lies, in the words of DICOM (LPS mm, decimal strings), and the source's slice there.

    Args:
        position: Image Position (Patient): centre of the first pixel.
        orientation: Image Orientation (Patient): direction of the columns' index, then of the rows'.
        pixel_spacing: Between rows, then between columns.
        thickness: Nominal thickness; empty where nobody stated it.
        source: The source's instance at this place; None where there is no series.
    """

    position: tuple[str, ...]
    orientation: tuple[str, ...]
    pixel_spacing: tuple[str, ...]
    thickness: str = ""
    source: InstanceReference | None = None


@dataclass(frozen=True)
class SeriesFacts:
    """What is true of the output because it was true of the source: the patient lay the same way.

    Args:
        number: Series Number of the source; 0 where it has none.
        kept: Patient Position, Body Part Examined, Laterality, and how the source was compressed with loss.
        burned_in: Whether the source says that its pixels show annotation.
        equipment: Maker, model, and place of the scanner; empty where nobody stated it.
    """

    number: int = 0
    kept: Dataset = field(default_factory=Dataset)
    burned_in: bool = False
    equipment: Dataset = field(default_factory=Dataset)

    def of_the_body(self) -> Dataset:
        """Which part of the body is shown, for objects that are not images of the source's kind."""
        part = Dataset()
        for keyword in ("BodyPartExamined", "Laterality"):
            if keyword in self.kept:
                part[keyword] = self.kept[keyword]
        return part


@dataclass(frozen=True)
class ExportContext:
    """Patient, study, space and source of everything that one export writes.

    Args:
        patient_study: The attributes of the patient and the study, ready to be copied.
        frame_of_reference: UID of the patient's coordinate system.
        position_reference: Position Reference Indicator.
        slices: One place a slice of the result, in its order.
        series: What holds for the whole source.
        source_series_uid: The source's series; empty where there is none.
        deidentified: Whether the patient was removed; then written objects do not say when they were made either.
        warnings: What the user has to know, one sentence each.
    """

    patient_study: Dataset
    frame_of_reference: str
    position_reference: str
    slices: tuple[SlicePlace, ...]
    series: SeriesFacts
    source_series_uid: str = ""
    deidentified: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def references(self) -> tuple[InstanceReference, ...]:
        """The source's instances, one a slice; empty where there is no series."""
        return tuple(place.source for place in self.slices if place.source is not None)
