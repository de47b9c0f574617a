"""`training_statistics["inputs"]` of a bundle's card in, what its training images look like out, frozen; and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.parts import Rule
from MedTranslateLib.bundles.typed_table import from_table, to_table
from MedTranslateLib.core.errors import BundleInvalidError

KEY = "inputs"
"""Where these statistics stand in `training_statistics`."""
FOLDED = 64
"""Numbers of one channel of a picture that was folded over its axes: 8 x 8."""


@dataclass(frozen=True)
class PoseFilter:
    """A linear test of how a picture lies: positive as in training, negative where it is mirrored or turned.

    Args:
        weights: One row a channel (brightness, edges, outline), the folded 8 x 8 picture in each.
        threshold: Scores below it are doubtful.
        caught: Share of the training patients that score below it once they are mirrored or turned; left out in turn.
    """

    weights: tuple[tuple[float, ...], ...]
    threshold: float
    caught: float

    def rules(self, key: str) -> Iterator[Rule]:
        """What it must keep to."""
        lengths = [len(row) for row in self.weights]
        fits = len(lengths) > 0 and all(length == FOLDED for length in lengths)
        yield Rule(fits, f"{key}.weights", f"rows of {FOLDED} numbers", lengths)
        yield Rule(0 <= self.caught <= 1, f"{key}.caught", "from 0 to 1", self.caught)


@dataclass(frozen=True)
class SideStatistics:
    """What the training images of one side look like; the features are those of `InputStatistics.features`.

    Args:
        patients: How many it was measured on.
        mean, deviation: Of each feature.
        covariance: Of the features less their mean, over their deviation; row n has n + 1 numbers.
        limit: Squared Mahalanobis distance that 1 % of the training patients exceed, each left out in turn.
        shape_limit: The same of the features of the outline alone.
        front_back: Tells an image that is upside down in its slices; None where training images do not tell.
        turned: Tells an image whose slices are turned by 90 degrees or transposed; None likewise.
    """

    patients: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    limit: float
    shape_limit: float
    front_back: PoseFilter | None = None
    turned: PoseFilter | None = None

    def rules(self, key: str, count: int) -> Iterator[Rule]:
        """What it must keep to; `count` is the number of features."""
        yield Rule(self.patients >= 1, f"{key}.patients", "1 or more", self.patients)
        for name in ("mean", "deviation"):
            yield Rule(len(getattr(self, name)) == count, f"{key}.{name}", f"{count} numbers", len(getattr(self, name)))
        spread = all(value > 0 for value in self.deviation)
        yield Rule(spread, f"{key}.deviation", "numbers above 0", min(self.deviation, default=None))
        rows = [len(row) for row in self.covariance]
        yield Rule(rows == list(range(1, count + 1)), f"{key}.covariance", f"rows of 1 to {count} numbers", rows)
        for name in ("limit", "shape_limit"):
            yield Rule(getattr(self, name) > 0, f"{key}.{name}", "above 0", getattr(self, name))
        for name, pose in (("front_back", self.front_back), ("turned", self.turned)):
            if pose is not None:
                yield from pose.rules(f"{key}.{name}")


@dataclass(frozen=True)
class Boundary:
    """Between the two sides of a bundle: a linear test, positive for the source side.

    Args:
        weights: One a feature.
        offset: Taken off the sum.
        source_limit, target_limit: An image given as source is doubtful below the one, as target above the other.
        temperature: Divides the score before it becomes a probability, so that training patients bear it out.
    """

    weights: tuple[float, ...]
    offset: float
    source_limit: float
    target_limit: float
    temperature: float

    def rules(self, key: str, count: int) -> Iterator[Rule]:
        """What it must keep to; `count` is the number of features."""
        yield Rule(len(self.weights) == count, f"{key}.weights", f"{count} numbers", len(self.weights))
        yield Rule(self.temperature > 0, f"{key}.temperature", "above 0", self.temperature)


@dataclass(frozen=True)
class InputStatistics:
    """What training images of a bundle look like, side by side.

    Args:
        features: Names of the features, in the order of all numbers; the words of `checks.gate_features`.
        source, target: Either side; None where training saw no images of it, or too few.
        boundary: What tells the two apart; None where one is missing.
    """

    features: tuple[str, ...]
    source: SideStatistics | None = None
    target: SideStatistics | None = None
    boundary: Boundary | None = None

    def to_json(self) -> dict[str, Any]:
        """The table that stands under `KEY`."""
        table: dict[str, Any] = to_table(self)
        return table

    def rules(self, key: str) -> Iterator[Rule]:
        """What it must keep to."""
        count = len(self.features)
        yield Rule(len(set(self.features)) == count > 0, f"{key}.features", "names, each once", count)
        for name, side in (("source", self.source), ("target", self.target)):
            if side is not None:
                yield from side.rules(f"{key}.{name}", count)
        if self.boundary is not None:
            yield from self.boundary.rules(f"{key}.boundary", count)


def input_statistics_of(manifest: Manifest) -> InputStatistics | None:
    """What a bundle's card says of its training images; None where it says nothing.

    Args:
        manifest: The card.

    Raises:
        BundleInvalidError: Naming the first key that is unknown, missing or has a wrong value.
    """
    table = (manifest.training_statistics or {}).get(KEY)
    return None if table is None else input_statistics_from(table, manifest.name)


def input_statistics_from(table: object, bundle: str) -> InputStatistics:
    """Reads and checks the table.

    Args:
        table: What JSON gave.
        bundle: Name of the bundle, for messages.

    Raises:
        BundleInvalidError: See `input_statistics_of`.
    """
    key = f"training_statistics.{KEY}"
    try:
        statistics = from_table(InputStatistics, table, key)
    except BundleInvalidError as error:
        msg = f"Bundle {bundle}: {error}"
        raise BundleInvalidError(msg) from error
    for rule in statistics.rules(key):
        if not rule.kept:
            msg = f"Bundle {bundle}: {rule.key} must be {rule.expected}, got {rule.got!r:.80}."
            raise BundleInvalidError(msg)
    return statistics
