"""The panel tests' Slicer: which one, which cases it runs, and where its pictures lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from slicer_process import SlicerProcess, environment_for, screen

FOLDER = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def slicer_program() -> Path | None:
    """The Slicer to test in; None where none is said."""
    said = os.environ.get("SLICER", "")
    if said and not Path(said).is_file():
        pytest.fail(f"SLICER is {said}, which is no file; expected the path of Slicer's executable.")
    return Path(said).absolute() if said else None


@pytest.fixture(scope="session")
def panel_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where results and pictures go: the folder that MEDTRANSLATE_PANEL_OUT names, else a temporary one."""
    said = os.environ.get("MEDTRANSLATE_PANEL_OUT", "")
    folder = Path(said).resolve() if said else tmp_path_factory.mktemp("panel")
    folder.mkdir(parents=True, exist_ok=True)
    request.config.stash[FOLDER] = folder
    return folder


@pytest.fixture(scope="session")
def running_slicer(
    request: pytest.FixtureRequest, slicer_program: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SlicerProcess | None]:
    """One Slicer for all cases that were asked for; None where there is no Slicer."""
    if slicer_program is None:
        yield None
        return
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    cases = [values["panel_case"] for values in parameters if "panel_case" in values]
    folder, home = request.getfixturevalue("panel_folder"), tmp_path_factory.mktemp("home")
    with screen(environment_for(folder, home, os.environ)) as environment:
        process = SlicerProcess(slicer_program, cases, folder, environment)
        yield process
        process.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says where to look."""
    folder = config.stash.get(FOLDER, None)
    if folder is not None:
        terminalreporter.write_line(f"Results and pictures of the panel tests: {folder}")
