"""A result with trust maps in, their volume nodes out, with colours in which what is not to be trusted stands out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import slicer

from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.trust import TrustMaps, TrustPart
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.display import DisplayRange, output_range, uncertainty_range
from MedTranslateLib.mrml.trust_scale import COLOURS, Colour, TrustStep, TrustWord
from MedTranslateLib.mrml.volumes import node_from_volume

ROLE = "MedTranslate.role"
COLOURS_ROLE = "trust_colours"
ERROR_COLOURS = "vtkMRMLColorTableNodeIron"
TRUST_UNIT = "0 to 1, 1 is the most trusted"
NUMBER_OF_COLOURS = 256
SHOWN_PERCENTILE = 99.5


@dataclass(frozen=True)
class MapKind:
    """One of the maps.

    Args:
        title: How it is called in names of nodes and in lists.
        unit: What its values are measured in; empty for the output's unit.
        smallest_top: The range that is shown reaches at least from 0 to here.
    """

    title: str
    unit: str
    smallest_top: float


MAP_KINDS: Mapping[str, MapKind] = {
    "trust": MapKind("Trust", TRUST_UNIT, 1.0),
    "expected_error": MapKind("Expected error", "", 0.0),
    f"trust_{TrustPart.ROUND_TRIP.value}": MapKind("Round trip", "mm", 0.1),
    f"trust_{TrustPart.FOLDING.value}": MapKind("Nearness to a fold", "0 to 1, 1 is folded", 1.0),
    f"trust_{TrustPart.INTENSITY.value}": MapKind("Unusual intensity", "share of the training range", 0.1),
    f"trust_{TrustPart.CYCLE.value}": MapKind("There and back", "share of the source's range", 0.1),
}
"""By the name of their role, which is that of their file in a job folder, too."""
PART_ROLES = tuple(role for role in MAP_KINDS if role.startswith("trust_"))


def add_trust_maps(
    scene: slicer.vtkMRMLScene, result: TranslationResult, name_of: Callable[[str], str]
) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
    """Adds a node for each map of a result; none where it has no trust maps.

    The parts of the trust are hidden in lists of volumes, which they would fill; the overlays offer them.

    Args:
        scene: Scene to add them to.
        result: A result; maps in `vtk_memory` become the nodes' own.
        name_of: Gives the name of a node from its title.

    Returns:
        The nodes by role, see `MAP_KINDS`.
    """
    nodes = {}
    for role, volume in volumes_of(result.trust).items():
        node = node_from_volume(scene, volume, name_of(MAP_KINDS[role].title), _range(role, volume, result))
        colours = trust_colours(scene).GetID() if role == "trust" else ERROR_COLOURS
        node.GetDisplayNode().SetAndObserveColorNodeID(colours)
        if role in PART_ROLES:
            node.HideFromEditorsOn()
        nodes[role] = node
    return nodes


def volumes_of(maps: TrustMaps | None) -> dict[str, Volume]:
    """The maps by role, in the order of `MAP_KINDS`."""
    if maps is None:
        return {}
    there = {"trust": maps.trust, **{f"trust_{part.value}": volume for part, volume in maps.parts.items()}}
    if maps.expected_error is not None:
        there["expected_error"] = maps.expected_error
    return {role: there[role] for role in MAP_KINDS if role in there}


def trust_colours(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """The colours of trust maps, which are saved with the scene; made where it has none."""
    node = find_trust_colours(scene)
    if node is not None:
        return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetName("Trust, from red to see-through")
    node.SetTypeToUser()
    node.SetNumberOfColors(NUMBER_OF_COLOURS)
    for index in range(NUMBER_OF_COLOURS):
        trust = index / (NUMBER_OF_COLOURS - 1)
        node.SetColor(index, f"{trust:.3f}", *colour_at(trust), opacity_at(trust))
    node.SetAttribute(ROLE, COLOURS_ROLE)
    node.HideFromEditorsOff()  # what is hidden, as colours are at first, is not saved by every version of Slicer
    return scene.AddNode(node)


def find_trust_colours(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode | None:
    """The scene's colours of trust maps; None where it has none."""
    kind = "vtkMRMLColorTableNode"
    tables = (scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind)))
    return next((table for table in tables if table.GetAttribute(ROLE) == COLOURS_ROLE), None)


def colour_at(trust: float) -> Colour:
    """The colour of a trust, between those of the tenths' middles."""
    middles = (np.arange(len(COLOURS)) + 0.5) / len(COLOURS)
    red, green, blue = (float(np.interp(trust, middles, part)) for part in zip(*COLOURS, strict=True))
    return red, green, blue


def opacity_at(trust: float) -> float:
    """1 for low and medium trust; 0 for high trust, which shows the image below. Slicer knows nothing between them."""
    return 0.0 if TrustStep.of(trust).word is TrustWord.HIGH else 1.0


def unit_of_map(role: str, result: TranslationResult) -> str:
    """What a map is measured in."""
    return MAP_KINDS[role].unit or output_range(result).unit


def _range(role: str, volume: Volume, result: TranslationResult) -> DisplayRange:
    kind = MAP_KINDS[role]
    if role == "expected_error":
        return uncertainty_range(volume, result)
    high = kind.smallest_top if kind.smallest_top == 1 else float(np.percentile(volume.array_kji, SHOWN_PERCENTILE))
    return DisplayRange(0.0, max(high, kind.smallest_top), kind.unit)
