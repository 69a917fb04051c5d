"""Evaluate one billion rows in bounded memory: binary cross-entropy from Zarr and Parquet, beside DuckDB and Polars.

    python bench/billion.py [ROWS]          (make billion; 15 GB of disk, about ten minutes)

Predictions are float32 probabilities, labels uint8, both in Zarr with Blosc and in one Parquet file, which all read.
Every candidate is a process of its own, so its time has its start-up and its peak memory is its own; they take turns,
and the median of three rounds counts. Then streamloss evaluates a thousandth, a hundredth and a tenth of the rows: time
and memory by rows.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import zarr
from zarr.codecs import BloscCodec

import tables
from timing import OF_PARQUET, OURS, save

ROWS = 1_000_000_000
CHUNK = 4_000_000
ROUNDS = 3
COMPILING = f"{OURS}, without a kernel cache"
MEMORY = "600MiB"
SQL = (
    "SELECT -avg(CASE WHEN y = 1 THEN ln(greatest(p, 1e-7)) ELSE ln(1 - least(p, 1 - 1e-7)) END) "
    "FROM (SELECT y, p::DOUBLE AS p FROM read_parquet('{path}'))"
)
PEAK = """
print(next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
DUCKDB = (
    "import duckdb, sys; duckdb.sql('SET enable_progress_bar = false'); print(duckdb.sql(sys.argv[1]).fetchall()[0][0])"
    + PEAK
)
POLARS = (
    """
import polars as pl, sys
p = pl.col("p").cast(pl.Float64).clip(1e-7, 1 - 1e-7)
loss = -pl.when(pl.col("y") == 1).then(p.log()).otherwise((1 - p).log()).mean()
print(pl.scan_parquet(sys.argv[1]).select(loss).collect(engine="streaming").item())
"""
    + PEAK
)


def main(rows: int, parts: Sequence[int] = (1000, 100, 10, 1)) -> dict:
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        write(folder, rows)
        runs = take_turns(candidates(folder, rows))
        scaling = [ours(folder, rows // part) | {"rows": rows // part} for part in parts]
        sizes = {path.name: bytes_of(path) for path in folder.iterdir()}
    values = [run["value"] for run in runs.values() if run["value"] is not None]
    assert all(math.isclose(value, values[0], rel_tol=1e-6) for value in values), values
    return {"rows": rows, "runs": runs, "scaling": scaling, "bytes": sizes}


def candidates(folder: Path, rows: int) -> dict[str, Callable[[], dict]]:
    """Return the processes by name: each call runs one and returns its seconds, value and peak memory."""
    parquet = folder / "rows.parquet"
    found: dict[str, Callable[[], dict]] = {
        OURS: partial(ours, folder, rows),
        COMPILING: partial(ours, folder, rows, {"STREAMLOSS_CACHE": "0"}),
    }
    if parquet.exists():
        found[OF_PARQUET] = partial(ours, folder, rows, uris=(f"{parquet}::y", f"{parquet}::p"))
    for peer, command in (
        ("DuckDB", [sys.executable, "-c", DUCKDB, SQL.format(path=parquet)]),
        ("Polars", [sys.executable, "-c", POLARS, str(parquet)]),
    ):
        if importlib.util.find_spec(peer.lower()) and parquet.exists():
            found[peer] = partial(timed, command, lambda text: [float(line) for line in text.split()[-2:]])
    return found


def take_turns(processes: Mapping[str, Callable[[], dict]]) -> dict[str, dict]:
    """Return each process' run of median duration, of ROUNDS in turns, after one that brings files into memory."""
    runs: dict[str, list[dict]] = {name: [] for name in processes}
    for turn in range(ROUNDS + 1):
        for name, process in processes.items():
            run = process()
            print(name, run, flush=True)
            if turn:
                runs[name].append(run)
    return {
        name: sorted(found, key=lambda run: run["seconds"] or math.inf)[ROUNDS // 2] for name, found in runs.items()
    }


def write(folder: Path, rows: int) -> None:
    """Write probabilities in 2**-16ths that are nearly calibrated, and their outcomes."""
    rng = np.random.default_rng(16)
    codec = BloscCodec(cname="lz4")
    labels = zarr.create_array(
        folder / "labels.zarr", shape=(rows,), chunks=(CHUNK,), dtype=np.uint8, compressors=codec
    )
    chances = zarr.create_array(
        folder / "chances.zarr", shape=(rows,), chunks=(CHUNK,), dtype=np.float32, compressors=codec
    )
    with parquet_writer(folder / "rows.parquet") as add:
        for start in range(0, rows, CHUNK):
            n = min(CHUNK, rows - start)
            p = rng.integers(1, 1 << 16, n).astype(np.float32) / np.float32(1 << 16)
            y = (rng.random(n, np.float32) < p).astype(np.uint8)
            labels[start : start + n], chances[start : start + n] = y, p
            add(y, p)


@contextlib.contextmanager
def parquet_writer(path: Path) -> Iterator[Callable[[np.ndarray, np.ndarray], None]]:
    """Add a row group of labels and chances; does nothing without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        yield lambda y, p: None
        return
    schema = pyarrow.schema([("y", pyarrow.uint8()), ("p", pyarrow.float32())])
    with pyarrow.parquet.ParquetWriter(path, schema) as parquet:
        yield lambda y, p: parquet.write_table(pyarrow.table({"y": y, "p": p}, schema))


def ours(
    folder: Path,
    rows: int,
    variables: Mapping[str, str] = MappingProxyType({}),
    uris: tuple[str, str] | None = None,
) -> dict:
    """Run an evaluation of the Zarr arrays, or of `uris`: labels and predictions."""
    labels, chances = uris or (str(folder / "labels.zarr"), str(folder / "chances.zarr"))
    command = [
        *(sys.executable, "-m", "streamloss", "evaluate", "--loss", "bce", "--quiet", "--json"),
        *("--y-true", labels, "--y-pred", chances),
        *("--rows", f"0:{rows}", "--memory", MEMORY),
    ]
    return timed(command, result_of, variables)


def result_of(text: str) -> tuple[float, int]:
    result = json.loads(text)
    return result["losses"]["binary_crossentropy"]["mean"], result["peak_memory_bytes"]


def timed(
    command: list[str], read: Callable[[str], Sequence[float]], variables: Mapping[str, str] = MappingProxyType({})
) -> dict:
    """Return the seconds of a process, and the value and peak memory in bytes that it printed."""
    begin = time.perf_counter()
    process = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})
    seconds = time.perf_counter() - begin
    if process.returncode:
        print(process.stderr[-500:], file=sys.stderr)
        return {"seconds": None, "value": None, "peak_memory": None}
    value, peak = read(process.stdout)
    return {"seconds": seconds, "value": value, "peak_memory": int(peak)}


def bytes_of(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    print("written:", save("billion", main(int(float(sys.argv[1])) if len(sys.argv) > 1 else ROWS)))
    tables.write()
