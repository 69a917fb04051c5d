"""Binary cross-entropy by a key of 1,000 values, beside the same without a key, DuckDB's GROUP BY and Polars.

    python bench/groups.py [ROWS]           (make groups; 20 GB of disk for a billion rows)

Labels, predictions and keys are in Zarr with Blosc and in one Parquet file. Every candidate is a process of its own;
they take turns, and the median of three rounds counts. Then, in memory and in this process, what standard errors, a
histogram and the 20 worst rows add to sparse cross-entropy over 100 classes, and to the same from compressed Zarr.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import BloscCodec

import streamloss as sl
from billion import CHUNK, PEAK, take_turns, timed
from timing import OURS, save

ROWS = 1_000_000_000
KEYS = 1_000
CLASSES, CLASS_ROWS, ROUNDS = 100, 1_000_000, 7
MEMORY = "1GiB"
STATS = ["stderr", "histogram", "worst=20"]
SQL = (
    "SELECT k, -avg(CASE WHEN y = 1 THEN ln(greatest(p, 1e-7)) ELSE ln(1 - least(p, 1 - 1e-7)) END) AS loss, count(*) "
    "FROM (SELECT y, k, p::DOUBLE AS p FROM read_parquet('{path}')) GROUP BY k ORDER BY k"
)
DUCKDB = (
    "import duckdb, sys; duckdb.sql('SET enable_progress_bar = false'); print(duckdb.sql(sys.argv[1]).fetchall()[0][1])"
    + PEAK
)
POLARS = (
    """
import polars as pl, sys
p = pl.col("p").cast(pl.Float64).clip(1e-7, 1 - 1e-7)
loss = -pl.when(pl.col("y") == 1).then(p.log()).otherwise((1 - p).log()).mean()
grouped = pl.scan_parquet(sys.argv[1]).group_by("k").agg(loss.alias("loss"), pl.len()).sort("k")
print(grouped.collect(engine="streaming")["loss"][0])
"""
    + PEAK
)


def main(rows: int) -> dict:
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        write(folder, rows)
        runs = take_turns(candidates(folder))
    grouped = [run["value"] for label, run in runs.items() if "key" in label and run["value"] is not None]
    assert all(math.isclose(value, grouped[0], rel_tol=1e-6) for value in grouped), grouped
    return {"rows": rows, "keys": KEYS, "runs": runs, "statistics": statistics()}


def candidates(folder: Path) -> dict:
    arrays = ("labels.zarr", "chances.zarr", "keys.zarr")
    stored = [str(folder / name) for name in arrays]
    parquet = folder / "rows.parquet"
    return {
        f"{OURS}, Zarr": partial(ours, *stored[:2]),
        f"{OURS}, Zarr, by key": partial(ours, *stored[:2], "--by", f"k={stored[2]}"),
        f"{OURS}, Parquet": partial(ours, f"{parquet}::y", f"{parquet}::p"),
        f"{OURS}, Parquet, by key": partial(ours, f"{parquet}::y", f"{parquet}::p", "--by", f"k={parquet}::k"),
        "DuckDB, by key": partial(sql, "-c", DUCKDB, SQL.format(path=parquet)),
        "Polars, by key": partial(sql, "-c", POLARS, str(parquet)),
    }


def ours(labels: str, chances: str, *by: str) -> dict:
    command = [sys.executable, "-m", "streamloss", "evaluate", "--loss", "bce", "--quiet", "--json"]
    arguments = ["--y-true", labels, "--y-pred", chances, "--memory", MEMORY, *by]
    return timed([*command, *arguments], result_of)


def sql(*arguments: str) -> dict:
    return timed([sys.executable, *arguments], lambda text: [float(line) for line in text.split()[-2:]])


def result_of(text: str) -> tuple[float, int]:
    result = json.loads(text)
    loss = result["losses"]["binary_crossentropy"]
    return loss["groups"][0]["mean"] if "groups" in loss else loss["mean"], result["peak_memory_bytes"]


def write(folder: Path, rows: int) -> None:
    """Write probabilities in 2**-16ths that are nearly calibrated, their outcomes, and keys in any order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, codec = np.random.default_rng(16), BloscCodec(cname="lz4")
    made = {
        name: zarr.create_array(folder / f"{name}.zarr", shape=(rows,), chunks=(CHUNK,), dtype=dtype, compressors=codec)
        for name, dtype in (("labels", np.uint8), ("chances", np.float32), ("keys", np.int32))
    }
    schema = pa.schema([("y", pa.uint8()), ("p", pa.float32()), ("k", pa.int32())])
    with pq.ParquetWriter(folder / "rows.parquet", schema) as parquet:
        for start in range(0, rows, CHUNK):
            n = min(CHUNK, rows - start)
            p = rng.integers(1, 1 << 16, n).astype(np.float32) / np.float32(1 << 16)
            y = (rng.random(n, np.float32) < p).astype(np.uint8)
            k = rng.integers(0, KEYS, n).astype(np.int32)
            for name, values in (("labels", y), ("chances", p), ("keys", k)):
                made[name][start : start + n] = values
            parquet.write_table(pa.table({"y": y, "p": p, "k": k}, schema))


def statistics() -> dict[str, float]:
    """Return how much longer an evaluation takes with statistics: in memory, and from compressed Zarr."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, CLASSES, CLASS_ROWS)
    logits = rng.normal(size=(CLASS_ROWS, CLASSES)).astype(np.float32)
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tempfile.TemporaryDirectory(dir=".") as name:
        stored = [f"{name}/labels.zarr", f"{name}/logits.zarr"]
        codec = BloscCodec(cname="zstd")
        for place, array in zip(stored, (labels, logits.round(1)), strict=True):
            chunks = (50_000, *array.shape[1:])
            zarr.create_array(place, data=array, chunks=chunks, compressors=codec)
        found = {}
        for where, arrays in (("in memory", (labels, logits)), ("compressed Zarr", stored)):
            ratios = []
            for turn in range(ROUNDS + 1):
                seconds = []
                for stats in (None, STATS):
                    begin = time.perf_counter()
                    sl.evaluate(loss, *arrays, stats=stats, progress=False)
                    seconds.append(time.perf_counter() - begin)
                if turn:
                    ratios.append(seconds[1] / seconds[0])
            found[where] = sorted(ratios)[ROUNDS // 2]
            print(where, found[where], flush=True)
    return found


if __name__ == "__main__":
    print("written:", save("groups", main(int(float(sys.argv[1])) if len(sys.argv) > 1 else ROWS)))
