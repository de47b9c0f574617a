"""The provenance of a result in, what a reader needs of it, the choice that repeats it, and whether it repeated out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from MedTranslateLib.bundles.store import BundleStore
from MedTranslateLib.core.errors import BundleTamperedError, InvalidVolumeError, RequestError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.files import write_text
from MedTranslateLib.mrml.runs import TranslationChoice
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.source import volume_of_source
from MedTranslateLib.mrml.units import unit_of_output
from MedTranslateLib.mrml.volumes import volume_from_node

NOTHING = "-"
HASH_DIGITS = 12
HASH = re.compile(r"[0-9a-f]{40,}")
MOVED_MM = 1e-3
WHOLE = 0
"""Slab of a request for all slices at once; None would leave it to the memory plan."""


@dataclass(frozen=True)
class SheetLine:
    """A line of the sheet: what it is about, and what there is to say."""

    label: str
    text: str


@dataclass(frozen=True)
class RunSheet:
    """What `provenance.json` holds.

    Args:
        text: The text of the node.
        table: The same, read.
    """

    text: str
    table: Mapping[str, Any]

    @classmethod
    def of(cls, nodes: ResultNodes) -> RunSheet:
        """Reads the text node of a result.

        Raises:
            RequestError: If it was deleted or changed.
        """
        if nodes.provenance is None:
            msg = f"The provenance of {nodes.output.GetName()} was deleted from the scene; nothing is known of its run."
            raise RequestError(msg)
        text = nodes.provenance.GetText() or ""
        try:
            table = json.loads(text)
        except ValueError as error:
            msg = f"{nodes.provenance.GetName()} was changed by hand and cannot be read ({error})."
            raise RequestError(msg) from error
        if not isinstance(table, dict):
            msg = f"{nodes.provenance.GetName()} was changed by hand: expected a table."
            raise RequestError(msg)
        return cls(text, table)

    def lines(self) -> tuple[SheetLine, ...]:
        """The sheet: bundle, run, gate, memory, versions; what an older record does not say is left out."""
        rows = (
            ("Bundle", self._bundle()),
            ("Its files", self._files()),
            ("Run", self._run()),
            ("Device", self._device()),
            ("Input gate", self._gate()),
            ("Memory plan", self._memory()),
            ("Source", self._source()),
            ("Software", self._software()),
            ("Made", self._made()),
        )
        return tuple(SheetLine(label, text) for label, text in rows if text)

    def save(self, path: Path) -> None:
        """Writes the record as it is.

        Raises:
            OutputError: If the file cannot be written whole.
        """
        write_text(path, self.text)

    def choice(self) -> TranslationChoice:
        """The choice that repeats the run.

        Raises:
            RequestError: If the record does not say enough.
        """
        run, gate = self._part("run"), self._part("gate")
        try:
            return TranslationChoice(
                bundle=str(self._part("bundle")["name"]),
                reverse=bool(run["reverse"]),
                steps=int(run["steps"]),
                samples=int(run["samples"]),
                seed=int(run["seed"]),
                device=str(run["device"]),
                estimate_drift=bool(run.get("estimate_drift", False)),
                accept_doubtful=bool(gate["accepted"]),
                trust=bool(self._part("request").get("trust", True)),
                method_options=dict(run.get("method_options", {})),
                batch_size=run.get("batch_size"),
                slab=(run["slab"] or WHOLE) if "slab" in run else None,
                threads=run.get("threads"),
            )
        except (KeyError, TypeError, ValueError) as error:
            msg = f"The record does not say how to repeat the run ({error} is missing or wrong)."
            raise RequestError(msg) from error

    def check_repeatable(self, source: slicer.vtkMRMLScalarVolumeNode, store: BundleStore) -> None:
        """Checks that source and bundle are still those of the record.

        Args:
            source: The node that was translated.
            store: The installed bundles.

        Raises:
            InvalidVolumeError: If the source was changed since.
            BundleNotFoundError: If the bundle is not installed any more.
            BundleTamperedError: If another version of it is.
        """
        wanted = self._part("bundle")
        manifest = store.find(str(wanted.get("name", ""))).manifest
        if dict(manifest.files) != wanted.get("files"):
            msg = (
                f"The installed bundle {manifest.name} {manifest.version} is not the one of the record "
                f"({wanted.get('version', NOTHING)}): their hashes differ. Install that version first."
            )
            raise BundleTamperedError(msg)
        if not self._is_of(volume_of_source(source).volume):
            msg = (
                f"{source.GetName()} was changed or moved since it was translated: its voxels or their places are not "
                "those of the record. Undo that first."
            )
            raise InvalidVolumeError(msg)

    def _is_of(self, source: Volume) -> bool:
        """Whether the record is of this source; a scene file rounds matrices, so their last digits do not count."""
        record = self._part("source")
        try:
            recorded = Geometry(tuple(record["size_ijk"]), np.array(record["ijk_to_ras"], dtype=np.float64))
        except (KeyError, TypeError, ValueError) as error:
            msg = f"The record does not say what was translated ({error})."
            raise RequestError(msg) from error
        seen = (source, _turned_back(source))
        return any(
            recorded.same_grid(view.geometry, MOVED_MM)
            and hash_of(replace(view, geometry=recorded)) == record.get("sha256")
            for view in seen
        )

    def _part(self, name: str) -> Mapping[str, Any]:
        part = self.table.get(name)
        return part if isinstance(part, dict) else {}

    def _bundle(self) -> str:
        bundle = self._part("bundle")
        method = f" ({bundle['method']})" if bundle.get("method") else ""
        return f"{bundle['name']} {bundle.get('version', '')}{method}".strip() if bundle.get("name") else ""

    def _files(self) -> str:
        files = self._part("bundle").get("files") or {}
        return ", ".join(f"{name}: SHA-256 {_short(digest)}" for name, digest in files.items())

    def _run(self) -> str:
        run = self._part("run")
        said = [f"{name} {run[name]}" for name in ("steps", "samples", "seed") if name in run]
        said += ["reversed"] if run.get("reverse") else []
        said += ["drift estimated"] if run.get("estimate_drift") else []
        said += [f"{name} = {value}" for name, value in (run.get("method_options") or {}).items()]
        return ", ".join(said)

    def _device(self) -> str:
        run = self._part("run")
        if not run.get("device"):
            return ""
        name = f" ({run['device_name']})" if run.get("device_name") not in (None, "", run["device"]) else ""
        batch = f", batches of {run['batch_size']}" if run.get("batch_size") else ""
        return f"{run['device']}{name}, {run.get('precision', NOTHING)}{batch}"

    def _gate(self) -> str:
        gate = self._part("gate")
        if not gate.get("verdict"):
            return ""
        override = ", translated anyway because the user asked for it" if gate.get("accepted") else ""
        reasons = " ".join(str(reason) for reason in gate.get("reasons") or [])
        sure = f" ({100 * gate['confidence']:.0f} %)" if isinstance(gate.get("confidence"), (int, float)) else ""
        looks = f", looks like {gate['looks_like']}{sure}" if gate.get("looks_like") else ""
        return f"{gate['verdict']}{looks}{override}. {reasons}".strip()

    def _memory(self) -> str:
        memory = self._part("memory")
        plan, finished = (memory[name] if isinstance(memory.get(name), dict) else {} for name in ("plan", "finished"))
        said = [str(plan["mode"])] if plan.get("mode") else []
        said += [f"needed about {plan['needed_bytes'] / 1e9:.1f} GB"] if plan.get("needed_bytes") else []
        said += [f"ran in batches of {finished['batch_size']}"] if finished.get("batch_size") else []
        said += [f"slabs of {finished['slab']}"] if finished.get("slab") else []
        said += (
            [f"after {count} attempts with too little memory"]
            if (count := len(memory.get("stepped_down") or []))
            else []
        )
        said += ["started anew after the system had ended it"] if memory.get("after_kill") else []
        return ", ".join(said)

    def _source(self) -> str:
        source = self._part("source")
        size = " x ".join(str(count) for count in source.get("size_ijk") or [])
        digest = f"SHA-256 {_short(source['sha256'])}" if source.get("sha256") else ""
        modality = str(source.get("modality") or "")
        return ", ".join(said for said in (modality, size, digest) if said)

    def _software(self) -> str:
        software = dict(self._part("software"))
        own = f"{software.pop('name', 'MedTranslate')} {software.pop('version', NOTHING)}"
        return ", ".join([own, *(f"{name} {_short(version)}" for name, version in software.items())])

    def _made(self) -> str:
        times = self._part("times_s")
        seconds = times.get("total", times.get("network"))
        took = f", {seconds:.1f} s" if isinstance(seconds, (int, float)) else ""
        return f"{self.table['created_utc']}{took}" if self.table.get("created_utc") else ""


@dataclass(frozen=True)
class Repetition:
    """How far a second run of a case is from the first.

    Args:
        largest, mean: Absolute difference of the voxels; 0 for the same output.
        unit: What both are measured in.
    """

    largest: float
    mean: float
    unit: str

    @classmethod
    def of(cls, first: ResultNodes, again: ResultNodes) -> Repetition:
        """Compares the outputs of two results.

        Raises:
            InvalidVolumeError: If they do not lie on the same grid.
        """
        before, after = volume_from_node(first.output), volume_from_node(again.output)
        if not before.geometry.same_grid(after.geometry):
            msg = f"{again.output.GetName()} does not lie on the grid of {first.output.GetName()}; not compared."
            raise InvalidVolumeError(msg)
        difference = np.abs(before.array_kji.astype(np.float64) - after.array_kji)
        return cls(float(difference.max()), float(difference.mean()), unit_of_output(first))

    def sentence(self) -> str:
        """What came of it, in one sentence."""
        if self.largest == 0:
            return "The output is identical, voxel for voxel."
        return f"The output differs by up to {self.largest:.3g} and by {self.mean:.3g} on average ({self.unit})."


def hash_of(volume: Volume) -> str:
    """SHA-256 of the voxel bytes (float32, little endian, k j i) followed by the size and the matrix (float64)."""
    digest = hashlib.sha256(np.ascontiguousarray(volume.array_kji, dtype="<f4").tobytes())
    digest.update(np.array(volume.geometry.size_ijk, dtype="<i8").tobytes())
    digest.update(volume.geometry.ijk_to_ras.astype("<f8").tobytes())
    return digest.hexdigest()


def _turned_back(volume: Volume) -> Volume:
    """The same image with its slices counted backwards: so Slicer reads one that is left-handed."""
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = volume.geometry.size_ijk[2] - 1
    geometry = Geometry(volume.geometry.size_ijk, volume.geometry.ijk_to_ras @ flip)
    return replace(volume, array_kji=volume.array_kji[::-1], geometry=geometry)


def _short(digest: object) -> str:
    """The beginning of what is a hash; anything else as it is."""
    text = str(digest)
    return f"{text[:HASH_DIGITS]}..." if HASH.fullmatch(text) else text
