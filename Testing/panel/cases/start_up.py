"""The module as a new user meets it: there, quick to open, with its sample data, and without PyTorch inside Slicer."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import slicer


def check_the_module_opens_without_torch_in_slicer(side) -> None:
    started = time.perf_counter()
    slicer.util.selectModule("MedTranslate")
    seconds = time.perf_counter() - started  # the first opening, where this case runs first: `-k start_up`
    (side.pictures / "opening.txt").write_text(f"opened in {1000 * seconds:.0f} ms\n")
    side.open_module()
    assert side.child("messageFrame") is not None
    assert "torch" not in sys.modules
    side.picture("start-up")


def check_module_library_and_resources_come_from_one_tree(side) -> None:
    side.open_module()
    import MedTranslateLib
    from MedTranslateWidgets.Places import resourcePath

    module_folder = Path(slicer.modules.medtranslate.path).resolve().parent
    places = [Path(MedTranslateLib.__file__).resolve().parents[1], Path(resourcePath("Icons")).resolve().parents[1]]
    assert places in ([module_folder] * 2, [module_folder.parent] * 2)


def check_the_sample_volume_comes_with_the_extension(side) -> None:
    import SampleData

    volume = SampleData.downloadSample("Colin27 T1")
    assert volume.GetName() == "Colin27_T1"
    assert volume.GetImageData().GetDimensions() == (181, 217, 90)


def check_the_real_pointer_reaches_a_slice_view(side) -> None:
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    crosshair = slicer.util.getNode("Crosshair")
    positions = []
    tag = crosshair.AddObserver(
        slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent,
        lambda node, _event: positions.append(node.GetCursorPositionXYZ([0.0, 0.0, 0.0])),
    )
    side.mouse.move(view, 40, 30)
    side.mouse.move(view, 60, 50)
    crosshair.RemoveObserver(tag)
    names = {node.GetName() for node in positions if node is not None}
    assert names == {"Red"}
