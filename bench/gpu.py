"""`make gpu`, on a machine with a GPU: are rows and sums those of the CPU, bit for bit? Then, how fast are the kernels?

Results go to bench/results/gpu.json. Where a bit differs nothing is timed, and the exit code is 1.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from statistics import median
from typing import Any

import numpy as np

from streamloss.cuda import block
from streamloss.cuda.toolkit import cuda, require_gpu
from streamloss.exact.accumulator import SIZE
from streamloss.exact.state import ExactSum
from streamloss.kernels import cpu, tile
from streamloss.kernels.rows import layout_of
from streamloss.losses._kinds import Sparse
from streamloss.losses._registry import LossSpec
from timing import RESULTS, machine

LOGITS = {"from_logits": True}
CASES: tuple[tuple[str, dict[str, Any], tuple[int, ...]], ...] = (
    ("mean_squared_error", {}, (1, 100)),
    ("binary_crossentropy", {}, (1,)),
    ("sparse_categorical_crossentropy", LOGITS, (3, 10, 100, 1000, 32000)),
    ("categorical_crossentropy", LOGITS, (10, 1000)),
    ("categorical_crossentropy", {}, (10, 1000)),
)
ELEMENTS = 1 << 26
NOTHING, NO_MASK = np.empty(0), np.empty(0, np.bool_)


def data(formula: Any, elements: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    rows = max(1, elements // classes)
    y_pred = rng.standard_normal((rows, classes), np.float32) * np.exp(rng.uniform(-6, 4, (rows, 1))).astype(np.float32)
    if formula.y_pred.bounded:
        y_pred = np.abs(y_pred) / np.abs(y_pred).max(axis=1, keepdims=True) * np.float32(0.999)
    y_true = rng.integers(0, classes, rows) if isinstance(formula, Sparse) else rng.random(y_pred.shape, np.float32)
    return y_true, y_pred


def run(elements: int, rounds: int, cases: Any = CASES) -> list[dict[str, Any]]:
    found = []
    for name, given, all_classes in cases:
        for classes in all_classes:
            for dtype in ("float32", "float64"):
                spec = LossSpec.of(name, given)
                arrays = data(spec.formula, elements, classes)
                case = {"loss": name, "given": given, "classes": classes, "dtype": dtype, "rows": len(arrays[1])}
                row = case | compared(spec, dtype, *arrays)
                if row["equal"]:
                    row |= timed(spec, dtype, rounds, *arrays)
                print(json.dumps(row), flush=True)
                found.append(row)
    return found


def _call(spec: LossSpec, dtype: str, classes: int) -> tuple[tuple[Any, bool, str], tuple[Any, ...]]:
    key = spec.formula, dtype == "float32", layout_of(spec.formula, classes)
    return key, ((0, 0), spec.arguments(np.dtype(dtype)), spec.per_class(classes), tile.RAISE)


def compared(spec: LossSpec, dtype: str, y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Any]:
    """Whether losses and exact sums are the CPU's."""
    key, call = _call(spec, dtype, y_pred.shape[1])
    results = []
    for loop in (cpu.serial(*key), block.loop(*key)):
        losses, counts = np.empty(len(y_pred), dtype), np.zeros(tile.NUM_COUNTS, np.int64)
        limbs = np.zeros((2, SIZE), np.int64)
        bad = loop(y_true, y_pred, NOTHING, NO_MASK, *call, True, losses, limbs, counts)
        assert bad < 0, f"row {bad} is refused"
        results.append((losses.view(f"i{losses.itemsize}"), [ExactSum.of_limbs(each) for each in limbs]))
    (ours, our_sums), (theirs, their_sums) = results
    different = int(np.count_nonzero(ours != theirs))
    return {"different_rows": different, "equal": different == 0 and our_sums == their_sums}


def timed(spec: LossSpec, dtype: str, rounds: int, y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Any]:
    """Milliseconds between two events around all launches, with the arrays on the device; the first round compiles."""
    key, (ignore, arguments, each, policy) = _call(spec, dtype, y_pred.shape[1])
    true, pred, weight, mask, own = (cuda.to_device(a) for a in (y_true, y_pred, NOTHING, NO_MASK, each))
    losses = cuda.device_array(0, dtype)
    milliseconds = []
    for _ in range(rounds + 1):
        begin, end = cuda.event(), cuda.event()
        begin.record()
        block.evaluate(*key, true, pred, weight, mask, ignore, arguments, own, policy, losses)
        end.record()
        end.synchronize()
        milliseconds.append(begin.elapsed_time(end))
    typical = median(milliseconds[1:])
    return {"milliseconds": typical, "gigabytes_per_second": y_pred.nbytes / typical / 1e6}


def main() -> int:
    require_gpu()
    rows = run(ELEMENTS, 10)
    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    where = machine() | {"gpu": name, "numba-cuda": version("numba-cuda")}
    (RESULTS / "gpu.json").write_text(json.dumps({"machine": where, "cases": rows}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row["equal"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
