"""Summaries in, the content of `summary.json` out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.evaluation.aggregate import Summary


def summary_document(summaries: Iterable[Summary]) -> dict[str, Any]:
    """Everything that the tables are made of.

    Args:
        summaries: In their order.

    Returns:
        A mapping that JSON can hold: None where a figure is not defined, the texts "inf" and "-inf" for infinite ones.
    """
    return {"note": SYNTHETIC_NOTE, "level": 0.95, "summaries": [_plain(asdict(each)) for each in summaries]}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
