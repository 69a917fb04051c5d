"""Measure the costs of scheduling: 100,000 blocks on a local cluster of processes; a Dask array of as many chunks.

    python bench/cluster.py [BLOCKS]

Blocks hold next to nothing, so that everything but the work is measured. Prints the figures of docs/cluster.md, and a
projection for 1e12 rows.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import distributed
import numpy as np

import streamloss as sl
from streamloss.aggregation.block_result import BlockResult
from streamloss.aggregation.state import merge_all
from streamloss.core.machine import resident_bytes
from streamloss.execution import Run
from streamloss.execution.dask import batches, cluster
from streamloss.planning import blocks

ROWS, CLASSES = 16, 10  # of a block
BLOCK = blocks.TARGET  # bytes, of the projection
WORKERS, THREADS, THREAD_RATE = 100, 16, 0.5e9  # of the projection; bytes that a thread reads and evaluates in a second


def main(number: int) -> None:
    blocks.TARGET = blocks.SMALLEST = ROWS * CLASSES * 4
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"  # a file with a hole: takes no space
        np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(number * ROWS, CLASSES)).flush()
        options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
        with (
            distributed.LocalCluster(n_workers=4, **options) as made,
            distributed.Client(made, set_as_default=False) as client,
        ):
            on_a_cluster(client, path, number)
            batches.SECONDS = 0.01  # many tasks, to see what one costs
            costs = on_a_cluster(client, path, number)
            batches.SECONDS = 1.0
    as_a_graph(number)
    for storage in (np.inf, 20e9):
        project(1e12, 40, storage, *costs)


def on_a_cluster(client: distributed.Client, path: Path, number: int) -> tuple[float, float, float]:
    """Return processor seconds of a task in client and scheduler, seconds to merge it, and its bytes, both ways."""
    sl.evaluate("mse", str(path), str(path), rows=slice(0, 64 * ROWS), executor=client)  # connected, compiled
    results: list[BlockResult] = []
    held: list[int] = []
    packed = 0
    original = cluster.run_on_cluster

    def looked_at(client: distributed.Client, description: bytes, run: Run, done: Callable[[BlockResult], None]) -> int:
        nonlocal packed
        packed = len(description)

        def noted(result: BlockResult) -> None:
            results.append(result)
            held.append(resident_bytes())
            done(result)

        return original(client, description, run, noted)

    cluster.run_on_cluster = looked_at
    processor, begin = time.process_time(), time.perf_counter()
    result = sl.evaluate("mse", str(path), str(path), executor=client)
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    cluster.run_on_cluster = original
    tasks, sizes = len(results), [len(result.covered) for result in results]
    assert result.rows == number * ROWS
    assert sum(sizes) == number == result.plan["blocks"]
    begin = time.perf_counter()
    states = results[0].states
    for other in results[1:]:
        states = merge_all(states, other.states)
    merging = (time.perf_counter() - begin) / tasks
    largest = max(len(pickle.dumps(result)) for result in results)
    print(f"{number:,} blocks: {tasks:,} tasks of up to {max(sizes):,} blocks, {seconds:.1f} s")
    print(f"client and scheduler: {processor:.1f} s of processor, {processor / tasks * 1e3:.1f} ms for a task")
    print(f"a task travels as {packed:,} bytes, its states as {largest:,}; merging: {merging * 1e6:.0f} us")
    print(f"client memory: {held[tasks // 10] / 2**20:.0f} MiB at 10 %, {held[-1] / 2**20:.0f} MiB at the end")
    return processor / tasks, merging, packed + largest


def as_a_graph(number: int) -> None:
    rows = da.zeros((number * ROWS, CLASSES), chunks=(ROWS, CLASSES), dtype="f4")
    begin = time.perf_counter()
    lazy = sl.losses.MeanSquaredError()(rows, rows)
    built = time.perf_counter() - begin
    begin = time.perf_counter()
    tasks = len(dict(lazy.__dask_graph__()))
    written = time.perf_counter() - begin
    print(
        f"a Dask array of {number:,} chunks: graph built in {built:.2f} s; {tasks:,} tasks, expanded in {written:.1f} s"
    )


def project(rows: float, row_bytes: int, storage: float, task_cost: float, merging: float, moved: float) -> None:
    threads = WORKERS * THREADS
    number = rows * row_bytes / BLOCK
    rate = min(threads * THREAD_RATE, storage)
    seconds = rows * row_bytes / rate
    of_a_task = max(batches.SECONDS, threads / batches.TASKS_PER_SECOND)
    tasks = seconds * threads / of_a_task
    print(
        f"{rows:.0e} rows of {row_bytes} bytes at {rate / 1e9:.0f} GB/s on {threads:,} threads: {number:,.0f} blocks, "
        f"{tasks:,.0f} tasks of {of_a_task:.0f} s, {seconds / 60:.1f} min; scheduler and client "
        f"{tasks / seconds:.0f} tasks/s, {tasks * task_cost / seconds:.0%} of a processor; "
        f"{tasks * moved / 2**20:,.0f} MiB moved; merging {tasks * merging:.1f} s"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
