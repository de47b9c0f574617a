"""A bundle folder in, a checked and loaded network on its device out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from MedTranslateLib.bundles.manifest import WEIGHTS, Manifest
from MedTranslateLib.bundles.verify import verify_bundle
from MedTranslateLib.core.errors import BundleInvalidError, ConfigError
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.methods.contract import Method


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle ready to run.

    Args:
        manifest: Its card, after every file was checked against its SHA-256.
        method: The network with the stored weights, in evaluation mode.
        device: Where the network lies.
    """

    manifest: Manifest
    method: Method
    device: torch.device


def load_bundle(folder: Path, device: torch.device) -> LoadedBundle:
    """Verifies a bundle and loads its weights as float32.

    Raises:
        BundleTamperedError: If a file does not have its stated hash; nothing was loaded then.
        BundleInvalidError: If the weights do not belong to the method that the manifest names.
    """
    manifest = verify_bundle(folder)
    try:
        _check_shapes(manifest, folder)
        method = build_method(manifest.method, manifest.method_options)
        stored = load_file(folder / WEIGHTS) if WEIGHTS in manifest.files else {}
        method.load_weights_of_use({name: tensor.float() for name, tensor in stored.items()})
    except (SafetensorError, RuntimeError) as error:
        msg = f"Bundle {manifest.name}: {WEIGHTS} does not hold the weights of {manifest.method}: {error}"
        raise BundleInvalidError(msg) from error
    method.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    return LoadedBundle(manifest, method.eval(), device)


def _check_shapes(manifest: Manifest, folder: Path) -> None:
    """Compares the weights' shapes with those of the method before either takes memory: both come from a stranger.

    Raises:
        RuntimeError: If a name or shape differs.
    """
    with torch.device("meta"):
        sketch = build_method(manifest.method, manifest.method_options)
    expected = {name: list(tensor.shape) for name, tensor in sketch.weights_of_use().items()}
    stored: dict[str, list[int]] = {}
    if WEIGHTS in manifest.files:
        with safe_open(folder / WEIGHTS, "pt") as file:
            stored = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  # no mapping
    wrong = sorted(name for name in {*expected, *stored} if expected.get(name) != stored.get(name))
    if wrong:
        name = wrong[0]
        msg = f"{name} has the shape {stored.get(name, 'nothing')}, expected {expected.get(name, 'nothing')}."
        raise RuntimeError(msg)


def with_options(bundle: LoadedBundle, options: Mapping[str, Any]) -> LoadedBundle:
    """The same trained weights used another way; the bundle itself is not changed.

    Args:
        bundle: A loaded bundle.
        options: Options of its method that say how trained weights are used (`Method.options_of_use`).

    Raises:
        ConfigError: If an option is none of these, or its value is refused.
    """
    if not options:
        return bundle
    foreign = sorted(set(options) - bundle.method.options_of_use)
    if foreign:
        allowed = ", ".join(sorted(bundle.method.options_of_use)) or "none"
        msg = f"{foreign[0]!r} cannot be chosen for the trained {bundle.manifest.method}; options of use: {allowed}."
        raise ConfigError(msg)
    method = build_method(bundle.manifest.method, {**bundle.manifest.method_options, **options})
    method.load_state_dict(bundle.method.state_dict())
    method.to(bundle.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    return replace(bundle, method=method.eval())


class BundleCache:
    """Keeps the last network, so a warm worker starts its next job at once; the files are verified every time."""

    def __init__(self) -> None:
        self._key: tuple[str, str, str] | None = None
        self._bundle: LoadedBundle | None = None

    def load(self, folder: Path, device: torch.device) -> LoadedBundle:
        """As `load_bundle`, but reuses the network when folder, card and device are those of the last call."""
        manifest = verify_bundle(folder)
        key = (str(folder), repr(manifest), str(device))
        if self._bundle is None or key != self._key:
            self._bundle = None  # free the old network before the new one takes memory
            self._bundle = load_bundle(folder, device)
            self._key = key
        return self._bundle
