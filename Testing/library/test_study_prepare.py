"""Images are laid on the study's grid where they belong, all alike, and a study folder is whole or not there."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation
from study_samples import (
    NONCE,
    TINY_GRID,
    NoNoise,
    load_phantom,
    pair_study,
    phantom,
    prepared,
    singles,
    small_study,
)

from MedTranslateLib.core.errors import InvalidVolumeError, OutputError, StudyError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.studies.design_grid import GridAxes, Intensity, Scaling, StudyGrid
from MedTranslateLib.studies.key import checked_key
from MedTranslateLib.studies.prepare import prepare_study
from MedTranslateLib.studies.prepare_images import grey_levels, item_geometry, place_grid
from MedTranslateLib.studies.prepare_plan import check_sealed, read_plan, read_seal
from MedTranslateLib.studies.study import Region, ShowOptions

NO_NOISE_RULE = Intensity(Scaling.VALUES, 0.0, 255.0, blur_mm=0.0, cut_background=False)


def oblique(size=(40, 36, 30), left_handed=False) -> Geometry:
    matrix = np.eye(4)
    turned = Rotation.from_euler("xyz", (9, -14, 21), degrees=True).as_matrix() @ np.diag(
        [-1.0 if left_handed else 1.0, 1.0, 1.0]
    )
    matrix[:3, :3] = turned @ np.diag([1.9, 2.1, 2.6])
    matrix[:3, 3] = [30.0, -50.0, 20.0]
    return Geometry(size, matrix)


def ramp(geometry: Geometry) -> Volume:
    """An intensity that tells the RAS place: 100 + R + 2 A + 0.5 S over ten."""
    k, j, i = np.indices(geometry.shape_kji)
    r, a, s = np.moveaxis(geometry.ras_from_ijk(np.stack([i, j, k], axis=-1)), -1, 0)
    return Volume((100 + (r + 2 * a + 0.5 * s) / 10).astype(np.float32), geometry)


def test_a_voxel_of_an_item_shows_what_lies_there_in_the_patient():
    image = ramp(oblique())
    middle = image.geometry.ras_from_ijk((19.5, 17.5, 14.5))
    grid = StudyGrid((9, 7, 5), (2.0, 2.5, 3.0))
    levels = grey_levels(image, place_grid(image, grid, tuple(middle)), grid, NO_NOISE_RULE, NoNoise())
    # columns run from right to left, rows from front to back, slices from feet to head, around the middle
    k, j, i = np.indices((5, 7, 9))
    r, a, s = middle[0] - 2 * (i - 4), middle[1] - 2.5 * (j - 3), middle[2] + 3 * (k - 2)
    np.testing.assert_allclose(levels, 100 + (r + 2 * a + 0.5 * s) / 10, atol=0.51)


@pytest.mark.parametrize("left_handed", [False, True])
def test_a_grid_along_the_images_own_axes_shows_its_slices_and_never_a_mirror_image(left_handed):
    image = ramp(oblique(left_handed=left_handed))
    middle = image.geometry.ras_from_ijk((20, 18, 15))
    grid = StudyGrid((9, 7, 5), (1.9, 2.1, 2.6), GridAxes.ACQUIRED)
    placement = place_grid(image, grid, tuple(middle))
    assert np.linalg.det(placement.axes_ras) == pytest.approx(1.0)
    levels = grey_levels(image, placement, grid, NO_NOISE_RULE, NoNoise())
    own = image.array_kji[13:18, 15:22, 16:25]
    np.testing.assert_allclose(levels, own[::-1] if left_handed else own, atol=0.51)


@pytest.mark.parametrize("axes", list(GridAxes))
def test_a_region_is_found_in_the_item_where_the_image_has_it(axes):
    geometry = oblique()
    array = np.zeros(geometry.shape_kji, np.float32)
    array[6:25, 6:30, 6:34] = 100
    array[12:15, 10:13, 26:29] = 250
    image = Volume(array, geometry)
    spot = geometry.ras_from_ijk((27, 11, 13))
    grid = StudyGrid((60, 60, 50), (2.0, 2.0, 2.0), axes)
    placement = place_grid(image, grid, tuple(geometry.ras_from_ijk((19, 17, 15))))
    levels = grey_levels(image, placement, grid, NO_NOISE_RULE, NoNoise())
    k, j, i = np.argwhere(levels > 200).mean(axis=0)
    seen = item_geometry(grid).ras_from_ijk((i, j, k))
    region = placement.to_item(Region(tuple(spot), 3.0, "spot"))
    np.testing.assert_allclose(region.centre_ras, seen, atol=0.7)
    assert (region.radius_mm, region.name) == (3.0, "spot")


def test_without_a_stated_centre_the_foreground_lies_in_the_middle():
    array = np.zeros((30, 36, 40), np.float32)
    array[10:20, 4:14, 20:36] = 100
    image = Volume(array, Geometry((40, 36, 30), np.diag([2.0, 2.0, 2.0, 1.0])))
    placement = place_grid(image, TINY_GRID, None)
    np.testing.assert_allclose(placement.centre_ras, (55, 17, 29), atol=2.0)
    with pytest.raises(InvalidVolumeError, match="constant"):
        place_grid(image.with_array(np.ones_like(array)), TINY_GRID, None)


def test_a_place_without_anything_to_see_is_refused():
    image = phantom()
    with pytest.raises(StudyError, match="nothing to see"):
        grey_levels(image, place_grid(image, TINY_GRID, (900, 0, 0)), TINY_GRID, Intensity(), NoNoise())


def test_percentiles_of_the_body_become_black_and_white_whatever_the_scale_of_the_image():
    image = phantom()
    placement = place_grid(image, TINY_GRID, None)
    first, second = (
        grey_levels(one, placement, TINY_GRID, Intensity(), np.random.default_rng(1))
        for one in (image, image.with_array(image.array_kji * 0.001 + 17))
    )
    np.testing.assert_array_equal(first, second)
    assert (first.min(), first.max()) == (0, 255)


def test_the_same_nonce_prepares_the_same_study_and_another_one_other_names(tmp_path):
    first, again = prepared(tmp_path, name="a"), prepared(tmp_path, name="b")
    other = prepare_study(small_study(), tmp_path / "c", tmp_path / "c.json", load_phantom, "6f" * 32)
    assert read_seal(first.folder) == read_seal(again.folder)
    names = [{item.item for item in read_plan(one.folder).items} for one in (first, other)]
    assert not names[0] & names[1]
    random = [prepare_study(small_study(), tmp_path / x, tmp_path / f"{x}.json", load_phantom) for x in "de"]
    assert random[0].key_sha256 != random[1].key_sha256


def test_what_readers_get_names_no_case_no_treatment_no_subject_and_no_seed(tmp_path):
    study = small_study(cases=singles(6, subject="patient-x", truth=1), seed=987654)
    made = prepare_study(study, tmp_path / "s", tmp_path / "k.json", load_phantom, NONCE)
    content = b"".join(path.read_bytes() for path in made.folder.rglob("*") if path.is_file())
    for word in (b"case-", b'"real"', b"bundle-a", b"patient-x", b"987654", b"truth", b"subject", NONCE.encode()):
        assert word not in content, word
    key = made.key_file.read_text()
    assert all(word in key for word in ("case-0", "bundle-a", "patient-x", "987654"))


def test_the_key_says_of_each_item_what_it_shows(tmp_path):
    region = Region((3.0, 4.0, 5.0), 6.0)
    cases = tuple(replace(case, centre_ras=(1.0, 1.0, 1.0), regions=(region,)) for case in singles(6))
    study = small_study(cases=cases)
    made = prepare_study(study, tmp_path / "s", tmp_path / "k.json", load_phantom, NONCE)
    key = checked_key(made.folder, made.key_file)
    assert key.study == study
    assert sorted(entry.case for entry in key.entries) == sorted(case.id for case in cases)
    assert {entry.treatment for entry in key.entries if entry.case in ("case-0", "case-2", "case-4")} == {"real"}
    assert {entry.regions[0].centre_ras for entry in key.entries} == {(2.0, 3.0, 4.0)}
    shown = {}
    for entry in key.entries:
        shown[entry.case] = read_volume(made.folder / "items" / f"{entry.item}.nrrd").array_kji
    direct = load_phantom(cases[3]).image
    levels = grey_levels(
        direct, place_grid(direct, TINY_GRID, (1.0, 1.0, 1.0)), TINY_GRID, Intensity(), np.random.default_rng(0)
    )
    assert np.abs(shown["case-3"] - levels.astype(float)).max() <= 3  # but for the noise of a level


def test_of_pairs_the_real_image_comes_first_as_often_as_second(tmp_path):
    study = pair_study(8)
    made = prepare_study(study, tmp_path / "s", tmp_path / "k.json", load_phantom, NONCE)
    key = checked_key(made.folder, made.key_file)
    assert sorted(entry.treatment for entry in key.entries) == ["bundle-a"] * 4 + ["real"] * 4
    assert all({entry.treatment, entry.second_treatment} == {"real", "bundle-a"} for entry in key.entries)
    item = read_plan(made.folder).items[0]
    assert item.images == (f"items/{item.item}-first.nrrd", f"items/{item.item}-second.nrrd")
    entry = key.entry(item.item)
    assert study.case(entry.cases[0]).made_by == entry.treatment


def test_sources_lie_beside_the_images_only_where_they_are_shown(tmp_path):
    cases = singles(4, source="mr.nrrd")
    for shown in (False, True):
        study = small_study(cases=cases, show=ShowOptions(source=shown))
        folder = prepared(tmp_path, study, f"study-{shown}").folder
        assert len(list((folder / "items").iterdir())) == (8 if shown else 4)
        assert all(len(item.sources) == shown for item in read_plan(folder).items)
        check_sealed(folder)


def test_what_is_there_is_never_written_over(tmp_path):
    made = prepared(tmp_path)
    before = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    with pytest.raises(StudyError, match="is there already"):
        prepare_study(small_study(), made.folder, tmp_path / "other.json", load_phantom)
    with pytest.raises(StudyError, match="is there already"):
        prepare_study(small_study(), tmp_path / "other", made.key_file, load_phantom)
    with pytest.raises(StudyError, match="where readers find it"):
        prepare_study(small_study(), tmp_path / "other", tmp_path / "other/key.json", load_phantom)
    assert before == {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    assert not (tmp_path / "other").exists()


def test_a_preparation_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fails(case):
        if case.id == "case-4":
            msg = "damaged"
            raise InvalidVolumeError(msg)
        return load_phantom(case)

    with pytest.raises(InvalidVolumeError):
        prepare_study(small_study(), tmp_path / "s", tmp_path / "k.json", fails)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        prepare_study(small_study(), tmp_path / "file/s", tmp_path / "k.json", load_phantom)
    monkeypatch.setattr("MedTranslateLib.studies.prepare._forget_times", lambda _part: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare_study(small_study(), tmp_path / "s", tmp_path / "k.json", load_phantom)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_item_is_read_by_others_as_grey_levels_on_the_studys_grid(tmp_path):
    folder = prepared(tmp_path).folder
    image = sitk.ReadImage(str(next((folder / "items").iterdir())))
    assert image.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    assert image.GetSize() == TINY_GRID.size_ijk
    assert image.GetSpacing() == TINY_GRID.spacing_mm
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)  # LPS
    assert image.GetOrigin() == (-76.0, -89.25, -64.0)  # minus (size - 1) / 2 spacings
    assert "may be SYNTHETIC" in image.GetMetaData("MedTranslate_study")
    assert json.loads((folder / "study.json").read_text())["window"] == [0.0, 255.0]


def test_all_files_of_a_study_have_one_time_and_all_images_one_size_and_header(tmp_path):
    folder = prepared(tmp_path).folder
    assert {path.stat().st_mtime for path in [folder, *folder.rglob("*")]} == {946_684_800.0}  # 2000-01-01
    images = [path.read_bytes() for path in (folder / "items").iterdir()]
    header, _, data = images[0].partition(b"\n\n")
    assert len(data) == 20 * 22 * 9
    assert {image[: len(header)] for image in images} == {header}
    assert {len(image) for image in images} == {len(images[0])}
