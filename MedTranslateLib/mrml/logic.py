"""A source node and a choice in, result nodes out: runs one after another while the scene goes on being used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Protocol

import slicer

from MedTranslateLib.bundles.entries import Bundle
from MedTranslateLib.bundles.store import BundleStore
from MedTranslateLib.core.errors import DoubtfulInputError, InvalidVolumeError, MedTranslateError
from MedTranslateLib.core.messages import Log, Message, Progress
from MedTranslateLib.imaging.job_folder import Job, read_result, write_job
from MedTranslateLib.mrml.choice_check import check_choice, request_for
from MedTranslateLib.mrml.conversation import Outcome
from MedTranslateLib.mrml.job_folders import JobFolders
from MedTranslateLib.mrml.runs import Run, RunState, TranslationChoice
from MedTranslateLib.mrml.scene import ResultNodes, add_result
from MedTranslateLib.mrml.scene_watch import SceneWatch
from MedTranslateLib.mrml.source import check_source, volume_of_source, world_geometry
from MedTranslateLib.mrml.voxel_memory import vtk_memory

MOVED_MM = 1e-3
OnMessage = Callable[[Message], None]
OnEnd = Callable[[Outcome], None]
LOADING_ERRORS = (
    MedTranslateError,
    OSError,
    RuntimeError,
    MemoryError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
)
"""What reading files and filling nodes can raise, SimpleITK's RuntimeError among them; a run must end in any case."""


class Runner(Protocol):
    """Runs one job at a time in another process."""

    def start(self, folder: Path, on_message: OnMessage, on_end: OnEnd, /) -> None:
        """Starts the job in `folder`; tells what the process says, then, once, how the job ended.

        Args:
            folder: Job folder with request and source.
            on_message: Told each message.
            on_end: Told the outcome; never after `stop`.

        Raises:
            MedTranslateError: If the process cannot be started.
        """

    def stop(self) -> None:
        """Ends the process and all it started, at once; harmless where there is none."""


class TranslationLogic:
    """Queues translations and brings their results into the scene.

    The source is copied when a run is queued: what happens to the scene afterwards does not matter, except that a run
    whose source is deleted, or whose scene is closed, is cancelled. Whatever a run comes to, its job folder is removed,
    and nodes are added only for a run that is done.

    Args:
        scene: Scene with the sources, which gets the results.
        runner: Runs the jobs.
        folders: Makes the job folders.
        store: The installed bundles.
        on_change: Called after each change of a run.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        runner: Runner,
        folders: JobFolders,
        store: BundleStore,
        on_change: Callable[[], None],
    ) -> None:
        self._scene = scene
        self._runner = runner
        self._folders = folders
        self._store = store
        self._on_change = on_change
        self._runs: list[Run] = []
        self._watch = SceneWatch(scene, self._scene_closing, self._node_removed)

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of the session, in the order in which they were asked for."""
        return tuple(self._runs)

    def why_not(self, source: slicer.vtkMRMLScalarVolumeNode | None, choice: TranslationChoice | None) -> str | None:
        """Why this cannot be translated, as a sentence; None where it can be tried.

        Args:
            source: The node to translate; None where nothing is chosen yet.
            choice: What the user chose.

        Returns:
            What to do about it. It is found without looking at voxels or weights.
        """
        try:
            self._check(source, choice)
        except MedTranslateError as error:
            return str(error)
        return None

    def queue(self, source: slicer.vtkMRMLScalarVolumeNode, choice: TranslationChoice) -> Run:
        """Copies the source and starts a run as soon as nothing else runs.

        Args:
            source: The node to translate; it is never changed.
            choice: What the user chose.

        Returns:
            The run; its state says how it goes on.

        Raises:
            MedTranslateError: If it cannot be translated or the copy not be written; then there is no run.
        """
        bundle = self._check(source, choice)
        copied = volume_of_source(source)
        job = Job(request_for(choice, bundle, copied.volume.modality), copied.volume)
        folder = self._folders.new()
        try:
            write_job(folder, job, compress=False)
        except BaseException:
            self._folders.remove(folder)
            raise
        title = f"{_arrow(bundle, choice)} of {source.GetName()}"
        run = Run(len(self._runs) + 1, title, choice, source.GetID(), folder, copied.note or "")
        self._runs.append(run)
        self._on_change()
        self._start_next()
        return run

    def cancel(self, run: Run) -> None:
        """Ends a run at once; harmless for one that has ended."""
        self._cancel([run], "Cancelled.")

    def cancel_all(self) -> None:
        """Ends the run that is under way and all that wait."""
        self._cancel(self._runs, "Cancelled.")

    def close(self) -> None:
        """Ends everything, removes job folders and observers, and calls nobody any more."""
        self._watch.close()
        self._on_change = _ignore
        self._cancel(self._runs, "MedTranslate was closed.")
        self._runner.stop()
        self._folders.close()
        self._forget_nodes(self._runs)

    def _check(self, source: slicer.vtkMRMLScalarVolumeNode | None, choice: TranslationChoice | None) -> Bundle:
        if source is None or not self._scene.IsNodePresent(source):
            msg = "Choose a volume to translate."
            raise InvalidVolumeError(msg)
        check_source(source)
        return check_choice(choice, self._store)

    def _start_next(self) -> None:
        """A run that fails before it has begun makes room for the next one, hence the loop."""
        while not any(run.state in (RunState.RUNNING, RunState.LOADING) for run in self._runs):
            run = next((run for run in self._runs if run.state is RunState.WAITING), None)
            if run is None:
                return
            self._start(run)

    def _start(self, run: Run) -> None:
        run.state = RunState.RUNNING
        self._on_change()
        if run.state is not RunState.RUNNING:  # cancelled by whoever was told
            return
        try:
            self._store.find(run.choice.bundle)  # it may have been removed while the run waited
            self._runner.start(run.folder, partial(self._heard, run), partial(self._ended, run))
        except MedTranslateError as error:
            self._fail(run, error)

    def _heard(self, run: Run, message: Message) -> None:
        if run.state is not RunState.RUNNING:
            return
        if isinstance(message, Progress):
            run.progress = message
        elif isinstance(message, Log):
            run.log.append(message.message)
        else:  # how a job ends is told with its outcome
            return
        self._on_change()

    def _ended(self, run: Run, outcome: Outcome) -> None:
        if run.state is not RunState.RUNNING:
            return
        if outcome.error is not None:
            self._fail(run, outcome.error)
        else:
            self._load(run)
        self._start_next()

    def _load(self, run: Run) -> None:
        run.state = RunState.LOADING
        self._on_change()
        if run.state is not RunState.LOADING:  # cancelled by whoever was told
            return
        try:
            run.nodes = self._add_nodes(run)
        except LOADING_ERRORS as error:
            self._fail(run, error)
            return
        run.state = RunState.DONE
        self._settle(run)

    def _add_nodes(self, run: Run) -> ResultNodes:
        result = read_result(run.folder, vtk_memory)
        source = self._scene.GetNodeByID(run.source_id)
        if not result.translated.geometry.same_grid(world_geometry(source), MOVED_MM):
            msg = f"{source.GetName()} was moved during the run, so the result would not lie on it. Press Apply again."
            raise InvalidVolumeError(msg)
        named = {} if run.choice.output_name is None else {"output_name": run.choice.output_name}
        return add_result(self._scene, source, source.GetName(), result, **named)

    def _fail(self, run: Run, error: Exception) -> None:
        run.state = RunState.FAILED
        run.doubtful = isinstance(error, DoubtfulInputError)
        run.message = str(error)
        if isinstance(error, MemoryError):
            run.message = "There is not enough memory to show the result. Close other volumes or programs."
        self._settle(run)

    def _cancel(self, runs: Iterable[Run], message: str) -> None:
        """All of them before the next one is started, and before a process is stopped that might say one thing more."""
        doomed = [run for run in runs if not run.state.is_final]
        was_running = any(run.state is RunState.RUNNING for run in doomed)
        for run in doomed:
            run.state = RunState.CANCELLED
            run.message = message
        if was_running:
            self._runner.stop()
        for run in doomed:
            self._settle(run)
        self._start_next()

    def _settle(self, run: Run) -> None:
        self._folders.remove(run.folder)
        self._on_change()

    def _scene_closing(self) -> None:
        self._forget_nodes(self._runs)
        self._cancel(self._runs, "Cancelled because the scene was closed; nothing was added to the new one.")

    def _node_removed(self) -> None:
        torn = [run for run in self._runs if run.nodes is not None and not self._is_whole(run.nodes)]
        self._forget_nodes(torn)
        lost = [run for run in self._runs if self._scene.GetNodeByID(run.source_id) is None]
        self._cancel(lost, "Cancelled because its source volume was deleted from the scene.")

    def _is_whole(self, nodes: ResultNodes) -> bool:
        return all(self._scene.IsNodePresent(node) for _role, node in nodes.roles())

    @staticmethod
    def _forget_nodes(runs: Iterable[Run]) -> None:
        """A node that is kept here would stay in memory with all its voxels."""
        for run in runs:
            run.nodes = None


def _arrow(bundle: Bundle, choice: TranslationChoice) -> str:
    first, last = bundle.manifest.source.name, bundle.manifest.target.name
    return f"{last} -> {first}" if choice.reverse else f"{first} -> {last}"


def _ignore() -> None:
    """Told of changes when nobody listens any more."""
