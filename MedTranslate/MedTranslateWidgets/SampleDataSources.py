"""The sample images that suit our bundles in, buttons in Slicer's Sample Data module out; nothing is loaded yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import slicer

from MedTranslateWidgets.Places import resourcePath

CATEGORY = "MedTranslate"
SLICERS_SAMPLES = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/"
"""Where Slicer keeps its own sample images, each under its SHA-256."""


@dataclass(frozen=True)
class Sample:
    """A sample image.

    Args:
        name: What the button says.
        nodeName: Name of the volume in the scene.
        fileName: Name in the cache; Slicer's own name for a sample of Slicer, which is then downloaded once.
        sha256: Hash of the file, checked by Slicer after the download.
        thumbnail: Picture on the button, of `Resources/Icons`.
        resource: Path within `Resources` of a sample that came with the extension; empty for one of Slicer's.
    """

    name: str
    nodeName: str
    fileName: str
    sha256: str
    thumbnail: str
    resource: str = ""

    @property
    def uri(self) -> str:
        """Address of the file."""
        return Path(resourcePath(self.resource)).as_uri() if self.resource else SLICERS_SAMPLES + self.sha256


SAMPLES = (
    Sample(
        "Colin27 T1",
        "Colin27_T1",
        "colin27_t1.nii.gz",
        "16ee1326fa1abf0d2c65b5e1df6219e73502ec5d16ff905cbe3570d1d0c0b1f5",
        "SampleColin27.png",
        "SampleData/colin27_t1.nii.gz",
    ),
    Sample(
        "MR head T1",
        "MRHead",
        "MR-head.nrrd",
        "cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93",
        "SampleMR.png",
    ),
    Sample(
        "MR brain T1",
        "MRBrainT1",
        "MR-brain-T1.nrrd",
        "2da3f655ed20356ee8cdf32aa0f8f9420385de4b6e407d28e67f9974d7ce1593",
        "SampleMR.png",
    ),
    Sample(
        "CT brain",
        "CTBrain",
        "CT-brain.nrrd",
        "6a5b6caccb76576a863beb095e3bfb910c50ca78f4c9bf043aa42f976cfa53d1",
        "SampleCT.png",
    ),
)


def registerSampleData() -> None:
    """Adds our samples to the Sample Data module; to be called once Slicer has started, doing it again is harmless."""
    if not hasattr(slicer.modules, "sampledata"):  # an application built on Slicer may come without
        return
    import SampleData  # noqa: PLC0415  # a module of Slicer: there only once Slicer has loaded it

    for sample in SAMPLES:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample.name,
            uris=sample.uri,
            fileNames=sample.fileName,
            nodeNames=sample.nodeName,
            thumbnailFileName=resourcePath(f"Icons/{sample.thumbnail}"),
            loadFileTypes="VolumeFile",
            checksums=f"SHA256:{sample.sha256}",
        )
