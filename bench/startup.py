"""Measure start-up: processor time of a process' first loss, cold and with kernels in the cache, beside peers.

    python bench/startup.py [CHECKOUT]      (make startup)

Each figure is the median of a few processes, which take turns. *First call*: the processor time, user and system, of
the first loss of 1,000 rows, after ``import numpy, streamloss``. *Process*: that of the whole process, from shell to
shell. CHECKOUT is another version of streamloss to compare with, such as a clone of an older commit.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from timing import OURS, save

ROWS, ROUNDS = 1000, 5
HERE = Path(__file__).parents[1]

FIRST_CALL = """
import time
import numpy as np, streamloss as sl
rng = np.random.default_rng(0)
y_true, y_pred = {data}
begin = time.process_time()
sl.losses.{loss}(y_true, y_pred)
print(time.process_time() - begin)
"""
ELEMENTS = f"rng.random((2, {ROWS}), np.float32)"
CLASSES = f"rng.integers(0, {{0}}, {ROWS}), rng.random(({ROWS}, {{0}}), np.float32)"
LOSSES = {
    "mean squared error": ("MeanSquaredError()", ELEMENTS),
    "sparse cross-entropy from logits, 10 classes": (
        "SparseCategoricalCrossentropy(from_logits=True)",
        CLASSES.format(10),
    ),
    "sparse cross-entropy from logits, 1,000 classes": (
        "SparseCategoricalCrossentropy(from_logits=True)",
        CLASSES.format(1000),
    ),
}
LOG_LOSS = """
import numpy as np
from sklearn.metrics import log_loss
print(log_loss(np.load("labels.npy"), np.load("chances.npy")))
"""
DUCKDB = """
import duckdb
print(duckdb.sql("SELECT -avg(CASE WHEN y = 1 THEN ln(p) ELSE ln(1 - p) END) FROM 'rows.parquet'").fetchall())
"""


def write(folder: Path) -> None:
    """Write the labels and chances of 1,000 rows for all candidates."""
    import zarr

    rng = np.random.default_rng(1)
    labels, chances = rng.integers(0, 2, ROWS).astype(np.uint8), rng.uniform(0.01, 0.99, ROWS).astype(np.float32)
    for name, array in (("labels", labels), ("chances", chances)):
        np.save(folder / f"{name}.npy", array)
        zarr.create_array(folder / f"{name}.zarr", data=array, chunks=(250,))
    if importlib.util.find_spec("pyarrow"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"y": labels, "p": chances}), folder / "rows.parquet")


def candidates(folder: Path, checkout: Path | None) -> dict[str, Callable[[], float]]:
    """Return what is measured, by name: each call starts a process and returns its processor seconds."""
    versions = {OURS: HERE} | ({"checkout": checkout} if checkout else {})
    found: dict[str, Callable[[], float]] = {}
    for version, place in versions.items():
        for warm in (False, True):
            caches = folder / f"{version}-{warm}"
            environment = {"PYTHONPATH": str(place), "XDG_CACHE_HOME": str(caches)}
            clear = None if warm else caches
            for case, (loss, data) in LOSSES.items():
                code = FIRST_CALL.format(loss=loss, data=data)
                found[_name(case, version, warm)] = _first_call(code, folder, environment, clear)
            command = ["evaluate", "--loss", "bce", "--y-true", "labels.zarr", "--y-pred", "chances.zarr", "--quiet"]
            arguments = [sys.executable, "-m", "streamloss", *command]
            found[_name("streamloss evaluate, process", version, warm)] = _process(
                arguments, folder, environment, clear
            )
    peers = {"sklearn": ("scikit-learn's log_loss, process", LOG_LOSS), "duckdb": ("DuckDB, process", DUCKDB)}
    for package, (case, code) in peers.items():
        if importlib.util.find_spec(package):
            found[case] = _process([sys.executable, "-c", code], folder, {}, None)
    return found


def _name(case: str, version: str, warm: bool) -> str:
    return f"{case}, {version}, {'kernels in the cache' if warm else 'cold'}"


def _first_call(code: str, folder: Path, environment: Mapping[str, str], clear: Path | None) -> Callable[[], float]:
    def run() -> float:
        return float(_run([sys.executable, "-c", code], folder, environment, clear))

    return run


def _process(
    command: list[str], folder: Path, environment: Mapping[str, str], clear: Path | None
) -> Callable[[], float]:
    def run() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _run(command, folder, environment, clear)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return run


def _run(command: list[str], folder: Path, environment: Mapping[str, str], clear: Path | None) -> str:
    """Run a process to its end and return its output; `clear` is a kernel cache that is emptied before."""
    if clear is not None:
        shutil.rmtree(clear, ignore_errors=True)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("STREAMLOSS_")}
    given: dict[str, Any] = {"cwd": folder, "env": {**inherited, **environment}, "stdout": subprocess.PIPE}
    return subprocess.run(command, check=True, text=True, **given).stdout


def main(rounds: int = ROUNDS, checkout: Path | None = None) -> dict[str, float]:
    """Measure all candidates in turns, print a line for each, and return the medians by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        measured = candidates(folder, checkout)
        seconds: dict[str, list[float]] = {case: [] for case in measured}
        for turn in range(rounds + 1):  # the first, in which files and kernels come into their caches, does not count
            for case, run in measured.items():
                taken = run()
                if turn:
                    seconds[case].append(taken)
    medians = {case: median(values) for case, values in seconds.items()}
    for case, value in medians.items():
        print(f"{case:<90} {value:7.3f} s", flush=True)
    return medians


if __name__ == "__main__":
    results = main(checkout=Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None)
    print("written:", save("startup", {"seconds": results, "rows": ROWS}))
