"""A bundle that learnt its target alone and cases of a modality it never saw in; scores of each way to use it out.

The comparison of MIDiffusion (2023) Table 1 and LMIDiffusion (2023) Table 1: guidance by both maps, by the self map
alone, by nothing, and SDEdit (Meng et al. 2022), started from the noised source. All of them are one network, which
learnt each with a share of the training slices, and see the same slices, seeds and number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.exposure import match_histograms

from MedTranslateLib.evaluation.paired import to_unit
from MedTranslateLib.evaluation.tissues import TissueClassifier
from MedTranslateLib.inference.slicewise import SliceRun, translate_slices
from MedTranslateLib.inference.weights import LoadedBundle, with_options
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.body import body_mask
from MedTranslateLib.metrics.clusters import IntensityClusters, cluster_dice
from MedTranslateLib.metrics.intensity import mutual_information, score_slice
from MedTranslateLib.training.cases import Slices

GUIDED, DRAWN, MAPS_ALONE = "this bundle", "this bundle, drawn from noise", "both LMI maps, from noise"
SELF_ALONE, UNGUIDED = "self map alone, from noise", "unguided"
SDEDIT = "SDEdit"
AS_IT_IS, MATCHED = "source as it is", "histogram of the training target"
Translate = Callable[[Slices, int], Slices]
"""Called with source slices (N, H, W) in [-1, 1] and a seed."""


@dataclass(frozen=True)
class ZeroShotScore:
    """One patient and one way to translate, all on images in [0, 1].

    Args:
        ssim, psnr_db, mse, mae: To the true target, mean over the slices; SSIM as in `score_slice`.
        ssim_source: SSIM to the source.
        ssim_body: SSIM to the true target inside the body.
        mutual_information: With the true target, in nats, 64 x 64 bins.
        dice: Of K-means segmentations, mean over the clusters, all slices of the patient together.
        dice_tissue: Mean over the tissues of the brain of the Dice with true labels; NaN where there are none.
    """

    ssim: float
    ssim_source: float
    psnr_db: float
    mse: float
    mae: float
    ssim_body: float
    mutual_information: float
    dice: float
    dice_tissue: float = float("nan")


@dataclass(frozen=True)
class Judge:
    """What translations are segmented with.

    Args:
        clusters: Fitted on training slices of the target.
        tissues: Tells tissues by intensity, where there are true labels.
    """

    clusters: IntensityClusters
    tissues: TissueClassifier | None = None


@dataclass(frozen=True)
class ZeroShotPair:
    """A case to translate: slices in [-1, 1], all (N, H, W), none of whose targets is blank.

    Args:
        source: The unseen modality.
        target: The same anatomy in the bundle's target.
        tissues: Number of the true tissue of each pixel, where it is known.
    """

    source: Slices
    target: Slices
    tissues: npt.NDArray[np.intp] | None = None


COLUMNS = tuple(field.name for field in fields(ZeroShotScore))


def ways_to_translate(
    bundle: LoadedBundle, starts: Sequence[float], some_targets: Slices, steps: int, samples: int
) -> dict[str, Translate]:
    """Every compared way by its name.

    Args:
        bundle: A zero-shot bundle.
        starts: Deviations of the noise that SDEdit gives the source, its t0.
        some_targets: Training slices, whose histogram is the one that can be had without the true target.
        steps: Evaluations of the network.
        samples: Translations that are averaged.
    """
    named: dict[str, Translate] = {
        AS_IT_IS: lambda slices, _seed: slices,
        MATCHED: lambda slices, _seed: match_histograms(slices, some_targets).astype(np.float32),
    }
    from_noise = {"start_deviation": 0.0, "temperature": 1.0}
    variants: dict[str, Mapping[str, Any]] = {
        GUIDED: {},
        DRAWN: from_noise,
        MAPS_ALONE: {**from_noise, "guidance": "both"},
        SELF_ALONE: {**from_noise, "guidance": "self"},
        UNGUIDED: {**from_noise, "guidance": "none"},
    }
    variants |= {
        f"{SDEDIT} {start:g}": {"guidance": "none", "start_deviation": start, "temperature": 1.0} for start in starts
    }
    for name, options in variants.items():
        named[name] = _translator(with_options(bundle, options), steps, samples)
    return named


def score_zero_shot(
    pair: ZeroShotPair, named: Mapping[str, Translate], judge: Judge, seed: int
) -> Iterator[tuple[str, ZeroShotScore]]:
    """Translates one case every way and scores it."""
    source, target = to_unit(pair.source), to_unit(pair.target)
    bodies = [body_mask(one, other) for one, other in zip(source, target, strict=True)]
    for name, translate in named.items():
        made = to_unit(translate(pair.source, seed))
        score = _score(made, source, target, bodies, judge.clusters)
        if judge.tissues is not None and pair.tissues is not None:
            score = replace(score, dice_tissue=judge.tissues.dice(made, pair.tissues))
        yield name, score


def summarise_zero_shot(rows: Sequence[tuple[str, ZeroShotScore]]) -> list[dict[str, Any]]:
    """Mean over the patients for each way, in order of appearance; with the standard deviation of SSIM."""
    groups: dict[str, list[ZeroShotScore]] = {}
    for name, score in rows:
        groups.setdefault(name, []).append(score)
    return [
        {
            "label": name,
            "cases": len(group),
            **{column: float(np.mean([getattr(score, column) for score in group])) for column in COLUMNS},
        }
        for name, group in groups.items()
    ]


def margins(table: Sequence[Mapping[str, Any]], label: str = GUIDED) -> dict[str, float]:
    """How far one way is ahead of SDEdit, which may choose another start for each figure."""
    guided = next(row for row in table if row["label"] == label)
    rivals = [row for row in table if row["label"].startswith(SDEDIT)]
    wanted = [name for name in ("ssim", "psnr_db", "dice", "dice_tissue") if not np.isnan(guided[name])]
    return {name: guided[name] - max(row[name] for row in rivals) for name in wanted}


def zero_shot_text(table: Sequence[Mapping[str, Any]]) -> str:
    """An aligned table for the terminal, and the margins below it."""
    head = (
        f"{'output':<34} {'n':>3} {'SSIM-Tar':>8} {'SSIM-Src':>8} {'PSNR dB':>7} {'MSE':>7} {'MAE':>7} "
        f"{'SSIM body':>9} {'MI nats':>7} {'Dice':>6} {'tissue':>6}"
    )
    lines = [head, "-" * len(head), *map(_line, table)]
    for label in (GUIDED, MAPS_ALONE):
        ahead = ", ".join(f"{name} {value:+.3f}" for name, value in margins(table, label).items())
        lines.append(f"{label} against SDEdit at its best start for each figure: {ahead}")
    return "\n".join(lines) + "\n"


def _line(row: Mapping[str, Any]) -> str:
    figures = (
        f"{row['ssim']:8.3f} {row['ssim_source']:8.3f} {row['psnr_db']:7.2f} {row['mse']:7.4f} {row['mae']:7.4f}",
        f"{row['ssim_body']:9.3f} {row['mutual_information']:7.3f} {row['dice']:6.3f} {row['dice_tissue']:6.3f}",
    )
    return f"{row['label']:<34} {row['cases']:>3} {' '.join(figures)}"


def _translator(bundle: LoadedBundle, steps: int, samples: int) -> Translate:
    def translate(slices: Slices, seed: int) -> Slices:
        run = SliceRun(Direction.FORWARD, steps, samples, 1000 * seed)
        return translate_slices(slices, bundle, run, lambda _done, _total: None).mean

    return translate


def _score(
    made: Slices, source: Slices, target: Slices, bodies: Sequence[npt.NDArray[np.bool_]], clusters: IntensityClusters
) -> ZeroShotScore:
    slices = [score_slice(*images) for images in zip(made, target, bodies, strict=True)]
    to_source = [score_slice(*images).ssim for images in zip(made, source, bodies, strict=True)]
    return ZeroShotScore(
        ssim=float(np.mean([score.ssim for score in slices])),
        ssim_source=float(np.mean(to_source)),
        psnr_db=float(np.mean([score.psnr_db for score in slices])),
        mse=float(np.square(made - target).mean()),
        mae=float(np.mean([score.mae for score in slices])),
        ssim_body=float(np.mean([score.ssim_body for score in slices])),
        mutual_information=float(np.mean([mutual_information(*pair) for pair in zip(made, target, strict=True)])),
        dice=cluster_dice(clusters.segment(made), clusters.segment(target), len(clusters.centres)),
    )
