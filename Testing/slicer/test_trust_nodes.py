# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""Trust maps in the scene: what is not to be trusted stands out, readings and marks tell it, older results work on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.trust import TrustPart
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import Job, write_job, write_result
from MedTranslateLib.mrml import cursor as cursor_module
from MedTranslateLib.mrml import scene as scene_module
from MedTranslateLib.mrml.comparison import set_blend
from MedTranslateLib.mrml.cursor import MARKER_COLOUR, LinkedCursor
from MedTranslateLib.mrml.layout import Side, composite_of, show_compare, side_of_view
from MedTranslateLib.mrml.ledger_table import LedgerBoard
from MedTranslateLib.mrml.links import results_in
from MedTranslateLib.mrml.mapping import PointTracer, Reading
from MedTranslateLib.mrml.mrb_file import write_mrb
from MedTranslateLib.mrml.scene import ResultNodes, add_result
from MedTranslateLib.mrml.traced_map import remove_traced_map, traced_map_node
from MedTranslateLib.mrml.trust_nodes import MAP_KINDS, trust_colours
from MedTranslateLib.mrml.trust_scale import COLOURS, TrustStep, hex_of
from MedTranslateLib.mrml.volumes import geometry_of_node
from Testing.slicer.conftest import result_on
from Testing.slicer.trusted_results import ledger_of, trust_of

PARTS = [f"trust_{part.value}" for part in TrustPart]


@pytest.fixture
def trusted(known: SimpleNamespace, add_to_scene: Callable[..., ResultNodes]) -> ResultNodes:
    """A squeezed result, so that the trust at the two ends of a pair differs."""
    geometry = known.oblique_grid()
    correspondence = known.correspondence_of(geometry, known.squeeze(geometry))
    return add_to_scene(geometry, correspondence, trust=trust_of(geometry), ledger=ledger_of(geometry))


# Nodes


def test_each_map_is_a_volume_with_its_unit_and_is_called_after_the_output(trusted: ResultNodes) -> None:
    units = {role: node.GetAttribute("MedTranslate.unit") for role, node in trusted.trust_maps().items()}
    assert units == {
        "trust": "0 to 1, 1 is the most trusted",
        "expected_error": "relative, not HU",
        "trust_round_trip": "mm",
        "trust_folding": "0 to 1, 1 is folded",
        "trust_intensity": "share of the training range",
        "trust_cycle": "share of the source's range",
    }
    assert trusted.trust.GetName().startswith("Trust: CT of numbered by")
    display = trusted.trust.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 1.0)
    assert all(node.GetAttribute("MedTranslate.synthetic") == "true" for node in trusted.trust_maps().values())


def test_the_parts_are_hidden_in_lists_and_the_maps_lie_in_one_folder(scene: slicer.vtkMRMLScene, trusted) -> None:
    hidden = {role for role, node in trusted.roles() if node.GetHideFromEditors()}
    assert hidden == set(PARTS)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    items = [hierarchy.GetItemByDataNode(node) for node in trusted.trust_maps().values()]
    folders = {hierarchy.GetItemParent(item) for item in items}
    assert len(folders) == 1
    folder = folders.pop()
    assert hierarchy.GetItemName(folder).startswith("Trust: ")
    assert hierarchy.GetItemParent(folder) == hierarchy.GetItemParent(hierarchy.GetItemByDataNode(trusted.output))


def test_an_uncalibrated_bundle_has_no_map_of_errors(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), trust=trust_of(geometry, calibrated=False))
    assert nodes.trust is not None
    assert nodes.expected_error is None
    reading = PointTracer(nodes).trace(geometry.ras_from_ijk([4, 5, 6]), from_output=True)
    assert reading.sentence().endswith("(low), not calibrated") or "not calibrated" in reading.sentence()


def test_two_results_share_one_table_of_colours(scene: slicer.vtkMRMLScene, trusted: ResultNodes, known, add_to_scene):
    geometry = known.oblique_grid()
    second = add_to_scene(geometry, Correspondence.identity(geometry), trust=trust_of(geometry))
    colours = {nodes.trust.GetDisplayNode().GetColorNodeID() for nodes in (trusted, second)}
    assert colours == {trust_colours(scene).GetID()}


def test_low_and_medium_trust_cover_in_red_and_amber_and_high_trust_shows_what_lies_below(scene) -> None:
    table = trust_colours(scene)
    colours = {}
    for trust in (0.0, 0.5, 0.69, 0.71, 1.0):
        colours[trust] = [0.0] * 4
        table.GetColor(round(255 * trust), colours[trust])
    assert [colour[3] for colour in colours.values()] == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert colours[0.0][0] > 0.9
    assert max(colours[0.0][1:3]) < 0.25
    assert colours[0.5][0] > 0.8
    assert 0.6 < colours[0.5][1] < 0.85
    assert colours[0.5][2] < 0.25


def test_in_a_view_low_trust_is_drawn_red_and_high_trust_is_the_image(
    scene: slicer.vtkMRMLScene, known: SimpleNamespace, add_to_scene: Callable, drawn_views: Callable
) -> None:
    geometry = known.oblique_grid()
    halves = np.ones(geometry.shape_kji, np.float32)
    halves[:, :, :15] = 0.0  # the half of small i
    halves[:, :, 24:] = 0.75  # high, too
    maps = trust_of(geometry)
    trust = type(maps)(Volume(halves, geometry))
    grey = Volume(np.full(geometry.shape_kji, 0.5, np.float32), geometry)
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), translated=grey, trust=trust)
    drawn = drawn_views()
    show_compare(scene, nodes)
    view = drawn["Red+"]
    set_blend([composite_of(view.node)], nodes.trust, 1.0)
    picture = view.draw()
    colours = {}
    for side, i in (("low", 7), ("high", 20), ("as high", 27)):
        x, y = view.xy_of(geometry.ras_from_ijk([i, 13, 6]))
        colours[side] = picture[round(y), round(x)]
    assert colours["low"][0] > 200
    assert colours["low"][2] < 80
    for side in ("high", "as high"):
        red, green, blue = colours[side]
        assert abs(red - green) <= 2
        assert abs(green - blue) <= 2
        assert 110 < red < 145


def test_a_view_of_any_map_belongs_to_the_output(scene: slicer.vtkMRMLScene, trusted: ResultNodes) -> None:
    show_compare(scene, trusted)
    view = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    for node in (*trusted.trust_maps().values(), trusted.ledger_regions):
        composite_of(view).SetBackgroundVolumeID(node.GetID())
        assert side_of_view(view, trusted) is Side.OUTPUT
    composite_of(view).SetBackgroundVolumeID(trusted.source.GetID())
    assert side_of_view(view, trusted) is Side.SOURCE


@pytest.mark.parametrize("fails", ["put_into_folder", "_set_attributes", "add_ledger"])
def test_an_error_half_way_leaves_no_map_no_ledger_and_no_colours(
    scene: slicer.vtkMRMLScene,
    known: SimpleNamespace,
    add_to_scene: Callable,
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    geometry = known.oblique_grid()
    plain = add_to_scene(geometry, Correspondence.identity(geometry))
    before = [node.GetID() for node in scene.GetNodes()]

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(scene_module, fails, fail)
    whole = result_on(geometry, Correspondence.identity(geometry), trust=trust_of(geometry), ledger=ledger_of(geometry))
    with pytest.raises(MemoryError):
        add_result(scene, plain.source, "numbered", whole)
    assert [node.GetID() for node in scene.GetNodes()] == before
    assert results_in(scene) == [plain]


# Readings


@pytest.mark.parametrize("from_output", [True, False])
def test_trust_and_error_are_those_of_the_outputs_voxel_wherever_the_mouse_is(
    trusted: ResultNodes, known: SimpleNamespace, from_output: bool
) -> None:
    geometry = known.oblique_grid()
    mapping = known.squeeze(geometry)
    voxel = np.array([17, 11, 7])
    output_ras = geometry.ras_from_ijk(voxel)
    start = output_ras if from_output else mapping.to_source(output_ras)
    reading = PointTracer(trusted).trace(start, from_output=from_output)
    number = voxel @ [1, 30, 30 * 26]
    assert reading.trust == pytest.approx(number / (30 * 26 * 12 - 1), abs=1e-6)
    assert reading.expected_error == pytest.approx(0.5 - reading.trust / 4, abs=1e-6)
    # 5807 of 9359 is 0.62: the seventh tenth; 0.5 - 0.155 = 0.345, in two digits 0.34 or 0.35
    assert reading.sentence().endswith(
        f"; trust 7 of 10 (medium), expected error {reading.expected_error:.2g} (relative, not HU)"
    )


def test_an_older_result_reads_as_before(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry))
    reading = PointTracer(nodes).trace(geometry.ras_from_ijk([4, 5, 6]), from_output=True)
    assert (reading.trust, reading.expected_error, reading.trust_step) == (None, None, None)
    assert "trust" not in reading.sentence()
    assert nodes.trust_maps() == {}


def test_outside_of_the_image_there_is_no_trust(trusted: ResultNodes, known: SimpleNamespace) -> None:
    beyond = known.oblique_grid().ras_from_ijk([-20, 5, 5])
    assert PointTracer(trusted).trace(beyond, from_output=True).trust is None


@pytest.mark.parametrize(
    ("trust", "text"),
    [
        (0.0, "1 of 10 (low)"),
        (0.299, "3 of 10 (low)"),
        (0.31, "4 of 10 (medium)"),
        (0.699, "7 of 10 (medium)"),
        (0.71, "8 of 10 (high)"),
        (1.0, "10 of 10 (high)"),
    ],
)
def test_a_trust_is_said_in_tenths_and_in_a_word(trust: float, text: str) -> None:
    assert TrustStep.of(trust).text == text


def relative_luminance(colour: tuple[float, float, float]) -> float:
    """Of WCAG 2.1, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_black_letters_can_be_read_on_every_step() -> None:
    assert min((relative_luminance(colour) + 0.05) / 0.05 for colour in COLOURS) > 4.5
    assert hex_of((1.0, 0.5, 0.0)) == "#ff8000"


# The mark


@pytest.fixture
def linked(scene: slicer.vtkMRMLScene) -> Iterator[Callable[[ResultNodes], list[Reading | None]]]:
    """`linked(nodes)` links the cursor and gives the list that its readings go to."""
    cursors = []

    def link(nodes: ResultNodes) -> list[Reading | None]:
        readings: list[Reading | None] = []
        cursors.append(LinkedCursor(scene, nodes, readings.append))
        return readings

    yield link
    for cursor in cursors:
        cursor.close()


def test_the_mark_has_the_colour_of_the_step_and_is_painted_only_when_that_changes(
    scene: slicer.vtkMRMLScene,
    trusted: ResultNodes,
    known: SimpleNamespace,
    hover: Callable,
    linked: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    geometry = known.oblique_grid()
    show_compare(scene, trusted)
    readings = linked(trusted)
    marker = next(node for node in scene.GetNodes() if node.GetName() == "Linked cursor in the source")
    display = marker.GetDisplayNode()
    seen = []
    for voxel in ([15, 13, 2], [15, 13, 5], [15, 13, 10]):
        hover("Red+", geometry.ras_from_ijk(voxel))
        seen.append((tuple(round(part, 6) for part in display.GetSelectedColor()), readings[-1].trust_step.tenth))
    assert [tenth for _, tenth in seen] == [3, 5, 9]
    assert [colour for colour, _ in seen] == [COLOURS[2], COLOURS[4], COLOURS[8]]
    painted: list[tuple] = []
    monkeypatch.setattr(cursor_module, "_paint", lambda *what: painted.append(what))
    hover("Red+", geometry.ras_from_ijk([16, 13, 10]))  # the same step
    assert readings[-1].trust_step.tenth == 9
    assert painted == []
    hover("Red+", geometry.ras_from_ijk([16, 13, 8]))
    assert [colour for _, colour in painted] == [COLOURS[readings[-1].trust_step.tenth - 1]]


def test_without_trust_the_mark_keeps_its_own_colour(
    scene: slicer.vtkMRMLScene, known: SimpleNamespace, add_to_scene: Callable, hover: Callable, linked: Callable
) -> None:
    geometry = known.oblique_grid()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry))
    show_compare(scene, nodes)
    linked(nodes)
    hover("Red+", geometry.ras_from_ijk([15, 13, 2]))
    marker = next(node for node in scene.GetNodes() if node.GetName() == "Linked cursor in the source")
    assert tuple(round(part, 6) for part in marker.GetDisplayNode().GetSelectedColor()) == MARKER_COLOUR


# The command line's scene


def test_the_scene_of_the_command_line_has_maps_ledger_and_colours(known: SimpleNamespace, tmp_path: Path) -> None:
    geometry = known.oblique_grid((9, 8, 5))
    job = tmp_path / "job"
    write_job(job, Job(TranslationRequest("some-bundle"), known.numbered(geometry)))
    maps, ledger = trust_of(geometry), ledger_of(geometry)
    write_result(job, result_on(geometry, Correspondence.identity(geometry), trust=maps, ledger=ledger))
    write_mrb(job, tmp_path / "scene.mrb")
    scene = slicer.vtkMRMLScene()
    colours = slicer.vtkMRMLColorLogic()
    colours.SetMRMLScene(scene)
    colours.AddDefaultColorNodes()
    cache, files = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(str(tmp_path))
    files.SetCacheManager(cache)
    scene.SetDataIOManager(files)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    (nodes,) = results_in(scene)
    for role, volume in {"trust": maps.trust, "expected_error": maps.expected_error}.items():
        array = slicer.util.arrayFromVolume(getattr(nodes, role))
        np.testing.assert_array_equal(array, volume.array_kji)
    assert set(nodes.trust_maps()) == set(MAP_KINDS)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(nodes.ledger_regions), ledger.regions_kji)
    colour = [0.0] * 4
    nodes.trust.GetDisplayNode().GetColorNode().GetColor(0, colour)
    np.testing.assert_allclose(colour, (*COLOURS[0], 1.0), atol=0.01)
    nodes.trust.GetDisplayNode().GetColorNode().GetColor(255, colour)
    assert colour[3] == 0.0
    assert json.loads((job / "ledger.json").read_text(encoding="utf-8"))["rule"] == ledger.rule
    assert [row.entry.strength for row in LedgerBoard(nodes).rows()] == [5.5, 2.75, 1.83333]
    colours.SetMRMLScene(None)


# Over the source


def test_over_the_source_each_value_lies_where_it_came_from(
    scene: slicer.vtkMRMLScene, trusted: ResultNodes, known: SimpleNamespace
) -> None:
    geometry = known.oblique_grid()
    node = traced_map_node(scene, trusted, trusted.trust)
    assert geometry_of_node(node).same_grid(geometry)
    values = slicer.util.arrayFromVolume(node)
    to_output = known.squeeze(geometry).to_output
    last = np.array(geometry.size_ijk) - 1
    compared = 0
    for voxel in ([15, 13, 6], [10, 9, 5], [20, 16, 7]):
        partner = geometry.ijk_from_ras(to_output(geometry.ras_from_ijk(voxel)))
        if (partner >= 0).all() and (partner <= last).all():
            expected = partner @ [1, 30, 30 * 26] / (30 * 26 * 12 - 1)  # linear in the index, so exactly interpolated
            assert values[tuple(reversed(voxel))] == pytest.approx(expected, abs=2e-4)
            compared += 1
    assert compared == 3
    assert node.GetDisplayNode().GetColorNodeID() == trusted.trust.GetDisplayNode().GetColorNodeID()


def test_without_a_partner_it_is_shown_as_the_worst(scene, trusted: ResultNodes, known: SimpleNamespace) -> None:
    geometry = known.oblique_grid()
    corners = geometry.ras_from_ijk(np.array(list(np.ndindex(2, 2, 2))) * (np.array(geometry.size_ijk) - 1))
    partners = geometry.ijk_from_ras(known.squeeze(geometry).to_output(corners))
    beyond = ((partners < -0.6) | (partners > np.array(geometry.size_ijk) - 0.4)).any(axis=1)
    assert beyond.any()
    trust = slicer.util.arrayFromVolume(traced_map_node(scene, trusted, trusted.trust))[::11, ::25, ::29]
    assert (trust.transpose(2, 1, 0).reshape(-1)[beyond] == 0).all()
    error = slicer.util.arrayFromVolume(traced_map_node(scene, trusted, trusted.expected_error))[::11, ::25, ::29]
    top = trusted.expected_error.GetDisplayNode().GetWindowLevelMax()
    np.testing.assert_allclose(error.transpose(2, 1, 0).reshape(-1)[beyond], top, rtol=1e-6)


def test_where_nothing_moved_the_map_itself_lies_over_the_source_and_a_made_one_can_be_removed(
    scene: slicer.vtkMRMLScene, trusted: ResultNodes, known: SimpleNamespace, add_to_scene: Callable
) -> None:
    geometry = known.oblique_grid()
    still = add_to_scene(geometry, Correspondence.identity(geometry), trust=trust_of(geometry))
    assert traced_map_node(scene, still, still.trust) is still.trust
    before = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    first = traced_map_node(scene, trusted, trusted.trust)
    assert traced_map_node(scene, trusted, trusted.trust_cycle) is first
    remove_traced_map(scene, trusted)
    remove_traced_map(scene, trusted)
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == before
