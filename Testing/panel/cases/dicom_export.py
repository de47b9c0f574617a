"""The export to DICOM, with the worker's Python: files that pydicom reads, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import slicer

from panel_case_files import beside

LIMIT_S = 300
EXPORT_S = 200
trace, trust, translate = beside(__file__, "trace"), beside(__file__, "trust"), beside(__file__, "translate")
READ = """
import json, sys
from pathlib import Path
import pydicom
found = []
for path in sorted(Path(sys.argv[1]).rglob("*")):
    if path.is_file() and path.suffix != ".json":
        made = pydicom.dcmread(path)
        found.append([made.Modality, str(made.SOPClassUID), str(made.get("PatientID", "")),
                      list(made.get("ImageType", [])), str(made.get("StudyInstanceUID", ""))])
print(json.dumps(found))
"""


WRITE = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from MedTranslateLib.core.volume import Geometry, Volume
from Testing.library.dicom_sources import write_series
data = np.load(sys.argv[2])
write_series(Path(sys.argv[3]), Volume(data["values"], Geometry(tuple(data["size"].tolist()), data["matrix"])))
"""
ROOT = Path(__file__).resolve().parents[3]
PATIENT_OF_SERIES = "HOSP-4711"


def worker_python(script: str, *arguments: object) -> str:
    """What the worker's Python prints."""
    command = [os.environ["MEDTRANSLATE_PYTHON"], "-c", script, *map(str, arguments)]
    environment = dict(slicer.util.startupEnvironment())
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def series_of(node, folder: Path) -> Path:
    """The source as a series of a patient, made by pydicom; whole numbers, as a scanner has them."""
    from MedTranslateLib.mrml.volumes import volume_from_node

    values = slicer.util.arrayFromVolume(node)
    values[:] = np.round(values)
    slicer.util.arrayFromVolumeModified(node)
    volume = volume_from_node(node)
    matrix, size = volume.geometry.ijk_to_ras, volume.geometry.size_ijk
    np.savez(folder / "source.npz", values=volume.array_kji, matrix=matrix, size=size)
    worker_python(WRITE, ROOT, folder / "source.npz", folder / "series")
    return folder / "series"


def read_by_pydicom(folder: Path) -> list[list]:
    """Modality, class, patient, image type and study of each file, read by the worker's Python."""
    return json.loads(worker_python(READ, folder))


def opened(side):
    """A result with trust maps, and the export's box open."""
    nodes = trace.shifted_result((80, 72, 12), (2.5, 2.5, 12.0), trust.trust_parts)
    panels = side.open_module().panels
    panels.trace.show(nodes)
    side.wait_until(lambda: panels.bench.probed, 60, "the answer of the probe")
    for section in ("translateSection", "traceSection", "regionSection", "ledgerSection", "sheetBox"):
        side.child(section).collapsed = True
    side.child("recordSection").collapsed = False
    side.child("dicomBox").collapsed = False
    side.wait(1000)  # until nothing moves any more
    return nodes, panels


def ended(side, panels) -> str:
    side.wait_until(lambda: side.child("dicomButton").text == "Export", EXPORT_S, "the end of the export")
    return panels.messages.text


def check_the_output_is_written_as_a_derived_series_of_a_new_study(side) -> None:
    _nodes, panels = opened(side)
    with tempfile.TemporaryDirectory() as folder:
        with mock.patch("qt.QFileDialog.getExistingDirectory", return_value=folder):
            side.mouse.click(side.child("targetButton"))
        target = Path(side.child("targetEdit").text)
        assert target == Path(folder) / "synthetic-dicom"
        assert "a study of their own" in side.child("dicomNote").text
        box = side.child("burnInBox")
        side.mouse.click(box, 8, box.height // 2)
        side.picture("dicom-before")
        side.mouse.click(side.child("dicomButton"))
        assert side.child("dicomButton").text == "Cancel"
        side.picture("dicom-running")
        text = ended(side, panels)
        assert text.startswith("Wrote "), text
        side.picture("dicom-done")
        read = read_by_pydicom(target)
        images = [item for item in read if item[0] == "MR"]
        assert len(images) == 12
        assert {tuple(item[3][:2]) for item in images} == {("DERIVED", "SECONDARY")}
        assert len({item[4] for item in read}) == 1
        assert f"Wrote {len(read)} DICOM files" in text
        assert side.child("targetEdit").text == str(Path(folder) / "synthetic-dicom-2")
        box.checked = False
    assert not translate.job_folders()


@contextmanager
def a_database_that_has(node, series: Path) -> Iterator[None]:
    """As if Slicer had read the node from these files; for a moment: its own views ask the database, too."""
    files = {f"1.2.3.{number}": str(file) for number, file in enumerate(sorted(series.iterdir()))}
    database = SimpleNamespace(isOpen=True, fileForInstance=files.get)
    with mock.patch.object(slicer, "dicomDatabase", database, create=True):
        modified = node.StartModify()
        node.SetAttribute("DICOM.instanceUIDs", " ".join(files))
        yield
        node.RemoveAttribute("DICOM.instanceUIDs")
        node.EndModify(modified)


def check_the_series_of_the_source_is_found_and_its_study_is_kept(side) -> None:
    nodes, panels = opened(side)
    with tempfile.TemporaryDirectory() as folder:
        series = series_of(nodes.source, Path(folder))
        assert side.child("seriesEdit").text == ""
        panels.trace.show(trace.shifted_result((50, 45, 8), (4.0, 4.0, 16.0)))
        side.wait(100)
        panels.trace.nodes = nodes
        with a_database_that_has(nodes.source, series):
            panels.record.dicom.refresh()
        assert side.child("seriesEdit").text == str(series)
        panels.trace.show(nodes)
        side.wait(300)
        side.child("seriesEdit").text = str(series)
        side.child("recordSection").collapsed = False
        written = {}
        for name, deidentify in (("plain", False), ("without-names", True)):
            side.child("targetEdit").text = str(Path(folder) / name)
            side.child("deidentifyBox").checked = deidentify
            side.wait(500)
            side.mouse.click(side.child("dicomButton"))
            text = ended(side, panels)
            assert text.startswith("Wrote "), text
            written[name] = read_by_pydicom(Path(folder) / name)
        side.child("deidentifyBox").checked = False
        study = {item[4] for item in read_by_pydicom(series)}
        assert {item[4] for item in written["plain"]} == study
        assert {item[2] for item in written["plain"]} == {PATIENT_OF_SERIES}
        assert PATIENT_OF_SERIES not in {item[2] for item in written["without-names"]}
        assert not study & {item[4] for item in written["without-names"]}
        side.picture("dicom-with-series")


def check_a_folder_that_is_not_empty_or_no_series_is_said_before_anything_is_written(side) -> None:
    _nodes, _panels = opened(side)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "mine.txt").write_text("keep")
        side.child("targetEdit").text = folder
        assert "not empty" in side.child("dicomNote").text
        assert not side.child("dicomButton").enabled
        side.child("targetEdit").text = str(Path(folder) / "new")
        side.child("seriesEdit").text = str(Path(folder) / "nowhere")
        assert "is no folder" in side.child("dicomNote").text
        assert not side.child("dicomButton").enabled
        side.child("seriesEdit").text = folder
        assert side.child("dicomButton").enabled
        assert [path.name for path in Path(folder).iterdir()] == ["mine.txt"]


def check_a_series_that_is_not_the_sources_is_refused_and_nothing_is_left(side) -> None:
    _nodes, panels = opened(side)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "series").mkdir()
        (Path(folder) / "series" / "other.txt").write_text("no DICOM")
        side.child("seriesEdit").text = str(Path(folder) / "series")
        side.child("targetEdit").text = str(Path(folder) / "new")
        side.wait(500)  # the note below the folders goes away
        side.mouse.click(side.child("dicomButton"))
        text = ended(side, panels)
        assert text.startswith("Nothing was exported."), text
        assert not (Path(folder) / "new").exists()
        side.picture("dicom-refused")
    assert not translate.job_folders()


def check_an_export_can_be_cancelled(side) -> None:
    _nodes, panels = opened(side)
    with tempfile.TemporaryDirectory() as folder:
        side.child("seriesEdit").text = ""
        side.child("targetEdit").text = str(Path(folder) / "new")
        side.wait(500)  # the note below the folders goes away
        side.mouse.click(side.child("dicomButton"))
        side.mouse.click(side.child("dicomButton"))
        assert "cancelled" in panels.messages.text
        assert side.child("dicomButton").text == "Export"
        assert not (Path(folder) / "new").exists()
    assert not translate.job_folders()


def check_missing_packages_are_offered_and_not_installed_unasked(side) -> None:
    from MedTranslateWidgets import DicomExport

    _nodes, panels = opened(side)
    end = DicomExport.endFrom(1, "", "Traceback\nModuleNotFoundError: No module named 'highdicom'\n")
    environment = {name: value for name, value in os.environ.items() if name != "MEDTRANSLATE_PYTHON"}
    with mock.patch.dict(os.environ, environment, clear=True), mock.patch.object(slicer.util, "pip_install") as pip:
        panels.record.dicom._ended(end)
        assert "needs some Python packages: pydicom, highdicom" in panels.messages.text, panels.messages.text
        assert side.child("messageButton1").text == "Install"
    assert not pip.called
    panels.messages.clear()
