"""`medtranslate evaluate`: an evaluation file and images in, tables and a report of what was measured out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from MedTranslateLib.evaluation.cohort import CohortOptions
from MedTranslateLib.evaluation.evaluate import Evaluated, EvaluationRun, evaluate
from MedTranslateLib.evaluation.measurement import Problem
from MedTranslateLib.evaluation.outputs import write_outputs, write_page
from MedTranslateLib.evaluation.report.printable import printable
from MedTranslateLib.evaluation.units import Place
from MedTranslateLib.imaging.files import make_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("config", metavar="CONFIG.toml", type=Path, help="evaluation file (see Resources/Evaluation)")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="folder for tables and report")
    parser.add_argument("--data", type=Path, default=None, help="root of the data folders (default: that of CONFIG)")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda:0 or mps (default auto)")
    parser.add_argument(
        "--from-weights", action="store_true", help="compare families by their kept weights; nothing is trained"
    )
    parser.add_argument("--page", type=Path, default=None, metavar="FILE.md", help="also write the page of [page]")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes (default: one a core)")
    parser.add_argument("--scheduler", default=None, metavar="ADDRESS", help="of a Dask scheduler that is running")


def run(arguments: argparse.Namespace) -> int:
    """Measures what is not measured yet, writes tables and report, and says what failed; 1 if something did."""
    make_folder(arguments.out)
    data_root = arguments.data or arguments.config.parent
    with _Bar() as bar:
        place = Place(arguments.config, data_root, arguments.out, arguments.device)
        cohort = CohortOptions(arguments.scheduler, arguments.workers)
        evaluated = evaluate(EvaluationRun(place, cohort, arguments.from_weights, bar.show))
    command = {"file": arguments.config.name, "from weights": "yes" if arguments.from_weights else "no"}
    written = write_outputs(evaluated, arguments.out, command)
    if arguments.page is not None:
        write_page(evaluated, written, arguments.page)
    sys.stdout.write(f"{written.tables}\n{_problems(evaluated)}Wrote tables and report.html to {arguments.out}.\n")
    return 1 if evaluated.failed else 0


class _Bar:
    """One bar on standard error for whatever is going on."""

    def __init__(self) -> None:
        self._bar = tqdm(total=1, bar_format="{desc:>16} |{bar:30}| {n_fmt}/{total_fmt} {remaining}", file=sys.stderr)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, what: str, done: int, total: int) -> None:
        """Draws how far `what` is; a new piece of work starts the clock again."""
        if what != self._bar.desc:
            self._bar.reset(total)
            self._bar.set_description_str(what, refresh=False)
        self._bar.update(done - self._bar.n)


def _problems(evaluated: Evaluated) -> str:
    problems = evaluated.findings.problems
    return "".join(f"{_line(problem)}\n" for problem in problems) + ("\n" if problems else "")


def _line(problem: Problem) -> str:
    where = ", ".join(part for part in (problem.table, problem.case, problem.method) if part)
    return printable(": ".join(part for part in (problem.severity.value, where, problem.message) if part))
