"""A scene with the translation logic on it, and two runners: one that a test speaks for, one with a real process."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import slicer

from MedTranslateLib.bundles.store import BundleStore
from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.errors import (
    MedTranslateError,
)
from MedTranslateLib.core.messages import Message
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.job_folder import read_source, write_result
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.mrml.conversation import Conversation, Outcome
from MedTranslateLib.mrml.job_folders import JobFolders
from MedTranslateLib.mrml.logic import TranslationLogic
from MedTranslateLib.mrml.runs import RunState, TranslationChoice
from MedTranslateLib.mrml.volumes import node_from_volume

ROOT = Path(__file__).parents[2]
PATIENT = "DOE^JANE 1970"
SERVE = [sys.executable, "-m", "MedTranslateLib.inference.worker", "--serve", "--end-with-parent"]
STAND_IN = """
import json, shutil, subprocess, sys
from pathlib import Path
from MedTranslateLib.inference.standard_input import lines_while_parent_lives

def say(event, folder, **values):
    print(json.dumps({"event": event, "job": folder.name, **values}), flush=True)

given = lines_while_parent_lives()
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", sys.argv[1]], stdin=subprocess.DEVNULL)
for line in given:
    folder = Path(line)
    for number in range(5):
        say("progress", folder, stage="translate", done=number, total=5)
    for file in Path(sys.argv[1]).iterdir():
        shutil.copy(file, folder)
    say("done", folder, result=str(folder / "result.json"), seconds=0.1)
"""
"""A worker that needs no torch: it copies a finished job, and has a child, which must end with it."""


class FakeRunner:
    """A runner without a process: the test says what happens."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.stops = 0
        self.refuses: MedTranslateError | None = None
        self._job: tuple[Callable[[Message], None], Callable[[Outcome], None]] | None = None

    def start(self, folder: Path, on_message: Callable[[Message], None], on_end: Callable[[Outcome], None]) -> None:
        assert self._job is None, "the job before has not ended"
        if self.refuses is not None:
            raise self.refuses
        assert (folder / "request.json").is_file()
        self.folders.append(folder)
        self._job = (on_message, on_end)

    def stop(self) -> None:
        self.stops += 1
        self._job = None

    def say(self, message: Message) -> None:
        assert self._job is not None
        self._job[0](message)

    def end(self, outcome: Outcome) -> None:
        assert self._job is not None
        (_, on_end), self._job = self._job, None
        on_end(outcome)

    def fail(self, error: MedTranslateError) -> None:
        self.end(Outcome(error=error))

    @property
    def job(self) -> tuple[Callable[[Message], None], Callable[[Outcome], None]] | None:
        return self._job


class ProcessRunner:
    """A runner with a real process, which the test listens to when it likes."""

    def __init__(self, command: list[str], word: str = "") -> None:
        self.command = command
        self.word = word
        self.process: subprocess.Popen[bytes] | None = None
        self.every_process: list[int] = []
        self._conversation = Conversation()
        self._job: tuple[Callable[[Message], None], Callable[[Outcome], None]] | None = None

    def start(self, folder: Path, on_message: Callable[[Message], None], on_end: Callable[[Outcome], None]) -> None:
        self._conversation.begin(folder)
        self._job = (on_message, on_end)
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(self.command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
            self.every_process.append(self.process.pid)
        try:
            self.process.stdin.write(f"{folder}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it is dead already: the next hearing finds that out

    def stop(self) -> None:
        self._job = None
        process, self.process = self.process, None
        if process is not None:
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()

    def hear(self, seconds: float = 60.0, size: int = 65536) -> bool:
        """Waits for something to hear and passes it on; False where nothing came."""
        if self.process is None or not select.select([self.process.stdout], [], [], seconds)[0]:
            return False
        process, chunk = self.process, os.read(self.process.stdout.fileno(), size)
        for message in self._conversation.hear(chunk):
            if self._job is not None:
                self._job[0](message)
        if not chunk and self._job is not None:
            code, self.process = process.wait(), None
            process.stdout.close()
            self._conversation.process_ended(code, code < 0)
        if self._job is not None and self._conversation.outcome is not None:
            (_, on_end), self._job = self._job, None
            on_end(self._conversation.outcome)
        return True


class Bench:
    """A scene with a source, and the logic on it."""

    def __init__(self, scene: slicer.vtkMRMLScene, runner: object, parent: Path, store: BundleStore) -> None:
        self.scene, self.runner, self.parent, self.store = scene, runner, parent, store
        self.changes = 0
        self.done_before = 0
        self.on_change: Callable[[], None] = lambda: None
        self.source = self.add_source(PATIENT)
        slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)  # Slicer's own scene always has it
        self.logic = TranslationLogic(scene, runner, JobFolders(parent), store, self.changed)
        self.nodes_before = self.node_names()

    def changed(self) -> None:
        self.changes += 1
        self.on_change()

    def add_source(self, name: str) -> slicer.vtkMRMLScalarVolumeNode:
        return node_from_volume(self.scene, head_phantom(GEOMETRY, name), name)

    def node_names(self) -> list[str]:
        return sorted(f"{node.GetClassName()} {node.GetName()}" for node in self.scene.GetNodes())

    def folders(self) -> list[str]:
        return [path.name for path in self.parent.iterdir()] if self.parent.is_dir() else []

    def states(self) -> list[RunState]:
        return [run.state for run in self.logic.runs]

    def is_clean(self) -> bool:
        """No file is left, and no node has come or gone."""
        return self.folders() == [] and self.node_names() == self.nodes_before


GEOMETRY = Geometry((75, 65, 12), np.diag([2.2, 2.6, 10.0, 1.0]))


CHOICE = TranslationChoice("identity")


def finish(bench: Bench) -> None:
    """The fake worker writes a result and says that it is done."""
    folder = bench.runner.folders[-1]
    source = read_source(folder)
    identity = Correspondence.identity(source.geometry)
    mask = np.ones(source.geometry.shape_kji, np.uint8)
    inverted = source.with_array(source.array_kji.max() - source.array_kji)
    provenance = {"bundle": {"name": "identity"}, "run": {"from": "T1"}}
    write_result(folder, TranslationResult(inverted, identity, mask, None, provenance, "FLAIR", "MR"))
    bench.runner.end(Outcome(result=folder / "result.json"))


ACTIONS = {
    "cancel": lambda bench: bench.logic.cancel(bench.logic.runs[0]),
    "cancel all": lambda bench: bench.logic.cancel_all(),
    "delete the source": lambda bench: bench.scene.RemoveNode(bench.source),
    "close the scene": lambda bench: bench.scene.Clear(0),
    "close": lambda bench: bench.logic.close(),
}
