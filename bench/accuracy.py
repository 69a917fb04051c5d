"""How far losses are from their formulas: ours in float32 and float64, and Keras' in float32, against mpmath.

    python bench/accuracy.py

For every declared loss, formula and setting it draws rows, everyday ones and adversarial ones, takes their true losses
from `tests/oracles.py`, and writes the worst errors, in units in the last place, to `docs/accuracy.md`. About two
minutes on two cores, most of them the compiler's. Keras is asked on its JAX backend; without it its columns are empty:
``pip install keras jax``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import multiprocessing
import os
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import oracles
import peers
from oracles import one_hot
from streamloss.losses._kinds import Elementwise, LabelSequence, Overlap, Parametric, Rowwise, Sparse
from streamloss.losses._registry import declarations
from streamloss.types import REAL, UNIT, Interval

PAGE = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
SHAPES = ((400, 1), (60, 3), (6, 40))
"""Rows and classes of what is drawn, twice: everyday rows and adversarial ones."""
INSTALL = "pip install keras jax"

INTRODUCTION = """\
# Accuracy

The worst errors that were found, in units in the last place (ulp) of the true loss. Half an ulp is what rounding
costs, and what no float can avoid; 1.7e7 ulp of a float32 is a loss reported as 0, or as twice the truth. Where a
loss adds up terms of either sign (Poisson, its likelihoods, Gaussian likelihood, divergence, cosine), an ulp is one of
the row's largest term; see [semantics](semantics.md).

This page is written by `python bench/accuracy.py`: for each loss, formula and setting it draws {rows} rows of 1, 3 and
40 classes (CTC: up to 5), half of them everyday ones, half adversarial: confident right and wrong, ties, equal but for
the last digits, huge, tiny, subnormal. The judge is mpmath, in 350 bits and more, by formulas written for the
tests (`tests/oracles.py`). `tests/test_accuracy.py` asserts the bounds: 1 ulp in float32 and 4 in float64, 8 for the
categorical focal loss from logits with a gamma above 2.

Keras is asked in float32 on its JAX backend, on the everyday rows and on all of them; a dash: it has no such loss. It
clips what the binary focal loss takes from logits, which we do not: that is most of its error there.

{versions}.

| loss | setting | float32 | float64 | Keras, everyday | Keras, all |
|---|---|--:|--:|--:|--:|
"""


class Measured(NamedTuple):
    """Worst errors in ulps; Keras' are None where it has no such loss."""

    name: str
    setting: str
    float32: float
    float64: float
    keras_everyday: float | None
    keras_all: float | None


def everyday_numbers(interval: Interval, rng: np.random.Generator, shape: Any, whole: bool) -> np.ndarray[Any, Any]:
    if interval.high == 1:
        values = rng.uniform(interval.low, 1, shape)
        return np.where(values > 0.5 * (1 + interval.low), 1.0, interval.low) if whole else values
    return rng.gamma(2.0, 2.0, shape) if interval.low == 0 else rng.normal(size=shape) * 3


def everyday_rows(loss: Any, rng: np.random.Generator, n: int, classes: int) -> tuple[Any, Any]:
    """`y_true` and `y_pred` as a model that has learnt something would have them."""
    formula = loss.spec.formula
    labels = rng.integers(0, classes, n)
    shares, scores = rng.dirichlet(np.ones(classes), n), rng.normal(size=(n, classes)) * 3
    match formula:
        case Elementwise():
            y = everyday_numbers(formula.y_true, rng, (n, classes), whole=True)
            return y, everyday_numbers(formula.y_pred, rng, (n, classes), whole=False)
        case Overlap():
            return (rng.random((n, classes)) < 0.4).astype(float), rng.random((n, classes))
        case Sparse():
            return labels, shares if formula.y_pred == UNIT else scores
        case Rowwise() if formula.y_true == REAL and formula.peak is None:
            return rng.normal(size=(n, classes)), scores
        case Rowwise():
            y = rng.dirichlet(np.ones(classes), n) if formula.y_true == UNIT else one_hot(labels, classes)
            return y, shares if formula.y_pred == UNIT else scores
        case Parametric():
            return rng.normal(size=n), np.stack([rng.normal(size=n), rng.gamma(2.0, 1.0, n)], axis=1)
    y = rng.integers(1, classes + 1, (n, min(classes, 3)))
    return y, rng.normal(size=(n, classes + 3, classes + 1)) * 3


def measure(name: str) -> list[Measured]:
    """All settings of one loss: a process compiles its kernels once."""
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    named = {label: loss for label, loss in oracles.every_setting().items() if loss.spec.name == name}
    return [measure_one(label, loss) for label, loss in named.items()]


def measure_one(label: str, loss: Any) -> Measured:
    ours = {np.float32: 0.0, np.float64: 0.0}
    theirs: dict[bool, list[float]] = {True: [], False: []}
    for (n, classes), dtype, everyday in itertools.product(SHAPES, list(ours), (True, False)):
        rng = np.random.default_rng([classes, everyday])
        few = min(classes, 5) if isinstance(loss.spec.formula, LabelSequence) else classes
        if everyday:
            y, p = everyday_rows(loss, rng, n, few)
            y, p = y if y.dtype.kind == "i" else y.astype(dtype), p.astype(dtype)
        else:
            y, p = oracles.rows_for(loss, rng, n, few, dtype)
        truths = oracles.losses_of_rows(loss, y, p, np.dtype(dtype))
        ours[dtype] = max(ours[dtype], worst(np.atleast_1d(loss(y, p)), truths))
        if dtype == np.float32 and (answer := ask_keras(loss, y, p)) is not None:
            theirs[everyday].append(worst(answer, truths))
    name, _, setting = label.partition(":")
    everyday_worst = max(theirs[True], default=None)
    return Measured(name, setting, *ours.values(), everyday_worst, max(theirs[True] + theirs[False], default=None))


def worst(values: np.ndarray[Any, Any], truths: list[oracles.Truth]) -> float:
    errors = [oracles.ulps(value, *truth) for value, truth in zip(values, truths, strict=True)]
    return max(np.inf if np.isnan(error) else error for error in errors)


def has_keras() -> bool:
    return all(importlib.util.find_spec(module) for module in ("keras", "jax"))


def ask_keras(loss: Any, y: np.ndarray[Any, Any], p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Keras' losses of these rows in float32; None where it has no such loss, or is not installed."""
    declaration = loss.spec.declaration
    if declaration.peer != "Keras" or not has_keras():
        return None
    if y.ndim < p.ndim and p.shape[1] == 1:
        return None  # Keras would take the one class' axis away
    answer = peers.ask_keras(declaration.name, loss.spec.parameters, y, p)
    return np.atleast_1d(np.asarray(answer, np.float32))


def spelt(ulps: float | None) -> str:
    if ulps is None:
        return "-"
    if ulps == 0:
        return "0"
    if not np.isfinite(ulps):
        return "∞"
    return f"{ulps:.2f}" if ulps < 100 else f"{ulps:.1e}".replace("e+0", "e").replace("e+", "e")


def versions() -> str:
    known = ["streamloss", "numba", "numpy", "mpmath", *(["keras", "jax"] if has_keras() else [])]
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in known)


def main() -> None:
    if not has_keras():
        print(f"Keras is not installed; its columns will be empty. To fill them: {INSTALL}", file=sys.stderr)
    names = [declaration.name for declaration in declarations()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(len(names), os.cpu_count() or 1), context) as pool:
        measured = [row for rows in pool.map(measure, names) for row in rows]
    rows = 2 * sum(n for n, _ in SHAPES)
    page = INTRODUCTION.format(rows=rows, versions=versions())
    for name, group in itertools.groupby(measured, key=lambda row: row.name):
        for i, row in enumerate(group):
            setting = row.setting.replace(",", ", ").replace("=", " = ")
            page += f"| {name if i == 0 else ''} | {setting} | {' | '.join(map(spelt, row[2:]))} |\n"
    PAGE.write_text(page)
    print(page[page.index("| loss") :])


if __name__ == "__main__":
    main()
