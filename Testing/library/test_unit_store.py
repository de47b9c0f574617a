"""Results come back bit for bit; torn and foreign ones do not count; what another process is writing stays."""

from __future__ import annotations

import json
import math
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from MedTranslateLib.core.errors import ConfigError, CorruptResultError
from MedTranslateLib.evaluation.unit_store import UnitStore

ROOT = Path(__file__).resolve().parents[2]
KEY, OTHER = "0a" * 32, "ff00"
SPECIAL = [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, math.pi, math.nan, math.inf, -math.inf, 1e22]
STOPPED = 9
ENDS_ITSELF = f"""
import os, sys
import numpy as np
from pathlib import Path
from MedTranslateLib.evaluation.unit_store import UnitStore
folder, left = Path(sys.argv[1]), int(sys.argv[2])
store = UnitStore(folder)
def counted(call):
    def instead(*arguments):
        global left
        left -= 1
        if left < 0:
            os._exit({STOPPED})
        return call(*arguments)
    return instead
os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)
store.write("{KEY}", {{"new": 1}}, {{"a": np.arange(5)}})
"""


@pytest.fixture
def store(tmp_path: Path) -> UnitStore:
    return UnitStore(tmp_path / "units")


def bits(values: list[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def not_of_json(text: str) -> None:
    raise AssertionError(text)


def test_numbers_come_back_bit_for_bit_and_the_table_is_plain_json(store, tmp_path):
    content = {"values": SPECIAL, "deep": [{"x": (1, math.nan, "é\n", None, True)}], "": {}, "big": 2**70}
    store.write(KEY, content, {})
    again, arrays = UnitStore(tmp_path / "units").read(KEY)
    assert bits(again["values"]) == bits(SPECIAL)
    one, missing, *rest = again["deep"][0]["x"]
    assert (one, math.isnan(missing), rest) == (1, True, ["é\n", None, True])
    assert (again[""], again["big"], arrays) == ({}, 2**70, {})
    json.loads((tmp_path / "units" / f"{KEY}.json").read_text(), parse_constant=not_of_json)


def test_arrays_come_back_bit_for_bit_under_any_name(store):
    chance = np.random.default_rng(4)
    arrays = {
        "file": np.array(SPECIAL),
        "allow_pickle": np.array([0.1, math.nan, -math.inf], np.float16),
        "a/b": chance.normal(size=(3, 4, 2)).astype(np.float32)[::-1, :, 1],
        "": np.array(7, np.uint8),
        "none": np.empty((0, 3), bool),
        "texts": np.array(["a", "öß"]),
    }
    store.write(KEY, {}, arrays)
    _, again = store.read(KEY)
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape)
        assert again[name].tobytes() == array.tobytes()


def test_a_later_result_takes_the_place_of_an_earlier_one(store):
    store.write(KEY, {"run": 1}, {"a": np.zeros(3)})
    store.write(OTHER, {"run": 2}, {})
    store.write(KEY, {"run": 3}, {"b": np.ones(2)})
    assert store.has(KEY)
    assert store.has(OTHER)
    assert not store.has("ff01")
    content, arrays = store.read(KEY)
    assert (content, list(arrays)) == ({"run": 3}, ["b"])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGE = {
    "table cut": lambda folder: cut(folder / f"{KEY}.json"),
    "table empty": lambda folder: (folder / f"{KEY}.json").write_bytes(b""),
    "table of others": lambda folder: (folder / f"{KEY}.json").write_text('{"loss": 0.5}'),
    "no table at all": lambda folder: (folder / f"{KEY}.json").write_text("[1, 2]"),
    "not text": lambda folder: (folder / f"{KEY}.json").write_bytes(b"\xff\xfe\x00"),
    "arrays cut": lambda folder: cut(folder / f"{KEY}.npz"),
    "arrays changed": lambda folder: flip(folder / f"{KEY}.npz"),
    "arrays gone": lambda folder: (folder / f"{KEY}.npz").unlink(),
    "another's": lambda folder: [
        (folder / f"{KEY}.{end}").write_bytes((folder / f"{OTHER}.{end}").read_bytes()) for end in ("npz", "json")
    ],
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_torn_or_foreign_result_counts_as_none(store, tmp_path, kind):
    store.write(KEY, {"x": 1.5}, {"a": np.arange(100)})
    store.write(OTHER, {"x": 2.5}, {"a": np.arange(99)})
    DAMAGE[kind](tmp_path / "units")
    assert not store.has(KEY)
    with pytest.raises(CorruptResultError, match="work on that unit again"):
        store.read(KEY)
    assert store.read(OTHER)[0] == {"x": 2.5}


@pytest.mark.parametrize("calls", range(5))
def test_a_process_that_is_ended_at_any_moment_leaves_a_whole_result_or_none(tmp_path, calls):
    done = subprocess.run([sys.executable, "-c", ENDS_ITSELF, str(tmp_path), str(calls)], cwd=ROOT, check=False)
    assert done.returncode == (STOPPED if calls < 4 else 0)  # two files, each flushed and renamed
    parts = [path for path in tmp_path.iterdir() if path.name.startswith(".part-")]
    assert len(parts) == (calls < 4)
    store = UnitStore(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".part-")]
    assert store.has(KEY) == (calls == 4)


def test_only_what_nobody_is_writing_any_more_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    machine, day = platform.node(), 24 * 3600
    writing, abandoned = f".part-{os.getpid()}-{machine}-ab.npz", f".part-{ended.pid}-{machine}-ab.npz"
    elsewhere, long_ago = ".part-1-another-host-ab.json", ".part-2-another-host-cd.json"
    foreign = [".part-notes.txt", "ab.json.txt", ".part-1-another-host-ab.json.bak"]
    for name in (writing, abandoned, elsewhere, long_ago, *foreign):
        (tmp_path / name).write_text("x")
    before = (tmp_path / elsewhere).stat().st_mtime - day - 60
    for name in (long_ago, writing, *foreign):
        os.utime(tmp_path / name, (before, before))
    UnitStore(tmp_path)
    kept = {path.name for path in tmp_path.iterdir()}
    if sys.platform != "win32":  # there only the age tells
        assert kept == {writing, elsewhere, *foreign}


@pytest.mark.parametrize("key", ["", "../0a", "0A", "0a.json", "g0", "0a\n", "0" * 129])
def test_what_is_no_key_is_refused(store, key):
    for use in (store.has, store.read, lambda key: store.write(key, {}, {})):
        with pytest.raises(ConfigError, match="hexadecimal digits"):
            use(key)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": np.float32(1)}, "float32"),
        ({"a": [Path("x")]}, "PosixPath|WindowsPath"),
        ({1: 2}, "expected texts"),
        ({"a": {"$float": "nan"}}, "expected texts other than"),
        ({"a": {1, 2}}, "set"),
    ],
)
def test_content_that_would_not_come_back_is_refused_and_nothing_written(store, tmp_path, content, words):
    with pytest.raises(ConfigError, match=words):
        store.write(KEY, content, {})
    assert list((tmp_path / "units").iterdir()) == []


def test_an_array_of_objects_is_refused(store):
    with pytest.raises(ConfigError, match="'a' holds Python objects"):
        store.write(KEY, {}, {"a": np.array([None, "x"], object)})
    assert not store.has(KEY)
