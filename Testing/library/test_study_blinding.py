"""From a study folder without its pictures nobody tells real from synthetic; planted leaks show that one could."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation
from study_metadata import chance_of, metadata
from study_samples import NONCE, NoNoise, small_study

from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.geometry import image_from_volume
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.imaging.writing import write_volume
from MedTranslateLib.studies.design_grid import Intensity, Scaling, StudyGrid
from MedTranslateLib.studies.key import checked_key
from MedTranslateLib.studies.prepare import CaseImages, prepare_study
from MedTranslateLib.studies.prepare_images import grey_levels, item_geometry, place_grid
from MedTranslateLib.studies.study import REAL, StudyCase

GRID = StudyGrid((40, 44, 16), (5.0, 5.0, 8.0))
ITEMS = 28
TOLD_APART, NOT_TOLD_APART = 0.01, 0.1


def head(chance: np.random.Generator, away_mm: float) -> Volume:
    """A head of a size of its own with noise, on an oblique and anisotropic grid."""
    matrix = np.eye(4)
    turned = Rotation.from_euler("xyz", chance.uniform(-6, 6, 3), degrees=True).as_matrix()
    matrix[:3, :3] = turned @ np.diag(chance.uniform(0.95, 1.05, 3) * (5.5, 5.0, 7.0))
    matrix[:3, 3] = chance.uniform(-1, 1, 3) * away_mm
    clean = head_phantom(Geometry((48, 52, 36), matrix))
    matrix[:3, :3] *= chance.uniform(0.93, 1.07)
    noisy = np.abs(clean.array_kji + chance.normal(0, 12, clean.array_kji.shape))
    return Volume(noisy.astype(np.float32), Geometry((48, 52, 36), matrix))


def scanned(path: Path, chance: np.random.Generator) -> None:
    """As scanners and archives leave an image: far away, few whole numbers, noise in the air, a header full of tags."""
    image = head(chance, 200.0)
    whole = sitk.Cast(image_from_volume(image.with_array(np.rint(image.array_kji / 8))), sitk.sitkInt16)
    whole.SetMetaData("0008|0070", "A manufacturer")
    whole.SetMetaData("0008|0020", "20240131")
    sitk.WriteImage(whole, str(path), useCompression=True)


def made(path: Path, chance: np.random.Generator) -> None:
    """As bundles leave one: float32 in 0..1, exact zeros around the head, and the mark of a synthetic image."""
    image = head(chance, 2.0)
    array = np.where(image.array_kji < 45, 0, np.clip(image.array_kji / 960, 0, 1))
    write_volume(path, replace(image.with_array(array), synthetic=True))


def make_study(folder: Path, nonce: str = NONCE) -> tuple[Path, dict[str, bool]]:
    """The folder, and of each item whether it is synthetic."""
    cases = []
    for number in range(ITEMS):
        path = folder / f"{number}.nrrd"
        synthetic = number % 2 == 1
        (made if synthetic else scanned)(path, np.random.default_rng(number))
        cases.append(StudyCase(f"case-{number}", image=path.name, treatment="bundle" if synthetic else REAL))
    study = small_study(cases=tuple(cases), grid=GRID, repeats=8)
    load = lambda case: CaseImages(read_volume(folder / case.image))  # noqa: E731  # one line, one use
    done = prepare_study(study, folder / "study", folder / "key.json", load, nonce)
    key = checked_key(done.folder, done.key_file)
    return done.folder, {entry.item: entry.treatment != REAL for entry in key.entries}


@pytest.fixture(scope="module")
def blinded(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("blinded"))


def chance_in(folder: Path, synthetic: dict[str, bool]) -> float:
    items, features = metadata(folder)
    return chance_of(features, np.array([synthetic[item] for item in items]))


def test_metadata_do_not_tell_real_from_synthetic(blinded):
    assert chance_in(*blinded) > NOT_TOLD_APART


def test_a_few_stored_values_leave_no_gaps_between_grey_levels():
    """Whole numbers 0 to 127 on the study's own grid, which nothing interpolates, become all of 256 levels."""
    chance = np.random.default_rng(4)
    array = np.zeros((20, 60, 60), np.float32)
    array[1:-1, 2:-2, 2:-2] = chance.integers(1, 128, (18, 56, 56))
    grid, rule = StudyGrid((60, 60, 20), (1.0, 1.0, 1.0)), Intensity(Scaling.VALUES, 0.0, 127.0, blur_mm=0.0)
    image = Volume(array, item_geometry(grid))
    empty = {}
    for noise, dice in (("none", NoNoise()), ("common", np.random.default_rng(5))):
        levels = grey_levels(image, place_grid(image, grid, (0.0, 0.0, 0.0)), grid, rule, dice)
        empty[noise] = int((np.bincount(levels.ravel(), minlength=256) == 0).sum())
    assert empty == {"none": 128, "common": 0}


def leak_time(path: Path, place: int) -> None:
    os.utime(path, (1_000_000_000 + place, 1_000_000_000 + place))


def leak_header(path: Path, _place: int) -> None:
    path.write_bytes(path.read_bytes().replace(b"it may be", b"it is SYN", 1))


def leak_origin(path: Path, place: int) -> None:
    image = sitk.ReadImage(str(path))
    image.SetOrigin((float(place), 0.0, 0.0))
    sitk.WriteImage(image, str(path), useCompression=False)


def leak_size(path: Path, _place: int) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def change_levels(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    header, mark, data = path.read_bytes().partition(b"\n\n")
    path.write_bytes(header + mark + change(np.frombuffer(data, np.uint8)).astype(np.uint8).tobytes())


def leak_range(path: Path, _place: int) -> None:
    change_levels(path, lambda levels: np.minimum(levels, 254))


def leak_gaps(path: Path, _place: int) -> None:
    """Few stored values, stretched: a comb."""
    change_levels(path, lambda levels: np.rint(np.rint(levels / 2.6) * 2.6))


def leak_comb(path: Path, _place: int) -> None:
    """Every third level a little more often."""
    change_levels(path, lambda levels: np.where((levels % 6 == 1) & (levels > 6), levels - 1, levels))


@pytest.mark.parametrize(
    "leak", [leak_time, leak_header, leak_origin, leak_size, leak_range, leak_gaps, leak_comb], ids=lambda f: f.__name__
)
def test_a_planted_leak_is_found(blinded, tmp_path, leak):
    source, synthetic = blinded
    folder = tmp_path / "leaking"
    shutil.copytree(source, folder)
    for path in sorted((folder / "items").iterdir()):
        os.utime(path, (0, 0))
    for place, item in enumerate(sorted(name for name, is_made in synthetic.items() if is_made)):
        leak(folder / "items" / f"{item}.nrrd", place)
    assert chance_in(folder, synthetic) < TOLD_APART


def test_an_order_that_favours_one_kind_is_found(blinded, tmp_path):
    source, synthetic = blinded
    folder = tmp_path / "leaking"
    shutil.copytree(source, folder)
    plan = json.loads((folder / "study.json").read_text())
    for turns in plan["orders"].values():
        turns.sort(key=lambda turn: synthetic[turn["item"]])
    (folder / "study.json").write_text(json.dumps(plan))
    assert chance_in(folder, synthetic) < TOLD_APART
