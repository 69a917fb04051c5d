"""Measure candidates: they take turns in one process, on the same arrays; the median counts.

Machines are shared and their speed drifts, so a number alone says little: what is compared is the ratio within a run.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import platform
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    *("streamloss", "numba", "llvmlite", "numpy", "zarr", "numcodecs", "torch", "keras", "jax", "scikit-learn"),
    *("duckdb", "polars", "pyarrow"),
)
OURS = "streamloss"
OF_PARQUET = f"{OURS}, of Parquet"


Clock = Callable[[], float]
"""``time.perf_counter``, or on a machine that others share ``time.process_time``: the processors' seconds."""


def take_turns(
    candidates: Mapping[str, Callable[[], Any]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Return the median seconds of each, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, candidate in candidates.items():
            gc.collect()
            begin = clock()
            candidate()
            if turn:
                seconds[name].append(clock() - begin)
    return {name: median(values) for name, values in seconds.items()}


def measure(
    case: str,
    unit: str,
    amount: float,
    candidates: Mapping[str, Callable[[], Any]],
    rounds: int,
    clock: Clock = time.perf_counter,
) -> dict:
    """Return a row of the results, `amount` per second of each candidate, and print it."""
    rates = {name: amount / seconds for name, seconds in take_turns(candidates, rounds, clock).items()}
    shown = ", ".join(f"{name} {rate:,.2f}" for name, rate in rates.items())
    print(f"{case:<44} {unit}: {shown}", flush=True)
    return {"case": case, "unit": unit, "rates": rates}


def machine() -> dict[str, Any]:
    """Return the processor, the threads and the versions that figures are of."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "processor": _processor(),
        "threads": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": versions,
    }


def _processor() -> str:
    """Return the model of the processor, and its widest vectors, which decide most."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    name = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else platform.machine()
    return f"{name or platform.machine()}, {vectors}"


def folder_of(device: str) -> Path:
    """Return the folder in results/ of a processor or a GPU, which is made if need be."""
    folder = RESULTS / re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save(name: str, content: Mapping[str, Any]) -> Path:
    """Write the content and the machine to results/PROCESSOR/ as JSON, and return the path."""
    about = machine()
    path = folder_of(about["processor"]) / f"{name}.json"
    path.write_text(json.dumps({"machine": about, **content}, indent=1) + "\n", encoding="utf-8")
    return path
