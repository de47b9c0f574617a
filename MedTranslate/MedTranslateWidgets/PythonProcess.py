"""Nothing in, a process that is ready to run the library in the worker's Python out."""

from __future__ import annotations

import qt

from MedTranslateWidgets.Places import LIBRARY_FOLDER
from MedTranslateWidgets.SlicerVersion import workerEnvironment


def newPythonProcess() -> qt.QProcess:
    """A process with the worker's environment, in the folder from which `MedTranslateLib` can be imported."""
    process = qt.QProcess()
    environment = qt.QProcessEnvironment()
    for name, value in workerEnvironment().items():
        environment.insert(name, value)
    process.setProcessEnvironment(environment)
    process.setWorkingDirectory(str(LIBRARY_FOLDER))
    return process
