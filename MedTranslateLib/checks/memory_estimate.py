"""What is to be run and how much of it at once in, the bytes that each stage needs out: an upper bound, not a wish.

The counts are those of the arrays that exist together, read off the code; the two figures of the network were measured
(`Testing/benchmarks/memory_plan.py` compares the whole with runs). What grows with the image is the image itself, its
slices, and the fields of a method that moves pixels; nothing grows with the number of samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from MedTranslateLib.bundles.manifest import WEIGHTS, Manifest
from MedTranslateLib.checks.memory_settings import Settings
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.geometry import Plane, source_axes

MOVING_METHODS = frozenset({"plasticine", "combination"})
"""Methods that make fields; the others leave every pixel in its place."""
LIBRARIES = 660 << 20
"""A process that has loaded torch, MONAI and SimpleITK."""
ON_DEVICE = 700 << 20
"""What the first use of a graphics card takes on it, for its context and for working space."""
FLOAT = 4
CHANNELS, PATCH = (32,), 2
"""Of a network whose card does not tell its size: what the methods take then, at their finest level."""
DEFAULT_STEPS = {"plasticine": 50, "midiffusion": 20, "sdedit": 20, "flow-matching": 10, "ddib": 20}
"""Of a method whose card does not tell; 1 for those that are not here."""
ACTIVATION_BYTES = 56
"""A pixel of the network's finest level and channel: what lives at once of its activations."""
IMAGES_A_SLICE = 240
"""A pixel of a slice: bytes of pictures, maps and noise beside the network."""
TRUST_MAPS = 6
"""Trust, expected error and the parts that they are made of."""


@dataclass(frozen=True)
class Workload:
    """What is to be run.

    Args:
        source: Grid of the image.
        manifest: Card of the bundle.
        samples: Translations drawn.
        trust: Whether trust maps are made.
        asked_steps: Steps of the method; None for the bundle's own number.
        weights_bytes: Size of the file of weights.
    """

    source: Geometry
    manifest: Manifest
    samples: int = 1
    trust: bool = False
    asked_steps: int | None = None
    weights_bytes: int = 0

    @property
    def steps(self) -> int:
        """Steps of the method."""
        usual = DEFAULT_STEPS.get(self.manifest.method, 1)
        return self.asked_steps or int(self.manifest.method_options.get("steps", usual))

    @property
    def voxels(self) -> int:
        """Of the source."""
        i, j, k = self.source.size_ijk
        return i * j * k

    @property
    def slices(self) -> int:
        """That the network sees."""
        return self.source.size_ijk[source_axes(self.source, Plane(self.manifest.plane))[0][2]]

    @property
    def pixels(self) -> int:
        """Of one slice."""
        height, width = self.manifest.size_hw
        return height * width

    @property
    def moves(self) -> bool:
        """Whether the method makes fields."""
        return self.manifest.method in MOVING_METHODS

    @property
    def goes_back(self) -> bool:
        """Whether a second pass of the network, from the target to the source, is part of the run."""
        return self.trust and self.manifest.reversible


def workload(source: Geometry, folder: Path, manifest: Manifest, request: TranslationRequest) -> Workload:
    """What a request asks for, with the size of the weights as they lie in the bundle's folder.

    Args:
        source: Grid of the image.
        folder: The bundle's folder.
        manifest: Its card.
        request: Samples, steps and trust maps.
    """
    weights = folder / WEIGHTS
    size = weights.stat().st_size if weights.is_file() else 0
    return Workload(source, manifest, request.samples, request.trust, request.steps, size)


def stage_bytes(work: Workload, settings: Settings) -> Mapping[str, int]:
    """Bytes that the process needs in each stage, what it keeps from earlier ones included, libraries excluded.

    Args:
        work: What is to be run.
        settings: How much of it at once.
    """
    image, stack = FLOAT * work.voxels, FLOAT * work.slices * work.pixels
    share = min(1.0, (settings.slab or work.slices) / work.slices)
    flow = 2 * stack if work.moves else 0
    made = stack * (2 if work.samples > 1 else 1)
    network = network_bytes(work, settings) if settings.on_cpu else 0
    stages = {
        "read": 2 * image,
        "prepare": image + max(1.5 * image, 2 * stack + _between(share, image, stack)),
        "translate": image + stack + network + max(2 * flow + 3 * share * flow, flow + made + 3 * share * stack),
        "assemble": image
        + stack
        + made
        + 4 * flow
        + max(9 * share * flow, _maps(work) + _between(share, image, stack)),
        "write": image + 3 * flow + _maps(work) + image,
    }
    return {stage: round(size) + 2 * work.weights_bytes for stage, size in stages.items()}


def _between(share: float, image: float, stack: float) -> float:
    """What lies between two grids while one slab is brought from one to the other: as it was, turned, and as it is."""
    return 3 * share * max(image, stack)


def _maps(work: Workload) -> float:
    """What a run leaves on the source's grid, and on its way there from the network's."""
    image, stack = FLOAT * work.voxels, FLOAT * work.slices * work.pixels
    trust = TRUST_MAPS * image + 2 * stack * work.goes_back if work.trust else 0
    return image * (2 if work.samples > 1 else 1) + work.voxels + stack + trust


def network_bytes(work: Workload, settings: Settings) -> int:
    """Bytes of the network at work on one batch, where it runs; its weights excluded.

    Args:
        work: What is to be run.
        settings: Where, and the size of a batch.
    """
    options = work.manifest.method_options
    widest = max(int(width) / 4**level for level, width in enumerate(options.get("channels", CHANNELS)))
    patch = int(options.get("patch", PATCH))
    a_pixel = ACTIVATION_BYTES * widest / patch**2 + IMAGES_A_SLICE
    return round(settings.batch * work.pixels * a_pixel)


def device_bytes(work: Workload, settings: Settings) -> int:
    """Bytes that a run needs on a graphics card; 0 on the processor."""
    return 0 if settings.on_cpu else ON_DEVICE + 2 * work.weights_bytes + network_bytes(work, settings)
