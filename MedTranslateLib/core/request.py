"""What a user asks for: one source, one bundle, and how it shall be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from MedTranslateLib.core.errors import RequestError

MAX_SAMPLES = 64
MAX_STEPS = 2000
MAX_BATCH, MAX_SLAB, MAX_THREADS = 1024, 1 << 16, 1024


@dataclass(frozen=True)
class TranslationRequest:
    """A translation as it is written to `request.json`; the source lies beside it.

    Args:
        bundle: Name of an installed bundle, or the path of a bundle folder.
        source_name: How the source is called in messages and provenance.
        source_modality: Modality stated by the source's header, if any.
        reverse: Translate from the bundle's target modality to its source modality.
        steps: Steps of the method; None takes the bundle's default.
        samples: Number of translations to draw; more than one gives an uncertainty map.
        seed: Seed of everything random.
        device: `auto`, `cpu`, `cuda:0` or `mps`.
        estimate_drift: Store fields estimated from source and output, marked as such, in place of the method's own.
        accept_doubtful: Run although the input gate found something doubtful; recorded in the provenance.
        method_options: Options of the method in place of the bundle's, those that say how trained weights are used.
        trust: Whether trust maps are made; where a bundle translates both ways, that takes one more translation.
        batch_size: Slices that go through the network at once; None leaves it to the memory plan.
        slab: Slices that are prepared and put together at once; None leaves it to the memory plan, 0 is all.
        threads: Threads of the processor; None takes what the environment and the machine give.
        source_synthetic: Whether the source says of itself that no scanner made it.

    Raises:
        RequestError: If a value is of the wrong kind or out of range.
    """

    bundle: str
    source_name: str = "source"
    source_modality: str | None = None
    reverse: bool = False
    steps: int | None = None
    samples: int = 1
    seed: int = 0
    device: str = "auto"
    estimate_drift: bool = False
    accept_doubtful: bool = False
    method_options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    trust: bool = True
    batch_size: int | None = None
    slab: int | None = None
    threads: int | None = None
    source_synthetic: bool = False

    def __post_init__(self) -> None:
        """Checks kinds and ranges; what the bundle allows is checked when it is known."""
        for part in fields(self):
            _check_kind(part.name, str(part.type), getattr(self, part.name))
        if not self.bundle:
            msg = "A request needs the name of a bundle."
            raise RequestError(msg)
        _check_integer("steps", 1 if self.steps is None else self.steps, 1, MAX_STEPS)
        _check_integer("samples", self.samples, 1, MAX_SAMPLES)
        _check_integer("seed", self.seed, 0, 2**63 - 1)
        _check_integer("batch_size", 1 if self.batch_size is None else self.batch_size, 1, MAX_BATCH)
        _check_integer("slab", 0 if self.slab is None else self.slab, 0, MAX_SLAB)
        _check_integer("threads", 1 if self.threads is None else self.threads, 1, MAX_THREADS)
        _check_options(self.method_options)

    def to_json(self) -> dict[str, Any]:
        """The table that `request.json` holds."""
        return {"format": 1, **asdict(self)}

    @classmethod
    def from_json(cls, table: object) -> TranslationRequest:
        """Reads the table back.

        Raises:
            RequestError: If it is no table, of another format, or has an unknown or missing key.
        """
        if not isinstance(table, dict) or table.get("format") != 1:
            msg = f"request.json must be a table with format 1, got {table!r:.80}."
            raise RequestError(msg)
        known = {part.name for part in fields(cls)}
        unknown = sorted(set(table) - known - {"format"})
        if unknown or "bundle" not in table:
            reason = f"unknown key {unknown[0]!r}" if unknown else "the key 'bundle' is missing"
            msg = f"request.json: {reason}."
            raise RequestError(msg)
        return cls(**{key: value for key, value in table.items() if key != "format"})


def _check_kind(name: str, wanted: str, value: object) -> None:
    """A switch that is a text would count as on: a request comes from a file, so nothing is taken for granted."""
    kind: type | None = {"bool": bool, "str": str}.get(wanted.removesuffix(" | None"))
    if kind is None or isinstance(value, kind) or (value is None and wanted.endswith("None")):
        return
    msg = f"{name} must be {'true or false' if kind is bool else 'a text'}, got {value!r:.80}."
    raise RequestError(msg)


def _check_options(options: object) -> None:
    plain = isinstance(options, Mapping) and all(isinstance(value, (str, int, float)) for value in options.values())
    if not plain:
        msg = f"method_options must be a table of texts and numbers, got {options!r:.80}."
        raise RequestError(msg)


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        msg = f"{name} must be a whole number from {low} to {high}, got {value!r}."
        raise RequestError(msg)
