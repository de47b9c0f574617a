"""`medtranslate batch`: a folder of images in, a folder with a translation of each out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from MedTranslateLib.cli.translate import add_run_arguments, run_options

if TYPE_CHECKING:
    from MedTranslateLib.evaluation.batch import CaseReport
    from MedTranslateLib.evaluation.cohort import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder with image files and DICOM folders")
    parser.add_argument("--bundle", required=True, help="name of a bundle (see `medtranslate bundles list`)")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FOLDER", help="folder for the results; run again to go on"
    )
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes (default: one a core)")
    parser.add_argument(
        "--scheduler", default=None, metavar="ADDRESS", help="Dask scheduler to work with, such as tcp://host:8786"
    )
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Translates every image and says what could not be; 0 only if nothing failed."""
    from MedTranslateLib.evaluation.batch import TABLE, BatchPlan, translate_batch
    from MedTranslateLib.evaluation.batch_cases import find_cases
    from MedTranslateLib.evaluation.cohort import CohortOptions

    where = CohortOptions(arguments.scheduler, arguments.workers)
    cases = find_cases(arguments.folder, arguments.out)
    plan = BatchPlan(arguments.bundle, arguments.out, run_options(arguments), views=not arguments.no_views)
    with tqdm(total=len(cases), desc="translating", unit="case", file=sys.stderr) as bar:

        def show(_outcome: Outcome, done: int, _total: int) -> None:
            bar.update(done - bar.n)

        reports = translate_batch(cases, plan, where, show)
    sys.stdout.write(summary(reports) + f"Wrote {arguments.out / TABLE}.\n")
    return int(any(row.state.value == "failed" for row in reports))


def summary(reports: Sequence[CaseReport]) -> str:
    """How many cases were translated, and a line for each that was not."""
    states = [row.state.value for row in reports]
    done, skipped, failed = (states.count(state) for state in ("done", "skipped", "failed"))
    lines = [f"{done} translated, {skipped} skipped (there already), {failed} failed, of {len(reports)}."]
    lines += [f"  failed: {row.case}: {row.message}" for row in reports if row.state.value == "failed"]
    return "\n".join(lines) + "\n"
