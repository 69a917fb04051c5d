"""Measure kernels alone: nanoseconds for an element, on one thread, of rows that are in the cache.

    python bench/kernels.py [NAME ...]

Without reading and planning, differences between two versions of a loop show that hide behind memory elsewhere. NAME
is a part of a loss' name. The best of many short runs counts: other processes only make a run longer.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from streamloss.aggregation.accumulator import SIZE
from streamloss.aggregation.statistics import accumulation_of
from streamloss.formulas._registry import LossSpec
from streamloss.kernels import cpu
from streamloss.kernels.base import RAISE, Ignore, KernelKey, Operands, Output, Settings, Totals
from streamloss.kernels.build import layout_of
from timing import machine

ROWS, ELEMENTS, SECONDS = 16_384, 1 << 18, 0.15
CLASSES = (2, 5, 10, 100, 200, 1000, 1024, 32_000)
LOGITS = {"from_logits": True}
NO_WEIGHT, NO_MASK = np.empty(0), np.empty(0, np.bool_)


def prepared(name: str, given: dict[str, Any], y: np.ndarray, p: np.ndarray, weight: np.ndarray, dtype: str) -> Any:
    """Return a function that runs a loss' loop once over the rows."""
    spec, classes = LossSpec.of(name, given), p.shape[1]
    key = KernelKey(spec.formula, dtype == "float32", layout_of(spec.formula, classes), accumulation_of(()))
    settings = Settings(Ignore(0, 0), spec.arguments(np.dtype(dtype)), spec.per_class(classes), RAISE)
    operands, compiled = Operands(y, p, weight, NO_MASK), cpu._compiled(key)
    sums, counts = len(key.accumulation.sums), key.accumulation.num_counts
    totals = Totals(np.zeros((1, sums, SIZE), np.int64), np.zeros((1, counts), np.int64))
    first_bad, next_piece = np.full(1, -1), np.zeros(1, np.int64)
    output, workspace = Output(False, np.empty(0, dtype)), compiled.workspace(operands)
    run = compiled.loop.prepare(operands, settings, output, totals, first_bad, next_piece, workspace)

    def once() -> None:
        next_piece[0] = 0
        run()
        assert first_bad[0] == -1, f"{name}: row {first_bad[0]} has no loss"

    return once


def nanoseconds(
    name: str,
    given: dict[str, Any],
    y: np.ndarray,
    p: np.ndarray,
    weight: np.ndarray = NO_WEIGHT,
    dtype: str = "float32",
) -> float:
    """Return the best time for an element of `p`."""
    once, best, end = prepared(name, given, y, p, weight, dtype), float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        begin = time.perf_counter()
        once()
        best = min(best, time.perf_counter() - begin)
    return best / p.size * 1e9


def of_elements(rng: np.random.Generator) -> list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]]:
    """Return losses of single elements, each with labels and predictions as they are met."""
    normal, error = (3 * rng.standard_normal((ROWS, 1), np.float32) for _ in range(2))
    share, positive = rng.random((ROWS, 1), np.float32), 10 * rng.random((ROWS, 1), np.float32) + 0.1
    outcome, count = (normal > 0).astype(np.float32), np.floor(positive)
    expected = rng.permutation(positive)
    names: list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = [
        *((name, {}, normal, error) for name in ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh")),
        ("mean_absolute_percentage_error", {}, positive, expected),
        ("mean_squared_logarithmic_error", {}, positive, expected),
        *((name, {}, outcome, share) for name in ("binary_crossentropy", "binary_focal_crossentropy")),
        *((name, LOGITS, outcome, error) for name in ("binary_crossentropy", "binary_focal_crossentropy")),
        *((name, {}, count, expected) for name in ("poisson", "poisson_deviance", "tweedie_deviance")),
        ("gamma_deviance", {}, positive, expected),
    ]
    return names


def main(wanted: list[str]) -> None:
    rng = np.random.default_rng(16)
    print(machine()["processor"])
    print(f"{'nanoseconds for an element':<56}{'float32':>9}{'weighted':>9}{'float64':>9}{'of float64':>11}")
    weight = rng.random(ROWS, np.float32)
    for name, given, y, p in of_elements(rng):
        show(wanted, f"{name}{' from logits' if given else ''}", name, given, y, p, weight)
    for classes in CLASSES:
        rows = max(4, min(ROWS, ELEMENTS // classes))
        logits, labels = 3 * rng.standard_normal((rows, classes), np.float32), rng.integers(0, classes, rows)
        one_hot = np.zeros((rows, classes), np.float32)
        one_hot[np.arange(rows), labels] = 1
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        for name, given, y, p in (
            ("sparse_categorical_crossentropy", LOGITS, labels, logits),
            ("categorical_crossentropy", LOGITS, one_hot, logits),
            ("sparse_categorical_crossentropy", {}, labels, shares),
            ("categorical_crossentropy", {}, one_hot, shares),
            ("categorical_focal_crossentropy", {}, one_hot, shares),
        ):
            title = f"{name}{' from logits' if given else ''}, {classes:,} classes"
            show(wanted, title, name, given, y, p, weight[:rows])


def show(
    wanted: list[str],
    title: str,
    name: str,
    given: dict[str, Any],
    y: np.ndarray,
    p: np.ndarray,
    weight: np.ndarray,
) -> None:
    """Print a line: float32 results, the same with weights, float64 results, and those of float64 predictions."""
    if wanted and not any(part in title for part in wanted):
        return
    y64, p64 = y.astype(np.float64) if y.ndim == 2 else y, p.astype(np.float64)
    times = (
        nanoseconds(name, given, y, p),
        nanoseconds(name, given, y, p, weight),
        nanoseconds(name, given, y, p, dtype="float64"),
        nanoseconds(name, given, y64, p64, dtype="float64"),
    )
    print(f"{title:<56}" + "".join(f"{value:>9.3f}" for value in times[:3]) + f"{times[3]:>11.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
