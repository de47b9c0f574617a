"""The training images of a comparison in, what its figures and baselines learn from them out; computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MedTranslateLib.evaluation.baselines import IntensityRegression
from MedTranslateLib.evaluation.compare_config import Comparison
from MedTranslateLib.evaluation.pairs import to_unit
from MedTranslateLib.evaluation.tissues import TissueClassifier, case_tissues
from MedTranslateLib.evaluation.unit_store import UnitStore
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.clusters import IntensityClusters
from MedTranslateLib.training.cases import Slices, TrainingCase, list_cases, load_cases
from MedTranslateLib.training.config import CaseLayout

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Prepared:
    """What was learnt from training images.

    Args:
        regressions: Mean target intensity for each source intensity, by direction; None where nothing is paired.
        clusters: K-means clusters of the target of each direction, by their number.
        tissues: Tells the true tissues by the intensities of the forward target; None where there are no label maps.
    """

    regressions: Mapping[Direction, IntensityRegression | None]
    clusters: Mapping[Direction, Mapping[int, IntensityClusters]]
    tissues: TissueClassifier | None = None


def prepare(comparison: Comparison, layout: CaseLayout, data_root: Path, kept: tuple[UnitStore, str]) -> Prepared:
    """Reads what was kept under a key, or learns it and keeps it there.

    Args:
        comparison: Names the training images, the numbers of clusters and the label maps.
        layout: Grid and scales they are brought to.
        data_root: What their folders are relative to.
        kept: Store and key.

    Raises:
        ConfigError: If there are no usable training images, or one of them has no label map.
    """
    store, key = kept
    if not comparison.training:
        return Prepared({}, {})
    if not store.has(key):
        cases = load_cases(comparison.training, layout, data_root)
        store.write(key, {}, {**_learnt(comparison, cases), **_learnt_tissues(comparison, cases, layout, data_root)})
    _, arrays = store.read(key)
    return _from_arrays(arrays, comparison)


def unit_pairs(cases: Sequence[TrainingCase], way: Direction) -> list[tuple[Slices, Slices]]:
    """Source and target slices of the paired cases, (N, H, W) in 0..1, as that direction sees them."""
    both = [
        (to_unit(case.source), to_unit(case.target))
        for case in cases
        if case.paired and case.source is not None and case.target is not None
    ]
    return both if way is Direction.FORWARD else [(target, source) for source, target in both]


def _learnt(comparison: Comparison, cases: Sequence[TrainingCase]) -> Arrays:
    arrays: Arrays = {}
    for way in Direction:
        pairs = unit_pairs(cases, way)
        if pairs:
            arrays[f"curve/{way.value}"] = IntensityRegression.fit(pairs).curve
        targets = [case.target if way is Direction.FORWARD else case.source for case in cases]
        present = [to_unit(target) for target in targets if target is not None]
        for count in comparison.clusters if present else ():
            arrays[f"centres/{way.value}/{count}"] = IntensityClusters.fit(np.concatenate(present), count).centres
    return arrays


def _learnt_tissues(
    comparison: Comparison, cases: Sequence[TrainingCase], layout: CaseLayout, data_root: Path
) -> Arrays:
    """The shades of each tissue in the training images of the target."""
    truth = comparison.tissues
    if truth is None:
        return {}
    listed = [
        (entry, files)
        for entry in comparison.training
        for files in sorted(list_cases(entry, data_root), key=lambda files: files.name)
    ]
    images, labels = [], []
    for (entry, files), case in zip(listed, cases, strict=True):
        if case.target is not None:
            images.append(to_unit(case.target))
            labels.append(case_tissues(files, entry, truth, layout, data_root))
    return {"tissues": TissueClassifier.fit(images, labels, len(truth.groups)).tissue_of}


def _from_arrays(arrays: Arrays, comparison: Comparison) -> Prepared:
    curves = {way: arrays.get(f"curve/{way.value}") for way in Direction}
    clusters = {
        way: {
            count: IntensityClusters(arrays[f"centres/{way.value}/{count}"])
            for count in comparison.clusters
            if f"centres/{way.value}/{count}" in arrays
        }
        for way in Direction
    }
    regressions = {way: None if curve is None else IntensityRegression(curve) for way, curve in curves.items()}
    tissues = TissueClassifier(arrays["tissues"], len(comparison.tissues.groups)) if comparison.tissues else None
    return Prepared(regressions, clusters, tissues)
