# ruff: noqa: E402  # what lies beside this file can be imported once its folder is on the path
"""Runs the panel cases inside Slicer: by `Slicer --python-script in_slicer.py` or from the module's self-test button.

Each case leaves two lines in `results.jsonl`, one when it starts and one when it ends, so that whoever waits outside
knows which case a Slicer that crashed or hung was at. Pictures lie beside them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

import slicer

from case_runner import Results, run_case
from panel_cases import cases_in, named
from slicer_side import SlicerSide


def run_cases(names: Sequence[str] | None = None) -> list[str]:
    """Runs the cases of these names, else all that are not slow; gives the names of those that failed."""
    cases = [case for case in cases_in() if not case.slow] if names is None else named(names)
    folder = Path(os.environ.get("MEDTRANSLATE_PANEL_OUT") or tempfile.mkdtemp(prefix="MedTranslatePanel"))
    results, failed = Results(folder), []
    side = SlicerSide(folder)
    for case in cases:
        results.started(case)
        outcome = run_case(case, side, results.traces)
        results.ended(case, outcome)
        if outcome.failed:
            failed.append(case.name)
    results.finished()
    return failed


def main() -> None:
    """Runs what MEDTRANSLATE_PANEL_CASES names, then ends Slicer; its exit code is 1 where a case failed."""
    names = json.loads(os.environ.get("MEDTRANSLATE_PANEL_CASES") or "null")
    slicer.util.exit(1 if run_cases(names) else 0)


if __name__ == "__main__":
    main()
