"""`medtranslate rerun`: a provenance file in, the same translation made again out, and whether it is the same.

Exit code 0 where `translated.nrrd` is identical byte for byte, where the device is another one (then the agreement is
stated), or where there is no first result to compare with; 1 where the device is the same and the output is not.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from MedTranslateLib.bundles.entries import Bundle, BundleOrigin
from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.cli.job import request_for, run_translation
from MedTranslateLib.cli.rerun_report import FirstResult, compare, first_result
from MedTranslateLib.core.errors import (
    BundleNotFoundError,
    BundleTamperedError,
    JobFolderError,
    OutputError,
    SourceNotFoundError,
    SourceUnreadableError,
)
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.job_folder import SOURCE, Job
from MedTranslateLib.imaging.reading import read_volume

SAME_GRID_MM = 1e-3
"""Grids whose corners lie closer than this are one grid, written in two formats."""
SECTIONS = {
    "source": ("name", "modality", "sha256"),
    "bundle": ("name", "version", "files"),
    "run": ("reverse", "steps", "samples", "seed", "device"),
    "gate": ("accepted",),
}
"""What a rerun needs of a record; everything else may be missing, as in the records of older versions."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("provenance", metavar="PROVENANCE.json", type=Path, help="record of an earlier translation")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="folder for the new result")
    parser.add_argument(
        "--source", type=Path, help="the source image, in any format; default: source.nrrd beside the record"
    )
    parser.add_argument("--bundle", help="folder of the bundle, where it is not installed under the record's name")
    parser.add_argument("--device", default=None, metavar="D", help="default: the device of the record")
    parser.add_argument("--no-views", action="store_true", help="do not make overview.png and scene.mrb")


def run(arguments: argparse.Namespace) -> int:
    """Runs the recorded case again and compares both outputs where the first one is still there."""
    record = _read_record(arguments.provenance)
    if arguments.out.resolve() == arguments.provenance.resolve().parent:
        msg = f"{arguments.out} holds the first result, which the second would replace. Choose another folder."
        raise OutputError(msg)
    source = _source_of(record, arguments)
    bundle = _bundle_of(record, arguments.bundle)
    first = first_result(arguments.provenance)
    request = _request_of(record, source, bundle, arguments.device)
    done = run_translation(Job(request, source), arguments.out, views=not arguments.no_views, debug=arguments.debug)
    report = compare(first if isinstance(first, FirstResult) else None, done.folder, record, done.result)
    reason = "" if isinstance(first, FirstResult) else f" {first}"
    sys.stdout.write(f"Run again. {report.text}{reason}\n")
    return 0 if report.agrees else 1


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = record["format"] == 1
        missing = [f"{part}.{key}" for part, keys in SECTIONS.items() for key in keys if key not in record[part]]
    except FileNotFoundError as error:
        msg = f"{path} does not exist; expected the provenance.json of an earlier translation."
        raise JobFolderError(msg) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} is no provenance record: {error}"
        raise JobFolderError(msg) from error
    if not known or missing:
        why = f"it lacks {missing[0]}" if missing else f"its format is {record['format']!r}, expected 1"
        msg = f"{path} is a provenance record of a form that this version does not read: {why}."
        raise JobFolderError(msg)
    return record


def _source_of(record: dict[str, Any], arguments: argparse.Namespace) -> Volume:
    from MedTranslateLib.inference.provenance import hash_of  # imports torch

    path = arguments.source or arguments.provenance.parent / SOURCE
    if arguments.source is None and not path.is_file():
        msg = f"The source is not beside the record ({path} is missing). Give the image with --source."
        raise SourceNotFoundError(msg)
    wanted, read = record["source"], read_volume(path)
    source = Volume(read.array_kji, _grid_of(record, read.geometry), wanted["name"], wanted["modality"])
    got, expected = hash_of(source), wanted["sha256"]
    if got != expected:
        msg = (
            f"{path} is not the image of that record: the SHA-256 of its voxels and geometry differs, expected "
            f"{expected}, got {got}. Give the right one with --source."
        )
        raise SourceUnreadableError(msg)
    return source


def _grid_of(record: dict[str, Any], read: Geometry) -> Geometry:
    """The grid that the record states, where the file's is the same: each format rounds its directions differently."""
    if "ijk_to_ras" not in record["source"]:
        return read
    stated = Geometry(tuple(record["source"]["size_ijk"]), np.array(record["source"]["ijk_to_ras"]))
    return stated if read.same_grid(stated, SAME_GRID_MM) else read


def _bundle_of(record: dict[str, Any], given: str | None) -> Bundle:
    """The bundle that was given, else the one of that name, else the one at the path that was asked for."""
    wanted = record["bundle"]
    asked = record.get("request", {}).get("bundle", wanted["name"])
    names = [wanted["name"], asked] if given is None else [given]
    bundle = next((found for found in map(_found, names) if found is not None), None)
    if bundle is None:
        msg = (
            f"The bundle of the record, {wanted['name']} {wanted['version']}, is not there (looked for "
            f"{' and '.join(dict.fromkeys(names))}). Add it with `medtranslate bundles add`, or give its folder with "
            "--bundle."
        )
        raise BundleNotFoundError(msg)
    manifest = bundle.manifest
    if dict(manifest.files) != wanted["files"]:
        msg = (
            f"The installed bundle {manifest.name} {manifest.version} is not the one of the record, {wanted['name']} "
            f"{wanted['version']}: their hashes differ. Install that version first, or give its folder with --bundle."
        )
        raise BundleTamperedError(msg)
    return bundle


def _found(name: str) -> Bundle | None:
    try:
        return default_store().find(name)
    except BundleNotFoundError:
        return None


def _request_of(record: dict[str, Any], source: Volume, bundle: Bundle, device: str | None) -> TranslationRequest:
    """What was asked for then, with all that the run decided by itself; on another device it decides anew."""
    run_of = record["run"]
    options = dict(record.get("request", {"trust": False}))  # older records know neither the request nor trust maps
    options.pop("bundle", None)
    options.update({name: run_of[name] for name in ("reverse", "steps", "samples", "seed")})
    options["estimate_drift"] = run_of.get("estimate_drift", False)
    options["method_options"] = run_of.get("method_options", {})
    options["device"] = device or run_of["device"]
    options["accept_doubtful"] = record["gate"]["accepted"]
    same = options["device"] == run_of["device"]
    options["batch_size"] = run_of.get("batch_size") if same else None
    options["slab"] = (run_of.get("slab") or 0) if same else None
    options["threads"] = run_of.get("threads")
    folder = bundle.origin is BundleOrigin.FOLDER
    return request_for(source, str(bundle.folder) if folder else bundle.name, **options)
