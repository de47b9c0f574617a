"""Error rates of the input gate: held-out patients, which should fit, and wrong inputs, which should not.

    python Testing/benchmarks/gate_errors.py DATA_ROOT [--bundle NAME ...] [--out TABLE.md]

DATA_ROOT holds data/..., as for training. Images are the validation cases of Resources/Training, and real volumes of
other sets. A wrong input counts as caught where it is doubtful or refused. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from MedTranslateLib.bundles.manifest import Manifest, read_manifest
from MedTranslateLib.bundles.parts import ANY_MODALITY
from MedTranslateLib.checks.gate import GateReport, Verdict, inspect
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.geometry import Plane, source_axes
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.training.cases import read_raw_cases
from MedTranslateLib.training.config import DataEntry, TrainingConfig, read_config

ROOT = Path(__file__).parents[2]
NAMELESS = "image"
CARDIAC = DataEntry("volumes", "data/acdc/val", source="ed.nii.gz", paired=False)
HEADS = DataEntry("npz", "data/tcga-lgg/val", source="t1", target="flair")
CROSS_PLANES = ("coronal", "sagittal")


@dataclass(frozen=True)
class Row:
    """One kind of input: its name, whether it should fit, and how often the gate answered what."""

    bundle: str
    way: str
    kind: str
    should_fit: bool
    reports: tuple[GateReport, ...]

    @property
    def counts(self) -> str:
        """How many fit, are doubtful, are refused; in bold where an image that should fit does not, or the reverse."""
        shares = [sum(report.verdict is verdict for report in self.reports) for verdict in Verdict]
        right = shares[0] if self.should_fit else sum(shares[1:])
        text = " / ".join(map(str, shares))
        return text if right == len(self.reports) else f"**{text}**"


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", action="append", default=[])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    names = arguments.bundle or sorted(path.name for path in (ROOT / "Resources/Bundles").iterdir())
    rows = [row for name in names for row in rows_of(name, arguments.data)]
    text = table(rows)
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return 0


def table(rows: list[Row]) -> str:
    """One table a bundle and direction: what the gate answered to each kind of input."""
    lines: list[str] = []
    for name, way in dict.fromkeys((row.bundle, row.way) for row in rows):
        lines += ["", f"### {name}, {way}", "", "| input | fits / doubtful / refused |", "| --- | ---: |"]
        lines += [f"| {row.kind} | {row.counts} |" for row in rows if (row.bundle, row.way) == (name, way)]
    return "\n".join(lines) + "\n"


def rows_of(name: str, data_root: Path) -> Iterator[Row]:
    """All rows of one bundle, in both directions where it has both."""
    manifest = read_manifest(ROOT / "Resources/Bundles" / name)
    config = read_config(ROOT / "Resources/Training" / f"{name}.toml")
    for reverse in (False, True) if manifest.reversible else (False,):
        given, other = (manifest.source, manifest.target)[:: -1 if reverse else 1]
        way = f"{given.name} to {other.name}"
        sets = held_out(config, data_root)
        own, others = (sets[1], sets[0]) if reverse else sets
        stated = None if given.modality == ANY_MODALITY else given.modality
        foreign = elsewhere(given.name, other.name, data_root)
        for kind, should_fit, volumes in (*inputs(own, others, stated, manifest, data_root), *foreign):
            reports = [answer(volume, manifest, reverse=reverse) for volume in volumes]
            if reports:
                yield Row(name, way, kind, should_fit, tuple(reports))


def inputs(
    own: list[Volume], others: list[Volume], stated: str | None, manifest: Manifest, data_root: Path
) -> Iterator[tuple[str, bool, list[Volume]]]:
    """Each kind of input, whether it should fit, and its images."""
    plane = Plane(manifest.plane)
    yield "held-out patients", True, [replace(volume, modality=stated) for volume in own]
    yield "the other side, tag not stated", False, others
    yield "the other side, stated as this one", False, [replace(volume, modality=stated) for volume in others]
    for kind, turn in TURNS.items():
        yield kind, False, [turn(volume, plane) for volume in own]
    yield "another plane in the header", False, other_planes(own, manifest, data_root)
    yield "another part of the body", False, other_anatomy(manifest, data_root)
    yield "label map", False, label_maps(data_root, cardiac=manifest.anatomy != "brain")
    yield (
        "mask of two values",
        False,
        [volume.with_array(volume.array_kji > np.percentile(volume.array_kji, 70)) for volume in own],
    )
    yield "localiser (three slices, 20 mm apart)", False, [localiser(volume, plane) for volume in own if deep(volume)]
    yield (
        "CT in Hounsfield units",
        False,
        [as_hounsfield(volume) for volume in others if is_ct(manifest) and stated == "MR"],
    )
    yield "synthetic by its header", False, [replace(volume, synthetic=True) for volume in own]


def elsewhere(given: str, made: str, data_root: Path) -> Iterator[tuple[str, bool, list[Volume]]]:
    """Heads from another hospital, which fit where the bundle starts from their contrast, or from any but its own."""
    for contrast, name in (("T1W", "T1"), ("T2W", "T2"), ("FLAIR", "FLAIR")):
        volumes = [nameless(read_volume(path)) for path in sorted(data_root.glob(f"data/open-ms/*/{contrast}.nii.gz"))]
        fits = name in given or (given == "any contrast" and name != made)
        yield f"another hospital's {contrast} head", fits, volumes


def held_out(config: TrainingConfig, data_root: Path) -> tuple[list[Volume], list[Volume]]:
    """Source and target volumes of the validation cases, without name and modality."""
    sides: tuple[list[Volume], list[Volume]] = ([], [])
    for entry in config.validation or (CARDIAC,):
        for raw in read_raw_cases(entry, data_root, config.grid):
            for side, volume in zip(sides, (raw.source, raw.target), strict=True):
                if volume is not None and np.ptp(volume.array_kji) > 0:
                    side.append(nameless(volume))
    return sides


def nameless(volume: Volume) -> Volume:
    """The pictures alone shall tell."""
    return replace(volume, name=NAMELESS, modality=None)


def answer(volume: Volume, manifest: Manifest, *, reverse: bool) -> GateReport:
    """What the gate says; an image that cannot be read is refused, too."""
    try:
        return inspect(volume, manifest, reverse=reverse)
    except InvalidVolumeError as error:
        return GateReport(Verdict.REFUSED, (str(error),))


def turned(quarter_turns: int, *, mirrored: bool = False) -> Callable[[Volume, Plane], Volume]:
    """Turns the numbers within the slices and leaves the header as it was."""

    def turn(volume: Volume, plane: Plane) -> Volume:
        columns, rows, _ = source_axes(volume.geometry, plane)[0]
        array = np.rot90(volume.array_kji, quarter_turns, (2 - rows, 2 - columns))
        array = np.flip(array, 2 - columns) if mirrored else array
        size = (array.shape[2], array.shape[1], array.shape[0])
        return Volume(np.ascontiguousarray(array), Geometry(size, volume.geometry.ijk_to_ras), NAMELESS)

    return turn


TURNS = {
    "turned by 90 degrees": turned(1),
    "turned by 180 degrees": turned(2),
    "turned by 270 degrees": turned(3),
    "transposed": turned(1, mirrored=True),
    "upside down": turned(2, mirrored=True),
    "left and right exchanged": turned(0, mirrored=True),
}


def other_planes(own: list[Volume], manifest: Manifest, data_root: Path) -> list[Volume]:
    """Axial, coronal and sagittal taken for each other: of volumes by the header, of single slices by the picture."""
    if any(deep(volume) for volume in own):
        order = [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
        return [relabelled(volume, np.array(order, dtype=float)) for volume in own]
    side = "_mri.png" if manifest.source.modality in ("MR", ANY_MODALITY) else "_ct.png"
    made = []
    for folder in CROSS_PLANES:
        entry = DataEntry("png-pairs", f"data/synthrad-brain/val/{folder}", source=side, transpose=True, flip_rows=True)
        cases = read_raw_cases(entry, data_root, grid_of(manifest))
        made += [nameless(raw.source) for raw in cases if raw.source is not None]
    return made


def relabelled(volume: Volume, turn: np.ndarray) -> Volume:
    """The same numbers with other axes in the header."""
    matrix = volume.geometry.ijk_to_ras.copy()
    matrix[:3, :3] = turn @ matrix[:3, :3]
    return Volume(volume.array_kji, Geometry(volume.geometry.size_ijk, matrix), NAMELESS)


def grid_of(manifest: Manifest):
    """The slice grid of a bundle."""
    return read_config(ROOT / "Resources/Training" / f"{manifest.name}.toml").grid


def other_anatomy(manifest: Manifest, data_root: Path) -> list[Volume]:
    """Hearts for a bundle of heads, heads for one of hearts."""
    entry = CARDIAC if manifest.anatomy == "brain" else HEADS
    grid = grid_of(manifest)
    grid = grid if manifest.anatomy == "brain" else replace(grid, size_hw=(192, 192), spacing_mm=1.2)
    return [nameless(raw.source) for raw in read_raw_cases(entry, data_root, grid) if raw.source is not None]


def label_maps(data_root: Path, *, cardiac: bool) -> list[Volume]:
    """Segmentations in place of the image that they were drawn on."""
    pattern = "data/acdc/val/*/ed_gt.nii.gz" if cardiac else "data/head-labels/*/seg_*.nii.gz"
    return [nameless(read_volume(path)) for path in sorted(data_root.glob(pattern))]


def deep(volume: Volume) -> bool:
    """Whether it is a stack."""
    return min(volume.geometry.size_ijk) > 5


def localiser(volume: Volume, plane: Plane) -> Volume:
    """Three slices of the middle, 20 mm apart."""
    across = source_axes(volume.geometry, plane)[0][2]
    count = volume.geometry.size_ijk[across]
    array = np.take(volume.array_kji, [count // 4, count // 2, 3 * count // 4], axis=2 - across)
    matrix = volume.geometry.ijk_to_ras.copy()
    matrix[:3, across] *= 20 / volume.geometry.spacing_mm[across]
    return Volume(array, Geometry((array.shape[2], array.shape[1], array.shape[0]), matrix), NAMELESS)


def is_ct(manifest: Manifest) -> bool:
    """Whether a CT is on the other side of an MR."""
    return "CT" in (manifest.source.modality, manifest.target.modality) and manifest.source.modality == "MR"


def as_hounsfield(volume: Volume) -> Volume:
    """A CT that was scaled to 0..255 with about its Hounsfield units again: air -1000, the brightest bone 2000."""
    return volume.with_array(volume.array_kji / max(float(volume.array_kji.max()), 1.0) * 3000 - 1000)


if __name__ == "__main__":
    sys.exit(main())
