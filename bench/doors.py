"""One command for each door: the value of the data's own library, and the memory that it takes.

    python bench/doors.py [SCALE]          (1: fifty million rows in 200 Parquet files, 6 GB of disk; 0.1: a tenth)

Each evaluation is a process of its own, as a new user would start it, and its peak memory is measured; the value is
compared with that of pandas, xarray and NumPy, or PyTorch.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from timing import save

FILES = 200


def main(scale: float) -> dict[str, Any]:
    doors: dict[str, Callable[[Path, float], tuple[list[str], float]]] = {
        "Parquet, 200 files as Spark writes them": spark,
        "packed NetCDF by xarray, land left out, by area": packed,
        "HDF5": hdf5,
        "bfloat16 logits of 32,000 classes, padding": logits,
    }
    found = {}
    for name, door in doors.items():
        with tempfile.TemporaryDirectory(dir=".") as folder:
            arguments, expected = door(Path(folder), scale)
            found[name] = run(arguments) | {"expected": expected}
        error = abs(found[name]["value"] - expected) / abs(expected)
        found[name]["relative_difference"] = error
        print(name, found[name], flush=True)
        assert error < 1e-6, name
    return {"scale": scale, "doors": found}


def run(arguments: list[str]) -> dict[str, Any]:
    """Return the value that the command prints, its seconds and its peak memory."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "streamloss", "evaluate", "--quiet", "--json", "--memory", "1GiB", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    (loss,) = result["losses"].values()
    return {
        "value": loss["weighted_mean"],
        "count": loss["count"],
        "omitted": loss["omitted"],
        "ignored": loss["ignored"],
        "seconds": time.perf_counter() - begin,
        "peak_memory": result["peak_memory_bytes"],
        "bytes_read": result["bytes_read"],
    }


def spark(folder: Path, scale: float) -> tuple[list[str], float]:
    """Binary cross-entropy of columns of a folder of Parquet files, some with nulls that a mask leaves out."""
    import pandas
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, total, count = np.random.default_rng(1), 0.0, 0
    place = folder / "scored.parquet"
    place.mkdir()
    (place / "_SUCCESS").touch()
    rows = int(50_000_000 * scale) // FILES
    for number in range(FILES):
        p = rng.random(rows)
        y = (rng.random(rows) < p).astype(np.int32)
        table = pa.table({"id": np.arange(rows), "label": y, "probability": p})
        pq.write_table(table, place / f"part-{number:05d}-c000.snappy.parquet")
        frame = pandas.DataFrame({"y": y, "p": np.clip(p, 1e-7, 1 - 1e-7)})
        total += float(-np.log(np.where(frame.y == 1, frame.p, 1 - frame.p)).sum())
        count += rows
    uri = str(place)
    return ["--loss", "bce", "--y-true", f"{uri}::label", "--y-pred", f"{uri}::probability"], total / count


def packed(folder: Path, scale: float) -> tuple[list[str], float]:
    """Squared error of packed fields with land left out, weighted by the cosine of the latitude."""
    import xarray as xr

    rng, times = np.random.default_rng(2), max(4, int(400 * scale))
    coordinates = {"time": np.arange(times), "lat": np.linspace(-89, 89, 179), "lon": np.arange(0.0, 360.0)}
    truth = xr.DataArray(rng.normal(280, 12, (times, 179, 360)), coordinates, list(coordinates), name="sst")
    truth = truth.where(rng.random((179, 360)) < 0.7)
    forecast = (truth + rng.normal(0, 1, truth.shape)).rename("sst")
    packing = {"sst": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32768}}
    for name, field in (("truth", truth), ("forecast", forecast)):
        field.to_dataset().to_zarr(folder / f"{name}.zarr", encoding=packing, consolidated=False)
    area = np.cos(np.radians(truth.lat)).rename("area")
    area.to_dataset().to_zarr(folder / "area.zarr", consolidated=False)
    stored = [xr.open_zarr(folder / f"{name}.zarr", consolidated=False)["sst"].load() for name in ("truth", "forecast")]
    squares = (stored[1] - stored[0]) ** 2
    arguments = ["--loss", "mse:axis=none", "--y-true", f"{folder}/truth.zarr::sst", "--nan-policy", "omit"]
    arguments += ["--y-pred", f"{folder}/forecast.zarr::sst", "--sample-weight", f"{folder}/area.zarr::area"]
    return arguments, float(squares.weighted(area).mean())


def hdf5(folder: Path, scale: float) -> tuple[list[str], float]:
    """Absolute error of two datasets of one file."""
    import h5py

    rng, rows = np.random.default_rng(3), int(40_000_000 * scale)
    y, p = rng.normal(size=(2, rows)).astype(np.float32)
    with h5py.File(folder / "run.h5", "w") as file:
        file.create_dataset("labels", data=y, chunks=(1 << 16,))
        file.create_dataset("model/scores", data=p, chunks=(1 << 16,), compression="lzf")
    place = f"{folder}/run.h5"
    expected = float(np.abs(y.astype(np.float64) - p).mean())
    return ["--loss", "mae", "--y-true", f"{place}::/labels", "--y-pred", f"{place}::/model/scores"], expected


def logits(folder: Path, scale: float) -> tuple[list[str], float]:
    """Cross-entropy of tokens from bfloat16 logits, with the padding ignored."""
    import ml_dtypes
    import torch

    rng, documents, tokens, classes = np.random.default_rng(4), max(2, int(64 * scale)), 512, 32_000
    labels = rng.integers(0, classes, (documents, tokens))
    labels[:, 400:] = -100
    np.save(folder / "labels.npy", labels)
    stored = np.lib.format.open_memmap(folder / "logits.npy", "w+", "V2", (documents, tokens, classes))
    total = 0.0
    for document in range(documents):
        values = rng.standard_normal((tokens, classes), np.float32).astype(ml_dtypes.bfloat16)
        stored[document] = values.view("V2")
        there = torch.from_numpy(values.astype(np.float32)).double()
        target = torch.from_numpy(labels[document])
        total += float(torch.nn.functional.cross_entropy(there, target, ignore_index=-100, reduction="sum"))
    stored.flush()
    arguments = ["--loss", "scce:from_logits=true,ignore_class=-100", "--y-true", f"{folder}/labels.npy"]
    return [*arguments, "--y-pred", f"{folder}/logits.npy"], total / int((labels != -100).sum())


if __name__ == "__main__":
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    assert math.isfinite(scale)
    print("written:", save("doors", main(scale)))
