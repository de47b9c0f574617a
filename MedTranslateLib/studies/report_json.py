"""Findings in, the content of `summary.json` out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from MedTranslateLib.studies.report_page import StudyReport


def summary_document(report: StudyReport) -> dict[str, Any]:
    """Everything that the page is made of.

    Args:
        report: What the page tells.

    Returns:
        A mapping that JSON can hold: None where a figure is not defined.
    """
    joined = report.joined
    return {
        "title": report.study.title,
        "key_sha256": report.key_sha256,
        "study_sha256": report.opened.key.study_sha256,
        "unfinished": list(report.unfinished),
        "left_out": {
            "practice": joined.practice,
            "superseded": joined.superseded,
            "before_washout": joined.before_washout,
        },
        "notes": list(report.findings.notes),
        "level": 0.95,
        "questions": [_plain(one) for one in report.findings.questions],
        "times": [_plain(one) for one in report.findings.times],
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _key(key: Any) -> str:
    return " / ".join(key) if isinstance(key, tuple) else str(key)
