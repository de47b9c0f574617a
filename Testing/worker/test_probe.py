"""The probe answers with one line whatever is installed, and says of the rest what is missing or broken."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest

from MedTranslateLib.inference.probe import PACKAGES
from MedTranslateLib.inference.runner import WORKING_FOLDER

PROBE = ["-m", "MedTranslateLib.inference.probe"]
WITHOUT_PACKAGES = "-S"  # the standard library alone
IMPORT_WITH_ALL_ELSE_BLOCKED = """
import sys
allowed = {"MedTranslateLib", *sys.stdlib_module_names, *sys.argv[1].split(",")}

class OnlyThese:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed and not name.startswith("_"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, OnlyThese())
from MedTranslateLib.inference.job import JobTranslator
from MedTranslateLib.methods.catalogue import METHODS, build_method
for name in METHODS:
    build_method(name, {})
"""
FAKE_TORCH = """
from types import SimpleNamespace as NS
print("Welcome to torch")
CARDS = [("NVIDIA H200", 150_754_820_096), ("NVIDIA GeForce RTX 4090", 25_386_352_640)]
zeros = lambda size: None

def mem_get_info(number):
    if number:
        raise RuntimeError("no answer")
    return 100_000_000_000, CARDS[number][1]

cuda = NS(
    is_available=lambda: True,
    mem_get_info=mem_get_info,
    device_count=lambda: 2,
    get_device_properties=lambda number: NS(name=CARDS[number][0], total_memory=CARDS[number][1]),
)
"""
OLD_DRIVER = """
from types import SimpleNamespace as NS

def is_available():
    raise RuntimeError("The NVIDIA driver on your system is too old")

zeros = lambda size: None
cuda = NS(is_available=is_available)
"""
APPLE = """
from types import SimpleNamespace as NS
zeros = lambda size: None
cuda = NS(is_available=lambda: False)
backends = NS(mps=NS(is_available=lambda: True))
"""


def probe(*options: str, path: Path | None = None) -> dict:
    """What the probe prints; `path` comes before the installed packages."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, *options, *PROBE]
    done = subprocess.run(command, cwd=WORKING_FOLDER, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n")
    (line,) = done.stdout.splitlines()
    return json.loads(line)


def with_torch(folder: Path, code: str) -> Path:
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text(code)
    return folder


def test_where_all_is_installed_nothing_is_missing_and_the_versions_are_those_of_pip():
    answer = probe()
    assert (answer["missing"], answer["broken"]) == ([], {})
    assert answer["python"] == ".".join(map(str, sys.version_info[:3]))
    assert answer["versions"] == {name: version(name) for name in answer["versions"]}
    assert set(answer["versions"]) == set(PACKAGES.values())
    assert answer["devices"][-1]["name"] == "cpu"


def test_where_nothing_is_installed_everything_is_missing_and_there_is_still_a_processor():
    answer = probe(WITHOUT_PACKAGES)
    of_slicer = ["numpy", "scipy", "SimpleITK"]
    assert answer["missing"] == ["torch", "monai", "einops", "scikit-image", "safetensors", *of_slicer]
    assert (answer["broken"], answer["versions"]) == ({}, {})
    assert [device["name"] for device in answer["devices"]] == ["cpu"]
    assert answer["devices"][0]["free_bytes"] > 0


def test_the_empty_folder_that_a_removed_package_leaves_is_no_package(tmp_path):
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    answer = probe(WITHOUT_PACKAGES, path=tmp_path)
    assert "torch" in answer["missing"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError('libcudart.so.12: cannot open\\nshared object file')", "cannot open shared object file"),
        ("raise OSError(126, 'The specified module could not be found', 'fbgemm.dll')", "fbgemm.dll"),
        ("_C", "name '_C' is not defined"),
        ("def broken(:", "invalid syntax"),
        ("print('half an installation')", "zeros"),
    ],
)
def test_a_torch_that_cannot_be_loaded_is_broken_with_the_reason_in_one_line(tmp_path, code, words):
    answer = probe(path=with_torch(tmp_path, code))
    assert answer["missing"] == []
    assert list(answer["broken"]) == ["torch"]
    assert words in answer["broken"]["torch"]
    assert "\n" not in answer["broken"]["torch"]
    assert [device["name"] for device in answer["devices"]] == ["cpu"]


def test_graphics_cards_are_named_with_their_memory_before_the_processor(tmp_path):
    devices = probe(path=with_torch(tmp_path, FAKE_TORCH))["devices"]
    told = [(device["name"], device["label"], device["free_bytes"], device["total_bytes"]) for device in devices[:2]]
    assert told == [
        ("cuda:0", "NVIDIA H200 (140 GB)", 100_000_000_000, 150_754_820_096),
        ("cuda:1", "NVIDIA GeForce RTX 4090 (24 GB)", None, 25_386_352_640),  # a driver that does not answer
    ]
    assert [device["name"] for device in devices[2:]] == ["cpu"]


def test_a_driver_that_is_too_old_leaves_the_processor(tmp_path):
    answer = probe(path=with_torch(tmp_path, OLD_DRIVER))
    assert answer["broken"] == {}
    assert [device["name"] for device in answer["devices"]] == ["cpu"]


def test_an_apple_graphics_card_is_offered_by_its_name_in_requests(tmp_path):
    device = probe(path=with_torch(tmp_path, APPLE))["devices"][0]
    assert (device["name"], device["label"]) == ("mps", "Apple GPU")


@pytest.mark.skipif(sys.platform != "linux", reason="binds a process to a core as Linux does it")
def test_only_cores_that_the_process_may_use_are_counted():
    core = min(os.sched_getaffinity(0))
    code = f"import os, runpy; os.sched_setaffinity(0, [{core}]); runpy.run_module('{PROBE[1]}', run_name='__main__')"
    command = [sys.executable, WITHOUT_PACKAGES, "-c", code]
    done = subprocess.run(command, cwd=WORKING_FOLDER, capture_output=True, text=True, check=False)
    (device,) = json.loads(done.stdout)["devices"]
    assert (device["name"], device["label"]) == ("cpu", "CPU (1 core)")


def test_asking_imports_nothing_but_the_standard_library():
    code = "import sys, MedTranslateLib.inference.probe; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, WITHOUT_PACKAGES, "-c", code]
    done = subprocess.run(command, cwd=WORKING_FOLDER, capture_output=True, text=True, check=False)
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"MedTranslateLib", "__main__"}, done.stderr


def canonical(distribution: str) -> str:
    """As the packaging standard compares names."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def needed(distribution: str, seen: set[str]) -> set[str]:
    """A distribution and what it cannot do without, as its metadata say."""
    if canonical(distribution) not in seen:
        seen.add(canonical(distribution))
        for requirement in requires(distribution) or ():
            match = re.match(r"[\w.-]+", requirement)
            if match and "extra ==" not in requirement and canonical(match[0]) in installed():
                needed(match[0], seen)
    return seen


@cache
def installed() -> set[str]:
    return {canonical(name) for names in packages_distributions().values() for name in names}


def import_with(distributions: set[str]) -> subprocess.CompletedProcess[str]:
    found = packages_distributions().items()
    modules = sorted(module for module, names in found if {canonical(name) for name in names} & distributions)
    command = [sys.executable, "-c", IMPORT_WITH_ALL_ELSE_BLOCKED, ",".join(modules)]
    return subprocess.run(command, cwd=WORKING_FOLDER, capture_output=True, text=True, check=False)


def test_a_translation_needs_what_the_probe_looks_for_and_nothing_else():
    allowed: set[str] = set()
    for distribution in PACKAGES.values():
        needed(distribution, allowed)
    enough = import_with(allowed)
    assert enough.returncode == 0, enough.stderr
    without_einops = import_with(allowed - {"einops"})  # nothing of ours imports it; monai's network does, when built
    assert "einops" in without_einops.stderr
    assert set(PACKAGES) - imported_by_us() == {"einops"}


def imported_by_us() -> set[str]:
    """Top-level names that the packages behind a translation import."""
    names: set[str] = set()
    for package in ("core", "imaging", "bundles", "methods", "inference"):
        for path in (WORKING_FOLDER / "MedTranslateLib" / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    names.add((node.module or "").partition(".")[0])
    return names
