"""What only a machine with a CUDA device can show; skipped by name elsewhere."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from MedTranslateLib.core.messages import Progress, from_line
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.imaging.job_folder import Job, read_result, write_job
from MedTranslateLib.inference.runner import WORKING_FOLDER, run_job

pytestmark = pytest.mark.gpu
BUNDLE = "bidpm-brain-t1-flair"


def translate_on(device, folder, source):
    write_job(
        folder,
        Job(TranslationRequest(BUNDLE, source.name, source.modality, device=device, accept_doubtful=True), source),
    )
    run_job(folder, lambda _message: None)
    return read_result(folder)


def test_auto_takes_the_gpu_and_the_provenance_says_so(tmp_path, oblique_head):
    run = translate_on("auto", tmp_path / "job", oblique_head).provenance["run"]
    assert run["device"] == "cuda:0"
    assert run["device_requested"] == "auto"
    assert run["device_name"] == torch.cuda.get_device_name(0)


def test_cpu_and_gpu_agree_to_one_percent_of_the_scale(tmp_path, oblique_head):
    on_cpu = translate_on("cpu", tmp_path / "cpu", oblique_head).translated.array_kji
    on_gpu = translate_on("cuda:0", tmp_path / "gpu", oblique_head).translated.array_kji
    assert np.abs(on_cpu - on_gpu).mean() < 0.01
    assert np.quantile(np.abs(on_cpu - on_gpu), 0.999) < 0.05


def test_cancelling_frees_the_memory_of_the_gpu(tmp_path, oblique_head):
    write_job(tmp_path / "job", Job(TranslationRequest(BUNDLE, device="cuda:0", accept_doubtful=True), oblique_head))
    free_before, _ = torch.cuda.mem_get_info(0)
    command = [sys.executable, "-m", "MedTranslateLib.inference.worker", str(tmp_path / "job")]
    with subprocess.Popen(command, cwd=WORKING_FOLDER, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            message = from_line(line)
            if isinstance(message, Progress) and message.stage == "translate":
                process.kill()
                break
        process.wait()
    free_after, _ = torch.cuda.mem_get_info(0)
    assert free_after > free_before - (64 << 20)
    assert not (tmp_path / "job" / "result.json").exists()
