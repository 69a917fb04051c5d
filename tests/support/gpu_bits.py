"""Compare everyday and adversarial rows of every kind of loss, and their sums, on a GPU and the CPU, bit for bit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from kernel_calls import key_of, new_totals, settings_of
from streamloss.aggregation.exact_sum import ExactSum
from streamloss.core.cuda_memory import Pinned
from streamloss.formulas._kinds import Parametric
from streamloss.formulas._registry import LossSpec
from streamloss.kernels import cpu
from streamloss.kernels.base import Operands, Output
from streamloss.kernels.cuda.launch import Lane, StoredArray

LOGITS = {"from_logits": True}
SPARSE, DENSE = "sparse_categorical_crossentropy", "categorical_crossentropy"
KINDS: tuple[tuple[str, dict[str, Any], tuple[int, ...]], ...] = (
    ("mean_squared_error", {}, (1, 100)),
    ("huber", {}, (1,)),
    ("binary_crossentropy", {}, (1,)),
    ("binary_crossentropy", LOGITS, (1,)),
    (SPARSE, LOGITS, (2, 3, 8, 10, 31, 100, 128, 129, 1000, 1023, 1024, 2500, 4096, 32000, 131072)),
    (SPARSE, {}, (10, 1000)),
    (DENSE, LOGITS, (3, 10, 1000)),
    (DENSE, {}, (10, 1000)),
    ("gaussian_nll", {}, (2,)),
    ("dice", {"axis": -1}, (10,)),
    ("cosine_similarity", {}, (100,)),
)
"""Losses and classes that are compared; the first classes of each over the most rows."""
PIECE = 1 << 24
"""Elements that are compared at a time."""


def data(formula: Any, rows: int, classes: int, rng: Any, halves: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Return everyday and adversarial rows: of all magnitudes, with ties, infinities, denormals, certainties."""
    scale = np.exp(rng.uniform(-9, 5, (rows, 1))).astype(np.float32)
    scale[:: max(1, rows // 16)] = np.float32(1e-39)
    y_pred = rng.standard_normal((rows, classes), np.float32) * scale
    if isinstance(formula, Parametric):
        return y_pred[:, 0].copy(), np.abs(y_pred) + np.float32(1e-3)
    y_pred[1 :: max(1, rows // 16)] = y_pred[1 :: max(1, rows // 16), :1]
    if formula.y_pred.bounded:
        y_pred = np.abs(y_pred)
        y_pred /= np.maximum(y_pred.max(axis=1, keepdims=True), np.float32(1e-30))
        if halves == "float16":  # a row of zeros is no distribution
            np.maximum(y_pred, np.float32(2.0**-13), out=y_pred)
    if not formula.integer_labels:
        return rng.random(y_pred.shape, np.float32), y_pred
    labels = rng.integers(0, classes, rows)
    if not formula.y_pred.bounded and classes > 1:
        at = np.arange(2, rows, max(1, rows // 16))
        y_pred[at, (labels[at] + 1) % classes] = -np.inf
    return labels, y_pred


class Compared:
    """The CPU and the GPU on the same rows."""

    def __init__(self, spec: LossSpec, dtype: str, classes: int, halves: str = "") -> None:
        self._spec, self._dtype, self._halves = spec, dtype, halves
        self._key, self._settings = key_of(spec, dtype, classes), settings_of(spec, dtype, classes)
        self._lane = Lane(Pinned())
        self.rows = self.different = 0
        self.sums_differ = False

    def add(self, y_true: np.ndarray, y_pred: np.ndarray) -> None:
        mask, weight, n = np.empty(0, np.bool_), np.empty(0), len(y_pred)
        ours, theirs = np.empty(n, self._dtype), np.empty(n, self._dtype)
        totals = new_totals(self._key, cpu.PIECES)
        bad = np.empty(cpu.PIECES, np.int64)
        given = y_pred.astype(np.float32) if self._halves else y_pred
        operands, settings = Operands(y_true, given, weight, mask), self._settings
        cpu.parallel(self._key)(operands, settings, Output(True, ours), totals, bad)
        assert bad.max() < 0, f"row {bad.max()} is refused"
        found, its_counts = new_totals(self._key)
        stored = StoredArray(y_pred.view(np.uint16) if self._halves else y_pred, self._halves)
        on_gpu = Operands(StoredArray(y_true), stored, weight, mask)
        refused = self._lane.run(self._key, on_gpu, settings, Output(True, theirs), found, its_counts)
        assert refused < 0, f"row {refused} is refused"
        bits = f"i{ours.itemsize}"
        self.rows += n
        self.different += int(np.count_nonzero(ours.view(bits) != theirs.view(bits)))
        sums = [[ExactSum.of_limbs(each) for each in of] for of in (totals.limbs.sum(axis=0), found)]
        self.sums_differ |= sums[0] != sums[1]


def compare(rows: int, seconds: float, kinds: Any = KINDS) -> Iterator[dict[str, Any]]:
    """Compare rows of every kind, at most `rows` of them, or as many as `seconds` allow."""
    for name, given, all_classes in kinds:
        for classes in all_classes:
            for dtype, halves in (("float32", ""), ("float64", ""), ("float32", "bfloat16"), ("float32", "float16")):
                if halves and name != SPARSE:
                    continue
                first = classes == all_classes[0] and dtype == "float32" and not halves
                most, longest = (rows, seconds) if first else (rows // 16, seconds / 8)
                about = {"loss": name, "given": given, "classes": classes, "dtype": dtype}
                about["predictions"] = halves or "float32"
                try:
                    yield about | compared(LossSpec.of(name, given), dtype, classes, halves, most, longest)
                except Exception as error:  # reported beside the other kinds
                    yield about | {"error": repr(error)[:200], "equal": False}


def compared(spec: LossSpec, dtype: str, classes: int, halves: str, most: int, seconds: float) -> dict[str, Any]:
    both, begin = Compared(spec, dtype, classes, halves), time.perf_counter()
    n = max(3, min(most, PIECE // classes) - 1)  # an odd number
    y_true, y_pred = data(spec.formula, n, classes, np.random.default_rng(11), halves)
    while both.rows < most and (both.rows == 0 or time.perf_counter() - begin < seconds):
        both.add(y_true, narrowed(y_pred, halves))
        y_pred *= np.float32(1 - 2.0**-9)  # other rows, at the price of a pass
    same = both.different == 0 and not both.sums_differ
    return {"rows": both.rows, "different_rows": both.different, "equal": same}


def narrowed(y_pred: np.ndarray, halves: str) -> np.ndarray:
    if halves != "bfloat16":
        return y_pred.astype(halves) if halves else y_pred
    import ml_dtypes

    return y_pred.astype(ml_dtypes.bfloat16)
