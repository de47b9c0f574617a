"""An evaluation file in, everything it asks for measured and merged out; a run that was stopped goes on."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from MedTranslateLib import __version__
from MedTranslateLib.bundles.manifest import read_manifest
from MedTranslateLib.core.errors import ConfigError, MedTranslateError
from MedTranslateLib.evaluation.aggregate import Arrangement
from MedTranslateLib.evaluation.cohort import CohortOptions, Outcome, Unit, run_cohort
from MedTranslateLib.evaluation.compare_config import Comparison
from MedTranslateLib.evaluation.competitors import Lineup, line_up
from MedTranslateLib.evaluation.config import EvaluationPlan, read_plan
from MedTranslateLib.evaluation.findings_store import UnitResult, read_result
from MedTranslateLib.evaluation.hashes import hash_of_code, hash_of_files
from MedTranslateLib.evaluation.measurement import Findings, Problem, Severity
from MedTranslateLib.evaluation.protocols import PROTOCOLS
from MedTranslateLib.evaluation.report.content import PageWords
from MedTranslateLib.evaluation.set_figures import set_figures
from MedTranslateLib.evaluation.training_runs import TrainingSite, kept_bundles, trained_bundles
from MedTranslateLib.evaluation.unit_store import UnitStore
from MedTranslateLib.evaluation.units import Place, compare_units, do_unit, protocol_title, protocol_units
from MedTranslateLib.inference.devices import choose_device

OnProgress = Callable[[str, int, int], None]
"""Called as `on_progress(what, done, total)`."""


@dataclass(frozen=True)
class EvaluationRun:
    """One evaluation.

    Args:
        place: Where it reads and writes.
        cohort: Processes it runs in.
        from_weights: Whether families are compared with their kept weights instead of being trained.
        on_progress: Told how far it is.
    """

    place: Place
    cohort: CohortOptions
    from_weights: bool
    on_progress: OnProgress


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Args:
        title: That of the file.
        findings: Figures, pictures and problems of all tables.
        arrangement: Tables and methods in the order of the file.
        made_of: Heading, then name and value: hashes of inputs, bundles and code, and versions.
        page: What a page in a repository says around the tables.
    """

    title: str
    findings: Findings
    arrangement: Arrangement
    made_of: Mapping[str, Mapping[str, str]]
    page: PageWords

    @property
    def failed(self) -> bool:
        """Whether something that was asked for could not be measured."""
        return any(problem.severity is Severity.FAILED for problem in self.findings.problems)


def evaluate(run: EvaluationRun) -> Evaluated:
    """Does what is not done yet and gathers everything.

    Raises:
        ConfigError: If the file is wrong, or data it needs are missing altogether.
        OutputError: If results cannot be written.
    """
    plan = read_plan(run.place.plan_path)
    _check_titles(plan.compare)
    if run.cohort.scheduler is None:
        choose_device(run.place.device)  # one that is not here is not told case by case
    store = UnitStore(run.place.store)
    lineups, problems = _lineups(plan, run)
    units, without_data = _units(plan, lineups, run.place)
    problems += without_data + _missing_features(plan, run.place) + _work(units, store, run)
    results = [read_result(store, unit.key) for unit in units if store.has(unit.key)]
    findings, made_of = _merged(results, problems), _made_of(units, lineups)
    findings = replace(findings, problems=_grouped(findings.problems, _bundles(plan, lineups)))
    return Evaluated(plan.title, findings, _arranged(plan, lineups), made_of, plan.page)


def _check_titles(comparisons: Sequence[Comparison]) -> None:
    names = [comparison.name for comparison in comparisons]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        msg = f"Two [[compare]] tables are called {twice[0]!r}; give each a title of its own."
        raise ConfigError(msg)


def _lineups(plan: EvaluationPlan, run: EvaluationRun) -> tuple[dict[int, Lineup], list[Problem]]:
    """Who takes part in each comparison; one that cannot take place is a problem of that table alone."""
    lineups, problems = {}, []
    for number, comparison in enumerate(plan.compare):
        lineup = _lineup(comparison, run)
        if isinstance(lineup, Problem):
            problems.append(lineup)
        else:
            lineups[number] = lineup
            problems += lineup.problems
    return lineups, problems


def _lineup(comparison: Comparison, run: EvaluationRun) -> Lineup | Problem:
    folder, family = run.place.plan_path.parent, comparison.family
    try:
        if family is None:
            return line_up(comparison, folder, {})
        if run.from_weights:
            return line_up(comparison, folder, kept_bundles(family, folder))
        site = TrainingSite(folder, run.place.data_root, run.place.out / "trained", run.place.device, run.on_progress)
        return line_up(comparison, folder, trained_bundles(family, site))
    except MedTranslateError as error:
        return Problem(comparison.name, "", "", str(error))


def _units(plan: EvaluationPlan, lineups: Mapping[int, Lineup], place: Place) -> tuple[list[Unit], list[Problem]]:
    """All units, the longest first; a table whose data are not there is a problem of that table alone."""
    tables = [(table, number) for table in PROTOCOLS for number in range(len(getattr(plan, table)))]
    found = [
        *(_of_table(protocol_title(*table), partial(protocol_units, *table, plan, place)) for table in tables),
        *(_of_table(plan.compare[n].name, partial(compare_units, n, plan, one, place)) for n, one in lineups.items()),
    ]
    units = [unit for part in found if not isinstance(part, Problem) for unit in part]
    return units, [part for part in found if isinstance(part, Problem)]


def _of_table(title: str, make: Callable[[], Iterator[Unit]]) -> list[Unit] | Problem:
    try:
        return list(make())
    except MedTranslateError as error:
        return Problem(title, "", "", str(error))


def _work(units: Sequence[Unit], store: UnitStore, run: EvaluationRun) -> list[Problem]:
    """Does the units that have no result yet; those that failed are problems, and are tried again by the next run."""
    todo = [unit for unit in units if not store.has(unit.key)]
    before = len(units) - len(todo)

    def tell(_outcome: Outcome, done: int, _total: int) -> None:
        run.on_progress("cases", before + done, len(units))

    outcomes = run_cohort(todo, do_unit, run.cohort, tell)
    return [_lost(unit, outcome) for unit, outcome in zip(todo, outcomes, strict=True) if outcome.failed]


def _lost(unit: Unit, outcome: Outcome) -> Problem:
    table, case, method = unit.work["about"]
    return Problem(table, case, method, str(outcome.message))


def _missing_features(plan: EvaluationPlan, place: Place) -> list[Problem]:
    wanted = {"SqueezeNet": plan.features.squeezenet, "Inception": plan.features.inception}
    return [
        Problem(
            "",
            "",
            "",
            f"The weights of {network} ({path}) are not under the data root; distances that need them are left out.",
            Severity.NOTED,
        )
        for network, path in wanted.items()
        if path and not (place.data_root / path).is_file()
    ]


def _merged(results: Sequence[UnitResult], problems: Sequence[Problem]) -> Findings:
    """All results in one, in an order that does not depend on which was done first."""
    found = [result.findings for result in results]
    measurements = [one for findings in found for one in findings.measurements]
    measurements += set_figures(sample for result in results for sample in result.samples)
    told = dict.fromkeys([*problems, *(one for findings in found for one in findings.problems)])
    pictures = tuple(one for findings in found for one in findings.pictures)
    return Findings(tuple(measurements), pictures, tuple(told))


def _bundles(plan: EvaluationPlan, lineups: Mapping[int, Lineup]) -> dict[str, set[str]]:
    return {
        plan.compare[number].name: {one.title for one in lineup.competitors if one.folder}
        for number, lineup in lineups.items()
    }


def _grouped(problems: Sequence[Problem], bundles: Mapping[str, set[str]]) -> tuple[Problem, ...]:
    """What is wrong with a case is said once, of some methods by their names, of every bundle of its table of all."""
    methods: dict[Problem, list[str]] = {}
    for problem in problems:
        methods.setdefault(replace(problem, method=""), []).append(problem.method)
    return tuple(
        problem
        if len(names) > 1 and bundles.get(problem.table, set()) <= set(names)
        else replace(problem, method=", ".join(names))
        for problem, names in methods.items()
    )


def _arranged(plan: EvaluationPlan, lineups: Mapping[int, Lineup]) -> Arrangement:
    tables = tuple(comparison.name for comparison in plan.compare)
    methods = [one.title for lineup in lineups.values() for one in lineup.competitors]
    return Arrangement(tables=tuple(dict.fromkeys(tables)), methods=tuple(dict.fromkeys(methods)))


def _made_of(units: Sequence[Unit], lineups: Mapping[int, Lineup]) -> dict[str, dict[str, str]]:
    software = {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-image", "monai", "SimpleITK")}
    bundles = {
        one.title: json.dumps(dict(read_manifest(Path(one.folder)).files), sort_keys=True)
        for lineup in lineups.values()
        for one in lineup.competitors
        if one.folder
    }
    files: dict[str, dict[Path, None]] = {}  # several files of a patient are one input
    for unit in units:
        table, case, _ = unit.work["about"]
        paths = [Path(path) for path in unit.work.get("files", [])[1:] if path is not None]
        files.setdefault(f"{table}, {case}", {}).update(dict.fromkeys(paths))
    inputs = {name: hash_of_files(paths) for name, paths in files.items() if paths}
    return {
        "Software": {"MedTranslate": __version__, "Python": platform.python_version(), **software},
        "Code (SHA-256)": {"MedTranslateLib": hash_of_code()},
        "Bundles (SHA-256 of their files)": bundles,
        "Inputs (SHA-256 over the files of a case)": inputs,
    }
