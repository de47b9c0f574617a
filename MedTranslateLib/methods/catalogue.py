"""The methods by the name that bundles and training files use. A new method is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.bidpm import BiDpm
from MedTranslateLib.methods.combination import Combination
from MedTranslateLib.methods.contract import Method
from MedTranslateLib.methods.cyclegan import CycleGan
from MedTranslateLib.methods.ddib import Ddib
from MedTranslateLib.methods.flow_matching import FlowMatching
from MedTranslateLib.methods.identity import Identity
from MedTranslateLib.methods.midiffusion import MIDiffusion
from MedTranslateLib.methods.plasticine import Plasticine
from MedTranslateLib.methods.sdedit import SdEdit

METHODS: dict[str, type[Method]] = {
    "bidpm": BiDpm,
    "combination": Combination,
    "cyclegan": CycleGan,
    "ddib": Ddib,
    "flow-matching": FlowMatching,
    "identity": Identity,
    "midiffusion": MIDiffusion,
    "plasticine": Plasticine,
    "sdedit": SdEdit,
}


def build_method(name: str, options: Mapping[str, Any]) -> Method:
    """Builds a method with untrained weights.

    Raises:
        ConfigError: If the method or one of its options is unknown.
    """
    if name not in METHODS:
        msg = f"Unknown method {name!r}; known are {', '.join(METHODS)}."
        raise ConfigError(msg)
    return METHODS[name].from_options(options)
