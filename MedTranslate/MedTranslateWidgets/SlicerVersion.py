"""Everything that differs between versions of Slicer: which Python runs the worker, and how packages are installed.

Slicer 5.11 brought `slicer.packaging`; before, `slicer.util.pip_install` does the same without checks.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import slicer

OWN_PYTHON = "MEDTRANSLATE_PYTHON"
"""Environment variable: a Python that has PyTorch already, used for the worker instead of Slicer's own."""
NEVER_INSTALLED = ("numpy", "scipy", "SimpleITK", "vtk")
"""Slicer ships these, and its own libraries are built against them."""


def hasOwnPython() -> bool:
    """Whether the user named another Python for the worker."""
    return bool(os.environ.get(OWN_PYTHON))


def workerPython() -> str:
    """The Python that runs the worker process: that of MEDTRANSLATE_PYTHON, else Slicer's own."""
    if hasOwnPython():
        return os.environ[OWN_PYTHON]
    name = "PythonSlicer.exe" if os.name == "nt" else "PythonSlicer"
    return str(Path(slicer.app.slicerHome) / "bin" / name)


def workerEnvironment() -> dict[str, str]:
    """Environment of the worker: Slicer's own for Slicer's Python, the one Slicer was started in for any other."""
    environment = dict(slicer.util.startupEnvironment() if hasOwnPython() else os.environ)
    return {**environment, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


def hasTorchExtension() -> bool:
    """Whether the PyTorch extension is installed and enabled."""
    return importlib.util.find_spec("PyTorchUtils") is not None


def installTorch() -> bool:
    """Lets the PyTorch extension choose and install the build for this machine; it asks first and shows progress.

    Returns:
        Whether there is a PyTorch afterwards.
    """
    import PyTorchUtils  # noqa: PLC0415  # an optional extension of Slicer

    return PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True) is not None


def installTorchExtension() -> bool:
    """Has Slicer download the PyTorch extension; it works after a restart, which Slicer offers."""
    manager = slicer.app.extensionsManagerModel()
    return bool(manager.installExtensionFromServer("PyTorch"))


def installPackages(names: Sequence[str]) -> None:
    """Installs packages into Slicer's Python with a progress window; what Slicer ships keeps its version.

    Args:
        names: Names as pip knows them.

    Raises:
        subprocess.CalledProcessError: If pip fails.
    """
    with keptVersions() as constraints:
        if importlib.util.find_spec("slicer.packaging") is not None:
            from slicer import packaging  # noqa: PLC0415  # from Slicer 5.11

            # The user has agreed in our message bar; a second question would only teach to click it away.
            packaging.pip_ensure(list(names), constraints=constraints, prompt_install=False, requester="MedTranslate")
        else:
            slicer.util.pip_install([*names, "-c", constraints])


def installFromFolder(names: Sequence[str], folder: str) -> None:
    """Installs packages from a folder of wheels, without a network.

    Args:
        names: Names as pip knows them.
        folder: Folder that holds the wheels of these packages and of what they need.

    Raises:
        subprocess.CalledProcessError: If pip fails, for example because a wheel is missing.
    """
    with keptVersions() as constraints:
        slicer.util.pip_install(["--no-index", "--find-links", folder, *names, "-c", constraints])


@contextmanager
def keptVersions() -> Iterator[str]:
    """A constraints file, for as long as the block runs, that holds what Slicer ships to its present version."""
    lines = [f"{name}=={version}" for name in NEVER_INSTALLED if (version := _installedVersion(name))]
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield str(path)


def _installedVersion(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
