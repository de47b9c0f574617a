"""An attempt that needs too much memory is made again with less; any other error is not."""

from __future__ import annotations

import errno

import pytest
import torch

from MedTranslateLib.checks.memory_settings import Settings, full
from MedTranslateLib.core.errors import OutputError, RequestError
from MedTranslateLib.inference.step_down import Attempts, StepDown, is_out_of_memory

TORCH_ON_A_CPU = "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate"


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3 GiB for an array"),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError(TORCH_ON_A_CPU),
        RuntimeError("std::bad_alloc"),
        RuntimeError("Failed to allocate memory for image."),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        caused(OutputError("could not be written"), RuntimeError("std::bad_alloc")),
    ],
)
def test_what_libraries_say_when_memory_ends_is_understood(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), OSError(errno.ENOSPC, "full"), RequestError("no")])
def test_another_error_is_no_want_of_memory(error):
    assert not is_out_of_memory(error)


def attempts_until(fits: Settings, stage: str) -> tuple[list[Settings], list[str], tuple[StepDown, ...]]:
    tried: list[Settings] = []
    told: list[str] = []

    def attempt(settings: Settings, failed: tuple[StepDown, ...]) -> tuple[StepDown, ...]:
        tried.append(settings)
        if settings != fits:
            raise RuntimeError(TORCH_ON_A_CPU)
        return failed

    failed = Attempts(attempt, lambda: stage, told.append).run(full("cuda:0"))
    return tried, told, failed


def test_a_card_that_is_too_small_for_one_slice_leaves_the_network_to_the_processor():
    tried, told, failed = attempts_until(Settings("cpu", 4), "translate")
    assert [(step.device, step.batch) for step in tried] == [
        *(("cuda:0", batch) for batch in (32, 16, 8, 4, 2, 1)),
        ("cpu", 4),
    ]
    assert told[-1] == (
        "The memory was not enough for batches of 1 slice, on cuda:0; again in batches of 4 slices, on cpu."
    )
    assert [step.settings for step in failed] == tried[:-1]
    assert "can't allocate memory" in failed[0].to_json()["reason"]


def test_where_the_image_is_what_is_large_slabs_come_first():
    tried, _told, failed = attempts_until(Settings("cuda:0", 32, 8), "assemble")
    assert [(step.batch, step.slab) for step in tried] == [(32, None), (32, 32), (32, 8)]
    assert failed[0].stage == "assemble"


def test_after_the_last_step_the_error_says_what_was_too_large():
    def attempt(_settings: Settings, _failed: tuple[StepDown, ...]) -> None:
        raise MemoryError

    with pytest.raises(MemoryError, match="even for batches of 1 slice, slabs of 8, on cpu"):
        Attempts(attempt, lambda: "prepare", lambda _told: None).run(full("cpu"))


def test_any_other_error_ends_the_run_at_the_first_attempt():
    tried: list[Settings] = []

    def attempt(settings: Settings, _failed: tuple[StepDown, ...]) -> None:
        tried.append(settings)
        msg = "shape mismatch"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="shape mismatch"):
        Attempts(attempt, lambda: "translate", lambda _told: None).run(full("cpu"))
    assert len(tried) == 1
