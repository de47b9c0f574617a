"""`medtranslate plan`: an image and a bundle in, whether and how a translation fits the memory out; nothing is run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.checks.memory_cost import known_cost
from MedTranslateLib.checks.memory_estimate import workload
from MedTranslateLib.checks.memory_free import Room, free_bytes
from MedTranslateLib.checks.memory_plan import plan_memory
from MedTranslateLib.checks.memory_settings import CPU
from MedTranslateLib.core.errors import DeviceError
from MedTranslateLib.evaluation.job import request_for
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.inference.runner import WORKING_FOLDER


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("source", metavar="SOURCE", type=Path, help="image file or DICOM folder")
    parser.add_argument("--bundle", required=True, help="name of a bundle (see `medtranslate bundles list`)")
    parser.add_argument("--steps", type=int, default=None, metavar="N", help="steps (default: the bundle's)")
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="number of translations to draw")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda:0 or mps (default auto)")
    parser.add_argument("--json", action="store_true", help="print a JSON object in place of a sentence")


def run(arguments: argparse.Namespace) -> int:
    """Prints the plan of a translation that could be run."""
    source = read_volume(arguments.source)
    entry = default_store().find(arguments.bundle)
    options = {"steps": arguments.steps, "samples": arguments.samples, "device": arguments.device}
    request = request_for(source, arguments.bundle, **options)
    device = _device(arguments.device)
    work = workload(source.geometry, entry.folder, entry.manifest, request)
    room = Room(free_bytes(), device_free=device["free_bytes"] if device["name"] != CPU else None)
    plan = plan_memory(work, device["name"], room, known_cost(work, device["name"]))
    told = json.dumps({**plan.to_json(), "sentence": plan.sentence()}) if arguments.json else plan.sentence()
    sys.stdout.write(told + "\n")
    return 0


def _device(name: str) -> dict[str, Any]:
    """Name and free memory of the device that a run would take.

    Raises:
        DeviceError: If it is not there.
    """
    if name == CPU:
        return {"name": CPU, "free_bytes": None}
    command = [sys.executable, "-m", "MedTranslateLib.inference.probe"]
    told = subprocess.run(command, cwd=WORKING_FOLDER, capture_output=True, text=True, encoding="utf-8", check=True)
    devices: list[dict[str, Any]] = json.loads(told.stdout)["devices"]
    found = devices[0] if name == "auto" else next((device for device in devices if device["name"] == name), None)
    if found is None:
        there = ", ".join(device["name"] for device in devices)
        msg = f"Device {name!r} was asked for but is not available; this machine has {there}."
        raise DeviceError(msg)
    return found
