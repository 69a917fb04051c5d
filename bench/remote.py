"""Measure evaluations of Zarr behind a web server on loopback, beside obstore that downloads and decodes the same.

The server is a process of its own. Rounds alternate, so that what else the machine does meets both.

    python bench/remote.py [ROUNDS]
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numcodecs
import numpy as np
import obstore
import zarr
from zarr.codecs import BloscCodec

import streamloss as sl
from streamloss.core.machine import available_cpus

CHUNKS, ROWS, COLUMNS = 48, 10_000, 100
THREADS = 4 * available_cpus()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder by another process; the value is its URL."""
    code = (
        "import functools, http.server as h\n"
        "class Q(h.SimpleHTTPRequestHandler):\n"
        "    protocol_version = 'HTTP/1.1'\n"
        "    def log_message(self, *a): pass\n"
        f"s = h.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Q, directory={str(folder)!r}))\n"
        "print(s.server_address[1], flush=True)\n"
        "s.serve_forever()"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def download(url: str) -> float:
    """Download and decode all chunks on threads; return the seconds."""
    store = obstore.store.from_url(f"{url}/a.zarr", client_options={"allow_http": True})
    begin = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        found = (f"p/c/{i}/0" for i in range(CHUNKS))
        list(pool.map(lambda key: len(numcodecs.blosc.decompress(bytes(obstore.get(store, key).bytes()))), found))
    return time.perf_counter() - begin


def evaluate(url: str, y: np.ndarray) -> float:
    """Evaluate a loss of the same chunks; return the seconds."""
    begin = time.perf_counter()
    sl.evaluate("mse", y, f"{url}/a.zarr/p")
    return time.perf_counter() - begin


def main(rounds: int) -> None:
    """Print the medians, and the share of obstore's speed that an evaluation has."""
    data = np.random.default_rng(1).normal(size=(CHUNKS * ROWS, COLUMNS)).astype(np.float32)
    y = np.zeros_like(data)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "a.zarr"
        zarr.create_array(place, name="p", data=data, chunks=(ROWS, COLUMNS), compressors=BloscCodec(cname="lz4"))
        with served(Path(folder)) as url:
            evaluate(url, y), download(url)
            times = [(download(url), evaluate(url, y)) for _ in range(rounds)]
    alone, ours = (statistics.median(column) for column in zip(*times, strict=True))
    share = statistics.median(a / b for a, b in times)
    print(f"obstore and codec {alone:.3f} s, evaluation {ours:.3f} s, {share:.0%} of its speed")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
