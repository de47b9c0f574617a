"""Small DICOM series as scanners write them, made by pydicom alone, and finished translations of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import config, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.job_folder import Job, write_job, write_result
from MedTranslateLib.imaging.reading import read_volume

LPS = np.diag([-1.0, -1.0, 1.0])
SECRETS = {
    "PatientName": "Mustermann^Maximilian",
    "PatientID": "HOSP-4711",
    "PatientBirthDate": "19581103",
    "OtherPatientIDs": "INS-9913377",
    "StudyDate": "20240229",
    "StudyTime": "101112",
    "AcquisitionDate": "20240229",
    "ReferringPhysicianName": "Referrer^Rita",
    "PerformingPhysicianName": "Performer^Paul",
    "OperatorsName": "Operator^Olga",
    "InstitutionName": "Klinikum Irgendwo",
    "InstitutionAddress": "Hauptstrasse 13",
    "StationName": "STATION7",
    "DeviceSerialNumber": "SN-880055",
    "AccessionNumber": "ACC-606060",
    "StudyID": "STUDY-31",
    "StudyDescription": "Followup Mustermann",
    "ProtocolName": "Protocol Mustermann",
    "PatientAge": "065Y",
    "PatientComments": "Lives in Irgendwo",
}
PHYSICS = {
    "EchoTime": "91.53125",
    "RepetitionTime": "4321.125",
    "FlipAngle": "137.2525",
    "KVP": "119.75125",
    "GantryDetectorTilt": "0.03125",
}


def oblique(size_ijk: tuple[int, int, int], spacing: Sequence[float], *, left_handed: bool = False) -> Geometry:
    """Rotated by 20 degrees about a skew axis, off the origin; DICOM positions have few digits, so these have too."""
    x, y, z = np.array([1, -2, 3]) / np.sqrt(14)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(20)
    turned = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix = np.eye(4)
    matrix[:3, :3] = turned @ np.diag([-1, -1, -1 if left_handed else 1]) @ np.diag(spacing)
    matrix[:3, 3] = [41.25, 63.5, -17.75]
    return Geometry(size_ijk, matrix)


def header_of(geometry: Geometry, k: int, modality: str) -> Dataset:
    """What says whose a slice is and where it lies."""
    made = Dataset()
    for keyword, value in {**SECRETS, **PHYSICS}.items():
        setattr(made, keyword, value)
    made.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    made.SOPInstanceUID = generate_uid(prefix="1.2.3.")
    made.Modality, made.ImageType = modality, ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.PatientSex, made.PatientPosition, made.BodyPartExamined = "M", "HFS", "HEAD"
    made.Manufacturer, made.ManufacturerModelName = "ScannerWorks", "Model T"
    made.SeriesNumber, made.InstanceNumber = "4", str(k + 1)
    directions = LPS @ geometry.direction_ras
    made.ImagePositionPatient = [f"{v:.10g}" for v in LPS @ geometry.ras_from_ijk([0, 0, k])]
    made.ImageOrientationPatient = [f"{v:.10g}" for v in directions[:, :2].T.ravel()]
    made.PixelSpacing = [f"{v:.10g}" for v in geometry.spacing_mm[[1, 0]]]
    made.SliceThickness = f"{geometry.spacing_mm[2]:g}"
    made.PositionReferenceIndicator = "NA"
    return made


def write_series(folder: Path, volume: Volume, modality: str = "MR", **changes: object) -> list[Dataset]:
    """Writes whole numbers as a series whose files are named, and numbered, against the order of the slices.

    Args:
        folder: Where.
        volume: Whole intensities; a CT is written with intercept -1024 and slope 2.
        modality: "MR" or "CT".
        changes: Attributes of every slice; None removes one.

    Returns:
        The data sets in the order of the slices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = (generate_uid(prefix="1.2.3.") for _ in range(3))
    written = []
    for k, values in enumerate(volume.array_kji):
        made = header_of(volume.geometry, k, modality)
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
        if modality == "CT":
            made.RescaleSlope, made.RescaleIntercept = "2", "-1024"
        set_pixels(made, (values + 1024) / 2 if modality == "CT" else values)
        with config.disable_value_validation():
            for keyword, value in changes.items():
                made.pop(keyword, None)
                if value is not None:
                    setattr(made, keyword, value)
            write(folder / f"{len(volume.array_kji) - k:03d}.dcm", made)
        written.append(made)
    return written


def set_pixels(made: Dataset, values: np.ndarray) -> None:
    made.Rows, made.Columns = values.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PixelData = values.astype("<i2").tobytes()


def write(path: Path, made: Dataset) -> None:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(path, made, enforce_file_format=True)


def whole_numbers(geometry: Geometry, seed: int = 3) -> Volume:
    """A different whole, even number at nearly every voxel, from -1000 to 3000."""
    values = np.random.default_rng(seed).integers(-500, 1500, geometry.shape_kji) * 2
    return Volume(values.astype(np.float32), geometry)


def smooth_field(geometry: Geometry, size_mm: float = 4.0) -> DisplacementField:
    """A field that is linear nowhere, with different parts along R, A and S."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in geometry.size_ijk), indexing="ij")
    parts = [np.sin(0.4 * i + 0.2 * j), 0.5 * np.cos(0.3 * j - 0.5 * k), 0.25 * np.sin(0.7 * k + 0.1 * i)]
    vectors = size_mm * np.stack(parts, axis=-1).transpose(2, 1, 0, 3)
    return DisplacementField(vectors.astype(np.float32), geometry)


def finished_job(folder: Path, source: Volume, modality: str = "CT", scale: str = "relative", **parts: object) -> Path:
    """A job folder with a result that no network made: random intensities on the source's grid."""
    geometry = source.geometry
    low, high = (-1024.0, 2000.0) if scale == "hounsfield" else (0.0, 1.0)
    values = np.random.default_rng(11).uniform(low, high, geometry.shape_kji).astype(np.float32)
    provenance = {
        "software": {"name": "MedTranslate", "version": "9.9"},
        "bundle": {"name": "tiny", "version": "1.2.3", "method": "identity"},
        "run": {"from": "T1", "steps": 10, "samples": 1, "seed": 5},
        "source": {"name": "Mustermann_T1", "sha256": "c0ffee"},
    }
    given = {
        "correspondence": Correspondence.identity(geometry),
        "uncertainty": None,
        "provenance": provenance,
        "output_name": "CT" if modality == "CT" else "FLAIR",
        "output_modality": modality,
        "output_scale": scale,
        **parts,
    }
    translated = Volume(values, geometry, "translated", modality)
    validity = np.ones(geometry.shape_kji, np.uint8)
    write_job(folder, Job(TranslationRequest("tiny", source_name="Mustermann_T1"), source))
    write_result(folder, TranslationResult(translated=translated, validity_kji=validity, **given))
    return folder


def moved(geometry: Geometry, origin: Origin = Origin.MODEL) -> Correspondence:
    return Correspondence(smooth_field(geometry), smooth_field(geometry, -3.0), origin)


def translated_series(folder: Path, volume: Volume, start: str = "MR", **of_the_job: object) -> tuple[Path, Path]:
    """A series, and the finished translation of what is read from it; the folders of both."""
    write_series(folder / "source", volume, start)
    return folder / "source", finished_job(folder / "job", read_volume(folder / "source"), **of_the_job)
