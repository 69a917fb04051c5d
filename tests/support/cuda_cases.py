"""Run the cases of tests/kernels/cuda/test_cuda.py on the CPU and in numba-cuda's simulator, in its own process."""

import contextlib
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

import dask.array as da
import distributed
import ml_dtypes
import numpy as np
import zarr

import cuda_warps  # noqa: F401 (shuffles)
import streamloss as sl
from kernel_calls import key_of, new_totals, settings_of
from streamloss.aggregation.accumulator import SIZE
from streamloss.aggregation.exact_sum import ExactSum
from streamloss.core import cuda_memory as memory
from streamloss.core.cuda_compiler import cuda
from streamloss.core.cuda_memory import Pinned
from streamloss.formulas._kinds import Parametric
from streamloss.formulas._registry import LossSpec
from streamloss.kernels import cpu
from streamloss.kernels.base import Operands, Output
from streamloss.kernels.cuda import accumulate as cuda_accumulate
from streamloss.kernels.cuda import classes, launch, loads

LANE = launch.Lane(Pinned())


class Foreign:
    """An array of another library in the memory of the GPU, which in the simulator is the host's."""

    def __init__(self, array, device=0):
        self.array, self.device = array, device
        self.dtype, self.shape, self.ndim = array.dtype, array.shape, array.ndim

    def __dlpack_device__(self):
        return (2, self.device)

    def view(self, dtype):
        return Foreign(self.array.view(dtype), self.device)

    @property
    def __cuda_array_interface__(self):
        array = self.array
        where = (array.ctypes.data, True)
        return {"shape": array.shape, "strides": array.strides, "typestr": array.dtype.str, "data": where, "version": 3}


def data(formula, rows, classes, rng):
    """Return labels and predictions that the formula allows: rows of many magnitudes, ties, an infinite logit."""
    p = rng.normal(size=(rows, classes)) * np.exp(rng.uniform(-12, 5, (rows, 1)))
    if isinstance(formula, Parametric):
        return p[:, 0].astype(np.float32), (np.abs(p) + 0.5).astype(np.float32)
    if formula.y_pred.bounded:
        p = np.abs(p) / (np.abs(p).max(axis=1, keepdims=True) + rng.random((rows, 1)))
    p = p.astype(np.float32)
    p[0] = 0.25
    if not formula.integer_labels:
        y = rng.random((rows, classes)).astype(np.float32)
        if rows > 20:  # losses whose last bits are in the lowest part of the window
            y[10:20], p[10:20] = 0.0, np.float32(2.0**-14) * (1 + rng.random((10, 1), np.float32))
        return y, p
    if not formula.y_pred.bounded:
        p[1, 0] = -np.inf
    labels = rng.integers(0, classes, rows)
    labels[1] = classes - 1
    return labels, p


def order_matters(rows, classes, rng):
    """Return rows whose squares add up to the middle between two float32 or a little more, depending on their order."""
    p = np.where(rng.random((rows, classes)) < 0.5, np.float32(2.0**-27), np.float32(0))
    for row in p:
        row[rng.permutation(classes)[:2]] = 1.0, 2.0**-12
    return np.zeros((rows, classes), np.float32), p


def evaluated(on_cuda, spec, dtype, y, p, weight, mask, policy, halves, statistics):
    """Return the first bad row, losses, exact sums and counts."""
    out = np.full(len(p), 7, dtype)
    key, settings = key_of(spec, dtype, p.shape[1], statistics), settings_of(spec, dtype, p.shape[1], policy)
    limbs, counts = totals = new_totals(key)
    if on_cuda:
        stored = launch.StoredArray(p.view(np.uint16) if halves else p, halves)
        operands = Operands(launch.StoredArray(y), stored, weight, mask)
        bad = LANE.run(key, operands, settings, Output(True, out), *totals)
        again, counted = new_totals(key)  # only added up
        assert LANE.run(key, operands, settings, Output(False, np.empty(0, dtype)), again, counted) == bad
        sums_again = [ExactSum.of_limbs(each) for each in again]
        assert bad >= 0 or sums_again == [ExactSum.of_limbs(each) for each in limbs]
        assert bad >= 0 or counted.tolist() == counts.tolist()
    else:
        operands = Operands(y, p.astype(np.float32) if halves else p, weight, mask)
        bad = cpu.serial(key)(operands, settings, Output(True, out), totals)
    if bad >= 0:
        return {"bad": int(bad)}
    losses = np.where(np.isnan(out), np.nan, out).astype(dtype)  # NaNs have many bits
    sums_found = [str(ExactSum.of_limbs(each)) for each in limbs]
    return {"bad": -1, "losses": losses.tobytes().hex(), "sums": sums_found, "counts": counts.tolist()}


def on_both(case):
    spec, rows, dtype = LossSpec.of(case["loss"], case.get("given", {})), case["rows"], case["dtype"]
    rng = np.random.default_rng(3)
    y, p = (order_matters(rows, case["classes"], rng) if case.get("order") else
            data(spec.formula, rows, case["classes"], rng))  # fmt: skip
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
    halves = case.get("halves", "")
    if halves:
        p = p.astype(ml_dtypes.bfloat16 if halves == "bfloat16" else np.float16)
        p[0, :2] = 6e-8  # denormal, as float16
    if "stored" in case:
        p = p.astype(case["stored"])
    loads.LOAD = case.get("load", 16)
    classes.ROW_BYTES = case.get("row_bytes", 1 << 30)
    LANE._most_rows = case.get("at_a_time", 1 << 62)
    operands = spec, dtype, y, p, weight, mask, case.get("policy", "raise"), halves, tuple(case.get("statistics", ()))
    return [evaluated(on_cuda, *operands) for on_cuda in (False, True)]


def cluster():
    """Start processes with a GPU each."""
    return distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50)


def by_executor(case):
    """Call `evaluate` itself, with weights, arrays in chunks that several threads read, and losses of rows written."""
    rng, found = np.random.default_rng(6), []
    y, p, w = rng.random((40, 2), dtype=np.float32), rng.random((40, 2)), rng.random(40)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as started:
        at = {}
        for name, array in (("y", y), ("p", p.astype(np.float16) if case.get("halves") else p)):
            at[name] = f"{folder}/{name}.zarr"
            stored = zarr.create_array(at[name], shape=array.shape, dtype=array.dtype, chunks=(8, 2))
            stored[...] = array
        for given in ({"executor": "inline"}, {"executor": "cuda", **case["how"]}):
            if given.get("scheduler") == "a cluster":
                given["scheduler"] = started.enter_context(cluster())
            out = f"{folder}/losses-{len(found)}.zarr"
            asked = everything(40) if case.get("asked") else {}
            result = sl.evaluate("mse", at["y"], at["p"], w, out=out, memory="400MiB", **asked, **given)
            losses = zarr.open_group(out, mode="r")["mean_squared_error"][...]
            state = result["mean_squared_error"].state.to_bytes().decode()
            found.append({"state": state, "losses": losses.tobytes().hex()})
    return found


def everything(rows, *more):
    """Return the arguments for groups, clusters and statistics, which hosts collect from the GPU's losses of rows."""
    keys = np.arange(rows)
    stats = ["stderr", "histogram", "worst=3", "running=4", *more]
    return {"by": {"third": keys % 3}, "cluster": keys // 5, "keep": 0, "stats": stats}


def foreign(case):
    """Call and evaluate a loss of arrays on the GPU; NONE is returned where the predictions are."""
    rng = np.random.default_rng(8)
    rows, classes = 37, case.get("classes", 4)
    arrays = {
        "y_true": rng.integers(0, classes, rows).astype(case.get("labels", "int64")),
        "y_pred": rng.normal(size=(rows, classes)).astype(np.float32),
        "sample_weight": rng.random(rows).astype(np.float32) if case.get("weighted") else None,
        "mask": rng.random(rows) < 0.7 if case.get("weighted") else None,
    }
    if case.get("loss") in ("hinge", "mse", "dice"):
        arrays["y_true"] = (rng.random((rows, classes)) < 0.5).astype(np.float32)
        arrays["y_pred"] = rng.random((rows, classes), np.float32)
    if case.get("loss") == "ctc":
        arrays["y_true"] = np.array([[1, 2, 0]] * rows)
        arrays["y_pred"] = rng.normal(size=(rows, 6, 4)).astype(np.float32)
    if "outside" in case:
        arrays["y_true"][3, 0], arrays["y_pred"][5, 1] = -(2.0**-21), 1.0 + case["outside"]
    if "stored" in case:
        arrays["y_pred"] = arrays["y_pred"].astype(getattr(ml_dtypes, case["stored"], case["stored"]))
    if case.get("misaligned"):
        whole = np.empty(rows * classes + 1, np.float32)
        whole[1:] = arrays["y_pred"].ravel()
        arrays["y_pred"] = whole[1:].reshape(rows, classes)
        there = memory.same_memory(Foreign(arrays["y_pred"]), np.dtype(np.float32))[0]
        shape = loads.form_of(there.reshape(-1), "", classes)
        assert shape.width == 1
    there = {role: array if array is None or role in case.get("host", ()) else Foreign(array)
             for role, array in arrays.items()}  # fmt: skip
    found = []
    for given in (arrays, there):
        loss = sl.losses.get({"class_name": case.get("class", "SparseCategoricalCrossentropy"),
                              "config": case.get("config", {"from_logits": True})})  # fmt: skip
        each = type(loss)(**{**loss.get_config(), "reduction": None})(**given)
        if given is there and "y_pred" not in case.get("host", ()) and "ratio" not in case:
            assert type(each).__name__ == "FakeCUDAArray", type(each)
            each = each.copy_to_host()
        weights = {"class_weight": {int(label): w for label, w in case.get("class_weight", {}).items()}}
        operands = given["y_true"], given["y_pred"], given["sample_weight"]
        asked = everything(rows, "calibration", "confusion") if case.get("asked") else {}
        result = sl.evaluate({"l": loss}, *operands, mask=given["mask"], **weights, **asked)
        state = result["l"].state.to_bytes().decode()
        found.append({"value": float(loss(**given)), "losses": np.asarray(each).tobytes().hex(), "state": state})
    return found


def refused(case):
    """Return errors for arrays on the GPU, beside those for the same arrays on the host where these are refused too."""
    y, p = np.zeros(9, np.int64), np.zeros((9, 3), np.float32)
    p[7, 1] = np.nan
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
    given = {
        "nan": lambda of: (of(y), of(p)),
        "order": lambda of: (of(y), of(np.asfortranarray(p))),
        "dtype": lambda of: (of(y), of(p.astype(complex))),
        "devices": lambda of: (of(y), Foreign(p, 1) if of is Foreign else p),
        "weight": lambda of: (of(y), of(np.zeros((9, 3), np.float32)), of(np.array([1.0] * 8 + [-1.0]))),
    }[case["refused"]]
    found = []
    for of in (np.asarray, Foreign):
        try:
            found.append({"value": float(loss(*given(of)))})
        except Exception as error:
            found.append({"error": type(error).__name__, "message": str(error)})
    return found


def chunks(case):
    """Evaluate Dask arrays whose chunks are on the GPU."""
    rng = np.random.default_rng(2)
    y, p = rng.random(40, np.float32), rng.random(40, np.float32)
    found, loss = [], sl.losses.MeanSquaredError()
    for of in (np.asarray, Foreign):
        lazy = [da.from_array(a, chunks=11).map_blocks(of, dtype=a.dtype, meta=np.empty(0, a.dtype)) for a in (y, p)]
        given = {"executor": "cuda"} if case["chunks"] == "sent" and of is Foreign else {}
        lazy = [da.from_array(a, chunks=11) for a in (y, p)] if given else lazy
        result = sl.evaluate({"l": loss}, *lazy, scheduler="synchronous", **given)
        found.append({"value": float(loss(*lazy).compute(scheduler="synchronous")),
                      "state": result["l"].state.to_bytes().decode()})  # fmt: skip
    return found


class ShortOfMemoryError(RuntimeError):
    __module__ = "numba.cuda.cudadrv.driver"


def out_of_memory(case):
    """Evaluate on a GPU whose memory holds few rows (they are sent in more pieces, with a warning), or too few."""
    rng = np.random.default_rng(5)
    y, p, original = rng.random((500, 1), np.float32), rng.random((500, 1), np.float32), memory.DeviceMemory.empty

    def empty(self, key, shape, dtype):
        if key in ("y_true", "y_pred") and np.prod(shape) * dtype.itemsize > case["bytes"]:
            raise ShortOfMemoryError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
        return original(self, key, shape, dtype)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        expected = sl.evaluate("mse", y, p)["mean_squared_error"].state.to_bytes().decode()
        memory.DeviceMemory.empty = empty
        try:
            state = sl.evaluate("mse", y, p, executor="cuda")["mean_squared_error"].state.to_bytes().decode()
        except Exception as error:
            return [{"error": "MachineError"}, {"error": type(error).__name__, "message": str(error)}]
        finally:
            memory.DeviceMemory.empty = original
    return [{"state": expected}, {"state": state, "said": [str(w.message) for w in said]}]


def planned(case):
    """Return plans: arrays on the GPU take no memory of the host, and one block at a time; converted ones do."""
    rows, memory = 3_000_000, 300 << 20
    p = Foreign(np.zeros((rows, 2), np.float32))
    loss, budget, found = sl.losses.SparseCategoricalCrossentropy(from_logits=True), memory - (224 << 20), []
    for dtype, more in (("int64", {}), ("uint64", {}), ("int64", {"class_weight": {1: 2.0}})):
        plan = sl.plan(loss, Foreign(np.zeros(rows, dtype)), p, memory=memory, **more)
        found.append([plan.workers, plan.num_blocks == 1, plan.block_bytes == rows * 8, plan.block_bytes <= budget])
    return [[[1, True, True, True], *[[1, False, False, True]] * 2], found]


def gathered(case):
    """Add up the first 20 integers of many blocks, each by a whole warp."""
    rng, blocks, some = np.random.default_rng(4), 70, 20
    limbs = rng.integers(-(1 << 40), 1 << 40, (blocks, 2, SIZE))
    expected = limbs.sum(axis=0).ravel()[:some].tolist()
    sums = cuda_accumulate.ThreadSums(num_sums=2, num_counts=4)
    state = cuda.to_device(np.zeros(sums.gathered, np.int64))
    rest = cuda.to_device(np.zeros((blocks, sums.num_counts), np.int64)), cuda.to_device(np.zeros(1, np.int64))
    there = cuda.to_device(limbs)
    cuda_accumulate.gatherer(sums).launch(some, 32, 0, blocks, 32, there, *rest, state)
    left = there.copy_to_host().reshape(blocks, -1)[:, :some].any()
    return [[expected, False], [state.copy_to_host()[:some].tolist(), bool(left)]]


def benchmark(case):
    """Rehearse bench/gpu.py, so that it cannot rot; the times that it measures here mean nothing."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
    import gpu

    with contextlib.redirect_stdout(None):
        rows = gpu.rehearsal()
    return [
        {"equal": True, "some": True},
        {"equal": all(row.get("equal", True) for row in rows), "some": len(rows) > 3},
    ]


KINDS = {"how": by_executor, "foreign": foreign, "refused": refused, "chunks": chunks, "bytes": out_of_memory,
         "plan": planned, "gather": gathered, "benchmark": benchmark}  # fmt: skip

if __name__ == "__main__":  # and not in the processes of a cluster
    for line in sys.stdin:
        start = time.perf_counter()
        case = json.loads(line)
        found_by = next((run for kind, run in KINDS.items() if kind in case), on_both)
        print(json.dumps([*found_by(case), round(time.perf_counter() - start, 2)]), flush=True)
