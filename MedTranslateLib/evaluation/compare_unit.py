"""One case and one method of a comparison in, its figures, pictures and samples of sets out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from MedTranslateLib.checks.gate import Verdict, inspect
from MedTranslateLib.core.errors import (
    ConfigError,
    CorruptResultError,
    DeviceError,
    InvalidVolumeError,
    MedTranslateError,
    OutputError,
)
from MedTranslateLib.evaluation.compare_config import Comparison
from MedTranslateLib.evaluation.competitors import Competitor
from MedTranslateLib.evaluation.config import FeatureNetworks
from MedTranslateLib.evaluation.findings_store import SetSample, UnitResult
from MedTranslateLib.evaluation.measurement import Findings, Measurement, Pictured, Problem, Severity
from MedTranslateLib.evaluation.pairs import Pair, pair_of
from MedTranslateLib.evaluation.preparation import Prepared, prepare
from MedTranslateLib.evaluation.score_case import CaseFigures, Judge, middle, score_case
from MedTranslateLib.evaluation.tissues import case_tissues
from MedTranslateLib.evaluation.translators import Baseline, Made, Network, StoredCase, Translator, open_network
from MedTranslateLib.evaluation.unit_store import UnitStore
from MedTranslateLib.imaging.scale import IntensityScale, ScaleKind
from MedTranslateLib.inference.image_features import ImageFeatures, load_features
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.distribution import intensity_histogram
from MedTranslateLib.training.cases import WITH_A_PLACE, CaseFiles, RawCase, TrainingCase, load_case, read_case
from MedTranslateLib.training.config import CaseLayout, DataEntry


@dataclass(frozen=True)
class CompareWork:
    """What one unit does.

    Args:
        comparison: The table.
        competitor: The method.
        layout: Slice grid and scales of the table.
        ways: Directions of the table.
        entry, files: The case.
        number: Place of the case in the table; the seed of its noise follows from it, the same for every method.
        data_root, device: Where images lie, and what networks run on.
        features: Networks for distances.
        prepared: Key in the store of what was learnt from training images.
    """

    comparison: Comparison
    competitor: Competitor
    layout: CaseLayout
    ways: tuple[Direction, ...]
    entry: DataEntry
    files: CaseFiles
    number: int
    data_root: Path
    device: str
    features: FeatureNetworks
    prepared: str


def measure_case(work: CompareWork, store: UnitStore) -> UnitResult:
    """Translates one case by one method, each way it has, and scores it; what cannot be measured becomes a problem.

    Raises:
        OutputError: If nothing can be stored; that, like the others, is no fault of the case, and may pass.
        CorruptResultError: If what was learnt from training images is gone.
        DeviceError: If the device is not there.
    """
    try:
        return _measured(work, store)
    except (OutputError, CorruptResultError, DeviceError):
        raise
    except MedTranslateError as error:
        return UnitResult(Findings(problems=(_problem(work, str(error)),)))


def _measured(work: CompareWork, store: UnitStore) -> UnitResult:
    case = load_case(work.files, work.entry, work.layout)
    prepared = prepare(work.comparison, work.layout, work.data_root, (store, work.prepared))
    translator, doubts = _translator(work, prepared)
    ways = [way for way in work.ways if way in translator.ways]
    parts = [_one_way_or_why_not(work, translator, way, case, prepared) for way in ways]
    found = [part.findings for part in parts]
    findings = Findings(
        tuple(one for part in found for one in part.measurements),
        tuple(one for part in found for one in part.pictures),
        (
            *(_problem(work, doubt, Severity.NOTED) for doubt in doubts),
            *(one for part in found for one in part.problems),
        ),
    )
    return UnitResult(findings, tuple(sample for part in parts for sample in part.samples))


def _one_way_or_why_not(
    work: CompareWork, translator: Translator, way: Direction, case: TrainingCase, prepared: Prepared
) -> UnitResult:
    """A target that is blank leaves the other direction its figures."""
    try:
        return _one_way(work, translator, way, _pair(work, case, way), prepared)
    except (ConfigError, InvalidVolumeError) as error:
        return UnitResult(Findings(problems=(_problem(work, str(error)),)))


def _pair(work: CompareWork, case: TrainingCase, way: Direction) -> Pair:
    """The slices of one direction; forward with the true tissues, where there are label maps."""
    pair, truth = pair_of(case, way, work.comparison.every), work.comparison.tissues
    if truth is None or way is not Direction.FORWARD:
        return pair
    tissues = case_tissues(work.files, work.entry, truth, work.layout, work.data_root)
    return replace(pair, tissues=tissues[list(pair.indices)])


def _translator(work: CompareWork, prepared: Prepared) -> tuple[Translator, tuple[str, ...]]:
    """The method, and what the input gate doubts of its input."""
    if not work.competitor.folder:
        return Baseline(work.competitor.title, prepared.regressions, work.ways), ()
    raw = read_case(work.files, work.entry, work.layout.grid)
    case = StoredCase(raw, work.entry)
    network = open_network(work.competitor, case, work.layout, work.device, 1000 * work.number)
    return network, _doubts(work, network, raw)


def _doubts(work: CompareWork, network: Network, raw: RawCase) -> tuple[str, ...]:
    """Slices without a place in the patient cannot be compared with a card; volumes can.

    Raises:
        ConfigError: If the gate refuses the volume.
    """
    if work.entry.kind not in WITH_A_PLACE or raw.source is None:
        return ()
    report = inspect(raw.source, network.bundle.manifest, reverse=False)
    if report.verdict is Verdict.REFUSED:
        msg = f"The input gate refuses this image for {network.bundle.manifest.name}. {' '.join(report.reasons)}"
        raise ConfigError(msg)
    return report.reasons


def _one_way(work: CompareWork, translator: Translator, way: Direction, pair: Pair, prepared: Prepared) -> UnitResult:
    made = translator.translate(pair, way)
    features = _features(work.data_root, work.features)
    scale = work.layout.target if way is Direction.FORWARD else work.layout.source
    judge = Judge(
        clusters=prepared.clusters.get(way, {}),
        distance=features.distance if features is not None and features.squeezenet is not None else None,
        hounsfield=_hounsfield(scale),
        tissues=prepared.tissues,
    )
    figures = score_case(made.images, pair, judge, made.displacements)
    pictures = (_pictured(work, way, pair, made),) if work.number < work.comparison.pictures else ()
    sample = SetSample(work.comparison.name, way.value, work.competitor.title, _set_arrays(made, pair, features))
    return UnitResult(Findings(tuple(_measurements(work, way, figures, pair, made)), pictures), (sample,))


def _measurements(
    work: CompareWork, way: Direction, figures: CaseFigures, pair: Pair, made: Made
) -> Iterator[Measurement]:
    labels = (work.comparison.name, work.files.name, way.value, work.competitor.title)
    for name, value in figures.whole.items():
        yield Measurement(*labels, name, value)
    if np.isfinite(made.cycle_mae):
        yield Measurement(*labels, "cycle_mae", made.cycle_mae)
    for index, table in zip(pair.indices, figures.slices, strict=True):
        for name, value in table.items():
            yield Measurement(*labels, name, value, index)


def _pictured(work: CompareWork, way: Direction, pair: Pair, made: Made) -> Pictured:
    n = middle(pair.indices)
    return Pictured(
        work.comparison.name,
        work.files.name,
        way.value,
        work.competitor.title,
        source=pair.source[n],
        output=made.images[n],
        target=pair.target[n],
        uncertainty=None if made.uncertainty is None else made.uncertainty[n],
        displacement=None if made.displacements is None else made.displacements[0, n],
    )


def _set_arrays(made: Made, pair: Pair, features: ImageFeatures | None) -> dict[str, npt.NDArray[np.generic]]:
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "output_histogram": intensity_histogram(made.images),
        "target_histogram": intensity_histogram(pair.target),
    }
    if features is not None:
        arrays |= {"output_features": features.pooled(made.images), "target_features": features.pooled(pair.target)}
    return arrays


def _hounsfield(scale: IntensityScale) -> tuple[float, float] | None:
    return (scale.low, scale.high) if scale.kind is ScaleKind.HOUNSFIELD else None


def _features(data_root: Path, networks: FeatureNetworks) -> ImageFeatures | None:
    """The networks that are there; one that is not is told once, by the evaluation."""
    paths = [data_root / name if name else None for name in (networks.squeezenet, networks.inception)]
    present = [path if path is not None and path.is_file() else None for path in paths]
    return _load_features(present[0], present[1]) if any(present) else None


@lru_cache(maxsize=1)
def _load_features(squeezenet: Path | None, inception: Path | None) -> ImageFeatures:
    return load_features(squeezenet, inception)


def _problem(work: CompareWork, message: str, severity: Severity = Severity.FAILED) -> Problem:
    return Problem(work.comparison.name, work.files.name, work.competitor.title, message, severity)
