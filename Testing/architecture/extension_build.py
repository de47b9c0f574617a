"""The source tree in, the extension built and installed out, against a stand-in for Slicer's build tree."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUB = Path(__file__).resolve().parent / "slicer_stub"
SCRIPTED_MODULES = "lib/Slicer-5.12/qt-scripted-modules"


def tool(name: str) -> str:
    """A build tool of this environment, else of the machine; the test is skipped by name without one."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        pytest.skip(f"the install tree cannot be built: {name} is not installed")
    return found


def run(*command: str | Path) -> str:
    """Output of a command that must not fail."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def build_extension(folder: Path) -> Path:
    """Configures and builds the extension below a folder; gives the build folder."""
    options = {
        "Slicer_DIR": STUB,
        "CMAKE_TOOLCHAIN_FILE": STUB / "no_compiler.cmake",
        "CMAKE_MAKE_PROGRAM": tool("ninja"),
        "CMAKE_INSTALL_PREFIX": folder / "installed",
        "BUILD_TESTING": "ON",
    }
    definitions = [f"-D{name}={Path(value).as_posix()}" for name, value in options.items()]
    run(tool("cmake"), "-G", "Ninja", "-S", ROOT, "-B", folder / "build", *definitions)
    run(tool("cmake"), "--build", folder / "build")
    return folder / "build"


def install_extension(build: Path) -> Path:
    """Installs what Slicer would package; gives the folder that Slicer would put on its module path."""
    run(tool("cmake"), "--install", build, "--component", "RuntimeLibraries")
    return build.parent / "installed" / SCRIPTED_MODULES
