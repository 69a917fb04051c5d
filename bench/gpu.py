"""Compare rows and sums on a GPU with those of the CPU, bit for bit, and then measure its kernels (`make gpu`).

Results go to bench/results/GPU/gpu.json. Where a bit differs nothing is timed, and the exit code is 1. PyTorch (eager
and compiled) and Liger are timed beside it where they are installed; arrays are then theirs, read in place.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import streamloss as sl
from streamloss.core.cuda_compiler import SIMULATED, cuda, require_gpu
from streamloss.core.cuda_memory import Pinned
from timing import folder_of, machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from gpu_bits import LOGITS, SPARSE, compare, narrowed

TIMED_SPARSE = (2, 10, 100, 1024, 4096, 32768, 131072, 262144)
TIMED_ELEMENTS = ("mean_squared_error", "mean_absolute_error", "huber", "binary_crossentropy")


def milliseconds(call: Callable[[], Any], rounds: int) -> float:
    """Return the median time between two events of some rounds; the first two compile, and do not count."""
    found = []
    for _ in range(rounds + 2):
        begin, end = cuda.event(), cuda.event()
        begin.record()
        call()
        end.record()
        end.synchronize()
        found.append(begin.elapsed_time(end))
    return median(found[2:])


def copy_speed(size: int, rounds: int) -> float:
    """Return gigabytes read and written per second, by a copy on the GPU."""
    a, b = cuda.device_array(size, np.uint8), cuda.device_array(size, np.uint8)
    return 2 * size / milliseconds(lambda: b.copy_to_device(a), rounds) / 1e6


def pinned_speed(size: int, rounds: int) -> float:
    """Return gigabytes per second from pinned memory of the host to the GPU."""
    there, here = cuda.device_array(size, np.uint8), Pinned().new(size)
    return size / milliseconds(lambda: there.copy_to_device(here), rounds) / 1e6


def on_gpu(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[Any, Any]:
    """Return PyTorch's tensors where it is installed, else Numba's arrays."""
    if importlib.util.find_spec("torch") and not SIMULATED:
        import torch

        halves = y_pred.dtype.name == "bfloat16"
        pred = torch.from_numpy(y_pred.view(np.int16) if halves else y_pred).cuda()
        return torch.from_numpy(y_true).cuda(), pred.view(torch.bfloat16) if halves else pred
    return cuda.to_device(y_true), cuda.to_device(y_pred)


def peers(name: str) -> dict[str, Callable[[Any, Any], Any]]:
    """Return functions that sum the same losses. Liger's computes gradients too, in place of the logits."""
    if SIMULATED or not importlib.util.find_spec("torch"):
        return {}
    import torch
    from torch.nn import functional

    torch._dynamo.reset()  # after eight shapes it would call the eager one, and not say so
    eager: Any = {
        "mean_squared_error": lambda y, p: functional.mse_loss(p, y, reduction="sum"),
        "mean_absolute_error": lambda y, p: functional.l1_loss(p, y, reduction="sum"),
        "huber": lambda y, p: functional.huber_loss(p, y, reduction="sum"),
        "binary_crossentropy": lambda y, p: functional.binary_cross_entropy(p, y, reduction="sum"),
        SPARSE: lambda y, p: functional.cross_entropy(p, y, reduction="sum"),
    }[name]
    found = {"torch": eager, "torch.compile": torch.compile(eager, dynamic=False)}
    if name == SPARSE and importlib.util.find_spec("liger_kernel"):
        from liger_kernel.transformers.functional import liger_cross_entropy

        found["liger"] = lambda y, p: liger_cross_entropy(p, y, reduction="sum")
    return found


def timed(size: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield gigabytes read per second, of labels and `size` bytes of predictions, and the share of a copy's."""
    copied, rng = copy_speed(size, rounds), np.random.default_rng(1)
    yield {"copy": True, "gigabytes_per_second": copied}
    cases = [(SPARSE, LOGITS, classes, dtype) for classes in TIMED_SPARSE for dtype in ("float32", "bfloat16")]
    cases += [(name, {}, 1, "float32") for name in TIMED_ELEMENTS]
    for name, given, classes, dtype in cases:
        itemsize = 2 if dtype == "bfloat16" else 4
        rows = max(2, size // itemsize // classes)
        some = min(rows, max(2, (1 << 24) // classes))  # repeated: nobody sees that they are not new
        tall = np.resize(rng.standard_normal((some, classes), np.float32), (rows, classes))
        if name != SPARSE:
            tall = np.abs(np.tanh(tall))
        y_true = rng.integers(0, classes, rows) if name == SPARSE else (tall > 0.5).astype(np.float32)
        y, p = on_gpu(y_true, narrowed(tall, dtype if itemsize == 2 else ""))
        loss = sl.losses.get(name)
        loss = type(loss)(**{**loss.get_config(), **given, "reduction": "sum"})
        bytes_read = rows * classes * itemsize + y_true.nbytes
        row = {"loss": name, "classes": classes, "predictions": dtype, "rows": rows}
        calls = {"streamloss": lambda loss=loss, y=y, p=p: loss(y, p)}
        calls |= {peer: lambda call=call, y=y, p=p: call(y, p) for peer, call in peers(name).items()}
        for who, call in calls.items():
            try:
                speed = bytes_read / milliseconds(call, rounds) / 1e6
            except Exception as error:  # a peer that cannot: out of memory, not compiled
                if who == "streamloss":
                    raise
                row[who] = str(error)[:80]
                continue
            row[who] = round(speed, 1)
        yield row | {"of_copy": round(row["streamloss"] / copied, 3)}
        del y, p


def streamed(size: int, rounds: int) -> dict[str, Any]:
    """Measure arrays of the host, evaluated on the GPU, beside a copy from pinned memory, and beside the CPU."""
    rng, classes = np.random.default_rng(2), 1000
    y_pred = np.resize(rng.standard_normal((1000, classes), np.float32), (max(4, size // 4 // classes), classes))
    y_true, speeds = rng.integers(0, classes, len(y_pred)), {}
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
    for executor in ("cuda", "auto"):
        times = []
        for _ in range(rounds + 1):
            begin = time.perf_counter()
            sl.evaluate(loss, y_true, y_pred, executor=executor, memory="4GiB")
            times.append(time.perf_counter() - begin)
        speeds[executor] = y_pred.nbytes / median(times[1:]) / 1e9
    pinned = pinned_speed(min(size, 1 << 30), rounds)
    return {"streamed": True, "gigabytes_per_second": speeds["cuda"], "pinned_copy": pinned, "cpu": speeds["auto"]}


def rehearsal() -> list[dict[str, Any]]:
    """Run all of it on a few rows, for the simulator, in which times mean nothing."""
    kinds = (("mean_squared_error", {}, (1,)), (SPARSE, LOGITS, (3,)), (SPARSE, {}, (10,)))
    return [*compare(40, 60.0, kinds), {"copy": copy_speed(1 << 10, 1)}, streamed(1 << 12, 1)]


class Report:
    """The rows of the report, printed and saved one by one, so that an error in one keeps the others."""

    def __init__(self) -> None:
        device = cuda.get_current_device()
        name = device.name.decode() if isinstance(device.name, bytes) else device.name
        self._about = machine() | {"gpu": name, "numba-cuda": version("numba-cuda")}
        for peer in ("torch", "liger_kernel"):
            if importlib.util.find_spec(peer):
                self._about[peer] = version(peer)
        self.rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
        self.rows.append(row)
        text = json.dumps({"machine": self._about, "rows": self.rows}, indent=1)
        (folder_of(self._about["gpu"]) / "gpu.json").write_text(text + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000_000, help="rows of each kind that are compared")
    parser.add_argument("--seconds", type=float, default=8.0, help="at most, for each kind")
    parser.add_argument("--size", type=int, default=4 << 30, help="bytes of predictions that are timed")
    options = parser.parse_args()
    require_gpu()
    report = Report()
    for found in compare(options.rows, options.seconds):
        report.add(found)
    if not all(row["equal"] for row in report.rows):
        return 1
    free = cuda.current_context().get_memory_info()[0]
    for found in timed(min(options.size, free // 6), 10):
        report.add(found)
    report.add(streamed(options.size, 3))
    return 0


if __name__ == "__main__":
    sys.exit(main())
