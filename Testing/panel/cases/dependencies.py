"""What is missing is offered, never installed unasked; Slicer's own packages keep their versions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest import mock

import slicer

from panel_case_files import beside

translate = beside(__file__, "translate")


@contextmanager
def a_probe_that_finds_missing(panels, *names: str) -> Iterator[None]:
    """As if the worker were Slicer's own Python and lacked these packages."""
    from MedTranslateWidgets.Probe import ProbeAnswer

    before = panels.bench.dependencies.answer
    panels.bench.dependencies.answer = ProbeAnswer(missing=names, devices=before.devices)
    environment = {name: value for name, value in os.environ.items() if name != "MEDTRANSLATE_PYTHON"}
    # a second look would find that Slicer's own Python lacks them still, sooner or later
    no_second_look = mock.patch.object(panels.bench.dependencies, "_onInstalled")
    try:
        with mock.patch.dict(os.environ, environment, clear=True), no_second_look:
            yield
    finally:
        panels.bench.dependencies.answer = before


def check_apply_offers_the_pytorch_extension_and_installs_nothing_by_itself(side) -> None:
    _node, panels = translate.open_with_source(side)
    count = len(translate.runs_of(panels))
    with a_probe_that_finds_missing(panels, "torch", "monai"), mock.patch.object(slicer.util, "pip_install") as pip:
        side.mouse.click(side.child("applyButton"))
        assert "extension PyTorch" in panels.messages.text, panels.messages.text
        assert side.child("messageButton1").text == "Get the extension"
        assert side.child("messageButton2").text == "From a folder of wheels..."
        side.picture("missing-torch")
    assert not pip.called
    assert len(translate.runs_of(panels)) == count


def check_torch_comes_through_its_extension_and_the_rest_by_pip_with_what_slicer_ships_kept(side) -> None:
    import numpy as np

    _node, panels = translate.open_with_source(side)
    calls, extension = [], ModuleType("PyTorchUtils")
    extension.__spec__ = mock.Mock()
    extension.PyTorchUtilsLogic = mock.Mock()
    extension.PyTorchUtilsLogic.return_value.installTorch.side_effect = lambda **_: calls.append("torch") or object()

    def pip_ensure(names, constraints, **_options) -> None:
        calls.append((tuple(names), Path(constraints).read_text(encoding="utf-8")))

    with (
        a_probe_that_finds_missing(panels, "torch", "monai", "einops"),
        mock.patch.dict(sys.modules, PyTorchUtils=extension),
        mock.patch("slicer.packaging.pip_ensure", pip_ensure),
    ):
        side.mouse.click(side.child("applyButton"))
        assert side.child("messageButton1").text == "Install"
        assert calls == []
        side.mouse.click(side.child("messageButton1"))
    first, (names, constraints) = calls
    assert first == "torch"
    assert names == ("monai", "einops")
    assert f"numpy=={np.__version__}" in constraints.splitlines()
    assert "SimpleITK==" in constraints
    assert "Everything is installed" in panels.messages.text


def check_a_folder_of_wheels_is_used_without_a_network(side) -> None:
    _node, panels = translate.open_with_source(side)
    with (
        a_probe_that_finds_missing(panels, "torch", "monai"),
        mock.patch("qt.QFileDialog.getExistingDirectory", return_value="/wheels"),
        mock.patch.object(slicer.util, "pip_install") as pip,
    ):
        side.mouse.click(side.child("applyButton"))
        side.mouse.click(side.child("messageButton2"))
    (words,) = pip.call_args.args
    assert words[:5] == ["--no-index", "--find-links", "/wheels", "torch", "monai"]
    assert words[5] == "-c"


def check_another_python_is_never_installed_into(side) -> None:
    _node, panels = translate.open_with_source(side)
    with a_probe_that_finds_missing(panels, "monai"), mock.patch.dict(os.environ, MEDTRANSLATE_PYTHON="/a/python"):
        side.mouse.click(side.child("applyButton"))
        assert "MEDTRANSLATE_PYTHON lacks: monai" in panels.messages.text, panels.messages.text
        assert not side.child("messageButton1").isVisible()
