"""`medtranslate study`: prepares, runs, watches, opens and analyses a blinded reader study."""

from __future__ import annotations

import argparse
import importlib

from MedTranslateLib.cli.main import Command

ACTIONS = {
    "new": Command("MedTranslateLib.cli.study_new", "prepare a study: images for readers, and a sealed key"),
    "run": Command("MedTranslateLib.cli.study_run", "let a reader read, in 3D Slicer, as text or from a script"),
    "status": Command("MedTranslateLib.cli.study_status", "say how far each reader is"),
    "export": Command("MedTranslateLib.cli.study_export", "write the answers as CSV"),
    "open-key": Command("MedTranslateLib.cli.study_open_key", "open the sealed key, once all readers have finished"),
    "analyse": Command("MedTranslateLib.cli.study_analyse", "work out what the readers found"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for name, command in ACTIONS.items():
        action = actions.add_parser(name, help=command.help, description=command.help, allow_abbrev=False)
        module = importlib.import_module(command.module)
        module.add_arguments(action)
        action.set_defaults(act=module.run)


def run(arguments: argparse.Namespace) -> int:
    """Does what the chosen action says."""
    return int(arguments.act(arguments))
