"""A segmenter of the target domain and labelled source cases in, how well each translation lets it segment out.

Plasticine Section IV-A, Fig. 6: translate the source, segment the output with a network that knows the target domain
only, trace the mask back to the source through the inverse field, and compare with the source's own label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from skimage.exposure import match_histograms

from MedTranslateLib.inference.correspond import displacements_of
from MedTranslateLib.inference.slicewise import SliceRun, translate_slices
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.structure import OverlapScore, boundary_distance_px, score_overlap
from MedTranslateLib.training.cases import Slices
from MedTranslateLib.training.labelled import LabelledCase

Masks = npt.NDArray[np.bool_]
Segment = Callable[[Slices], Masks]
BOUNDARIES = ("boundary_px", "boundary_median_px", "boundary_identity_px")
NO_TRANSLATION, HISTOGRAM_MATCHING = "no translation", "histogram matching"


@dataclass(frozen=True)
class Translated:
    """What a translator makes of the slices of one case.

    Args:
        images: (N, H, W) in [-1, 1].
        displacements: Forward and inverse, (2, N, 2, H, W) in pixels; None where every pixel stays in its place.
    """

    images: Slices
    displacements: npt.NDArray[np.float32] | None = None


Translator = Callable[[LabelledCase], Translated]


@dataclass(frozen=True)
class AdaptationScore:
    """One case and one translator.

    Args:
        case: Name of the patient.
        label: The translator.
        overlap: Traced-back mask against the source's label, over all slices of the patient.
        boundary_px: Mean over the slices of the distance between the boundary of the segmented output and that of the
            source label carried along phi; NaN where no slice has both.
        boundary_median_px: The median in place of the mean: a single slice in which the segmenter took another organ
            weighs little in it.
        boundary_identity_px: The mean with the source label left where it was.
        missed: Labelled slices in whose output nothing was found.
    """

    case: str
    label: str
    overlap: OverlapScore
    boundary_px: float
    boundary_median_px: float
    boundary_identity_px: float
    missed: int


def translators(
    bundles: Mapping[str, LoadedBundle], target_slices: Slices, seed: int, steps: int | None
) -> dict[str, Translator]:
    """The compared ways to bring a source to the target domain, by name.

    Args:
        bundles: Trained bundles on one slice grid.
        target_slices: Slices of the target domain; their histogram is what histogram matching aims at.
        seed: Of the bundles' noise.
        steps: Steps of the bundles that can choose; None takes their own.
    """
    some = target_slices[:: max(1, len(target_slices) // 64)]

    def still(case: LabelledCase) -> Translated:
        return Translated(case.images)

    def matched(case: LabelledCase) -> Translated:
        """All slices of a patient together: an apex need not have a mid slice's share of blood."""
        return Translated(match_histograms(case.images, some).astype(np.float32))

    named: dict[str, Translator] = {NO_TRANSLATION: still, HISTOGRAM_MATCHING: matched}
    for name, bundle in bundles.items():
        named[name] = _translator(bundle, seed, steps)
    return named


def score_adaptation(
    cases: Sequence[LabelledCase], named: Mapping[str, Translator], segment: Segment
) -> Iterator[AdaptationScore]:
    """Scores every translator on every case."""
    for case in cases:
        for label, translate in named.items():
            yield _score(case, label, translate(case), segment)


def carried(masks: Masks, displacement: npt.NDArray[np.float32] | None) -> Masks:
    """The masks (N, H, W) read at p + displacement(p), linear; None leaves them."""
    if displacement is None:
        return masks
    grid = np.mgrid[: masks.shape[1], : masks.shape[2]]
    pairs = zip(masks.astype(np.float64), displacement, strict=True)
    return np.stack([map_coordinates(mask, grid + moved, order=1, mode="nearest") > 0.5 for mask, moved in pairs])


def figures_of(score: AdaptationScore) -> dict[str, float]:
    """The figures of one patient and translator, by the names of the metrics."""
    overlap = {name: getattr(score.overlap, name) for name in ("accuracy", "dice", "miou")}
    return {**overlap, **{name: getattr(score, name) for name in BOUNDARIES}, "missed": float(score.missed)}


def _translator(bundle: LoadedBundle, seed: int, steps: int | None) -> Translator:
    takes = steps if steps is not None and steps in bundle.method.supported_steps else bundle.method.default_steps

    def translate(case: LabelledCase) -> Translated:
        run = SliceRun(Direction.FORWARD, takes, 1, seed, case.slice_spacing_mm)
        made = translate_slices(case.images, bundle, run, lambda _done, _total: None)
        return Translated(made.mean, None if made.velocity is None else displacements_of(made.velocity))

    return translate


def _score(case: LabelledCase, label: str, made: Translated, segment: Segment) -> AdaptationScore:
    found = segment(made.images)
    forward, inverse = (None, None) if made.displacements is None else made.displacements
    expected = carried(case.masks, forward)
    labelled = [n for n in range(len(found)) if case.masks[n].any()]
    both = [n for n in labelled if found[n].any() and expected[n].any()]
    distances = [boundary_distance_px(found[n], expected[n]) for n in both]
    return AdaptationScore(
        case=case.name,
        label=label,
        overlap=score_overlap(carried(found, inverse), case.masks),
        boundary_px=_mean(distances),
        boundary_median_px=float(np.median(distances)) if distances else float("nan"),
        boundary_identity_px=_mean([boundary_distance_px(found[n], case.masks[n]) for n in both]),
        missed=len(labelled) - len(both),
    )


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
