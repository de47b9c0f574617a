"""What the panels share: the scene, the bundles, the choices, the background process and the runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import slicer

from MedTranslateLib.bundles.directions import Direction, directions
from MedTranslateLib.bundles.store import default_store
from MedTranslateWidgets.Dependencies import Dependencies
from MedTranslateWidgets.MessageBar import MessageBar
from MedTranslateWidgets.Parameters import MedTranslateParameters
from MedTranslateWidgets.Probe import Probe, ProbeAnswer

if TYPE_CHECKING:
    from MedTranslateLib.mrml.logic import TranslationLogic
    from MedTranslateWidgets.WorkerProcess import WorkerProcess

ACCEPTED_LICENCES = "MedTranslate/AcceptedLicences"


class Workbench:
    """Owned by the module's widget; panels keep a reference to it and none to each other.

    Args:
        messages: The message bar.
    """

    def __init__(self, messages: MessageBar) -> None:
        self.messages = messages
        self.parameters: MedTranslateParameters | None = None
        self.store = default_store()
        self.directions: tuple[Direction, ...] = directions(self.store.list())
        self.listeners: list[Callable[[], None]] = []
        self.onLog: Callable[[str], None] = lambda _line: None
        self.onSilent: Callable[[float], None] = lambda _seconds: None
        self.probe = Probe(self._probed)
        self.dependencies = Dependencies(messages, self.probe.ask)
        self.probed = False
        self._runner: WorkerProcess | None = None
        self._logic: TranslationLogic | None = None

    @property
    def direction(self) -> Direction | None:
        """The chosen bundle and direction; None where it is not installed (any more)."""
        wanted = self.parameters.direction if self.parameters else ""
        return next((direction for direction in self.directions if direction.key == wanted), None)

    @property
    def hasLogic(self) -> bool:
        """Whether anything was translated yet; asking for `logic` loads what that needs."""
        return self._logic is not None

    @property
    def runner(self) -> WorkerProcess:
        """The background process, which starts with the first run."""
        if self._runner is None:
            from MedTranslateWidgets.WorkerProcess import WorkerProcess  # noqa: PLC0415  # with the first run

            self._runner = WorkerProcess(self._silent, self._log)
        return self._runner

    @property
    def logic(self) -> TranslationLogic:
        """The runs of this session; made at the first use, because it loads SimpleITK."""
        if self._logic is None:
            from MedTranslateLib.mrml.job_folders import JobFolders  # noqa: PLC0415  # opening the panel is quick
            from MedTranslateLib.mrml.logic import TranslationLogic  # noqa: PLC0415  # opening the panel is quick

            folders = JobFolders(Path(slicer.app.temporaryPath))
            self._logic = TranslationLogic(slicer.mrmlScene, self.runner, folders, self.store, self.changed)
        return self._logic

    def changed(self) -> None:
        """Tells every panel that something is different now."""
        for listener in list(self.listeners):
            listener()

    def readBundles(self) -> None:
        """Looks at the installed bundles again."""
        self.directions = directions(self.store.list())
        self.changed()

    def licenceAccepted(self, direction: Direction) -> bool:
        """Whether the user has accepted this very licence of this bundle before."""
        return licenceMark(direction) in acceptedLicences()

    def acceptLicence(self, direction: Direction) -> None:
        """Remembers that the user has."""
        slicer.app.userSettings().setValue(ACCEPTED_LICENCES, "\n".join({*acceptedLicences(), licenceMark(direction)}))

    def close(self) -> None:
        """Stops every run and ends the background process."""
        self.listeners = []
        self.probe.close()
        if self._logic is not None:
            self._logic.close()
        if self._runner is not None:
            self._runner.stop()

    def _silent(self, seconds: float) -> None:
        self.onSilent(seconds)

    def _log(self, line: str) -> None:
        self.onLog(line)

    def _probed(self, answer: ProbeAnswer) -> None:
        self.dependencies.answer = answer
        self.probed = True
        self.changed()


def licenceMark(direction: Direction) -> str:
    """A bundle and its licence in one line: another licence must be accepted anew."""
    return " ".join(f"{direction.manifest.name}: {direction.manifest.licence}".split())


def acceptedLicences() -> set[str]:
    """What was accepted on this computer by this user."""
    text = slicer.app.userSettings().value(ACCEPTED_LICENCES)
    return set(str(text).splitlines()) if text else set()
