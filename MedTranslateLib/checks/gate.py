"""A volume and a bundle in, a verdict out, before any network is loaded: does this image fit that model?

Geometry and stated modality are compared with the card; where the card says what training images look like, a few
slices from the middle are as well. What this finds and what it misses is measured in docs/gate.md.
"""

from __future__ import annotations

from MedTranslateLib.bundles.input_statistics import InputStatistics, input_statistics_of
from MedTranslateLib.bundles.manifest import Manifest, Side
from MedTranslateLib.bundles.parts import ANY_MODALITY
from MedTranslateLib.checks.gate_doubts import Opinion, opinion_on
from MedTranslateLib.checks.gate_features import FEATURES
from MedTranslateLib.checks.gate_geometry import extent_refusals, modality_doubts, spacing_doubts
from MedTranslateLib.checks.gate_hints import name_doubt
from MedTranslateLib.checks.gate_look import look_at
from MedTranslateLib.checks.gate_report import GateReport, Verdict
from MedTranslateLib.checks.gate_slices import foreground_of, middle_part, pictures_of, scale_of, slice_grid_of
from MedTranslateLib.checks.gate_values import value_doubts, value_refusals, values_of
from MedTranslateLib.core.errors import DoubtfulInputError, InputGateError
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.geometry import Plane

__all__ = ["GateReport", "Verdict", "inspect", "pass_gate"]

SURE = 0.9
"""Confidence from which the pictures count more than a file's name."""
SYNTHETIC = "It is a synthetic image itself: errors of both translations add up, and it proves nothing of the patient."


def inspect(source: Volume, manifest: Manifest, *, reverse: bool) -> GateReport:
    """Compares a volume with what a bundle was trained on.

    Args:
        source: The image to translate.
        manifest: The bundle's card.
        reverse: Whether the bundle's target modality is the source.

    Raises:
        InvalidVolumeError: If the image is constant.
        BundleInvalidError: If what the card says of its training images cannot be read.
    """
    statistics = _usable(input_statistics_of(manifest))
    foreground = foreground_of(source)
    refused = extent_refusals(source, manifest, foreground)
    part = middle_part(source, Plane(manifest.plane), foreground)
    values = values_of(part.array_kji)
    refused += value_refusals(values)
    if refused:
        return GateReport(Verdict.REFUSED, tuple(refused), stated=source.modality)
    given = manifest.target if reverse else manifest.source
    opinion = Opinion(()) if statistics is None else _opinion(part, manifest, statistics, reverse=reverse)
    doubts = [
        *([SYNTHETIC] if source.synthetic else []),
        *modality_doubts(source, manifest, reverse=reverse),
        *value_doubts(values, given),
        *opinion.doubts,
        *_name_doubts(source, given, opinion),
        *spacing_doubts(source, manifest),
    ]
    verdict = Verdict.DOUBTFUL if doubts else Verdict.FITS
    return GateReport(verdict, tuple(doubts), opinion.looks_like, opinion.confidence, source.modality)


def pass_gate(report: GateReport, *, accept_doubtful: bool) -> None:
    """Lets a run go on, or says why not.

    Args:
        report: What the gate said.
        accept_doubtful: Whether the user wants a doubtful image translated.

    Raises:
        InputGateError: If the volume was refused.
        DoubtfulInputError: If it is doubtful and that was not accepted.
    """
    why = " ".join(report.reasons)
    if report.verdict is Verdict.REFUSED:
        msg = f"This image does not fit the bundle. {why}"
        raise InputGateError(msg)
    if report.verdict is Verdict.DOUBTFUL and not accept_doubtful:
        msg = f"It is doubtful whether this image fits the bundle. {why}"
        raise DoubtfulInputError(msg)


def _usable(statistics: InputStatistics | None) -> InputStatistics | None:
    """Statistics of other features than this version measures say nothing here."""
    return statistics if statistics is not None and statistics.features == FEATURES else None


def _opinion(part: Volume, manifest: Manifest, statistics: InputStatistics, *, reverse: bool) -> Opinion:
    given = manifest.target if reverse else manifest.source
    pictures = pictures_of(part, slice_grid_of(manifest), scale_of(given))
    if pictures is None:
        return Opinion(("Its middle slices show nothing.",))
    return opinion_on(look_at(pictures), statistics, manifest, reverse=reverse)


def _name_doubts(source: Volume, given: Side, opinion: Opinion) -> list[str]:
    """A name that mentions another contrast, unless the pictures surely say that it is the right one."""
    surely = opinion.looks_like == given.name and (opinion.confidence or 0.0) >= SURE
    doubt = None if surely or given.modality == ANY_MODALITY else name_doubt(source.name, given)
    return [] if doubt is None else [doubt]
