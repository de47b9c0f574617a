"""Places whose true error is known in, the calibration that expects it from what is known without the truth out.

The expected error is fitted as the mean of a quasi-Poisson model with a logarithmic link (McCullagh and Nelder 1989,
chapter 9) on hat functions of the inputs, whose second differences are kept small (P-splines, Eilers and Marx 1996).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import spsolve

from MedTranslateLib.bundles.trust_statistics import TrustCurve, TrustInput, TrustTable

Values = npt.NDArray[np.floating[Any]]
TABLES: tuple[tuple[TrustInput, TrustInput], ...] = (("source", "output"), ("row", "column"))
"""Inputs that are looked at in pairs; every other has a curve of its own."""
CURVE_AT = (0.0, 0.15, 0.4, 0.65, 0.85, 0.95, 0.995)
"""Shares of the places at whose values of an input its curve has knots."""
INTENSITY_AT = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
"""The same for the intensities of a table, which always reaches from 0 to 1."""
POSITIONS = {"row": 8, "column": 5}
"""Numbers of knots of a position in the slice, at equal distances."""
CURVE_APART, TABLE_APART = 1e-3, 0.02
"""Knots are at least so far apart, as a share of the range."""
SMOOTHNESS, STEEPNESS, FLATNESS = 3.0, 0.3, 1e-2
"""Weights of second differences, first differences and of the values themselves, against the sum of all errors."""
ROUNDS, SETTLED, LONGEST_STEP = 60, 1e-5, 2.0
SMALLEST_ERROR, LARGEST_LOG = 1e-5, 1.0


@dataclass(frozen=True)
class KnownPlaces:
    """Places of translations whose truth is known, one value a place.

    Args:
        inputs: See `trust.inputs.inputs_of`.
        error: True absolute errors, as a share of the target's range.
    """

    inputs: Mapping[TrustInput, Values]
    error: Values


@dataclass(frozen=True)
class FittedError:
    """The parts of a calibration that are fitted."""

    level: float
    tables: tuple[TrustTable, ...]
    curves: tuple[TrustCurve, ...]


def fit_expected_error(places: KnownPlaces) -> FittedError:
    """Fits level, tables and curves.

    Args:
        places: Places of training patients.
    """
    knots = {name: _knots(name, values) for name, values in places.inputs.items()}
    paired = {name for pair in TABLES for name in pair}
    curves = [name for name in places.inputs if name not in paired]
    hats = {name: _hats(values, knots[name]) for name, values in places.inputs.items()}
    tables = [_products(hats[one], hats[other]) for one, other in TABLES]
    design = sparse.csr_matrix(sparse.hstack([*tables, *(hats[name] for name in curves)], format="csr"))
    smooth = [_bending_of_table(len(knots[one]), len(knots[other])) for one, other in TABLES]
    smooth += [_bending(len(knots[name])) for name in curves]
    error = np.asarray(places.error, dtype=np.float64)
    level = float(np.log(max(error.mean(), SMALLEST_ERROR)))
    weights = _solve(design, sparse.csc_matrix(sparse.block_diag(smooth)), error, level)
    return _read_off(weights, level, knots, curves)


def _solve(design: sparse.csr_matrix, penalty: sparse.csc_matrix, error: Values, level: float) -> Values:
    """Newton's steps for log E[error] = level + design @ weights under the penalty."""
    weights = np.zeros(design.shape[1])
    penalty = sparse.csc_matrix(penalty + FLATNESS * sparse.identity(len(weights)))
    for _ in range(ROUNDS):
        mean = np.exp(np.clip(level + design @ weights, np.log(SMALLEST_ERROR), LARGEST_LOG))
        gradient = design.T @ (error - mean) - penalty @ weights
        curvature = sparse.csc_matrix(design.T @ sparse.diags(mean) @ design + penalty)
        step = spsolve(curvature, gradient)
        longest = float(np.abs(step).max())
        weights = weights + step * min(1.0, LONGEST_STEP / max(longest, SETTLED))  # a whole one may overshoot
        if longest < SETTLED:
            break
    return weights


def _hats(values: Values, knots: Values) -> sparse.csr_matrix:
    """Weight of each knot for each value: linear interpolation as a matrix (places, knots)."""
    position = np.interp(values, knots, np.arange(len(knots)))
    low = np.minimum(position.astype(np.intp), len(knots) - 2)
    share = position - low
    rows = np.tile(np.arange(len(position)), 2)
    both = (np.concatenate([1 - share, share]), (rows, np.concatenate([low, low + 1])))
    return sparse.csr_matrix(both, shape=(len(position), len(knots)))


def _products(rows: sparse.csr_matrix, columns: sparse.csr_matrix) -> sparse.csr_matrix:
    """Bilinear interpolation as a matrix (places, rows times columns)."""
    return sparse.hstack([rows[:, [i]].multiply(columns) for i in range(rows.shape[1])], format="csr")


def _bending(count: int) -> sparse.csr_matrix:
    """The quadratic form of second differences, and a little of first ones, so that knots nobody saw follow others."""
    second, first = (np.diff(np.eye(count), n=order, axis=0) for order in (2, 1))
    return sparse.csr_matrix(SMOOTHNESS * second.T @ second + STEEPNESS * first.T @ first)


def _bending_of_table(rows: int, columns: int) -> sparse.csr_matrix:
    along_rows = sparse.kron(_bending(rows), sparse.identity(columns))
    return sparse.csr_matrix(along_rows + sparse.kron(sparse.identity(rows), _bending(columns)))


def _read_off(
    weights: Values, level: float, knots: Mapping[TrustInput, Values], names: list[TrustInput]
) -> FittedError:
    tables, curves, first = [], [], 0
    for one, other in TABLES:
        size = len(knots[one]), len(knots[other])
        values = weights[first : first + size[0] * size[1]].reshape(size)
        rows = tuple(_numbers(row) for row in values)
        tables.append(TrustTable((one, other), _numbers(knots[one]), _numbers(knots[other]), rows))
        first += values.size
    for name in names:
        curves.append(TrustCurve(name, _numbers(knots[name]), _numbers(weights[first : first + len(knots[name])])))
        first += len(knots[name])
    return FittedError(_numbers([level])[0], tuple(tables), tuple(curves))


def _knots(name: TrustInput, values: Values) -> Values:
    """Rounded as they are stored, so that what was fitted is what will be used."""
    if name in POSITIONS:
        return np.array(_numbers(np.linspace(0, 1, POSITIONS[name])))
    if any(name in pair for pair in TABLES):
        some = values[values > 0] if (values > 0).any() else values
        inner = np.array(_numbers(np.quantile(some, INTENSITY_AT)))
        return _apart([0.0, *inner[inner < 1 - TABLE_APART], 1.0], TABLE_APART)
    return _apart(_numbers(np.quantile(values, CURVE_AT)), CURVE_APART)


def _apart(knots: Iterable[float], least: float) -> Values:
    """The knots from the first on that are far enough from the one before; two at least."""
    kept: list[float] = []
    for knot in knots:
        if not kept or knot - kept[-1] >= least:
            kept.append(knot)
    return np.array(kept if len(kept) > 1 else [kept[0], kept[0] + least])


def _numbers(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in values)
