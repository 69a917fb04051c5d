"""Measure evaluations of Zarr on a local disk, beside loops that only read and decode the same chunks.

"zarr" reads each chunk through zarr-python, "zarrs" through its Rust pipeline, "bytes and codec" opens each file, reads
it into memory that it uses again and decodes it with numcodecs: nothing that decodes those chunks can be much faster.
All use the same number of threads; files are in the page cache.

`shares` asks what an evaluation adds to reading and computing, which it cannot do without: "only computing" evaluates
the same arrays in memory with as many threads, "bytes and codec, then computing" does the one after the other. All
threads are busy all the time, so an evaluation that has no cost of its own is as fast as the latter.

    python bench/reading.py [--processor]    (the shares alone; with the processors' time, for machines that others use)
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec, ZstdCodec

import streamloss as sl
from timing import OURS, Clock, machine, measure

CLASSES = 100
CODECS: dict[str, Any] = {"no codec": None, "Blosc (lz4)": BloscCodec(cname="lz4"), "Zstandard": ZstdCodec(level=1)}
CHUNKS = 100
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


def shares(folder: Path, elements: int, rounds: int, clock: Clock = time.perf_counter) -> list[dict]:
    """Measure evaluations of that many predictions, beside what reading and what computing alone take."""
    results = []
    for case, classes in (
        ("mean squared error", None),
        *((f"sparse cross-entropy, {c:,} classes", c) for c in (10, 1000)),
    ):
        rows = elements // (classes or 1) // CHUNKS * CHUNKS
        for name in CODECS:
            paths = write_pair(folder, name, rows, classes)
            arrays = [zarr.open_array(path, mode="r")[...] for path in paths]
            loss = "mse" if classes is None else sl.losses.SparseCategoricalCrossentropy(from_logits=True)
            reader = Reader(paths)

            def compute(loss: Any = loss, arrays: list[Any] = arrays) -> None:
                sl.evaluate(loss, *arrays, executor="threads")

            def both(reader: Reader = reader, compute: Callable[[], None] = compute) -> None:
                reader.run()
                compute()

            candidates = {
                OURS: lambda loss=loss, paths=paths: sl.evaluate(loss, *paths),
                "only bytes and codec": reader.run,
                "only computing": compute,
                "bytes and codec, then computing": both,
            }
            size = sum(array.nbytes for array in arrays) / 1e9
            results.append(measure(f"{case}: {name}", "GB/s", size, candidates, rounds, clock))
            for path in paths:
                shutil.rmtree(path)
    return results


def write_pair(folder: Path, name: str, rows: int, classes: int | None) -> list[Path]:
    """Write labels and predictions in `CHUNKS` chunks; integer labels without a codec."""
    rng = np.random.default_rng(16)

    def numbers(shape: tuple[int, ...]) -> np.ndarray:
        return np.round(rng.standard_normal(shape, np.float32) * 192) / np.float32(64)

    paths = [folder / f"labels {name}.zarr", folder / f"predictions {name}.zarr"]
    labels = numbers((rows,)) if classes is None else rng.integers(0, classes, rows).astype(np.int32)
    of_labels = CODECS[name] if classes is None else None
    zarr.create_array(paths[0], data=labels, chunks=(rows // CHUNKS,), compressors=of_labels)
    shape = (rows,) if classes is None else (rows, classes)
    zarr.create_array(paths[1], data=numbers(shape), chunks=(rows // CHUNKS, *shape[1:]), compressors=CODECS[name])
    return paths


class Reader:
    """Reads and decodes all chunks of arrays into memory that each thread uses again, and computes nothing."""

    def __init__(self, paths: list[Path]) -> None:
        self._arrays = []
        for array in (zarr.open_array(path, mode="r") for path in paths):
            codec = array.compressors[0] if array.compressors else None
            decoder = {BloscCodec: numcodecs.Blosc, ZstdCodec: numcodecs.Zstd}[type(codec)]() if codec else None
            size = int(np.prod(array.chunks)) * array.dtype.itemsize
            files = [
                Path(str(array.store_path).removeprefix("file://")) / array.metadata.encode_chunk_key(key)
                for key in np.ndindex(*(-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True)))
            ]
            self._arrays.append((list(map(str, files)), decoder, size))
        self._own = threading.local()

    def run(self) -> None:
        in_threads(self._read, CHUNKS)

    def _read(self, i: int) -> None:
        if not hasattr(self._own, "buffers"):
            most = max(size for _, _, size in self._arrays)
            self._own.encoded = np.empty(most + (1 << 16), np.uint8)
            self._own.buffers = [np.empty(size, np.uint8) for _, _, size in self._arrays]
        for (files, decoder, _), decoded in zip(self._arrays, self._own.buffers, strict=True):
            with open(files[i], "rb", buffering=0) as file:
                length = file.readinto(decoded if decoder is None else self._own.encoded)
            if decoder is not None:
                decoder.decode(self._own.encoded[:length], decoded)


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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        shares(Path(folder), 100_000_000, 7, time.process_time if "--processor" in sys.argv[1:] else time.perf_counter)
