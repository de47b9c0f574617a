"""Long and hostile use: many jobs in one worker, and files damaged in a thousand ways."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from MedTranslateLib.bundles.manifest import read_manifest
from MedTranslateLib.core.errors import UserError
from MedTranslateLib.core.messages import from_line
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.imaging.job_folder import Job, read_request, read_result, write_job
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.imaging.writing import write_volume
from MedTranslateLib.inference.runner import WarmWorker

pytestmark = pytest.mark.slow
JOBS = 40


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory use from /proc")
def test_a_warm_worker_runs_forty_jobs_without_growing(tmp_path, oblique_head, make_bundle):
    bundle = str(make_bundle("bidpm", "bidpm", {"channels": [16, 16]}, size_hw=(64, 64), spacing_mm=3.0))
    sizes, first = [], None
    with WarmWorker() as worker:
        for number in range(JOBS):
            job = tmp_path / "job"
            write_job(job, Job(TranslationRequest(bundle, seed=number), oblique_head))
            worker.run(job, lambda _message: None)
            output = read_result(job).translated.array_kji
            first = output if first is None else first
            np.testing.assert_array_equal(output, first)
            sizes.append(resident_mib(worker.pid))
    assert max(sizes[-10:]) < max(sizes[5:15]) + 40, sizes


def answered_with_a_sentence(read: Callable[[], object]) -> bool:
    """Tells whether the file was refused; anything but a user error fails the test."""
    try:
        read()
    except UserError as error:
        return len(str(error)) > 10
    return False


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, taken out or put in."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(data))
        kind = chance.randrange(3)
        if kind == 0:
            data[place] = chance.randrange(256)
        elif kind == 1:
            del data[place : place + chance.randint(1, 40)]
        else:
            data[place:place] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
        data = data or bytearray(b"x")
    return bytes(data)


@pytest.mark.parametrize("ending", [".nrrd", ".nii"])  # ITK 5.4 itself crashes on some damaged .mha headers
def test_a_damaged_image_is_read_or_refused_with_a_sentence(tmp_path, oblique_head, ending):
    path = tmp_path / f"image{ending}"
    write_volume(path, oblique_head)
    content, chance = path.read_bytes()[:4000], random.Random(5)
    refused = 0
    for _ in range(400):
        path.write_bytes(damaged(content, chance))
        refused += answered_with_a_sentence(lambda: read_volume(path))
    assert refused > 100


@pytest.mark.parametrize("kind", ["request", "manifest", "message"])
def test_damaged_json_is_read_or_refused_with_a_sentence(tmp_path, make_bundle, kind):
    folder = make_bundle("identity")
    request = tmp_path / "request.json"
    originals = {
        "request": json.dumps(TranslationRequest("b").to_json()).encode(),
        "manifest": (folder / "bundle.json").read_bytes(),
        "message": b'{"event": "progress", "job": "j", "stage": "read", "done": 1, "total": 2, "eta_s": null}',
    }
    chance = random.Random(6)
    for _ in range(600):
        content = damaged(originals[kind], chance)
        if kind == "request":
            request.write_bytes(content)
            answered_with_a_sentence(lambda: read_request(tmp_path))
        elif kind == "manifest":
            (folder / "bundle.json").write_bytes(content)
            answered_with_a_sentence(lambda: read_manifest(folder))
        else:
            from_line(content.decode("utf-8", "replace"))
