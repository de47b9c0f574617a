# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.cli.main import main
from MedTranslateLib.mrml.cursor_bench import to_output, to_source


def test_the_cursor_is_as_fast_and_as_exact_as_promised(capsys: pytest.CaptureFixture) -> None:
    assert main(["bench", "cursor"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last)
    assert set(figures) == {"median_ms", "p99_ms", "mapping_error_mm"}
    assert 0 < figures["median_ms"] <= 5
    assert figures["median_ms"] <= figures["p99_ms"] <= 16
    assert 0 < figures["mapping_error_mm"] <= 0.1
    assert "256x256x100" in lines[0]
    assert int(lines[0].split(", ")[2].split()[0]) >= 500


def test_the_benchs_deformation_is_undone_by_its_inverse_and_moves_points_by_millimetres_along_every_axis() -> None:
    points = np.random.default_rng(3).uniform(-120, 120, (500, 3))
    np.testing.assert_allclose(to_output(to_source(points)), points, atol=1e-9)
    np.testing.assert_allclose(to_source(to_output(points)), points, atol=1e-9)
    assert (np.abs(to_source(points) - points).max(axis=0) > 4).all()


def test_without_slicers_core_the_bench_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "slicer.py").write_text("raise ImportError('no such thing')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert main(["bench", "cursor"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "needs the package slicer-core, which cannot be loaded (no such thing)" in said.err
    assert "pip install" in said.err
