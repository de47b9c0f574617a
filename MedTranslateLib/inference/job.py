"""A job folder in, a complete result in the folder out; importing this takes seconds, because of torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.core.messages import Log, Message
from MedTranslateLib.imaging.job_folder import RESULT, read_request, read_source, write_result
from MedTranslateLib.inference.devices import choose_device
from MedTranslateLib.inference.gate import inspect, pass_gate
from MedTranslateLib.inference.pipeline import translate
from MedTranslateLib.inference.progress import ProgressTeller
from MedTranslateLib.inference.weights import BundleCache, with_options


class JobTranslator:
    """Runs jobs one after the other and keeps the last network loaded."""

    def __init__(self) -> None:
        self._bundles = BundleCache()

    def run(self, folder: Path, say: Callable[[Message], None]) -> Path:
        """Runs one job.

        Args:
            folder: Job folder with request and source.
            say: Told progress, and what belongs into a log: never the source's name, which may be a patient's.

        Returns:
            The path of `result.json`.

        Raises:
            MedTranslateError: If the request, the source or the bundle cannot be used, or the result not be written.
        """
        progress = ProgressTeller(folder.name, say)
        request, source = read_request(folder), read_source(folder)
        device = choose_device(request.device)
        entry = default_store().find(request.bundle)
        gate = inspect(source, entry.manifest, reverse=request.reverse)
        pass_gate(gate, accept_doubtful=request.accept_doubtful)
        bundle = with_options(self._bundles.load(entry.folder, device), request.method_options)
        say(Log(folder.name, f"{bundle.manifest.name} {bundle.manifest.version} on {bundle.device}"))
        result = translate(request, source, bundle, gate, progress)
        progress("write", 0, 1)
        write_result(folder, result)
        progress("write", 1, 1)
        return folder / RESULT
