"""Readings in, numbered pairs of marks in the views of both sides out, with a table that is saved with the scene."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import slicer
import vtk

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.mrml.attachments import add_shown_on, attach
from MedTranslateLib.mrml.csv_file import Cell, write_rows
from MedTranslateLib.mrml.layout import Side
from MedTranslateLib.mrml.mapping import Point, Reading, ReadingState
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes
from MedTranslateLib.mrml.units import unit_of_output, unit_of_source

PINS = "pins"
TABLE = f"{ATTRIBUTE_PREFIX}{PINS}"
MARKS = {side: f"{ATTRIBUTE_PREFIX}{side.value}_pins" for side in Side}
PINS_MADE = f"{ATTRIBUTE_PREFIX}pins_made"
COLOUR = (1.0, 0.8, 0.1)
WRITTEN_DIGITS = 6
"""What Slicer keeps of a number in the file of a table: a thousandth of a millimetre, up to a metre from the origin."""
INTEGERS, TEXTS = ("pin",), ("state", "pinned_in", "note")
COLUMNS = (
    "pin",
    *(f"{side.value}_ras_{axis}_mm" for side in Side for axis in "ras"),
    *(f"{side.value}_value" for side in Side),
    "displacement_mm",
    "det_j",
    "round_trip_mm",
    "state",
    "pinned_in",
    "note",
)


@dataclass(frozen=True)
class Pin:
    """A pinned pair.

    Args:
        number: Counts from 1; never used again for the same result.
        source_ras, output_ras: The two positions in RAS mm.
        source_value, output_value: Values of the nearest voxels; None outside of the image.
        displacement_mm: Distance of the two positions.
        det_j: Determinant of the derivative of the map that was used, at the start.
        round_trip_mm: How far from the start the way there and back ends.
        state: Whether the pair can be believed.
        from_output: Whether it was pinned in the output; otherwise in the source.
        note: What has to be said with it.
    """

    number: int
    source_ras: Point
    output_ras: Point
    source_value: float | None
    output_value: float | None
    displacement_mm: float
    det_j: float
    round_trip_mm: float
    state: ReadingState
    from_output: bool
    note: str = SYNTHETIC_NOTE


class PinBoard:
    """The pins of one result.

    The table is the record; the marks are drawn from it after each change. Marks are locked: a pair that is moved on
    one side would be no pair. Nothing is kept here, so several boards of a result, or one made after the scene was
    reopened, show the same pins.

    Args:
        scene: The scene of the result.
        nodes: The nodes of the result.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> None:
        self._scene, self._nodes = scene, nodes

    @classmethod
    def of(cls, scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> PinBoard:
        """The board of a result, with the pins that the scene holds of it."""
        return cls(scene, nodes)

    def pin(self, reading: Reading) -> Pin:
        """Adds a pair.

        Args:
            reading: What the cursor reads.

        Returns:
            The pin; its numbers have `WRITTEN_DIGITS` digits, so that they are the same in a reopened scene.

        Raises:
            RequestError: If the reading has no partner, or the table was changed by hand.
        """
        if reading.state is ReadingState.OUTSIDE:
            msg = "This point has no partner: it lies outside of the fields or of what the model saw. Pin another one."
            raise RequestError(msg)
        pins = self.pins()
        pin = _pin_of(reading, self._next_number(pins))
        self._write((*pins, pin))
        self._nodes.output.SetAttribute(PINS_MADE, str(pin.number))
        return pin

    def pins(self) -> tuple[Pin, ...]:
        """The pins in the order of their numbers.

        Raises:
            RequestError: If the table was changed by hand.
        """
        table = self._nodes.output.GetNodeReference(TABLE)
        return () if table is None else tuple(_pins_in(table))

    def remove(self, number: int) -> None:
        """Takes a pin away on both sides; its number is not used again.

        Raises:
            RequestError: If there is no such pin.
        """
        pins = self.pins()
        if number not in [pin.number for pin in pins]:
            known = ", ".join(str(pin.number) for pin in pins) or "none"
            msg = f"There is no pin {number} (there are: {known}). Choose one of them."
            raise RequestError(msg)
        self._write([pin for pin in pins if pin.number != number])

    def clear(self) -> None:
        """Takes all pins away, also those of a table that was changed by hand; numbers go on."""
        if self._nodes.output.GetNodeReference(TABLE) is not None:
            self._write(())

    def write_csv(self, path: Path) -> None:
        """Writes one line a pin: positions in RAS mm, values with their units, and that the output is synthetic.

        Args:
            path: The file; one that exists is replaced as a whole.

        Raises:
            OutputError: If the file cannot be written whole.
            RequestError: If the table was changed by hand.
        """
        nodes = self._nodes
        result: dict[str, Cell] = {
            "source_unit": unit_of_source(nodes),
            "output_unit": unit_of_output(nodes),
            "source_image": nodes.source.GetName(),
            "output_image": nodes.output.GetName(),
        }
        rows = [list({**_cells(pin), **result}.values()) for pin in self.pins()]
        write_rows(path, [*COLUMNS, *result], rows)

    def _next_number(self, pins: Sequence[Pin]) -> int:
        made = int(self._nodes.output.GetAttribute(PINS_MADE) or 0)
        return max([made, *(pin.number for pin in pins)]) + 1

    def _write(self, pins: Sequence[Pin]) -> None:
        _fill_table(self._table(), pins)
        for side in Side:
            points = [pin.source_ras if side is Side.SOURCE else pin.output_ras for pin in pins]
            _draw(self._marks(side), points, [str(pin.number) for pin in pins])

    def _table(self) -> slicer.vtkMRMLTableNode:
        output = self._nodes.output
        table = output.GetNodeReference(TABLE)
        if table is None:
            table = self._scene.AddNewNodeByClass("vtkMRMLTableNode", f"Pins: {output.GetName()}")
            table.SetLocked(1)  # in the table view
            attach(output, table, PINS)
            output.SetNodeReferenceID(TABLE, table.GetID())
        return table

    def _marks(self, side: Side) -> slicer.vtkMRMLMarkupsFiducialNode:
        output = self._nodes.output
        marks = output.GetNodeReference(MARKS[side])
        if marks is None:
            volume = self._nodes.source if side is Side.SOURCE else output
            marks = slicer.vtkMRMLMarkupsFiducialNode()
            marks.SetName(f"Pins on {volume.GetName()}")
            marks.LockedOn()
            add_shown_on(self._scene, marks, _display(), side)
            attach(output, marks, MARKS[side].removeprefix(ATTRIBUTE_PREFIX))
            output.SetNodeReferenceID(MARKS[side], marks.GetID())
        return marks


def _pin_of(reading: Reading, number: int) -> Pin:
    return Pin(
        number=number,
        source_ras=_as_written(reading.source_ras),
        output_ras=_as_written(reading.output_ras),
        source_value=None if reading.source_value is None else _written(reading.source_value),
        output_value=None if reading.output_value is None else _written(reading.output_value),
        displacement_mm=_written(reading.displacement_mm),
        det_j=_written(reading.det_j),
        round_trip_mm=_written(reading.round_trip_mm),
        state=reading.state,
        from_output=reading.from_output,
    )


def _as_written(point: Point) -> Point:
    return _written(point[0]), _written(point[1]), _written(point[2])


def _written(value: float) -> float:
    return float(f"{value:.{WRITTEN_DIGITS}g}")


def _cells(pin: Pin) -> dict[str, Cell]:
    values = (
        pin.number,
        *pin.source_ras,
        *pin.output_ras,
        pin.source_value,
        pin.output_value,
        pin.displacement_mm,
        pin.det_j,
        pin.round_trip_mm,
        pin.state.value,
        (Side.OUTPUT if pin.from_output else Side.SOURCE).value,
        pin.note,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _fill_table(node: slicer.vtkMRMLTableNode, pins: Sequence[Pin]) -> None:
    """Replaces all columns: what was changed by hand does not stay."""
    modified = node.StartModify()
    node.RemoveAllColumns()
    for name in COLUMNS:
        column = (
            vtk.vtkIntArray() if name in INTEGERS else vtk.vtkStringArray() if name in TEXTS else vtk.vtkDoubleArray()
        )
        column.SetName(name)
        for pin in pins:
            cell = _cells(pin)[name]
            column.InsertNextValue(math.nan if cell is None else cell)
        node.AddColumn(column)
    node.EndModify(modified)


def _pins_in(node: slicer.vtkMRMLTableNode) -> list[Pin]:
    table = node.GetTable()
    names = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
    rows = [
        {name: table.GetValue(row, column) for column, name in enumerate(names)}
        for row in range(table.GetNumberOfRows())
    ]
    try:
        return [_pin_from(row) for row in rows]
    except (KeyError, ValueError) as error:
        msg = f"The table {node.GetName()!r} was changed by hand and cannot be read ({error}). Clear the pins."
        raise RequestError(msg) from error


def _pin_from(row: Mapping[str, vtk.vtkVariant]) -> Pin:
    numbers = {name: row[name].ToDouble() for name in COLUMNS if name not in TEXTS}
    positions = [numbers[name] for name in COLUMNS if "_ras_" in name]
    if not all(math.isfinite(value) for value in positions):
        msg = "a position is missing"
        raise ValueError(msg)
    return Pin(
        number=int(numbers["pin"]),
        source_ras=(positions[0], positions[1], positions[2]),
        output_ras=(positions[3], positions[4], positions[5]),
        source_value=_value(numbers["source_value"]),
        output_value=_value(numbers["output_value"]),
        displacement_mm=numbers["displacement_mm"],
        det_j=numbers["det_j"],
        round_trip_mm=numbers["round_trip_mm"],
        state=ReadingState(row["state"].ToString()),
        from_output=Side(row["pinned_in"].ToString()) is Side.OUTPUT,
        note=row["note"].ToString(),
    )


def _value(number: float) -> float | None:
    return None if math.isnan(number) else number


def _display() -> slicer.vtkMRMLMarkupsFiducialDisplayNode:
    display = slicer.vtkMRMLMarkupsFiducialDisplayNode()
    display.SetColor(*COLOUR)
    display.SetSelectedColor(*COLOUR)
    display.SetGlyphTypeFromString("StarBurst2D")
    display.PropertiesLabelVisibilityOff()
    return display


def _draw(marks: slicer.vtkMRMLMarkupsFiducialNode, points: Sequence[Point], labels: Sequence[str]) -> None:
    modified = marks.StartModify()
    marks.SetFixedNumberOfControlPoints(0)
    marks.RemoveAllControlPoints()
    for point, label in zip(points, labels, strict=True):
        marks.AddControlPointWorld(point, label)
    marks.SetFixedNumberOfControlPoints(1)  # no click adds a mark that is no pin
    marks.EndModify(modified)
