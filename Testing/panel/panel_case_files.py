"""A case file and the name of another one in, that other file as a module out: cases are no package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def beside(file: str, name: str) -> ModuleType:
    """The case file `name` in the folder of `file`, loaded anew."""
    spec = importlib.util.spec_from_file_location(name, Path(file).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
