# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import CorruptResultError, JobFolderError, OutputError
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.fields import map_points
from MedTranslateLib.imaging.job_folder import Job, write_job, write_result
from MedTranslateLib.mrml.layout import STOCK_LAYOUT_ID
from MedTranslateLib.mrml.scene import attributes_of
from MedTranslateLib.mrml.scene_export import EXIT_NO_SLICER, EXIT_USERS_MISTAKE, export_scene
from MedTranslateLib.mrml.volumes import geometry_of_node, volume_from_node

REPOSITORY = Path(__file__).parents[2]
LABEL = "FLAIR of case 7 by some-bundle"
OUTPUT_NAME = f"{LABEL} (SYNTHETIC)"
AWKWARD = 'a:b;c "d" <e>\nsecond line \N{GREEK SMALL LETTER MU}'
PROVENANCE: dict[str, Any] = {
    "bundle": {"name": "some-bundle", "version": "1.2.3"},
    "run": {"steps": 2, "samples": 4, "from": "T1", "reverse": False},
    "note": "SYNTHETIC, research use only",
    "awkward": AWKWARD,
}


def oblique(handedness: float, size_ijk: tuple[int, int, int] = (12, 10, 6)) -> Geometry:
    """Rotated by 25 degrees about A and then 40 about S; anisotropic; off the origin."""
    a, b = np.radians(25), np.radians(40)
    about_a = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_s = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_s @ about_a @ np.diag([0.8 * handedness, 1.1, 3.7])
    matrix[:3, 3] = [-21.3, 44.4, 7.7]
    return Geometry(size_ijk, matrix)


def random_field(geometry: Geometry, seed: int) -> DisplacementField:
    vectors = np.random.default_rng(seed).normal(0, 2, (*geometry.shape_kji, 3)).astype(np.float32)
    return DisplacementField(vectors, geometry)


def case_of(geometry: Geometry, **changes: object) -> tuple[Volume, TranslationResult]:
    numbers = np.arange(np.prod(geometry.shape_kji), dtype=np.float32).reshape(geometry.shape_kji)
    source = Volume(numbers, geometry, "case 7", "MR")
    validity = np.ones(geometry.shape_kji, np.uint8)
    validity[:, :, 0] = 0
    values: dict = {
        "translated": source.with_array(numbers / numbers.max()),
        "correspondence": Correspondence(random_field(geometry, 1), random_field(geometry, 2), Origin.MODEL),
        "validity_kji": validity,
        "uncertainty": source.with_array(numbers / 1e4),
        "provenance": PROVENANCE,
        "output_name": "FLAIR",
        "output_modality": "MR",
    }
    return source, TranslationResult(**{**values, **changes})


def write_case(folder: Path, source: Volume, result: TranslationResult) -> Path:
    write_job(folder, Job(TranslationRequest("some-bundle", source_name=source.name, source_modality="MR"), source))
    write_result(folder, result)
    return folder


@pytest.fixture
def reopened(tmp_path: Path) -> Callable[[Volume, TranslationResult], slicer.vtkMRMLScene]:
    """Exports a case and opens the bundle as Slicer does: unpacked, then imported into a fresh scene."""
    kept = []

    def reopen(source: Volume, result: TranslationResult) -> slicer.vtkMRMLScene:
        out = tmp_path / "scene.mrb"
        export_scene(write_case(tmp_path / "job", source, result), out)
        with zipfile.ZipFile(out) as archive:
            archive.extractall(tmp_path / "unpacked")
        scene = slicer.vtkMRMLScene()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, 1)
        colours = slicer.vtkMRMLColorLogic()
        colours.SetMRMLScene(scene)
        colours.AddDefaultColorNodes()
        kept.append(colours)  # the logic removes its colour nodes when it goes
        scene.SetURL(str(tmp_path / "unpacked" / "scene" / "scene.mrml"))
        messages = slicer.vtkMRMLMessageCollection()
        assert scene.Import(messages)
        assert not messages.GetAllMessagesAsString()
        return scene

    return reopen


def named(scene: slicer.vtkMRMLScene, name: str) -> slicer.vtkMRMLNode:
    node = scene.GetFirstNodeByName(name)
    assert node is not None, name
    return node


def test_volumes_come_back_with_their_voxels_and_their_place(reopened: Callable) -> None:
    geometry = oblique(1.0)
    source, result = case_of(geometry)
    scene = reopened(source, result)
    for name, volume in (
        ("case 7 (T1)", source),
        (OUTPUT_NAME, result.translated),
        (f"Uncertainty: {LABEL}", result.uncertainty),
    ):
        back = volume_from_node(named(scene, name))
        assert volume is not None
        assert back.geometry.same_grid(geometry)
        np.testing.assert_array_equal(back.array_kji, volume.array_kji)
    mask = named(scene, f"Seen by the model: {LABEL}")
    assert mask.IsA("vtkMRMLLabelMapVolumeNode")
    np.testing.assert_array_equal(volume_from_node(mask).array_kji, result.validity_kji)


def test_a_left_handed_volume_keeps_each_value_at_its_place(reopened: Callable) -> None:
    geometry = oblique(-1.0)
    source, result = case_of(geometry)
    scene = reopened(source, result)
    node = named(scene, "case 7 (T1)")
    # Slicer turns the slice order of left-handed grids round when it reads them; the same for every volume.
    assert geometry_of_node(node).same_grid(geometry_of_node(named(scene, OUTPUT_NAME)))
    i, j, k = np.rint(geometry_of_node(node).ijk_from_ras(geometry.ras_from_ijk([3, 7, 1]))).astype(int).tolist()
    assert node.GetImageData().GetScalarComponentAsDouble(i, j, k, 0) == source.array_kji[1, 7, 3]


def test_both_fields_map_points_as_before(reopened: Callable) -> None:
    geometry = oblique(-1.0)
    source, result = case_of(geometry)
    scene = reopened(source, result)
    indices = np.random.default_rng(4).integers(0, geometry.size_ijk, (40, 3))
    points = geometry.ras_from_ijk(indices)
    correspondence = result.correspondence
    for name, field in (("Output to source", correspondence.forward), ("Source to output", correspondence.inverse)):
        transform = named(scene, f"{name}: {LABEL}").GetTransformFromParent()
        mapped = np.array([transform.TransformPoint(point) for point in points])
        i, j, k = indices.T
        np.testing.assert_allclose(mapped, points + field.vectors_kji_ras[k, j, i], atol=1e-4)
        np.testing.assert_allclose(mapped, map_points(field, points), atol=1e-4)


def test_an_identity_moves_nothing(reopened: Callable) -> None:
    geometry = oblique(1.0)
    scene = reopened(*case_of(geometry, correspondence=Correspondence.identity(geometry), uncertainty=None))
    node = named(scene, f"Output to source, identity: {LABEL}")
    point = geometry.ras_from_ijk([3.3, 4.4, 2.2])
    np.testing.assert_allclose(node.GetTransformFromParent().TransformPoint(point), point, atol=1e-9)
    assert node.GetAttribute("MedTranslate.correspondence") == "identity"
    assert scene.GetFirstNodeByName(f"Uncertainty: {LABEL}") is None


def test_a_single_slice_comes_back(reopened: Callable) -> None:
    geometry = oblique(1.0, (12, 10, 1))
    identity = Correspondence.identity(geometry)
    scene = reopened(*case_of(geometry, correspondence=identity, uncertainty=None))
    assert volume_from_node(named(scene, OUTPUT_NAME)).geometry.same_grid(geometry)


def test_windows_are_fixed_and_those_of_the_scale(reopened: Callable) -> None:
    source, result = case_of(oblique(1.0), output_scale="hounsfield")
    display = named(reopened(source, result), OUTPUT_NAME).GetDisplayNode()
    assert not display.GetAutoWindowLevel()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (-160, 240)
    assert display.GetColorNode().GetName() == "Grey"


def test_a_relative_output_is_shown_from_zero_to_one(reopened: Callable) -> None:
    display = named(reopened(*case_of(oblique(1.0))), OUTPUT_NAME).GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)


def test_the_views_show_source_and_output_in_groups_that_do_not_move_together(reopened: Callable) -> None:
    scene = reopened(*case_of(oblique(1.0)))
    source, output = named(scene, "case 7 (T1)").GetID(), named(scene, OUTPUT_NAME).GetID()
    shown = {
        tag: (
            scene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode").GetBackgroundVolumeID(),
            scene.GetSingletonNode(tag, "vtkMRMLSliceNode").GetViewGroup(),
        )
        for tag in ("Red", "Green", "Yellow", "Red+", "Green+", "Yellow+")
    }
    assert shown == {tag: (output, 1) if tag.endswith("+") else (source, 0) for tag in shown}
    assert scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement() == STOCK_LAYOUT_ID


def test_fields_and_parts_refer_to_their_images(reopened: Callable) -> None:
    scene = reopened(*case_of(oblique(1.0)))
    source, output = named(scene, "case 7 (T1)"), named(scene, OUTPUT_NAME)
    forward = named(scene, f"Output to source: {LABEL}")
    inverse = named(scene, f"Source to output: {LABEL}")
    moving, fixed = forward.GetMovingNodeReferenceRole(), forward.GetFixedNodeReferenceRole()
    assert (forward.GetNodeReference(moving), forward.GetNodeReference(fixed)) == (source, output)
    assert (inverse.GetNodeReference(moving), inverse.GetNodeReference(fixed)) == (output, source)
    assert output.GetNodeReference("MedTranslate.source") == source
    assert output.GetNodeReference("MedTranslate.forward") == forward
    assert output.GetNodeReference("MedTranslate.inverse") == inverse
    assert output.GetNodeReference("MedTranslate.validity").GetName() == f"Seen by the model: {LABEL}"


def test_the_provenance_is_in_attributes_and_in_a_text(reopened: Callable) -> None:
    scene = reopened(*case_of(oblique(1.0)))
    output = named(scene, OUTPUT_NAME)
    stated = {
        "MedTranslate.bundle.name": "some-bundle",
        "MedTranslate.run.steps": "2",
        "MedTranslate.run.reverse": "false",
        "MedTranslate.synthetic": "true",
        "MedTranslate.scale": "relative",
        "MedTranslate.correspondence": "model",
        "MedTranslate.awkward": AWKWARD,
    }
    assert {name: output.GetAttribute(name) for name in stated} == stated
    assert json.loads(named(scene, f"Provenance: {LABEL}").GetText()) == PROVENANCE


def test_a_nested_table_becomes_flat_names() -> None:
    assert dict(attributes_of({"a": {"b": 1, "c": {"d": None}}, "e": "f", "g": [1, "h"]}, "x.")) == {
        "x.a.b": "1",
        "x.a.c.d": "null",
        "x.e": "f",
        "x.g": '[1, "h"]',
    }


def test_all_nodes_lie_in_one_study(reopened: Callable) -> None:
    scene = reopened(*case_of(oblique(1.0)))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    names = ["case 7 (T1)", OUTPUT_NAME]
    names += [
        f"{part}: {LABEL}"
        for part in ("Output to source", "Source to output", "Seen by the model", "Uncertainty", "Provenance")
    ]
    items = [hierarchy.GetItemByDataNode(named(scene, name)) for name in names]
    assert all(items)
    (study,) = {hierarchy.GetItemParent(item) for item in items}
    assert hierarchy.GetItemLevel(study) == "Study"
    assert hierarchy.GetItemName(study) == "case 7: FLAIR by some-bundle"
    plugins = [hierarchy.GetItemOwnerPluginName(item) for item in items]
    assert plugins == ["Volumes", "Volumes", "Transforms", "Transforms", "LabelMaps", "Volumes", "Texts"]


def test_the_bundle_holds_the_files_of_the_job(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "job", *case_of(oblique(1.0)))
    (tmp_path / "out").mkdir()
    export_scene(folder, tmp_path / "out" / "scene.mrb")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scene.mrb"]
    with zipfile.ZipFile(tmp_path / "out" / "scene.mrb") as archive:
        for name in ("source.nrrd", "translated.nrrd", "forward_field.nrrd", "uncertainty.nrrd", "provenance.json"):
            assert archive.read(f"scene/Data/{name}") == (folder / name).read_bytes()
        assert str(tmp_path) not in archive.read("scene/scene.mrml").decode()


def test_a_changed_result_is_not_exported(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "job", *case_of(oblique(1.0)))
    (folder / "translated.nrrd").write_bytes((folder / "translated.nrrd").read_bytes()[:-1])
    with pytest.raises(CorruptResultError, match=r"translated\.nrrd.*was changed"):
        export_scene(folder, tmp_path / "scene.mrb")
    assert not (tmp_path / "scene.mrb").exists()


def test_a_job_without_a_result_is_not_exported(tmp_path: Path) -> None:
    source, _ = case_of(oblique(1.0))
    write_job(tmp_path / "job", Job(TranslationRequest("some-bundle"), source))
    with pytest.raises(JobFolderError, match="no finished translation"):
        export_scene(tmp_path / "job", tmp_path / "scene.mrb")


def test_a_scene_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "job", *case_of(oblique(1.0)))
    with pytest.raises(OutputError, match=r"scene\.mrb could not be written"):
        export_scene(folder, tmp_path / "missing" / "scene.mrb")


def test_the_child_process_writes_equal_bytes_for_equal_jobs(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "job", *case_of(oblique(1.0)))
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        out = tmp_path / name / "scene.mrb"
        done = child("-m", "MedTranslateLib.mrml.scene_export", str(folder), str(out))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_the_child_process_says_what_a_user_did_wrong(tmp_path: Path) -> None:
    done = child("-m", "MedTranslateLib.mrml.scene_export", str(tmp_path), str(tmp_path / "scene.mrb"))
    assert done.returncode == EXIT_USERS_MISTAKE
    assert "Traceback" not in done.stderr
    assert str(tmp_path) in done.stderr


def test_the_child_process_names_the_extra_that_is_missing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['slicer'] = None; from MedTranslateLib.mrml.scene_export import main; "
        f"sys.exit(main([{str(tmp_path)!r}, 'scene.mrb']))"
    )
    done = child("-c", code)
    assert done.returncode == EXIT_NO_SLICER
    assert "Traceback" not in done.stderr
    assert 'pip install "MedTranslateLib[scene]"' in done.stderr


def child(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)
