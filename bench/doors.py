"""Evaluate what users have by one command each, beside the library that wrote it: values and peak memory.

    python bench/doors.py [DOOR ...] [--rows N] [--hours N] [--documents N] [--rounds N]

Every candidate is a process of its own, which tells its own peak memory (VmHWM: pages of mapped files count). They take
turns, and the median counts, after a round that brings files into memory. Doors: parquet, zarr, hdf5, logits. With the
defaults, 3 GB of disk and some minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from timing import OURS, save

FILES, CLASSES, TOKENS, VOCABULARY, PADDING = 200, 10, 512, 32_000, -100
LATITUDES, LONGITUDES = 721, 1440
SIZES = ("rows", "hours", "documents")
RUN = """
import sys
from streamloss.cli import main
try:
    main(sys.argv[1:])
finally:
    sys.stdout.flush()
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
PEAK = """
print(float(value))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
DUCKDB = """
import duckdb, sys
duckdb.sql("SET enable_progress_bar = false")
value = duckdb.sql(
    "SELECT -sum(w * CASE WHEN y = 1 THEN ln(greatest(p, 1e-7)) ELSE ln(1 - least(p, 1 - 1e-7)) END) / sum(w) "
    f"FROM (SELECT label AS y, probability::DOUBLE AS p, weight::DOUBLE AS w FROM '{sys.argv[1]}/run/*.parquet')"
).fetchall()[0][0]
"""
PANDAS = """
import numpy as np, pandas as pd, sys
rows = pd.read_parquet(f"{sys.argv[1]}/run", columns=["label", "probability", "weight"])
p = rows["probability"].to_numpy(np.float64).clip(1e-7, 1 - 1e-7)
w = rows["weight"].to_numpy(np.float64)
value = -np.sum(w * np.where(rows["label"].to_numpy() == 1, np.log(p), np.log1p(-p))) / np.sum(w)
"""
XARRAY = """
import sys, xarray
given = xarray.open_zarr(f"{sys.argv[1]}/forecast.zarr")["t2m"].astype("f8")
truth = xarray.open_zarr(f"{sys.argv[1]}/era5.zarr")["t2m"].astype("f8")
weight = xarray.open_dataset(f"{sys.argv[1]}/grid.nc")["cos_latitude"]
value = abs(given - truth).weighted(weight).mean().compute()
"""
H5PY = """
import h5py, math, numpy as np, sys
file = h5py.File(f"{sys.argv[1]}/run.h5")
labels, scores, parts = file["labels"], file["model/scores"], []
for start in range(0, len(labels), 100_000):
    y, z = labels[start : start + 100_000], scores[start : start + 100_000].astype("f8")
    top = z.max(axis=1)
    parts.append(math.fsum(np.log(np.exp(z - top[:, None]).sum(axis=1)) + top - z[np.arange(len(y)), y]))
value = math.fsum(parts) / len(labels)
"""
TORCH = """
import json, numpy as np, sys, torch, zarr
bits = zarr.open_array(f"{sys.argv[1]}/logits.zarr/bits", mode="r")
labels = torch.from_numpy(np.load(f"{sys.argv[1]}/tokens.npy"))
total = count = 0.0
for document in range(bits.shape[0]):
    logits = torch.from_numpy(bits[document].view(np.int16)).view(torch.bfloat16).float()
    losses = torch.nn.functional.cross_entropy(logits, labels[document], ignore_index=-100, reduction="none")
    total += losses.double().sum().item()
    count += (labels[document] != -100).sum().item()
value = total / count
"""


class Door(NamedTuple):
    """What a user has, the command that evaluates it, and the programs that say what the value is."""

    write: Callable[[Path, Any], None]
    flags: tuple[str, ...]
    mean: str
    """The mean of the result that is compared."""
    others: dict[str, str]
    tolerance: float


def write_parquet(folder: Path, sizes: argparse.Namespace) -> None:
    """Write a folder as Spark does, with a file of no rows, a mark of success and check sums."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, run = np.random.default_rng(1), folder / "run"
    run.mkdir()
    for part in range(FILES):
        n = 0 if part == 7 else sizes.rows * (part + 1) // FILES - sizes.rows * part // FILES
        p = rng.integers(1, 1 << 16, n).astype(np.float32) / np.float32(1 << 16)
        y = (rng.random(n, np.float32) < p).astype(np.int32)
        w = rng.integers(1, 9, n).astype(np.float32)
        name = f"part-{part:05d}-7c9a11b4-83fe-4c42-9e2b-b6d20d2e61a6-c000.snappy.parquet"
        pq.write_table(pa.table({"id": np.arange(n), "label": y, "probability": p, "weight": w}), run / name)
        (run / f".{name}.crc").write_bytes(b"crc\0")
    (run / "_SUCCESS").touch()


def write_zarr(folder: Path, sizes: argparse.Namespace) -> None:
    """Write temperatures as int16, with a third of the globe left out as land."""
    import numpy as np
    import xarray

    latitude, longitude = np.linspace(90, -90, LATITUDES), np.arange(LONGITUDES) / 4
    land = np.sin(3 * np.radians(longitude)) + np.cos(np.radians(latitude))[:, None] > 1.2
    encoding = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 273.15, "_FillValue": -32768}
    for name, seed in (("era5", 2), ("forecast", 3)):
        rng = np.random.default_rng(seed)
        for hour in range(0, sizes.hours, 10):
            hours = np.arange(hour, min(hour + 10, sizes.hours))
            values = rng.normal(0, 12, (len(hours), *land.shape)).astype(np.float32) + np.float32(273)
            values[:, land] = np.nan
            coordinates = {"time": hours, "latitude": latitude, "longitude": longitude}
            data = xarray.Dataset({"t2m": (("time", "latitude", "longitude"), values)}, coordinates)
            more: dict[str, Any] = {"append_dim": "time"} if hour else {"encoding": {"t2m": encoding | {
                "chunks": (10, LATITUDES, LONGITUDES)}}}  # fmt: skip
            data.to_zarr(folder / f"{name}.zarr", consolidated=False, **more)
    weight = ("latitude", np.cos(np.radians(latitude)))
    xarray.Dataset({"cos_latitude": weight}, {"latitude": latitude}).to_netcdf(folder / "grid.nc")


def write_hdf5(folder: Path, sizes: argparse.Namespace) -> None:
    import h5py
    import numpy as np

    rng, rows = np.random.default_rng(4), sizes.rows // CLASSES
    chunk = min(100_000, rows)
    with h5py.File(folder / "run.h5", "w") as file:
        labels = file.create_dataset("labels", (rows,), "i8", chunks=(chunk,))
        scores = file.create_dataset("model/scores", (rows, CLASSES), "f4", chunks=(chunk, CLASSES), compression=1)
        for start in range(0, rows, chunk):
            n = min(chunk, rows - start)
            labels[start : start + n] = rng.integers(0, CLASSES, n)
            scores[start : start + n] = rng.integers(-400, 400, (n, CLASSES)) / 100


def write_logits(folder: Path, sizes: argparse.Namespace) -> None:
    """Write bfloat16 as TensorStore does, which zarr itself cannot, and its bits under a second name for torch."""
    import numpy as np
    import zarr

    rng, shape = np.random.default_rng(5), (sizes.documents, TOKENS, VOCABULARY)
    labels = rng.integers(0, VOCABULARY, shape[:2])
    bits = zarr.create_array(folder / "logits.zarr", name="bits", shape=shape, dtype="u2", chunks=(1, 64, VOCABULARY))
    for document in range(shape[0]):
        labels[document, rng.integers(TOKENS // 4, TOKENS) :] = PADDING
        logits = rng.standard_normal(shape[1:], np.float32) * 3
        bits[document] = (logits.view(np.uint32) >> 16).astype(np.uint16)
    np.save(folder / "tokens.npy", labels)
    named = folder / "logits.zarr/model"
    named.mkdir()
    metadata = json.loads((folder / "logits.zarr/bits/zarr.json").read_text())
    (named / "zarr.json").write_text(json.dumps(metadata | {"data_type": "bfloat16"}))
    (named / "c").symlink_to("../bits/c")


DOORS = {
    "parquet": Door(
        write_parquet,
        ("bce", "run::label", "run::probability", "--sample-weight", "run::weight"),
        "weighted_mean",
        {"DuckDB": DUCKDB, "pandas": PANDAS},
        1e-6,
    ),
    "zarr": Door(
        write_zarr,
        (*("mae:axis=none", "era5.zarr::t2m", "forecast.zarr::t2m"), "--sample-weight", "grid.nc::cos_latitude",
         "--nan-policy", "omit"),
        "weighted_mean",
        {"xarray": XARRAY},
        1e-6,
    ),
    "hdf5": Door(write_hdf5, ("scce:from_logits=true", "run.h5::/labels", "run.h5::/model/scores"), "mean",
                 {"h5py": H5PY}, 1e-6),
    "logits": Door(
        write_logits,
        ("scce:from_logits=true,ignore_class=-100", "tokens.npy", "logits.zarr::model"),
        "mean",
        {"torch": TORCH},
        1e-5,
    ),
}  # fmt: skip


def measured(door: Door, folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return the median seconds, the value and the peak memory in bytes of each candidate."""
    loss, y_true, y_pred, *more = door.flags
    command = [*("evaluate", "--quiet", "--json", "--loss", loss, "--y-true", y_true, "--y-pred", y_pred), *more]
    runs: dict[str, list[tuple[float, float, int]]] = {}
    for turn in range(rounds + 1):
        for name, program in {OURS: RUN, **{name: code + PEAK for name, code in door.others.items()}}.items():
            begin = time.perf_counter()
            arguments = command if name == OURS else [str(folder)]
            process = subprocess.run([sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True,
                                     text=True, check=False)  # fmt: skip
            seconds = time.perf_counter() - begin
            if process.returncode:
                raise SystemExit(f"{name}: {process.stderr[-2000:]}")
            text, peak = process.stdout.rstrip().rsplit("\n", 1)
            value = mean_of(json.loads(text), door.mean) if name == OURS else float(text)
            if turn:
                runs.setdefault(name, []).append((seconds, value, int(peak) * 1024))
    return {
        name: {
            "seconds": median(run[0] for run in found),
            "value": found[0][1],
            "peak_memory": max(run[2] for run in found),
        }
        for name, found in runs.items()
    }


def mean_of(result: dict[str, Any], which: str) -> float:
    (loss,) = result["losses"].values()
    return float(loss[which])


def main(doors: list[str], sizes: argparse.Namespace) -> dict[str, Any]:
    """Measure the doors, print a table, and raise SystemExit where a value is another one."""
    found, wrong = {}, []
    print(f"{'door':<9}{'candidate':<12}{'value':>20}{'seconds':>10}{'peak MiB':>10}{'files MB':>10}", flush=True)
    for name in doors:
        with tempfile.TemporaryDirectory(dir=sizes.folder) as place:
            folder = Path(place).resolve()
            arguments = [f"--{key}={getattr(sizes, key)}" for key in SIZES]
            writer = [sys.executable, __file__, name, "--write", str(folder), *arguments]
            subprocess.run(writer, check=True)  # not here: a process begins with the memory of its parent
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            runs = measured(DOORS[name], folder, sizes.rounds)
        for candidate, run in runs.items():
            shown = f"{run['value']:>20.12f}{run['seconds']:>10.2f}{run['peak_memory'] / 2**20:>10,.0f}"
            print(f"{name:<9}{candidate:<12}{shown}{size / 1e6:>10,.0f}", flush=True)
            if not math.isclose(run["value"], runs[OURS]["value"], rel_tol=DOORS[name].tolerance):
                wrong.append(f"{name}: {candidate} has {run['value']}, ours is {runs[OURS]['value']}")
        found[name] = {"bytes": size, "runs": runs}
    if wrong:
        raise SystemExit("\n".join(wrong))
    return {"sizes": {key: getattr(sizes, key) for key in SIZES}, "doors": found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("doors", nargs="*", default=list(DOORS), metavar="DOOR", help=", ".join(DOORS))
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=50_000_000, help="a tenth in HDF5")
    parser.add_argument("--hours", type=int, default=200)
    parser.add_argument("--documents", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=".", help="where the files are written")
    parser.add_argument("--write", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        DOORS[given.doors[0]].write(Path(given.write), given)
    else:
        print("written:", save("doors", main(given.doors, given)))
