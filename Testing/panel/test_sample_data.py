"""The sample images that are offered in Slicer's Sample Data module, registered with a stand-in for it."""

from __future__ import annotations

import hashlib
import importlib
import sys
import urllib.request
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
OURS = "Colin27 T1"


# What Slicer's `registerCustomSampleDataSource` takes.
ARGUMENTS = {
    *("category", "sampleName", "uris", "fileNames", "nodeNames", "customDownloader", "thumbnailFileName"),
    *("loadFileTypes", "loadFiles", "loadFileProperties", "checksums"),
}


class SampleDataLogic:
    """Stands for Slicer's class of that name; notes what is registered."""

    registered: list[dict]

    @classmethod
    def register(cls, **arguments: object) -> None:
        assert set(arguments) <= ARGUMENTS
        cls.registered.append(arguments)

    registerCustomSampleDataSource = register  # noqa: N815  # Slicer's name


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The file under test, in a Slicer that has the Sample Data module."""
    SampleDataLogic.registered = []
    monkeypatch.syspath_prepend(str(ROOT / "MedTranslate"))
    monkeypatch.setitem(sys.modules, "slicer", SimpleNamespace(modules=SimpleNamespace(sampledata=object())))
    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=SampleDataLogic))
    for name in ("MedTranslateWidgets", "MedTranslateWidgets.Places", "MedTranslateWidgets.SampleDataSources"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("MedTranslateWidgets.SampleDataSources")


@pytest.fixture
def registered(module: ModuleType) -> dict[str, dict]:
    module.registerSampleData()
    return {sample["sampleName"]: sample for sample in SampleDataLogic.registered}


def test_nothing_is_registered_before_slicer_has_started(module: ModuleType) -> None:
    assert SampleDataLogic.registered == []


def test_an_application_without_the_sample_data_module_is_left_alone(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "slicer", SimpleNamespace(modules=SimpleNamespace()))
    module.registerSampleData()
    assert SampleDataLogic.registered == []


def test_our_sample_comes_from_the_extension_itself_and_has_its_hash(registered: dict, tmp_path: Path) -> None:
    sample = registered[OURS]
    copy = tmp_path / sample["fileNames"]
    urllib.request.urlretrieve(sample["uris"], copy)  # how Slicer fetches it
    shipped = ROOT / "Resources" / "SampleData" / "colin27_t1.nii.gz"
    assert copy.read_bytes() == shipped.read_bytes()
    assert sample["checksums"] == "SHA256:" + hashlib.sha256(shipped.read_bytes()).hexdigest()


def test_slicers_samples_come_from_slicers_public_address_under_their_hash(registered: dict) -> None:
    others = [sample for name, sample in registered.items() if name != OURS]
    assert {sample["nodeNames"] for sample in others} == {"MRHead", "MRBrainT1", "CTBrain"}
    for sample in others:
        server, digest = sample["uris"].rsplit("/", 1)
        assert server == "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256"
        assert sample["checksums"] == f"SHA256:{digest}"
        assert len(bytes.fromhex(digest)) == hashlib.sha256().digest_size


def test_every_sample_has_a_picture_of_its_own_category(registered: dict) -> None:
    pictures = [Path(sample["thumbnailFileName"]) for sample in registered.values()]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert {sample["category"] for sample in registered.values()} == {"MedTranslate"}
