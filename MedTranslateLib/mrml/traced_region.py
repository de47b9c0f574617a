"""The figures of a region on both sides in; what a reader sees of them, the change, and a CSV file out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.mrml.csv_file import Cell, write_rows

NO_VALUE_MEAN = 1e-6
"""A mean this close to 0 has no percentages."""


class RegionKind(str, Enum):
    """What a region was drawn as."""

    CURVE = "closed curve"
    BOX = "ROI"
    SEGMENT = "segment"


@dataclass(frozen=True)
class RegionFigures:
    """A region on one side.

    Args:
        area_mm2: Area inside a closed curve; None for the others, and where it cannot be measured.
        volume_mm3: Volume of the voxels whose centre lies inside a ROI or a segment; None for a curve.
        mean_value: Mean of the image inside; None where no voxel lies inside.
        unit: Unit of the mean.
    """

    area_mm2: float | None
    volume_mm3: float | None
    mean_value: float | None
    unit: str


@dataclass(frozen=True)
class TracedRegion:
    """A region and its partner.

    Args:
        name: The region, or its segment.
        partner_name: The node that was made on the other side.
        partner_id: Its node ID in the scene.
        kind: What it was drawn as.
        from_output: Whether it was drawn in the output; otherwise in the source.
        source_name, output_name: The two images.
        source, output: The figures on the two sides.
        outside_share: Share of the region's points without a partner: outside of a field or of an image, or where the
            model did not see the source.
        folded_share: Share of the region's points where tissue is turned inside out, on the way there or back.
        remarks: What has to be said with the figures.
    """

    name: str
    partner_name: str
    partner_id: str
    kind: RegionKind
    from_output: bool
    source_name: str
    output_name: str
    source: RegionFigures
    output: RegionFigures
    outside_share: float
    folded_share: float
    remarks: tuple[str, ...] = ()

    @property
    def size_change_percent(self) -> float | None:
        """How much larger the region is in the output, by area or by volume; None where one cannot be measured."""
        if self.kind is RegionKind.CURVE:
            return _percent(self.source.area_mm2, self.output.area_mm2)
        return _percent(self.source.volume_mm3, self.output.volume_mm3)

    @property
    def mean_change(self) -> float | None:
        """Mean in the output minus mean in the source; None where they are missing or have different units."""
        if self.why_no_mean_change or self.source.mean_value is None or self.output.mean_value is None:
            return None
        return self.output.mean_value - self.source.mean_value

    @property
    def mean_change_percent(self) -> float | None:
        """The change of the mean in percent of the source's."""
        if self.mean_change is None:
            return None
        return _percent(self.source.mean_value, self.output.mean_value)

    @property
    def why_no_mean_change(self) -> str:
        """Why the means are not compared; empty where they are."""
        if self.source.unit == self.output.unit:
            return ""
        return f"Means are not compared: the source is in {self.source.unit}, the output in {self.output.unit}."

    def notes(self) -> Iterator[str]:
        """Sentences that belong to the figures wherever they are shown."""
        if self.outside_share:
            yield (
                f"{_share(self.outside_share)} of the region has no partner (outside of the fields, of an image, or of "
                "what the model saw); the partner lacks it."
            )
        if self.folded_share:
            yield f"{_share(self.folded_share)} of the region is folded: tissue is turned inside out there."
        if self.why_no_mean_change:
            yield self.why_no_mean_change
        yield from self.remarks

    def to_json(self) -> str:
        """Text for an attribute of the partner's node."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TracedRegion:
        """What `to_json` wrote."""
        table: dict[str, Any] = json.loads(text)
        changed = {
            "kind": RegionKind(table["kind"]),
            "source": RegionFigures(**table["source"]),
            "output": RegionFigures(**table["output"]),
            "remarks": tuple(table["remarks"]),
        }
        return cls(**{**table, **changed})


def write_regions_csv(path: Path, regions: Sequence[TracedRegion]) -> None:
    """Writes one line a region, under a heading that names the units.

    Args:
        path: The file; one that exists is replaced as a whole.
        regions: What to write.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    write_rows(path, list(COLUMNS), [[cell(region) for cell in COLUMNS.values()] for region in regions])


COLUMNS: Mapping[str, Callable[[TracedRegion], Cell]] = {
    "region": lambda region: region.name,
    "partner": lambda region: region.partner_name,
    "kind": lambda region: region.kind.value,
    "drawn_in": lambda region: "output" if region.from_output else "source",
    "source_image": lambda region: region.source_name,
    "output_image": lambda region: region.output_name,
    "source_area_mm2": lambda region: region.source.area_mm2,
    "output_area_mm2": lambda region: region.output.area_mm2,
    "source_volume_mm3": lambda region: region.source.volume_mm3,
    "output_volume_mm3": lambda region: region.output.volume_mm3,
    "size_change_percent": lambda region: region.size_change_percent,
    "source_mean": lambda region: region.source.mean_value,
    "source_unit": lambda region: region.source.unit,
    "output_mean": lambda region: region.output.mean_value,
    "output_unit": lambda region: region.output.unit,
    "mean_change": lambda region: region.mean_change,
    "mean_change_percent": lambda region: region.mean_change_percent,
    "outside_share": lambda region: region.outside_share,
    "folded_share": lambda region: region.folded_share,
    "remarks": lambda region: " ".join(region.notes()),
    "note": lambda _: SYNTHETIC_NOTE,
}


def _percent(before: float | None, after: float | None) -> float | None:
    if before is None or after is None or abs(before) < NO_VALUE_MEAN:
        return None
    return 100 * (after - before) / abs(before)


def _share(share: float) -> str:
    return "less than 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
