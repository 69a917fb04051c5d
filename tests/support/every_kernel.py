"""Print digests of the losses and sums of one declared loss, for each precision and layout, as JSON.

    python every_kernel.py NAME [SHARE]

SHARE 0 to 7 takes an eighth of the cases, of each precision and layout in turn; without it, all are taken.
"""

import dataclasses
import hashlib
import json
import sys

import numpy as np

from kernel_calls import key_of, new_totals, settings_of
from streamloss.aggregation.exact_sum import ExactSum
from streamloss.formulas._kinds import Elementwise, LabelSequence, OneHot, Parametric, Sparse
from streamloss.formulas._registry import LossSpec, find
from streamloss.kernels import cpu
from streamloss.kernels.base import Operands, Output
from streamloss.kernels.summation_order import SEGMENT, SEVERAL

NO_MASK = np.empty(0, np.bool_)


def widths(formula):
    """Return numbers of classes, one for each layout of a formula's loops."""
    if isinstance(formula, Parametric):
        return (2,)
    if isinstance(formula, LabelSequence):
        return (5,)
    return (*((1,) if isinstance(formula, Elementwise) else ()), 7, SEVERAL - 27, SEVERAL + 72, SEGMENT + 76)


def arrays(formula, classes, dtype):
    """Return labels and predictions that have a loss in every row."""
    rng = np.random.default_rng(classes)
    rows = 70 if classes > SEGMENT else 700
    y_pred, y_true = rng.random((rows, classes)) + 2**-10, rng.random((rows, classes)) + 2**-10
    if isinstance(formula, LabelSequence):
        return rng.integers(1, classes, (40, 4)), rng.normal(size=(40, 12, classes)).astype(dtype)
    if not isinstance(formula, Parametric) and formula.y_pred.high <= 1.0:
        y_pred /= y_pred.sum(axis=1, keepdims=True) + 2**-10
    if formula.y_true.high <= 1.0:
        y_true /= y_true.sum(axis=1, keepdims=True) + 2**-10
    y_pred, y_true = y_pred.astype(dtype), y_true.astype(dtype)
    if isinstance(formula, Sparse | OneHot):
        return rng.integers(0, classes, rows), y_pred
    return (y_true[:, 0].copy() if isinstance(formula, Parametric) else y_true), y_pred


def digests(name, share=None):
    """Return a digest of the losses of rows and of the exact sums, by case."""
    found, cases = {}, 0
    for given in find(name).variants:
        spec = LossSpec.of(name, given)
        for dtype in ("float32", "float64"):
            for classes in widths(spec.formula):
                cases += 1
                if share is not None and (cases + cases // 8 + len(name)) % 8 != share:
                    continue
                y_true, y_pred = arrays(spec.formula, classes, dtype)
                weight = np.linspace(0.0, 2.0, len(y_pred)) if classes == 7 else np.empty(0)
                key = key_of(spec, dtype, classes)
                totals, losses = new_totals(key), np.empty(len(y_pred), dtype)
                operands = Operands(y_true, y_pred, weight, NO_MASK)
                bad = cpu.serial(key)(
                    operands, settings_of(spec, dtype, classes, "propagate"), Output(True, losses), totals
                )
                assert bad == -1, f"{name} {given} {dtype} {classes}: row {bad}"
                losses[np.isnan(losses)] = np.nan  # NaNs have many bits
                sums = [dataclasses.astuple(ExactSum.of_limbs(limbs)) for limbs in totals.limbs]
                content = losses.tobytes() + repr(sums).encode()
                found[f"{given} {dtype} {classes}"] = hashlib.blake2b(content, digest_size=12).hexdigest()
    return found


if __name__ == "__main__":
    print(json.dumps(digests(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)))
