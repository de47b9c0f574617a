# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""What cannot be translated is refused with the reason, before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.errors import (
    BundleNotFoundError,
    MedTranslateError,
)
from MedTranslateLib.mrml.choice_check import STEPS_BY_DEFAULT
from MedTranslateLib.mrml.runs import TranslationChoice
from Testing.slicer.translation_bench import CHOICE, Bench


def vector_volume(bench: Bench) -> slicer.vtkMRMLNode:
    return bench.scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colours")


def label_map(bench: Bench) -> slicer.vtkMRMLNode:
    return bench.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "drawn")


def deleted(bench: Bench) -> slicer.vtkMRMLNode:
    node = bench.add_source("deleted")
    bench.scene.RemoveNode(node)
    return node


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _bench: None, "Choose a volume"),
        (label_map, "drawn is a label map"),
        (vector_volume, "several values"),
        (deleted, "Choose a volume"),
        (lambda bench: bench.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"), "no image"),
    ],
)
def test_a_source_that_cannot_be_translated_is_refused_before_anything_is_made(
    bench: Bench, make: Callable, words: str
) -> None:
    node = make(bench)
    assert words in bench.logic.why_not(node, CHOICE)
    with pytest.raises(MedTranslateError, match=words):
        bench.logic.queue(node, CHOICE)
    assert (bench.logic.runs, bench.folders()) == ((), [])


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (None, "Choose what"),
        (TranslationChoice(""), "Choose what"),
        (TranslationChoice("identitty"), "Did you mean 'identity'"),
        (replace(CHOICE, steps=3), "trained for 1 step"),
        (replace(CHOICE, steps=0), "steps must be a whole number from 1"),
        (replace(CHOICE, samples=4), "4 samples would show an uncertainty of zero"),
        (replace(CHOICE, samples=65), "from 1 to 64"),
        (replace(CHOICE, seed=-1), "seed must be"),
    ],
)
def test_a_choice_that_the_bundle_cannot_do_is_refused_with_the_reason(
    bench: Bench, choice: TranslationChoice | None, words: str
) -> None:
    assert words in bench.logic.why_not(bench.source, choice)
    with pytest.raises(MedTranslateError, match=words):
        bench.logic.queue(bench.source, choice)
    assert bench.is_clean()


def test_what_can_be_translated_has_no_reason_against_it(bench: Bench) -> None:
    assert bench.logic.why_not(bench.source, CHOICE) is None
    assert bench.logic.why_not(bench.source, replace(CHOICE, steps=1, reverse=True)) is None


def test_a_bundle_of_one_way_has_no_way_back(bench: Bench, make_bundle: Callable[..., Path]) -> None:
    make_bundle("oneway", reversible=False)
    assert bench.logic.why_not(bench.source, TranslationChoice("oneway")) is None
    assert "one way only (T1 -> FLAIR)" in bench.logic.why_not(bench.source, TranslationChoice("oneway", reverse=True))


def test_a_broken_bundle_is_a_reason_that_names_what_is_missing(bench: Bench) -> None:
    (bench.store.find("identity").folder / "weights.safetensors").unlink()
    assert "weights.safetensors is missing" in bench.logic.why_not(bench.source, CHOICE)


def test_a_bundle_trained_for_two_steps_takes_two(bench: Bench, make_bundle: Callable[..., Path]) -> None:
    make_bundle("two", "bidpm", {"channels": [16], "steps": 2})
    assert bench.logic.why_not(bench.source, TranslationChoice("two", steps=2)) is None
    assert "trained for 2 step" in bench.logic.why_not(bench.source, TranslationChoice("two", steps=1))


@pytest.mark.parametrize("method", STEPS_BY_DEFAULT)
def test_what_is_known_of_a_method_is_what_the_method_itself_says(method: str) -> None:
    pytest.importorskip("torch")
    from MedTranslateLib.methods.catalogue import build_method

    assert list(build_method(method, {}).supported_steps) == [STEPS_BY_DEFAULT[method]]
    assert not build_method(method, {}).stochastic


def test_a_missing_bundle_is_named_as_the_class_says(bench: Bench) -> None:
    with pytest.raises(BundleNotFoundError, match="nowhere"):
        bench.logic.queue(bench.source, TranslationChoice("nowhere"))
