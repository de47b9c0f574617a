"""What an image looks like in, what speaks against the side it is given as out, sentence by sentence, with a guess."""

from __future__ import annotations

from dataclasses import dataclass

from MedTranslateLib.bundles.input_statistics import InputStatistics, SideStatistics
from MedTranslateLib.bundles.manifest import Manifest, Side
from MedTranslateLib.checks.gate_look import Guess, Look, distance, guess_side, pose_score, shape_distance
from MedTranslateLib.checks.gate_report import NEITHER

ALIKE = "MR"
"""A modality of many contrasts: an image like those that a bundle makes may well be another one of them."""


@dataclass(frozen=True)
class Opinion:
    """What the pictures say.

    Args:
        doubts: Sentences.
        looks_like: Name of a side, or `NEITHER`; None where the training images do not tell.
        confidence: Its probability.
    """

    doubts: tuple[str, ...]
    looks_like: str | None = None
    confidence: float | None = None


def opinion_on(look: Look, statistics: InputStatistics, manifest: Manifest, *, reverse: bool) -> Opinion:
    """Compares the pictures of an image with those of training.

    Args:
        look: What was measured on the image.
        statistics: What the training images looked like.
        manifest: The bundle's card.
        reverse: Whether the image is given as the bundle's target modality.
    """
    own = statistics.target if reverse else statistics.source
    given, other = (manifest.source, manifest.target)[:: -1 if reverse else 1]
    if own is None:
        known = statistics.source or statistics.target
        return Opinion(()) if known is None else _of_any_contrast(look, known, other)
    guess = guess_side(look.features, statistics)
    named = {given.name: guess.target if reverse else guess.source, NEITHER: guess.neither}
    if given.name != other.name:
        named[other.name] = guess.source if reverse else guess.target
    looks_like = max(named, key=lambda name: named[name])
    doubts = [*_contrast_doubts(look, own, statistics, guess, reverse=reverse)]
    described = [_describe(doubt, given, other, named, own) for doubt in doubts] + _pose_doubts(look, own)
    return Opinion(tuple(described), looks_like, round(named[looks_like], 3))


def _contrast_doubts(
    look: Look, own: SideStatistics, statistics: InputStatistics, guess: Guess, *, reverse: bool
) -> list[str]:
    """`other` where it is more like the other side than training allows, `shape` or `texture` where like neither."""
    boundary = statistics.boundary
    if boundary is not None and guess.score is not None:
        beyond = guess.score > boundary.target_limit if reverse else guess.score < boundary.source_limit
        if beyond and (guess.source if reverse else guess.target) > guess.neither:
            return ["other"]
    if shape_distance(own, look.features) > own.shape_limit:
        return ["shape"]
    if distance(own, look.features) > own.limit:
        return ["texture"]
    return []


def _describe(doubt: str, given: Side, other: Side, named: dict[str, float], own: SideStatistics) -> str:
    if doubt == "other":
        sure = f" ({100 * named.get(other.name, 0.0):.0f} % sure)"
        return f"Its pictures look like {other.name}{sure}, the bundle translates from {given.name}."
    what = "The outline of what it shows differs" if doubt == "shape" else "Its brightness and texture differ"
    return (
        f"{what} from the {own.patients} training images of {given.name} more than 99 % of those do: it may show "
        f"another part of the body, another contrast or another kind of scan."
    )


def _of_any_contrast(look: Look, known: SideStatistics, made: Side) -> Opinion:
    """A bundle for any contrast knows what its own output looks like: the outline, how it lies, and not this again."""
    doubts = []
    if shape_distance(known, look.features) > known.shape_limit:
        doubts.append(
            f"The outline of what it shows differs from the {known.patients} training images of {made.name} more than "
            "99 % of those do: it may show another part of the body."
        )
    elif made.modality != ALIKE and distance(known, look.features) <= known.limit:
        doubts.append(f"Its pictures look like {made.name}, which is what the bundle makes of other images.")
    return Opinion((*doubts, *_pose_doubts(look, known)))


def _pose_doubts(look: Look, own: SideStatistics) -> list[str]:
    front_back, turned = pose_score(own, look)
    doubts = []
    if turned is not None and turned < 0:
        doubts.append("Its slices seem to be turned by 90 degrees or transposed: the header may state wrong axes.")
    if front_back is not None and front_back < 0:
        doubts.append("Its slices seem to stand upside down: the header may state wrong axes.")
    return doubts
