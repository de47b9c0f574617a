# ruff: noqa: E402  # what lies beside this file can be imported once its folder is on the path
"""Run inside a Slicer of its own: starts a translation and kills Slicer in the middle of it, as a crash would."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from panel_case_files import beside
from slicer_side import SlicerSide

OUT = Path(os.environ["MEDTRANSLATE_PANEL_OUT"])


def main() -> None:
    """Leaves the number of the worker's process in `worker.txt`."""
    translate, side = beside(str(HERE / "cases" / "any.py"), "translate"), SlicerSide(OUT)
    _node, panels = translate.open_with_source(side)
    translate.apply(side, panels)
    side.wait_until(lambda: panels.translate.runs.active.progress is not None, 120, "the worker to be at work")
    (OUT / "worker.txt").write_text(str(panels.bench.runner.processId))
    os.kill(os.getpid(), signal.SIGKILL)


main()
