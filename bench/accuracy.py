"""Measure how far losses of rows lie from the true values of their formulas, and write docs/accuracy.md.

    python bench/accuracy.py

True values are computed by mpmath (tests/support/oracles.py), in 350 bits and more. Rows are everyday ones, and those
where formulas lose digits (tests/support/adversarial.py): tails, ties, wild magnitudes, labels near predictions. Beside
our losses stand Keras' in float32, on its JAX backend, for the same rows.
"""

from __future__ import annotations

import math
import platform
import sys
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import adversarial  # noqa: E402
import oracles  # noqa: E402
import peers  # noqa: E402
import strategies  # noqa: E402
import streamloss as sl  # noqa: E402
from streamloss.formulas._kinds import LabelSequence, Parametric  # noqa: E402

PAGE = ROOT / "docs" / "accuracy.md"
SHAPES = ((150, 1), (60, 3), (12, 30))
"""Rows and classes (or outputs, or time steps)."""

INTRODUCTION = """# Accuracy

How far losses of rows lie from the true values of their formulas at worst, in units in the last place (ulp) of the
losses' dtype: 0.5 is correctly rounded. Where a row adds up terms of either sign (Poisson, divergences of rows that are
not normalised, cosines, Gaussian likelihoods), an ulp is one of the row's largest term.

Keras' float32 losses of the same rows stand beside ours: where it returns 0 for a small loss, or subtracts large
numbers, it is off by millions of units. "-" is for losses that Keras does not have.

The judge is mpmath, in 350 bits and more; rows are everyday ones and those in which formulas lose digits. Written by
`python bench/accuracy.py` with {versions}.

| loss | ours, float32 | ours, float64 | Keras, float32 |
|---|---:|---:|---:|
"""


def worst(loss: sl.losses.Loss, dtype: type) -> float:
    rng = np.random.default_rng(2013)
    return max(oracles.worst_ulps(loss, *rows(loss, rng, shape, dtype), dtype) for shape in shapes_of(loss))


def worst_of_keras(loss: sl.losses.Loss) -> float | None:
    """Return the worst error of Keras' losses of the same rows; None where Keras has no such loss."""
    name = loss.spec.name
    if name not in peers.SETTINGS:
        return None
    parameters = {k: v for k, v in loss.spec.parameters.items() if k != "labels" or v != "auto"}
    rng, errors = np.random.default_rng(2013), []
    for shape in shapes_of(loss):
        y_true, y_pred = rows(loss, rng, shape, np.float32)
        theirs = np.atleast_1d(peers.ask_keras(name, parameters, y_true, y_pred)).astype(np.float32)
        if theirs.shape == np.shape(np.atleast_1d(loss(y_true, y_pred))):  # not where it takes one class for a row
            errors.append(oracles.worst_ulps(loss, y_true, y_pred, np.float32, theirs))
    return max(math.inf if math.isnan(error) else error for error in errors)


def shapes_of(loss: sl.losses.Loss) -> tuple[tuple[int, int], ...]:
    if isinstance(loss.spec.formula, Parametric):
        return ((150, 2),)
    return ((40, 3), (20, 6)) if isinstance(loss.spec.formula, LabelSequence) else SHAPES


def rows(loss: sl.losses.Loss, rng: np.random.Generator, shape: tuple[int, int], dtype: type):
    y_true, y_pred = adversarial.rows_for(loss, rng, *shape, dtype)
    y_true = y_true.astype(dtype) if y_true.dtype.kind == "f" else y_true
    return y_true, y_pred.astype(dtype)


def shown(error: float | None) -> str:
    if error is None:
        return "-"
    if not math.isfinite(error):
        return "not a number"
    return f"{error:.2f}" if error < 100 else f"{error:.0f}" if error < 1e5 else f"{error:.0e}"


def main() -> None:
    warnings.simplefilter("ignore")  # Keras', about rows of one class
    settings = oracles.every_setting()
    versions = f"streamloss {sl.__version__}, NumPy {np.__version__}, Keras {peers.keras().__version__}, "
    lines = []
    for label in strategies.every_loss():
        loss = settings[label]
        cells = (worst(loss, np.float32), worst(loss, np.float64), worst_of_keras(loss))
        lines.append(f"| `{label}` | {' | '.join(map(shown, cells))} |")
        print(lines[-1], flush=True)
    text = INTRODUCTION.replace("{versions}", f"{versions}Python {platform.python_version()}")
    PAGE.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
