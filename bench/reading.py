"""Measure evaluations of Zarr on a local disk, beside loops that only read and decode the same chunks.

"zarr" reads each chunk through zarr-python, "zarrs" through its Rust pipeline, "bytes and codec" opens each file, reads
it into memory that it uses again and decodes it with numcodecs: nothing that decodes those chunks can be much faster.
All use the same number of threads; files are in the page cache.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec, ZstdCodec

import streamloss as sl
from timing import OURS, machine, measure

CLASSES = 100
CODECS: dict[str, Any] = {"no codec": None, "Blosc (lz4)": BloscCodec(cname="lz4"), "Zstandard": ZstdCodec(level=1)}
SHARDED = "Blosc (lz4), sharded"


def run(folder: Path, rows: int, rounds: int) -> list[dict]:
    chunk = max(1, rows // 50)
    write(folder, rows, chunk)
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True)
    results, size = [], rows * CLASSES * 4 / 1e9
    for name in (*CODECS, SHARDED):
        path = folder / f"{name}.zarr"
        candidates: dict[str, Callable[[], Any]] = {
            OURS: lambda path=path: sl.evaluate(loss, folder / "labels.zarr", path),
            "only zarr": lambda path=path: loop(zarr.open_array(path, mode="r"), chunk),
        }
        if zarrs_is_there():
            candidates["only zarrs"] = lambda path=path: zarrs_loop(path, chunk)
        if name != SHARDED:
            candidates["only bytes and codec"] = lambda path=path, name=name: bytes_and_codec(path, name, chunk, rows)
        results.append(measure(f"reading Zarr: {name}", "GB/s of logits", size, candidates, rounds))
    return results


def write(folder: Path, rows: int, chunk: int) -> None:
    """Write logits in 64ths, which compress to about half, as stored predictions do."""
    rng = np.random.default_rng(16)
    logits = np.round(rng.standard_normal((rows, CLASSES), np.float32) * 192) / np.float32(64)
    for name, codec in CODECS.items():
        zarr.create_array(
            folder / f"{name}.zarr", data=logits, chunks=(chunk, CLASSES), compressors=codec, overwrite=True
        )
    inner = max(1, chunk // 10)
    zarr.create_array(
        folder / f"{SHARDED}.zarr",
        data=logits,
        chunks=(inner, CLASSES),
        shards=(chunk // inner * inner, CLASSES),
        compressors=CODECS["Blosc (lz4)"],
        overwrite=True,
    )
    labels = rng.integers(0, CLASSES, rows).astype(np.int32)
    zarr.create_array(folder / "labels.zarr", data=labels, chunks=(chunk,), overwrite=True)


def in_threads(function: Callable[[int], Any], count: int) -> None:
    with ThreadPoolExecutor(machine()["threads"]) as pool:
        list(pool.map(function, range(count)))


def loop(array: Any, chunk: int) -> None:
    in_threads(lambda i: array[i * chunk : (i + 1) * chunk], -(-array.shape[0] // chunk))


def zarrs_is_there() -> bool:
    try:
        import zarrs  # noqa: F401
    except ImportError:
        return False
    return True


def zarrs_loop(path: Path, chunk: int) -> None:
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        loop(zarr.open_array(path, mode="r"), chunk)


def bytes_and_codec(path: Path, name: str, chunk: int, rows: int) -> None:
    codec = {"Blosc (lz4)": numcodecs.Blosc(), "Zstandard": numcodecs.Zstd()}.get(name)
    mine, size = threading.local(), chunk * CLASSES * 4

    def read(i: int) -> None:
        if not hasattr(mine, "encoded"):
            mine.encoded, mine.decoded = np.empty(size + (1 << 16), np.uint8), np.empty(size, np.uint8)
        with open(path / "c" / str(i) / "0", "rb", buffering=0) as file:
            length = file.readinto(mine.encoded)
        if codec is not None:
            codec.decode(mine.encoded[:length], mine.decoded)

    in_threads(read, -(-rows // chunk))
