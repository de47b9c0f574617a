"""`medtranslate rerun`: a provenance file in, the same translation made again out, and whether it is the same."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.cli.job import request_for, run_translation
from MedTranslateLib.core.errors import BundleTamperedError, JobFolderError, SourceUnreadableError
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import RESULT, SOURCE, Job, read_result
from MedTranslateLib.imaging.reading import read_volume


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("provenance", metavar="PROVENANCE.json", type=Path, help="record of an earlier translation")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="folder for the new result")
    parser.add_argument("--source", type=Path, help="the source image; default: source.nrrd beside the record")
    parser.add_argument("--device", default=None, metavar="D", help="default: the device of the record")
    parser.add_argument("--no-views", action="store_true", help="do not make overview.png and scene.mrb")


def run(arguments: argparse.Namespace) -> int:
    """Runs the recorded case again and compares both outputs where the first one is still there."""
    record = _read_record(arguments.provenance)
    source = _source_of(record, arguments.source or arguments.provenance.parent / SOURCE)
    _check_bundle(record)
    run_of = record["run"]
    options = {name: run_of[name] for name in ("reverse", "steps", "samples", "seed")}
    options["estimate_drift"] = run_of.get("estimate_drift", False)  # older records have neither this nor the next
    options["method_options"] = run_of.get("method_options", {})
    device = arguments.device or run_of["device"]
    accepted = record["gate"]["accepted"]
    request = request_for(source, record["bundle"]["name"], device=device, accept_doubtful=accepted, **options)
    done = run_translation(Job(request, source), arguments.out, views=not arguments.no_views, debug=arguments.debug)
    sys.stdout.write(_comparison(arguments.provenance.parent, done.result) + "\n")
    return 0


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        parts = [record[part] for part in ("source", "bundle", "run", "gate")]
        usable = record["format"] == 1 and all(isinstance(part, dict) for part in parts)
    except FileNotFoundError as error:
        msg = f"{path} does not exist; expected the provenance.json of an earlier translation."
        raise JobFolderError(msg) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} is no provenance record: {error}"
        raise JobFolderError(msg) from error
    if not usable:
        msg = f"{path} is a provenance record of a form that this version does not read."
        raise JobFolderError(msg)
    return record


def _source_of(record: dict[str, Any], path: Path) -> Volume:
    from MedTranslateLib.inference.provenance import hash_of  # imports torch

    read = read_volume(path)
    source = Volume(read.array_kji, read.geometry, record["source"]["name"], record["source"]["modality"])
    if hash_of(source) != record["source"]["sha256"]:
        msg = f"{path} is not the image of that record: its SHA-256 differs. Give the right one with --source."
        raise SourceUnreadableError(msg)
    return source


def _check_bundle(record: dict[str, Any]) -> None:
    wanted = record["bundle"]
    manifest = default_store().find(wanted["name"]).manifest
    if dict(manifest.files) != wanted["files"]:
        msg = (
            f"The installed bundle {manifest.name} {manifest.version} is not the one of the record "
            f"({wanted['version']}): their hashes differ. Install that version first."
        )
        raise BundleTamperedError(msg)


def _comparison(first: Path, again: TranslationResult) -> str:
    if not (first / RESULT).is_file():
        return "Run again. The first result is not beside the record, so they were not compared."
    difference = np.abs(read_result(first).translated.array_kji - again.translated.array_kji).max()
    return f"Run again. Largest difference to the first result: {difference:g}."
