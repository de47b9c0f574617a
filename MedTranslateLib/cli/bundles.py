"""`medtranslate bundles`: lists, shows, verifies, adds and removes trained models."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from MedTranslateLib.bundles.card import card_text
from MedTranslateLib.bundles.columns import aligned
from MedTranslateLib.bundles.entries import BrokenBundle, Entry
from MedTranslateLib.bundles.manifest import manifest_text
from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.bundles.verify import verify_bundle
from MedTranslateLib.core.errors import MedTranslateError

HEADER = ("NAME", "TRANSLATES", "ANATOMY", "METHOD", "VERSION", "ORIGIN", "STATE")
VERIFIED = "verified"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    listing = _action(actions, "list", "all bundles, each checked against its hashes", _list)
    _json_flag(listing)
    show = _action(actions, "show", "the card of a bundle: what it was trained on, how good it is, its limits", _show)
    show.add_argument("name", metavar="NAME", help="name of a bundle, or a bundle folder")
    _json_flag(show)
    verify = _action(actions, "verify", "check the hash of every file", _verify)
    verify.add_argument("name", metavar="NAME", nargs="?", help="default: every bundle")
    add = _action(actions, "add", "verify a bundle and copy it to your own bundles", _add)
    add.add_argument("path", metavar="FOLDER_OR_ZIP", type=Path)
    remove = _action(actions, "remove", "delete a bundle that was added", _remove)
    remove.add_argument("name", metavar="NAME")


def run(arguments: argparse.Namespace) -> int:
    """Does what the chosen action says."""
    act: Callable[[argparse.Namespace], int] = arguments.act
    return act(arguments)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    act: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(act=act)
    return parser


def _json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _list(arguments: argparse.Namespace) -> int:
    entries = default_store().list()
    if arguments.json:
        _say(json.dumps([_as_table(entry) for entry in entries], indent=2, ensure_ascii=False))
    elif entries:
        _say("\n".join(aligned([HEADER, *(_as_row(entry) for entry in entries)])))
    else:
        _say("No bundles are installed. Add one with `medtranslate bundles add FOLDER_OR_ZIP`.")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    bundle = default_store().find(arguments.name)
    if arguments.json:
        sys.stdout.write(manifest_text(bundle.manifest))
    else:
        sys.stdout.write(card_text(bundle.manifest))
        _say(f"\nInstalled in {bundle.folder} ({bundle.origin.value}).")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    store = default_store()
    if arguments.name is not None:
        bundle = store.find(arguments.name)
        verify_bundle(bundle.folder)
        _say(f"{bundle.name}: {VERIFIED}, {len(bundle.manifest.files)} file(s)")
        return 0
    states = {entry.folder: _state(entry) for entry in store.list()}
    for folder, state in states.items():
        _say(f"{folder.name}: {state}")
    return 0 if set(states.values()) <= {VERIFIED} else 2


def _add(arguments: argparse.Namespace) -> int:
    bundle = default_store().add(arguments.path)
    _say(f"{bundle.name} {bundle.manifest.version} ({bundle.manifest.arrow}) is verified and lies in {bundle.folder}.")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    _say(f"Removed {default_store().remove(arguments.name)}.")
    return 0


def _state(entry: Entry) -> str:
    """`verified`, or the sentence that says what is wrong."""
    if isinstance(entry, BrokenBundle):
        return str(entry.error)
    try:
        verify_bundle(entry.folder)
    except MedTranslateError as error:
        return str(error)
    return VERIFIED


def _as_row(entry: Entry) -> tuple[str, ...]:
    state = _state(entry)
    if isinstance(entry, BrokenBundle):
        return (entry.name, "-", "-", "-", "-", entry.origin.value, f"BROKEN: {state}")
    manifest = entry.manifest
    shown = state if state == VERIFIED else f"BROKEN: {state}"
    return (
        entry.name,
        manifest.arrow,
        manifest.anatomy,
        manifest.method,
        manifest.version,
        entry.origin.value,
        shown,
    )


def _as_table(entry: Entry) -> dict[str, Any]:
    state = _state(entry)
    table: dict[str, Any] = {"name": entry.name, "folder": str(entry.folder), "origin": entry.origin.value}
    table["error"] = None if state == VERIFIED else state
    if isinstance(entry, BrokenBundle):
        return table
    manifest = entry.manifest
    return {
        **table,
        "version": manifest.version,
        "source": manifest.source.name,
        "target": manifest.target.name,
        "reversible": manifest.reversible,
        "anatomy": manifest.anatomy,
        "method": manifest.method,
        "plane": manifest.plane,
    }


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
