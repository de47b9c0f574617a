"""The nodes of a result in, a finished job folder with the same values out: what the command line reads, exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import CorruptResultError, RequestError
from MedTranslateLib.core.ledger import Ledger
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.trust import TrustMaps, TrustPart
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import Job, write_job, write_result
from MedTranslateLib.mrml.choice_check import NEUTRAL_NAME
from MedTranslateLib.mrml.ledger_table import LedgerBoard
from MedTranslateLib.mrml.placement import has_moved
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes
from MedTranslateLib.mrml.source import volume_of_source
from MedTranslateLib.mrml.stored_field import StoredField
from MedTranslateLib.mrml.volumes import check_image, volume_from_node


def write_nodes(folder: Path, nodes: ResultNodes) -> None:
    """Writes source and result into a job folder, as if it had just been translated.

    Args:
        folder: An empty folder that only this user can read: it holds images of a patient.
        nodes: A result; it is not changed.

    Raises:
        MedTranslateError: If a part was replaced, moved or emptied since, or the folder cannot be written to.
    """
    result = result_of(nodes)
    source = volume_of_source(nodes.source).volume
    bundle = str(result.provenance.get("bundle", {}).get("name", "")) or "unknown"
    request = TranslationRequest(bundle, source_name=NEUTRAL_NAME, source_modality=source.modality)
    write_job(folder, Job(request, source), compress=False)
    write_result(folder, result)


def result_of(nodes: ResultNodes) -> TranslationResult:
    """The result that the nodes hold.

    Args:
        nodes: A result.

    Returns:
        Copies of all parts, on the very grids of the nodes.

    Raises:
        MedTranslateError: If a part was replaced, moved or emptied since the translation.
    """
    if has_moved(nodes.output, nodes.source):
        msg = (
            f"{nodes.source.GetName()} or {nodes.output.GetName()} was moved after the translation. Put it back where "
            "it was, or translate again, before it is exported."
        )
        raise RequestError(msg)
    output = _volume(nodes.output)
    return TranslationResult(
        translated=output,
        correspondence=Correspondence(
            _field(nodes.forward), _field(nodes.inverse), Origin(_stated(nodes, "correspondence"))
        ),
        validity_kji=_mask(nodes.validity),
        uncertainty=_volume(nodes.uncertainty) if nodes.uncertainty is not None else None,
        provenance=_provenance(nodes),
        output_name=_stated(nodes, "output_name"),
        output_modality=_stated(nodes, "output_modality"),
        output_scale=_stated(nodes, "scale"),
        trust=_trust(nodes),
        ledger=_ledger(nodes),
    )


def _stated(nodes: ResultNodes, name: str) -> str:
    value = nodes.output.GetAttribute(f"{ATTRIBUTE_PREFIX}{name}")
    if value is None:
        msg = f"{nodes.output.GetName()} does not state its {name} any more. Translate again."
        raise CorruptResultError(msg)
    return str(value)


def _volume(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    if node.GetParentTransformNode() is not None:
        msg = (
            f"{node.GetName()} is moved by the transform {node.GetParentTransformNode().GetName()!r}. Take it out of "
            "that transform (Transforms module)."
        )
        raise RequestError(msg)
    return volume_from_node(node)


def _field(node: slicer.vtkMRMLGridTransformNode) -> DisplacementField:
    stored = StoredField.of(node)
    vectors = vtk_to_numpy(stored.transform.GetDisplacementGrid().GetPointData().GetScalars())
    copied = np.array(vectors, dtype=np.float32).reshape(*stored.geometry.shape_kji, 3)
    return DisplacementField(copied, stored.geometry)


def _mask(node: slicer.vtkMRMLLabelMapVolumeNode) -> npt.NDArray[np.uint8]:
    check_image(node)
    image = node.GetImageData()
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    return np.array(voxels, dtype=np.uint8)


def _provenance(nodes: ResultNodes) -> dict[str, Any]:
    """What the text node says; nothing where it was deleted."""
    if nodes.provenance is None:
        return {}
    try:
        table = json.loads(nodes.provenance.GetText())
    except ValueError as error:
        msg = f"{nodes.provenance.GetName()} was changed by hand and is no record any more ({error}). Translate again."
        raise CorruptResultError(msg) from error
    if not isinstance(table, dict):
        msg = f"{nodes.provenance.GetName()} was changed by hand: expected a table. Translate again."
        raise CorruptResultError(msg)
    return table


def _trust(nodes: ResultNodes) -> TrustMaps | None:
    if nodes.trust is None:
        return None
    parts = {part: getattr(nodes, f"trust_{part.value}") for part in TrustPart}
    volumes = {part: _volume(node) for part, node in parts.items() if node is not None}
    error = _volume(nodes.expected_error) if nodes.expected_error is not None else None
    return TrustMaps(_volume(nodes.trust), error, volumes)


def _ledger(nodes: ResultNodes) -> Ledger | None:
    """The entries as they were found: decisions are the reader's, and go to a CSV file."""
    if nodes.ledger is None or nodes.ledger_regions is None:
        return None
    board = LedgerBoard(nodes)
    entries = sorted((row.entry for row in board.rows()), key=lambda entry: entry.number)
    return Ledger(tuple(entries), _mask(nodes.ledger_regions), board.rule)
