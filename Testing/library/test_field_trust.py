"""The figures of a bundle's fields tell a picture that follows its field from one that does not."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.competitors import layout_of
from MedTranslateLib.evaluation.config import FieldCheck
from MedTranslateLib.evaluation.field_trust import score_fields
from MedTranslateLib.evaluation.metric_names import METRICS
from MedTranslateLib.evaluation.protocols import PROTOCOLS, Site
from MedTranslateLib.inference.weights import LoadedBundle, load_bundle
from MedTranslateLib.methods.fields import fade_at_border, integrate, warp
from MedTranslateLib.methods.identity import Identity
from MedTranslateLib.training.cases import TrainingCase, load_cases
from MedTranslateLib.training.config import DataEntry

CPU = torch.device("cpu")


class Moving(Identity):
    """Shifts the middle of a slice by about (3, -4) pixels; follows that, or only claims it."""

    def __init__(self, *, honest: bool) -> None:
        super().__init__()
        self.honest = honest

    def predicted_velocity(self, source, direction=None):
        velocity = torch.tensor([3.0, -4.0]).view(1, 2, 1, 1).expand(len(source), 2, *source.shape[2:])
        return fade_at_border(velocity, 16)

    def translate(self, source, direction, steps, noise, on_step):
        return warp(source.images, integrate(source.velocity)) if self.honest else source.images


@pytest.fixture
def case() -> TrainingCase:
    noise = gaussian_filter(np.random.default_rng(2).normal(size=(3, 48, 56)), (0, 2, 2))
    return TrainingCase("a", np.clip(noise * 4, -1, 1).astype(np.float32), None, paired=False, slice_spacing_mm=8.0)


def trust(method: Identity, case: TrainingCase, make_bundle):
    manifest = load_bundle(make_bundle(f"b{id(method)}"), CPU).manifest
    return score_fields(LoadedBundle(manifest, method, CPU), [case])


def test_the_likeness_along_the_field_tells_whether_the_picture_followed_it(case, make_bundle):
    honest, lying = trust(Moving(honest=True), case, make_bundle), trust(Moving(honest=False), case, make_bundle)
    assert honest.nmi_output_moved > 1.3 * honest.nmi_output_still
    assert honest.nmi_output_moved > 1.3 * honest.nmi_output_undone
    assert lying.nmi_output_still > 1.3 * lying.nmi_output_moved
    assert honest.displacement_max_px == pytest.approx(5.0, abs=0.3)  # the length of (3, -4)
    assert honest.round_trip_mean_px < 0.05
    assert 0.2 < honest.det_j_min < 1
    assert honest.slices == 3
    assert np.isnan(honest.nmi_target_moved)


def test_the_protocol_tells_every_figure_of_the_set_under_a_name_that_has_a_definition(tmp_path, make_bundle):
    """Five slices of two cases without targets."""
    options = {"channels": [16, 16], "velocity_channels": 8, "velocity_levels": 2, "steps": 2}
    folder = make_bundle("moving", "plasticine", options, size_hw=(48, 56), reversible=False)
    noise = gaussian_filter(np.random.default_rng(2).normal(size=(5, 48, 56)), (0, 2, 2)) * 500 + 100
    (tmp_path / "val").mkdir()
    np.savez(tmp_path / "val/a.npz", t1=noise[:3])
    np.savez(tmp_path / "val/b.npz", t1=noise[3:])
    entry = DataEntry("npz", "val", source="t1", stored_range=(0, 255))
    site = Site(tmp_path, tmp_path, tmp_path / "work", "cpu")
    found = PROTOCOLS["fields"](FieldCheck(str(folder), (entry,)), site).measurements
    figures = {one.metric: one.value for one in found}
    bundle = load_bundle(folder, CPU)
    trust = score_fields(bundle, load_cases((entry,), layout_of(bundle.manifest), tmp_path))
    assert figures == pytest.approx(asdict(trust), nan_ok=True)
    assert figures["slices"] == 5
    assert figures["round_trip_mean_px"] <= figures["round_trip_p999_px"] < 0.1
    assert 0 < figures["displacement_mean_px"] < figures["displacement_max_px"]
    assert np.isnan(figures["nmi_target_moved"])
    assert {(one.case, one.method) for one in found} == {("", "moving")}
    assert all(METRICS[name].definition.endswith(".") for name in figures)


def test_a_bundle_that_moves_nothing_has_no_fields_to_measure(case, make_bundle):
    with pytest.raises(ConfigError, match="no field to measure"):
        trust(Identity(), case, make_bundle)
