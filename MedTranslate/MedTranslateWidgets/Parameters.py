"""What the user has chosen, kept in the scene: the panels read choices from here and from nowhere else."""

from __future__ import annotations

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

STEPS_OF_THE_BUNDLE = 0


@parameterNodeWrapper
class MedTranslateParameters:
    """Choices of the module.

    source - The volume to translate.
    direction - Key of the bundle and its direction; see `MedTranslateLib.bundles.directions`.
    device - Where inference runs: auto, cpu, cuda:0, mps.
    steps - Steps of the method; 0 takes the bundle's own number.
    samples - Translations to draw; more than one gives an uncertainty map.
    seed - Seed of everything random.
    estimateDrift - Whether fields are estimated from both pictures in place of the method's own.
    trust - Whether trust maps and the ledger are made.
    outputName - The user's name for the output; empty for one that tells source, bundle and run.
    result - The output that is looked at and traced.
    comparedWith - What the output is compared with; none is the traced source.
    """

    source: vtkMRMLScalarVolumeNode
    direction: str = ""
    device: str = "auto"
    steps: Annotated[int, WithinRange(0, 2000)] = STEPS_OF_THE_BUNDLE
    samples: Annotated[int, WithinRange(1, 64)] = 1
    seed: Annotated[int, WithinRange(0, 2147483647)] = 0
    estimateDrift: bool = False
    trust: bool = True
    outputName: str = ""
    result: vtkMRMLScalarVolumeNode
    comparedWith: vtkMRMLScalarVolumeNode
