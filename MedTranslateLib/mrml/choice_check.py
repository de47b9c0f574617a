"""What a user chose and the installed bundles in; the request that a worker gets out, or why there can be none."""

from __future__ import annotations

from MedTranslateLib.bundles.entries import Bundle
from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.store import BundleStore
from MedTranslateLib.core.errors import BundleNotFoundError, RequestError
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.mrml.runs import TranslationChoice

NEUTRAL_NAME = "source"
"""How the source is called outside the scene: a node's name may be a patient's, and the worker has no need of it."""
STEPS_BY_DEFAULT = {"bidpm": 1, "identity": 1}
"""Methods that take their trained number of steps only and always give the same output, with that number where a
bundle does not state it. Of others only the worker knows what they can do, and says so."""


def check_choice(choice: TranslationChoice | None, store: BundleStore) -> Bundle:
    """Finds the chosen bundle and compares the choice with what its card allows; no weights are read.

    Args:
        choice: What the user chose; None where nothing is chosen yet.
        store: The installed bundles.

    Returns:
        The bundle.

    Raises:
        BundleNotFoundError: If there is no bundle of that name, or none was chosen.
        BundleInvalidError: If it is there but broken.
        RequestError: If it cannot do what was chosen.
    """
    if choice is None or not choice.bundle:
        msg = "Choose what to translate to."
        raise BundleNotFoundError(msg)
    bundle = store.find(choice.bundle)
    request_for(choice, bundle)
    _check_direction(choice, bundle.manifest)
    _check_steps_and_samples(choice, bundle.manifest)
    return bundle


def request_for(choice: TranslationChoice, bundle: Bundle, modality: str | None = None) -> TranslationRequest:
    """The request that the worker gets: the bundle by its place, so that both mean the same one.

    Args:
        choice: What the user chose.
        bundle: The bundle that was found for it.
        modality: Modality of the source where it is known.

    Returns:
        A request that does not name the source.

    Raises:
        RequestError: If a number is out of range.
    """
    return TranslationRequest(
        bundle=str(bundle.folder),
        source_name=NEUTRAL_NAME,
        source_modality=modality,
        reverse=choice.reverse,
        steps=choice.steps,
        samples=choice.samples,
        seed=choice.seed,
        device=choice.device,
        estimate_drift=choice.estimate_drift,
        accept_doubtful=choice.accept_doubtful,
        trust=choice.trust,
        method_options=choice.method_options,
        batch_size=choice.batch_size,
        slab=choice.slab,
        threads=choice.threads,
    )


def _check_direction(choice: TranslationChoice, manifest: Manifest) -> None:
    if choice.reverse and not manifest.reversible:
        msg = f"The bundle {manifest.name} translates one way only ({manifest.arrow}). Choose that direction."
        raise RequestError(msg)


def _check_steps_and_samples(choice: TranslationChoice, manifest: Manifest) -> None:
    if manifest.method not in STEPS_BY_DEFAULT:
        return
    steps = manifest.method_options.get("steps", STEPS_BY_DEFAULT[manifest.method])
    if choice.steps not in (None, steps):
        msg = f"The bundle {manifest.name} was trained for {steps} step(s), got {choice.steps}. Leave the steps to it."
        raise RequestError(msg)
    if choice.samples > 1:
        msg = (
            f"The bundle {manifest.name} always gives the same output, so {choice.samples} samples would show an "
            "uncertainty of zero that means nothing. Choose 1 sample."
        )
        raise RequestError(msg)
