"""Files that a stranger may have made: archives, image headers, weights; used, or refused with a sentence."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_bundles_store import contents

from MedTranslateLib.bundles.manifest import MANIFEST, WEIGHTS
from MedTranslateLib.bundles.store import BundleStore
from MedTranslateLib.bundles.verify import sha256_of
from MedTranslateLib.core.errors import UserError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.imaging.writing import write_volume

FUZZ = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NAME_PARTS = st.sampled_from(
    ["", ".", "..", "/", "\\", "C:", "bundle.json", "weights.safetensors", "b", "x.pt", "\x00", "é", "~", "a" * 300]
)
NAMES = st.lists(NAME_PARTS, min_size=1, max_size=4).map("/".join).filter(bool)
ENDINGS = [".nrrd", ".nii"]  # ITK 5.4 itself crashes on some damaged .mha headers
OBLIQUE = np.array([[0.9, 0.2, 0, 5], [-0.2, 0.8, 0, -7], [0, 0, 3.5, 11], [0, 0, 0, 1.0]])


def refused_in_words(use):
    """Whether it was refused; anything but a user error with a sentence fails the test."""
    try:
        use()
    except UserError as error:
        sentence = str(error)
    else:
        return False
    assert len(sentence) > 10
    return True


@st.composite
def pieces(draw, content, most=6):
    """The content with a few bytes changed, taken out or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, most))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        data[place : place + draw(st.integers(0, 12))] = draw(st.binary(max_size=12))
    return bytes(data)


@FUZZ
@given(
    members=st.lists(st.tuples(NAMES, st.binary(max_size=40), st.integers(0, 0o177777)), max_size=5),
    whole=st.booleans(),
)
def test_no_archive_writes_outside_the_user_s_folder(tmp_path_factory, make_bundle_once, members, whole):
    place = tmp_path_factory.mktemp("zip")
    store = BundleStore((), place / "user")
    with zipfile.ZipFile(place / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in [MANIFEST, WEIGHTS] if whole else []:
            archive.write(make_bundle_once / name, f"b/{name}")
        unequal = {name.partition("\0")[0]: (content, mode) for name, content, mode in members}
        for name, (content, mode) in unequal.items():  # zipfile warns of a name that is there twice
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    refused = refused_in_words(lambda: store.add(place / "b.zip"))
    there = {path.relative_to(place).parts[0] for path in place.rglob("*")}
    assert there <= {"b.zip", "user"}
    assert refused or contents(store.user)
    assert not list(store.user.glob(".*"))
    shutil.rmtree(place)


@FUZZ
@given(data=st.data())
def test_a_damaged_archive_is_refused_or_holds_a_whole_bundle(tmp_path_factory, make_bundle_once, data):
    place = tmp_path_factory.mktemp("zip")
    with zipfile.ZipFile(place / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (MANIFEST, WEIGHTS):
            archive.write(make_bundle_once / name, f"b/{name}")
    (place / "b.zip").write_bytes(data.draw(pieces((place / "b.zip").read_bytes())))
    store = BundleStore((), place / "user")
    if not refused_in_words(lambda: store.add(place / "b.zip")):
        (installed,) = store.list()
        assert sha256_of(installed.folder / WEIGHTS) == sha256_of(make_bundle_once / WEIGHTS)
    shutil.rmtree(place)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_image_with_a_damaged_header_is_read_or_refused(tmp_path, ending):
    path = tmp_path / f"image{ending}"
    volume = Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), Geometry((4, 3, 2), OBLIQUE))
    write_volume(path, volume)
    content = path.read_bytes()

    @FUZZ
    @given(data=st.data())
    def read_or_refused(data):
        path.write_bytes(data.draw(pieces(content)))
        read = []
        if not refused_in_words(lambda: read.append(read_volume(path))):
            assert np.isfinite(read[0].array_kji).all()
            assert np.isfinite(read[0].geometry.ijk_to_ras).all()

    read_or_refused()


@FUZZ
@given(
    options=st.dictionaries(
        st.sampled_from(["channels", "residual_blocks", "patch", "steps", "mirror"]),
        st.lists(st.integers(-16, 1 << 40), max_size=9) | st.integers(-2, 1 << 40) | st.floats() | st.text(max_size=4),
        min_size=1,
    )
)
def test_a_foreign_network_of_any_size_is_refused_before_it_takes_memory(make_bundle_once, tmp_path_factory, options):
    import torch

    from MedTranslateLib.inference.weights import load_bundle

    folder = tmp_path_factory.mktemp("huge")
    shutil.copyfile(make_bundle_once / WEIGHTS, folder / WEIGHTS)
    card = json.loads((make_bundle_once / MANIFEST).read_text())
    card["method_options"] = {**card["method_options"], **options}
    (folder / MANIFEST).write_text(json.dumps(card, allow_nan=False) if json_can_say(card) else "{}")
    refused_in_words(lambda: load_bundle(folder, torch.device("cpu")))
    shutil.rmtree(folder)


@FUZZ
@given(data=st.data())
def test_weights_with_a_damaged_header_are_refused_or_those_of_the_method(make_bundle_once, tmp_path_factory, data):
    import torch

    from MedTranslateLib.inference.weights import load_bundle

    folder = tmp_path_factory.mktemp("weights")
    content = (make_bundle_once / WEIGHTS).read_bytes()
    head = 8 + int.from_bytes(content[:8], "little")
    (folder / WEIGHTS).write_bytes(data.draw(pieces(content[:head])) + content[head:])
    card = json.loads((make_bundle_once / MANIFEST).read_text())
    card["files"] = {WEIGHTS: sha256_of(folder / WEIGHTS)}  # a stranger states the hash of what he has made
    (folder / MANIFEST).write_text(json.dumps(card))
    refused_in_words(lambda: load_bundle(folder, torch.device("cpu")))
    shutil.rmtree(folder)


def json_can_say(card):
    try:
        json.dumps(card, allow_nan=False)
    except ValueError:
        return False
    return True


@pytest.fixture
def make_bundle_once(make_bundle):
    return make_bundle("b", "bidpm", {"channels": [16, 16]}, size_hw=(64, 64))
