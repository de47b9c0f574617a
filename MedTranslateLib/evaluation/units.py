"""An evaluation file in, its units of work out; and a unit in any process in, its result on disk out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from MedTranslateLib.bundles.manifest import read_manifest
from MedTranslateLib.core.errors import ConfigError, MedTranslateError
from MedTranslateLib.evaluation.cohort import Unit
from MedTranslateLib.evaluation.compare_config import Comparison
from MedTranslateLib.evaluation.compare_unit import CompareWork, measure_case
from MedTranslateLib.evaluation.competitors import Competitor, Lineup, bundle_folder, layout_of
from MedTranslateLib.evaluation.config import EvaluationPlan, RecoveryCheck, read_plan
from MedTranslateLib.evaluation.findings_store import UnitResult, write_result
from MedTranslateLib.evaluation.hashes import hash_of_code, hash_of_files, key_of
from MedTranslateLib.evaluation.measurement import Findings, Problem
from MedTranslateLib.evaluation.protocols import PROTOCOLS, Site
from MedTranslateLib.evaluation.tissues import label_path
from MedTranslateLib.evaluation.unit_store import UnitStore
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.training.cases import CaseFiles, list_cases
from MedTranslateLib.training.config import DataEntry, read_config


@dataclass(frozen=True)
class Place:
    """Where an evaluation reads and writes.

    Args:
        plan_path: The evaluation file.
        data_root: What data folders are relative to.
        out: Folder for the results.
        device: What networks run on.
    """

    plan_path: Path
    data_root: Path
    out: Path
    device: str

    @property
    def store(self) -> Path:
        """Folder of the results of units."""
        return self.out / "units"


def do_unit(work: Mapping[str, Any]) -> None:
    """Does a unit and keeps its result; called in any process."""
    place = Place(Path(work["plan"]), Path(work["data"]), Path(work["out"]), work["device"])
    store, plan = _store(place.store), _plan(place.plan_path, work["plan_hash"])
    result = _compare(work, plan, place, store) if work["table"] == "compare" else _protocol(work, plan, place)
    write_result(store, work["key"], result)


def compare_units(number: int, plan: EvaluationPlan, lineup: Lineup, place: Place) -> Iterator[Unit]:
    """One unit a case and method of a `[[compare]]` table.

    Raises:
        ConfigError: If there are no cases.
    """
    comparison = plan.compare[number]
    cases = _cases(comparison.cases, place.data_root)
    prepared = key_of("prepared", hash_of_code(), *_training(comparison, place), comparison.clusters)
    first = next(one for one in lineup.competitors if one.folder)
    ways = [way.value for way in (tuple(Direction) if lineup.reversible else (Direction.FORWARD,))]
    features = hash_of_files(_feature_files(plan, place))
    for case, (entry, files) in enumerate(cases):
        shared = (hash_of_code(), comparison.name, comparison.every, case < comparison.pictures, case, ways)
        inputs = (repr(comparison.cases[entry]), files.name, hash_of_files(files.paths), features, prepared)
        tissues = _tissues(comparison, comparison.cases[entry], files, place)
        for competitor in lineup.competitors:
            key = key_of(*shared, *inputs, tissues, _identity(competitor), _identity(first), place.device)
            work = {
                "about": [comparison.name, files.name, competitor.title],
                "competitor": competitor.as_work(),
                "first": first.folder,
                "ways": ways,
                "entry": entry,
                "files": [files.name, *(None if path is None else str(path) for path in (files.source, files.target))],
                "case": case,
                "prepared": prepared,
            }
            label = f"{comparison.name}: {files.name}, {competitor.title}"
            yield Unit(key, label, {**_where(place, "compare", number, key), **work})


def protocol_units(table: str, number: int, plan: EvaluationPlan, place: Place) -> Iterator[Unit]:
    """The one unit of a table of another protocol, which cannot be cut into cases.

    Raises:
        ConfigError: If there is no such data folder.
    """
    entry, title = getattr(plan, table)[number], protocol_title(table, number)
    key = key_of(hash_of_code(), title, repr(entry), list(inputs_of(entry, place)), place.device)
    yield Unit(key, title, {**_where(place, table, number, key), "about": [title, "", ""]})


def protocol_title(table: str, number: int) -> str:
    """What problems call a table of another protocol."""
    return f"[[{table}]] {number + 1}"


def inputs_of(table: Any, place: Place) -> Iterator[str]:
    """Hashes of everything a table names: images, bundles, a training file.

    Args:
        table: A dataclass of the evaluation file.
        place: What its paths are relative to.
    """
    if isinstance(table, DataEntry):
        yield hash_of_files(path for files in list_cases(table, place.data_root) for path in files.paths)
    elif isinstance(table, RecoveryCheck):
        config = read_config(place.plan_path.parent / table.training)
        yield key_of(config.raw)
        for entry in (*config.data, *config.validation):
            yield from inputs_of(entry, place)
    elif isinstance(table, (tuple, list)):
        for part in table:
            yield from inputs_of(part, place)
    elif is_dataclass(table):
        for name in (*getattr(table, "bundles", ()), *filter(None, [getattr(table, "bundle", "")])):
            manifest = read_manifest(bundle_folder(name, place.plan_path.parent))
            yield key_of(dict(manifest.files), manifest.training_statistics)
        for part in fields(table):
            yield from inputs_of(getattr(table, part.name), place)


def _compare(work: Mapping[str, Any], plan: EvaluationPlan, place: Place, store: UnitStore) -> UnitResult:
    comparison = plan.compare[work["number"]]
    name, *paths = work["files"]
    source, target = (None if path is None else Path(path) for path in paths)
    unit = CompareWork(
        comparison=comparison,
        competitor=Competitor(**work["competitor"]),
        layout=layout_of(read_manifest(Path(work["first"]))),
        ways=tuple(Direction(way) for way in work["ways"]),
        entry=comparison.cases[work["entry"]],
        files=CaseFiles(name, source, target),
        number=work["case"],
        data_root=place.data_root,
        device=place.device,
        features=plan.features,
        prepared=work["prepared"],
    )
    return measure_case(unit, store)


def _protocol(work: Mapping[str, Any], plan: EvaluationPlan, place: Place) -> UnitResult:
    table, entry = work["table"], getattr(plan, work["table"])[work["number"]]
    site = Site(place.data_root, place.plan_path.parent, place.out / "training", place.device)
    try:
        return UnitResult(PROTOCOLS[table](entry, site))
    except MedTranslateError as error:
        return UnitResult(Findings(problems=(Problem(protocol_title(table, work["number"]), "", "", str(error)),)))


def _cases(entries: tuple[DataEntry, ...], data_root: Path) -> list[tuple[int, CaseFiles]]:
    found = [(number, files) for number, entry in enumerate(entries) for files in list_cases(entry, data_root)]
    if not found:
        msg = f"No case was found in {', '.join(str(data_root / entry.folder) for entry in entries)}."
        raise ConfigError(msg)
    return found


def _training(comparison: Comparison, place: Place) -> Iterator[str]:
    for entry in comparison.training:
        cases = list_cases(entry, place.data_root)
        yield repr(entry)
        yield hash_of_files(path for files in cases for path in files.paths)
        yield key_of(*(_tissues(comparison, entry, files, place) for files in cases if files.target is not None))


def _tissues(comparison: Comparison, entry: DataEntry, files: CaseFiles, place: Place) -> str:
    """Of the label map of a case, and how it is read; one that is not there is another thing again."""
    truth = comparison.tissues
    if truth is None:
        return ""
    path = label_path(files, entry, truth, place.data_root)
    return key_of(repr(truth), hash_of_files([path] if path.exists() else []))


def _feature_files(plan: EvaluationPlan, place: Place) -> list[Path]:
    names = (plan.features.squeezenet, plan.features.inception)
    return [place.data_root / name for name in names if name and (place.data_root / name).is_file()]


def _identity(competitor: Competitor) -> dict[str, Any]:
    """What its figures depend on: the bundle by its hashes, not by where it lies."""
    files = read_manifest(Path(competitor.folder)).files if competitor.folder else {}
    return {**competitor.as_work(), "folder": key_of(dict(files))}


def _where(place: Place, table: str, number: int, key: str) -> dict[str, Any]:
    paths = {"plan": place.plan_path, "data": place.data_root, "out": place.out}
    absolute = {name: str(path.resolve()) for name, path in paths.items()}
    told = {"plan_hash": hash_of_files([place.plan_path]), "device": place.device}
    return {**absolute, **told, "table": table, "number": number, "key": key}


@lru_cache(maxsize=1)
def _plan(path: Path, expected_hash: str) -> EvaluationPlan:
    if hash_of_files([path]) != expected_hash:
        msg = f"{path} was changed while it was worked on; run again."
        raise ConfigError(msg)
    return read_plan(path)


@lru_cache(maxsize=1)
def _store(folder: Path) -> UnitStore:
    return UnitStore(folder)
