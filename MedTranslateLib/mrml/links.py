"""A node or a scene in, the translations that are complete in it out: found by references, also in a reopened scene."""

from __future__ import annotations

import slicer

from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, OPTIONAL_ROLES, ResultNodes


def result_nodes(node: slicer.vtkMRMLNode | None) -> ResultNodes | None:
    """The result that a node belongs to.

    Args:
        node: Any node of a result, the source included.

    Returns:
        The result of which the node is the output; else the latest that it is a part or the source of. None if there
        is none that is complete: deleted maps, ledger or provenance do not matter, any other part does.
    """
    if node is None or node.GetScene() is None:
        return None
    found = [nodes for nodes in results_in(node.GetScene()) if any(part is node for _, part in nodes.roles())]
    made_as_output = [nodes for nodes in found if nodes.output is node]
    return next(reversed(made_as_output or found), None)


def results_in(scene: slicer.vtkMRMLScene) -> list[ResultNodes]:
    """All complete results, in the order in which they were added."""
    kind = "vtkMRMLScalarVolumeNode"
    volumes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    found = (_result_of(volume) for volume in volumes if volume.GetAttribute(f"{ATTRIBUTE_PREFIX}role") == "output")
    return [nodes for nodes in found if nodes is not None]


def _result_of(output: slicer.vtkMRMLScalarVolumeNode) -> ResultNodes | None:
    source = output.GetNodeReference(f"{ATTRIBUTE_PREFIX}source")
    forward, inverse = _part(output, "forward"), _part(output, "inverse")
    validity = _part(output, "validity")
    if source is None or forward is None or inverse is None or validity is None:
        return None
    if not _leads(forward, source, output) or not _leads(inverse, output, source):
        return None  # a copy of an output also has its references, but the fields do not know the copy
    return ResultNodes(
        source=source,
        output=output,
        forward=forward,
        inverse=inverse,
        validity=validity,
        **{role: _part(output, role) for role in OPTIONAL_ROLES},
    )


def _part(output: slicer.vtkMRMLScalarVolumeNode, role: str) -> slicer.vtkMRMLNode | None:
    node = output.GetNodeReference(f"{ATTRIBUTE_PREFIX}{role}")
    known = node is not None and node.GetAttribute(f"{ATTRIBUTE_PREFIX}role") == role
    return node if known else None


def _leads(field: slicer.vtkMRMLTransformNode, carried: slicer.vtkMRMLNode, kept: slicer.vtkMRMLNode) -> bool:
    """Whether a field carries one image to the other."""
    moving = field.GetNodeReference(field.GetMovingNodeReferenceRole())
    return moving is carried and field.GetNodeReference(field.GetFixedNodeReferenceRole()) is kept
