from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import OutputError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.mrml.regions import Region, trace_region
from MedTranslateLib.mrml.traced_region import write_regions_csv
from Testing.slicer.drawn_regions import (
    affine,
    curve,
    frame,
    half_seen,
    partner_of,
    points_of,
    ring,
    roi,
    segmentation,
    upright,
    voxels_in,
    voxels_of,
)


@pytest.mark.parametrize("from_output", [False, True])
def test_what_the_model_did_not_see_has_no_partner_and_is_told(
    scene: Any, add_to_scene: Callable, from_output: bool
) -> None:
    geometry = upright()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), validity_kji=half_seen(geometry))
    mask = np.zeros(geometry.shape_kji, np.uint8)
    mask[3:5, 6:9, 8:14] = 1  # six columns, two of them not seen
    traced = trace_region(scene, nodes, Region(segmentation(scene, mask, geometry), "liver"), from_output=from_output)
    assert traced.outside_share == pytest.approx(1 / 3)
    expected = mask.astype(bool)
    expected[:, :, :10] = False
    np.testing.assert_array_equal(voxels_in(partner_of(scene, traced), geometry), expected)
    assert traced.size_change_percent == pytest.approx(50 if from_output else -100 / 3)
    assert any("33.3 % of the region has no partner" in note for note in traced.notes())


def test_the_share_of_a_box_without_a_partner_is_that_of_its_volume(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), validity_kji=half_seen(geometry))
    box = roi(scene, frame(np.eye(3), (11.5, 17, 13.5)), (8, 8, 9))  # from 7.5 to 15.5, seen from 9.5
    traced = trace_region(scene, nodes, Region(box), from_output=False)
    assert traced.outside_share == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("short_field", ["forward", "inverse", "both"])
@pytest.mark.parametrize("from_output", [False, True])
def test_beyond_a_field_there_is_no_partner(
    scene: Any, add_to_scene: Callable, from_output: bool, short_field: str
) -> None:
    """Slicer holds the border's vectors there; they are not to be used."""
    geometry = upright()
    fields = []
    for name, up in (("forward", 1), ("inverse", -1)):
        # the first twelve columns, to 11.5 mm
        grid = Geometry((12, 20, 10), geometry.ijk_to_ras) if short_field in (name, "both") else geometry
        fields.append(DisplacementField(np.full((*grid.shape_kji, 3), np.float32([0, 2 * up, 0])), grid))
    nodes = add_to_scene(geometry, Correspondence(*fields, Origin.MODEL))
    mask = np.zeros(geometry.shape_kji, np.uint8)
    mask[3:5, 6:9, 8:16] = 1  # eight columns, half of them beyond
    traced = trace_region(scene, nodes, Region(segmentation(scene, mask, geometry), "liver"), from_output=from_output)
    assert traced.outside_share == pytest.approx(0.5)
    expected = np.zeros(geometry.shape_kji, bool)
    first = 7 if from_output else 5  # forward goes up by one row
    expected[3:5, first : first + 3, 8:12] = True
    np.testing.assert_array_equal(voxels_in(partner_of(scene, traced), geometry), expected)


def test_a_curve_that_leaves_the_field_is_cut_there_and_says_so(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), validity_kji=half_seen(geometry))
    corners = np.array([[3.5, 7, 12], [15.5, 7, 12], [15.5, 15, 12], [3.5, 15, 12]])  # seen from 9.5
    traced = trace_region(scene, nodes, Region(curve(scene, corners)), from_output=False)
    assert traced.outside_share == pytest.approx(0.5, abs=0.03)
    assert points_of(partner_of(scene, traced))[:, 0].min() >= 9.5
    assert traced.output.area_mm2 < traced.source.area_mm2
    assert any("has no partner" in note for note in traced.notes())


def test_a_mirrored_place_counts_as_folded(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    mirror = np.diag([-1.0, 1.0, 1.0])
    nodes = add_to_scene(geometry, affine(geometry, mirror))
    box = frame(np.eye(3), (11.5, 17, 13.5)), (6, 8, 9)
    traced = trace_region(scene, nodes, Region(roi(scene, *box)), from_output=False)
    assert traced.folded_share == 1
    assert any("100.0 % of the region is folded" in note for note in traced.notes())
    i, j, _ = np.eye(3)
    outline = curve(scene, ring(np.array([11.5, 17, 13.5]), 4 * i, 5 * j))
    assert trace_region(scene, nodes, Region(outline), from_output=True).folded_share == 1


@pytest.mark.parametrize("folded_way", ["there", "back"])
def test_half_of_a_region_that_is_folded_is_half(scene: Any, add_to_scene: Callable, folded_way: str) -> None:
    """Between columns 12 and 18 one of the maps is mirrored; the other one moves nothing."""
    geometry = upright()
    across = voxels_of(geometry)[..., 0]
    fold = np.zeros((*geometry.shape_kji, 3), np.float32)
    fold[..., 0] = np.where((across >= 12) & (across <= 18), 2 * (15 - across), 0)
    folded = DisplacementField(fold, geometry)
    still = DisplacementField(np.full_like(fold, 1e-6), geometry)
    fields = (still, folded) if folded_way == "there" else (folded, still)
    nodes = add_to_scene(geometry, Correspondence(*fields, Origin.MODEL))
    mask = np.zeros(geometry.shape_kji, np.uint8)
    mask[3:5, 6:9, [8, 9, 10, 14, 15, 16]] = 1  # away from the creases
    traced = trace_region(scene, nodes, Region(segmentation(scene, mask, geometry), "liver"), from_output=False)
    assert traced.folded_share == pytest.approx(0.5)
    assert traced.outside_share == 0
    assert any("50.0 % of the region is folded" in note for note in traced.notes())


def test_an_estimated_correspondence_is_told_with_the_figures(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    shifted = affine(geometry, np.eye(3), (1, 0, 0))
    nodes = add_to_scene(geometry, Correspondence(shifted.forward, shifted.inverse, Origin.ESTIMATED))
    box = roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9))
    notes = list(trace_region(scene, nodes, Region(box), from_output=False).notes())
    assert any("estimated afterwards" in note for note in notes)


def figures_in(scene: Any, add_to_scene: Callable, modality: str, scale: str, source_value: float = 40.0) -> Any:
    geometry = upright()
    source = Volume(np.full(geometry.shape_kji, source_value), geometry, "even")
    nodes = add_to_scene(
        geometry,
        Correspondence.identity(geometry),
        source=source,
        translated=source.with_array(np.full(geometry.shape_kji, 50.0)),
        output_scale=scale,
        provenance={"source": {"modality": modality}},
    )
    box = roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9))
    return trace_region(scene, nodes, Region(box), from_output=False)


def test_means_in_hu_are_compared(scene: Any, add_to_scene: Callable) -> None:
    traced = figures_in(scene, add_to_scene, "CT", "hounsfield")
    assert (traced.source.unit, traced.output.unit) == ("HU", "HU")
    assert (traced.mean_change, traced.mean_change_percent) == (10, pytest.approx(25))
    assert list(traced.notes()) == []


@pytest.mark.parametrize(("source_value", "percent"), [(0.0, None), (-40.0, 225)])
def test_a_mean_of_zero_has_no_percentages_and_a_negative_one_rises_upwards(
    scene: Any, add_to_scene: Callable, source_value: float, percent: float | None
) -> None:
    traced = figures_in(scene, add_to_scene, "CT", "hounsfield", source_value)
    assert traced.mean_change == 50 - source_value
    assert traced.mean_change_percent == (None if percent is None else pytest.approx(percent))


@pytest.mark.parametrize(
    ("modality", "scale", "sentence"),
    [
        ("MR", "relative", "the source is in intensities as in the file, the output in relative, not HU"),
        ("MR", "hounsfield", "the source is in intensities as in the file, the output in HU"),
        ("CT", "relative", "the source is in HU, the output in relative, not HU"),
    ],
)
def test_means_in_different_units_are_not_compared(
    scene: Any, add_to_scene: Callable, modality: str, scale: str, sentence: str
) -> None:
    traced = figures_in(scene, add_to_scene, modality, scale)
    assert (traced.source.mean_value, traced.output.mean_value) == (40, 50)
    assert (traced.mean_change, traced.mean_change_percent) == (None, None)
    assert any(sentence in note for note in traced.notes())


def test_the_csv_file_has_a_line_a_region_with_units_in_the_heading(
    scene: Any, add_to_scene: Callable, tmp_path: Path
) -> None:
    geometry = upright()
    still = add_to_scene(geometry, Correspondence.identity(geometry))
    box = roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9), 'left, "lower"')
    outline = curve(scene, np.array([[4.5, 7, 12], [10.5, 7, 12], [10.5, 15, 12], [4.5, 15, 12]]))
    traced = [trace_region(scene, still, Region(node), from_output=True) for node in (box, outline)]
    write_regions_csv(tmp_path / "regions.csv", traced)
    with (tmp_path / "regions.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert first["region"] == 'left, "lower"'
    assert (first["kind"], first["drawn_in"]) == ("ROI", "output")
    assert (first["source_volume_mm3"], first["output_volume_mm3"]) == ("432", "432")
    assert (first["size_change_percent"], first["source_area_mm2"]) == ("0", "")
    assert (second["kind"], second["output_volume_mm3"]) == ("closed curve", "")
    assert float(second["source_area_mm2"]) == pytest.approx(48)
    assert (second["source_unit"], second["output_unit"]) == ("intensities as in the file", "relative, not HU")
    assert (second["mean_change_percent"], second["outside_share"]) == ("", "0")
    assert second["note"] == "SYNTHETIC, research use only"
    assert "Means are not compared" in second["remarks"]


def test_a_csv_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"regions\.csv could not be written"):
        write_regions_csv(tmp_path / "missing" / "regions.csv", [])
