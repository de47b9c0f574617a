"""The card of a bundle: `bundle.json` in, a checked and frozen `Manifest` out; and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from MedTranslateLib.bundles.parts import MetricRow, Metrics, Rule, Scale, Side, Training
from MedTranslateLib.bundles.typed_table import from_table, to_table
from MedTranslateLib.core.errors import BundleInvalidError

__all__ = [
    "MANIFEST",
    "WEIGHTS",
    "Manifest",
    "MetricRow",
    "Metrics",
    "Scale",
    "Side",
    "Training",
    "manifest_text",
    "read_manifest",
    "write_manifest",
]

MANIFEST = "bundle.json"
WEIGHTS = "weights.safetensors"
FORMAT = 1
MAX_MANIFEST_BYTES = 1 << 20
SMALLEST_SIDE, LARGEST_SIDE = 16, 4096
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
VERSION = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
SHA256 = re.compile(r"[0-9a-f]{64}")
NUMBERS = re.compile(r"\[\n\s+((?:[-+.0-9eE]+,\n\s+)*[-+.0-9eE]+)\n\s+\]")
"""A list of numbers as `json` indents it; no text holds a line end."""


@dataclass(frozen=True)
class Manifest:
    """Everything a bundle says about itself.

    Args:
        name: Lower-case letters, digits, `-`, `_` and `.`; unique among the installed bundles.
        version: Three numbers, such as "1.0.0".
        summary: One sentence.
        anatomy: What the training images show.
        method: Name in the catalogue of methods.
        method_options: What that method is built with.
        source, target: The two sides of the forward direction.
        reversible: Whether it also translates from target to source.
        plane: Plane of the slices; the words of `imaging.geometry.Plane`.
        spacing_mm: Pixel spacing in plane.
        spacing_origin: `estimated` where the training data did not state a spacing.
        spacing_rule: Where the spacing comes from, or how it was estimated.
        slice_spacing_mm: Smallest and largest distance of slices that is accepted.
        size_hw: Rows and columns of a slice.
        centre: What lies in the middle of a slice; the words of `imaging.geometry.Centre`.
        training: How the weights came about.
        metrics: Quality on held-out patients, with baselines.
        limits: What the bundle cannot do, a sentence each.
        citation: What to cite.
        licence: Licence of the weights.
        files: SHA-256, in lower-case hexadecimal digits, of each file beside `bundle.json`.
        training_statistics: Statistics of the training images, for methods and checks that want them.

    Raises:
        BundleInvalidError: If a value is out of range; the message names its key.
    """

    name: str
    version: str
    summary: str
    anatomy: str
    method: str
    method_options: Mapping[str, Any]
    source: Side
    target: Side
    reversible: bool
    plane: Literal["axial", "coronal", "sagittal", "acquired"]
    spacing_mm: float
    spacing_origin: Literal["stated", "estimated"]
    spacing_rule: str
    slice_spacing_mm: tuple[float, float]
    size_hw: tuple[int, int]
    training: Training
    metrics: Metrics
    limits: tuple[str, ...]
    citation: str
    licence: str
    files: Mapping[str, str]
    training_statistics: Mapping[str, Any] | None = None
    centre: Literal["foreground", "image"] = "foreground"

    def __post_init__(self) -> None:
        """Refuses values that no bundle can have."""
        for rule in self._rules():
            if not rule.kept:
                msg = f"{rule.key} must be {rule.expected}, got {rule.got!r:.80}."
                raise BundleInvalidError(msg)

    @property
    def arrow(self) -> str:
        """What it translates, in a few characters: "T1 <-> FLAIR", or "T1 -> FLAIR" where there is no way back."""
        return f"{self.source.name} {'<->' if self.reversible else '->'} {self.target.name}"

    def to_json(self) -> dict[str, Any]:
        """The table that `bundle.json` holds."""
        return {"format": FORMAT, **to_table(self)}

    @classmethod
    def from_json(cls, table: object) -> Manifest:
        """Reads the table back.

        Args:
            table: What JSON gave.

        Returns:
            The manifest.

        Raises:
            BundleInvalidError: Naming the first key that is unknown, missing, or has a wrong value.
        """
        if not isinstance(table, dict) or type(table.get("format")) is not int or table["format"] != FORMAT:
            msg = f'expected a table with "format": {FORMAT}, got {table!r:.80}.'
            raise BundleInvalidError(msg)
        return from_table(cls, {key: value for key, value in table.items() if key != "format"})

    def _rules(self) -> Iterator[Rule]:
        named = NAME.fullmatch(self.name) is not None
        yield Rule(named, "name", "lower-case letters and digits, with '-', '_' or '.' between them", self.name)
        yield Rule(
            VERSION.fullmatch(self.version) is not None, "version", "three numbers such as '1.0.0'", self.version
        )
        yield from self.source.rules("source")
        yield from self.target.rules("target")
        yield Rule(self.spacing_mm > 0, "spacing_mm", "above 0", self.spacing_mm)
        low, high = self.slice_spacing_mm
        yield Rule(0 < low <= high, "slice_spacing_mm", "two lengths above 0, the smaller first", [low, high])
        fits = all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in self.size_hw)
        yield Rule(fits, "size_hw", f"rows and columns of {SMALLEST_SIDE} to {LARGEST_SIDE} pixels", [*self.size_hw])
        yield from self.training.rules("training")
        yield from self.metrics.rules("metrics")
        for name, digest in self.files.items():
            plain = FILE_NAME.fullmatch(name) is not None and name != MANIFEST
            yield Rule(plain, "files", f"names of files beside {MANIFEST}, without folders", name)
            yield Rule(SHA256.fullmatch(digest) is not None, f"files.{name}", "a SHA-256, 64 lower-case digits", digest)


def read_manifest(folder: Path) -> Manifest:
    """Reads and checks `bundle.json` of a bundle folder; the other files are not looked at.

    Args:
        folder: The bundle's folder.

    Returns:
        The manifest.

    Raises:
        BundleInvalidError: If it is missing, is not JSON, or has an unknown, missing or wrong key.
    """
    path = folder / MANIFEST
    try:
        return Manifest.from_json(_parse(_read_text(path)))
    except (ValueError, RecursionError) as error:
        msg = f"{folder.name}/{MANIFEST}: {error}"
        raise BundleInvalidError(msg) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes `bundle.json` with sorted keys, so that equal manifests give equal bytes.

    Args:
        folder: The bundle's folder; must exist.
        manifest: What is written.

    Raises:
        BundleInvalidError: If the manifest holds a value that could not be read back; nothing is written then.
    """
    text = manifest_text(manifest)
    Manifest.from_json(_parse(text))
    temporary = folder / f".{MANIFEST}.part"
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.replace(folder / MANIFEST)


def manifest_text(manifest: Manifest) -> str:
    """The exact text of `bundle.json`; a list of numbers stands on one line, or statistics would fill pages."""
    text = json.dumps(manifest.to_json(), indent=2, sort_keys=True, ensure_ascii=False)
    return NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            msg = f"larger than {MAX_MANIFEST_BYTES >> 20} MiB, this is no manifest."
            raise BundleInvalidError(msg)
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        msg = f"not there; a bundle is a folder with {MANIFEST} and {WEIGHTS}."
        raise BundleInvalidError(msg) from error
    except OSError as error:
        msg = f"cannot be read: {error.strerror}."
        raise BundleInvalidError(msg) from error


def _parse(text: str) -> object:
    try:
        parsed: object = json.loads(text, object_pairs_hook=_table, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        msg = f"not valid JSON: {error}."
        raise BundleInvalidError(msg) from error
    return parsed


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        keys = [key for key, _ in pairs]
        msg = f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands there twice."
        raise BundleInvalidError(msg)
    return table


def _no_constant(name: str) -> object:
    msg = f"{name} is not a number that JSON knows."
    raise BundleInvalidError(msg)
