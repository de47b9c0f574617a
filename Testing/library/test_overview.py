from __future__ import annotations

import struct
from itertools import permutations, product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.quiver import Quiver

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import OutputError
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.trust import TrustMaps
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.evaluation.overview import draw_overview, shorten, write_overview
from MedTranslateLib.evaluation.slice_views import choose_views, direction_letters
from MedTranslateLib.imaging.display import SOFT_TISSUE_HU, source_range
from MedTranslateLib.imaging.geometry import Plane

PROVENANCE = {
    "bundle": {"name": "some-bundle", "version": "1.2.3", "method": "bidpm"},
    "run": {"steps": 2, "samples": 8, "from": "T1"},
    "software": {"version": "9.8.7"},
}


def geometry_along(axes: tuple[int, int, int], signs: tuple[int, int, int], spacing: tuple[float, ...]) -> Geometry:
    """Voxel axis n runs along patient axis axes[n] in the sense of signs[n]."""
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for voxel, (patient, sign) in enumerate(zip(axes, signs, strict=True)):
        matrix[patient, voxel] = sign * spacing[voxel]
    matrix[:3, 3] = [5.0, -8.0, 13.0]
    return Geometry((30, 34, 38), matrix)


def ball_at(geometry: Geometry, offset_ras: tuple[float, float, float]) -> Volume:
    """A faint box that fills most of the volume, and a bright ball off its middle."""
    shape = geometry.shape_kji
    k, j, i = np.indices(shape)
    points = geometry.ras_from_ijk(np.stack([i, j, k], axis=-1))
    middle = geometry.ras_from_ijk((np.array(geometry.size_ijk) - 1) / 2)
    array = np.full(shape, 100.0)
    array[np.linalg.norm(points - middle - offset_ras, axis=-1) < 7] = 1000.0
    return Volume(array, geometry, "ball", "MR")


def result_for(source: Volume, **changes: object) -> TranslationResult:
    geometry = source.geometry
    values: dict = {
        "translated": source.with_array(source.array_kji / 1000),
        "correspondence": Correspondence.identity(geometry),
        "validity_kji": np.ones(geometry.shape_kji, np.uint8),
        "uncertainty": None,
        "provenance": PROVENANCE,
        "output_name": "FLAIR",
        "output_modality": "MR",
    }
    return TranslationResult(**{**values, **changes})


def everything_written(figure: mpl.figure.Figure) -> str:
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    return "\n".join(text.get_text() for text in texts)


@pytest.fixture
def source() -> Volume:
    return ball_at(geometry_along((0, 1, 2), (-1, -1, 1), (1.0, 1.2, 1.5)), (8, 8, 8))


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((-1, 1), repeat=3)))
def test_what_lies_right_front_and_up_is_seen_at_the_upper_left_of_each_view(
    axes: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    volume = ball_at(geometry_along(axes, signs, (1.0, 1.0, 1.0)), (6, 6, 6))
    views = choose_views(volume)
    assert {view.plane for view in views} == {Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL}
    for view in views:
        # The ball is brighter than its surroundings in the slices next to the middle as well.
        rows, columns = np.nonzero(view.take(volume.array_kji) > 500)
        height, width = view.take(volume.array_kji).shape
        assert rows.size
        assert rows.mean() < height / 2
        assert columns.mean() < width / 2


def test_the_letters_of_the_three_planes_are_those_of_a_radiological_viewer(source: Volume) -> None:
    letters = {view.plane: view.letters for view in choose_views(source)}
    assert letters[Plane.AXIAL] == ("R", "L", "A", "P")
    assert letters[Plane.CORONAL] == ("R", "L", "S", "I")
    assert letters[Plane.SAGITTAL] == ("A", "P", "S", "I")


def test_a_direction_between_two_axes_has_two_letters() -> None:
    assert direction_letters(np.array([np.cos(0.5), -np.sin(0.5), 0.0])) == "RP"
    assert direction_letters(np.array([np.cos(0.2), -np.sin(0.2), 0.0])) == "R"


def test_positions_belong_to_the_pixels_that_are_taken(oblique_geometry: Geometry) -> None:
    k, j, i = np.indices(oblique_geometry.shape_kji)
    positions = oblique_geometry.ras_from_ijk(np.stack([i, j, k], axis=-1))
    volume = Volume(positions[..., 1], oblique_geometry, "anterior position")
    for view in choose_views(volume):
        np.testing.assert_allclose(view.take(positions[..., 1]), view.points_ras()[..., 1], atol=1e-9)


def test_pixels_that_are_not_square_keep_their_proportions(source: Volume) -> None:
    views = {view.plane: view for view in choose_views(source)}
    constant = Volume(np.zeros(source.geometry.shape_kji), source.geometry)
    whole = {view.plane: view for view in choose_views(constant)}
    assert whole[Plane.CORONAL].size_mm == pytest.approx((30 * 1.0, 38 * 1.5))
    assert views[Plane.AXIAL].size_mm[0] / views[Plane.AXIAL].size_mm[1] == pytest.approx(
        views[Plane.AXIAL].take(source.array_kji).shape[1] / (views[Plane.AXIAL].take(source.array_kji).shape[0] * 1.2)
    )


def test_thick_sagittal_slices_are_shown_as_sagittal_slices() -> None:
    views = choose_views(ball_at(geometry_along((1, 2, 0), (1, -1, -1), (0.7, 0.7, 3.0)), (0, 0, 0)))
    assert [view.plane for view in views] == [Plane.SAGITTAL] * 3
    assert len({view.index for view in views}) == 3


def test_a_patient_on_two_slices_is_shown_in_two_rows() -> None:
    volume = ball_at(geometry_along((1, 2, 0), (1, -1, -1), (1.0, 1.0, 6.0)), (0, 0, 0))  # 14 mm across
    assert len(choose_views(volume)) == 2
    assert len(draw_overview(volume, result_for(volume)).axes) == 2 * 4 + 2  # two colour bars


@pytest.mark.parametrize(
    ("errors", "said"),
    [(None, "not calibrated: rank within this output"), (0.1, "rank among places of other patients")],
)
def test_trust_has_a_panel_of_its_own_that_says_what_its_ranks_are_worth(
    source: Volume, errors: float | None, said: str
) -> None:
    trust = source.with_array(np.linspace(0, 1, source.array_kji.size).reshape(source.array_kji.shape))
    expected = None if errors is None else source.with_array(np.full(source.array_kji.shape, errors))
    figure = draw_overview(source, result_for(source, trust=TrustMaps(trust, expected)))
    panel = figure.axes[4]
    assert (panel.images[0].norm.vmin, panel.images[0].norm.vmax) == (0, 1)
    view = choose_views(source)[0]
    np.testing.assert_array_equal(panel.images[0].get_array(), view.take(trust.array_kji))
    assert said in everything_written(figure)
    assert len(draw_overview(source, result_for(source)).axes) < len(figure.axes)


def test_a_single_slice_has_one_view() -> None:
    geometry = Geometry((20, 25, 1), np.diag([-0.9, -0.9, 5.0, 1.0]))
    array = np.zeros(geometry.shape_kji)
    array[0, 5:15, 5:15] = 7
    (view,) = choose_views(Volume(array, geometry))
    assert view.plane is Plane.AXIAL
    assert view.caption == "axial, S 0 mm"


def test_equal_results_give_equal_bytes_without_date_or_version(source: Volume, tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        write_overview(tmp_path / name, source, result_for(source))
    content = (tmp_path / "first.png").read_bytes()
    assert content == (tmp_path / "second.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.png", "second.png"]
    assert struct.unpack(">I", content[16:20]) == (1600,)
    position, kinds = 8, set()
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        kinds.add(content[position + 4 : position + 8])
        position += length + 12
    assert kinds == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


def test_drawing_leaves_the_settings_of_matplotlib_alone(source: Volume, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    write_overview(tmp_path / "overview.png", source, result_for(source))
    assert dict(mpl.rcParams) == before


def test_the_picture_says_what_it_shows(source: Volume) -> None:
    written = everything_written(draw_overview(source, result_for(source)))
    for text in (
        "SYNTHETIC, research use only",
        "ball   T1 \N{RIGHTWARDS ARROW} FLAIR",
        "bundle some-bundle 1.2.3",
        "MedTranslate 9.8.7",
        "identity: every pixel stays in place",
        "edges of the source over the output",
        "relative, not HU",
    ):
        assert text in written
    assert "Uncertainty" not in written
    assert "Border of what the model saw" not in written


@pytest.mark.parametrize(
    ("origin", "text"), [(Origin.MODEL, "by the model"), (Origin.ESTIMATED, "estimated afterwards")]
)
def test_a_field_is_labelled_with_its_origin(source: Volume, origin: Origin, text: str) -> None:
    vectors = np.full((*source.geometry.shape_kji, 3), 2.0, np.float32)
    field = DisplacementField(vectors, source.geometry)
    result = result_for(source, correspondence=Correspondence(field, field, origin))
    assert f"displacement to the source, {text}" in everything_written(draw_overview(source, result))


def test_arrows_point_from_the_output_towards_the_source(source: Volume) -> None:
    vectors = np.zeros((*source.geometry.shape_kji, 3), np.float32)
    vectors[..., 0] = 7.0  # towards the patient's right: to the left of an axial picture
    field = DisplacementField(vectors, source.geometry)
    result = result_for(source, correspondence=Correspondence(field, field, Origin.MODEL))
    figure = draw_overview(source, result)
    (arrows,) = (artist for artist in figure.axes[2].collections if isinstance(artist, Quiver))
    np.testing.assert_allclose(arrows.U, -14.0, atol=1e-4)  # 7 mm, drawn twice as long: 14 mm apart
    np.testing.assert_allclose(arrows.V, 0.0, atol=1e-4)
    assert "arrows drawn 2 times as long" in everything_written(figure)


def test_output_and_uncertainty_are_shown_on_the_scale_of_the_target(source: Volume) -> None:
    spread = source.with_array(np.full(source.geometry.shape_kji, 30.0))
    output = source.with_array(source.array_kji - 500)
    result = result_for(source, translated=output, uncertainty=spread, output_scale="hounsfield")
    figure = draw_overview(source, result)
    view = choose_views(source)[0]
    shown = figure.axes[1].images[0]
    assert shown.get_clim() == SOFT_TISSUE_HU
    np.testing.assert_array_equal(shown.get_array(), view.take(output.array_kji))
    written = everything_written(figure)
    assert "standard deviation of 8 samples" in written
    assert "HU" in written.splitlines()
    assert "relative, not HU" not in written


def test_the_border_of_what_the_model_saw_is_drawn_where_there_is_one(source: Volume) -> None:
    validity = np.ones(source.geometry.shape_kji, np.uint8)
    validity[:, :, :8] = 0
    without = draw_overview(source, result_for(source))
    bordered = draw_overview(source, result_for(source, validity_kji=validity))
    assert not without.axes[1].collections
    (line,) = bordered.axes[1].collections
    across = np.concatenate([path.vertices for path in line.get_paths()])[:, 0]
    # Display columns run to the patient's left as voxel columns do here, and nothing is cut off: 8 columns of 1 mm.
    np.testing.assert_allclose(across, 8.0, atol=0.51)
    assert "Border of what the model saw" in everything_written(bordered)


def test_without_a_known_contrast_the_title_leads_from_the_name_to_the_output(source: Volume) -> None:
    unknown = Volume(source.array_kji, source.geometry, "ball")
    result = result_for(unknown, provenance={"bundle": {"name": "some-bundle"}})
    assert "ball \N{RIGHTWARDS ARROW} FLAIR" in everything_written(draw_overview(unknown, result)).splitlines()


def test_a_dollar_in_a_name_is_no_formula(source: Volume, tmp_path: Path) -> None:
    named = Volume(source.array_kji, source.geometry, "price $x_{ $ list")
    write_overview(tmp_path / "overview.png", named, result_for(named))
    assert "price $x_{ $ list" in everything_written(draw_overview(named, result_for(named)))


def test_a_long_name_keeps_both_ends() -> None:
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("abcdefghijk", 10) == "abcd\N{HORIZONTAL ELLIPSIS}ghijk"


def test_a_picture_that_cannot_be_written_is_an_output_error(source: Volume, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"overview\.png could not be written"):
        write_overview(tmp_path / "missing" / "overview.png", source, result_for(source))


def test_a_constant_image_has_a_range(source: Volume) -> None:
    shown = source_range(source.with_array(np.full(source.geometry.shape_kji, 4.0)))
    assert (shown.low, shown.high) == (4.0, 5.0)
