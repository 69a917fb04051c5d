"""What tests/test_cuda.py runs in numba-cuda's simulator, in a process of its own: cases on the CPU and on "CUDA"."""

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr

import cuda_warps  # noqa: F401 (shuffles)
import streamloss as sl
from streamloss.cuda import block
from streamloss.exact.accumulator import SIZE
from streamloss.exact.state import ExactSum
from streamloss.kernels import cpu, tile
from streamloss.kernels.rows import layout_of
from streamloss.losses._kinds import Parametric, Sparse
from streamloss.losses._registry import LossSpec

POLICIES = {"raise": tile.RAISE, "omit": tile.OMIT, "propagate": tile.PROPAGATE}


def data(formula, rows, classes, rng):
    """Labels and predictions as the formula allows them: rows of many magnitudes, ties, an infinite logit."""
    p = rng.normal(size=(rows, classes)) * np.exp(rng.uniform(-12, 5, (rows, 1)))
    if isinstance(formula, Parametric):
        return p[:, 0].astype(np.float32), (np.abs(p) + 0.5).astype(np.float32)
    if formula.y_pred.bounded:
        p = np.abs(p) / (np.abs(p).max(axis=1, keepdims=True) + rng.random((rows, 1)))
    p = p.astype(np.float32)
    p[0] = 0.25
    if not isinstance(formula, Sparse):
        return rng.random((rows, classes)).astype(np.float32), p
    if not formula.y_pred.bounded:
        p[1, 0] = -np.inf
    labels = rng.integers(0, classes, rows)
    labels[1] = classes - 1
    return labels, p


def evaluated(loop, spec, dtype, y, p, weight, mask, policy):
    """First bad row, losses, exact sums and counts."""
    out = np.full(len(p), 7, dtype)
    limbs, counts = np.zeros((2, SIZE), np.int64), np.zeros(tile.NUM_COUNTS, np.int64)
    ignored = spec.parameters.get("ignore_class")
    ignore = (0, 0) if ignored is None else (1, ignored)
    arguments, each = spec.arguments(np.dtype(dtype)), spec.per_class(p.shape[1])
    bad = loop(y, p, weight, mask, ignore, arguments, each, policy, True, out, limbs, counts)
    if bad >= 0:
        return {"bad": int(bad)}
    losses = np.where(np.isnan(out), np.nan, out).astype(dtype)  # NaNs have many bits
    sums = [str(ExactSum.of_limbs(each)) for each in limbs]
    return {"bad": -1, "losses": losses.tobytes().hex(), "sums": sums, "counts": counts.tolist()}


def on_both(case):
    spec, rows, dtype = LossSpec.of(case["loss"], case.get("given", {})), case["rows"], case["dtype"]
    rng = np.random.default_rng(3)
    y, p = data(spec.formula, rows, case["classes"], rng)
    weight, mask = np.empty(0), np.empty(0, np.bool_)
    if case.get("weighted"):
        weight, mask = rng.random(rows) * 3, rng.random(rows) < 0.8
        weight[2], mask[:4] = 0.0, True
    for row in case.get("nan", ()):
        p[row, -1] = np.nan
    for row, label in case.get("labels", {}).items():
        y[int(row)] = label
    for row, prediction in case.get("predictions", {}).items():
        p[int(row), -1] = prediction
    key = spec.formula, dtype == "float32", layout_of(spec.formula, p.shape[1])
    operands = spec, dtype, y, p, weight, mask, POLICIES[case.get("policy", "raise")]
    return [evaluated(loop, *operands) for loop in (cpu.serial(*key), block.loop(*key))]


def by_executor(executor):
    """`evaluate` itself, weighted, with the losses of rows written."""
    rng = np.random.default_rng(6)
    y, p = rng.random((40, 1), dtype=np.float32), rng.random((40, 1), dtype=np.float32)
    with tempfile.TemporaryDirectory() as place:
        result = sl.evaluate("mse", y, p, rng.random(40), out=place + "/losses.zarr", overwrite=True, executor=executor)
        losses = zarr.open_group(place + "/losses.zarr", mode="r")["mean_squared_error"][...]
    return {"state": result["mean_squared_error"].state.to_bytes().decode(), "losses": losses.tobytes().hex()}


def benchmark():
    """That bench/gpu.py runs, so that it cannot rot, and what it expects; what is timed here means nothing."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
    import gpu

    with contextlib.redirect_stdout(None):
        rows = gpu.run(60, 1, (("mean_squared_error", {}, (1,)),))
    return [{"equal": True, "cases": 2}, {"equal": all(row["equal"] for row in rows), "cases": len(rows)}]


def found_by(case):
    if case.get("benchmark"):
        return benchmark()
    return [by_executor(executor) for executor in case["executors"]] if "executors" in case else on_both(case)


for line in sys.stdin:
    start = time.perf_counter()
    case = json.loads(line)
    print(json.dumps([*found_by(case), round(time.perf_counter() - start, 2)]), flush=True)
