"""Four gigabytes in six hundred megabytes: the budget holds, the plan foresaw the peak, and the sum is exact."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import zarr

import streamloss as sl

ROWS, CLASSES, CHUNK = 10_000_000, 100, 50_000
BUDGET = 600_000_000
COUNTING = 4 << 20
"""Linux counts resident pages in batches for each thread, so two readings of one peak differ by a few hundred KiB."""
LOSS = "sparse_categorical_crossentropy"

MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
"""Prints a command's peak in KiB. A small process between, for Linux counts what the parent held at the fork."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="measures by Linux' counters")]


def repeated(path, chunk, repeats, compressors):
    """An array whose chunks are all one file, linked under each chunk's key."""
    shape = (len(chunk) * repeats, *chunk.shape[1:])
    array = zarr.create_array(path, shape=shape, chunks=chunk.shape, dtype=chunk.dtype, compressors=compressors)
    array[: len(chunk)] = chunk
    keys = [path / array.metadata.encode_chunk_key((i,) + (0,) * (chunk.ndim - 1)) for i in range(repeats)]
    for key in keys[1:]:
        key.parent.mkdir(parents=True, exist_ok=True)
        os.link(keys[0], key)
    return path


@pytest.fixture(scope="module")
def chunk():
    rng = np.random.default_rng(2013)
    return rng.integers(0, CLASSES, CHUNK).astype(np.uint8), rng.standard_normal((CHUNK, CLASSES), np.float32) * 3


@pytest.fixture(scope="module")
def expected_sum(chunk):
    """The sum over all rows, from the losses of one chunk, in rational numbers."""
    losses = sl.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")(*chunk)
    assert losses.dtype == np.float32
    return float(sum(map(Fraction, losses.tolist())) * (ROWS // CHUNK))


@pytest.mark.parametrize("compressor", ["raw", "zstd"])
def test_four_gigabytes_are_evaluated_within_the_budget_and_the_plan(tmp_path, chunk, expected_sum, compressor):
    compressors = None if compressor == "raw" else zarr.codecs.ZstdCodec(level=1)
    labels, logits = chunk
    y_true = repeated(tmp_path / "y.zarr", labels, ROWS // CHUNK, None)
    y_pred = repeated(tmp_path / "p.zarr", logits, ROWS // CHUNK, compressors)
    arguments = ["--loss", f"{LOSS}:from_logits=true", "--json", "--quiet", "--memory", "600MB"]
    arguments += ["--y-true", str(y_true), "--y-pred", str(y_pred)]
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "streamloss", "evaluate", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = int(done.stderr) * 1024
    found = json.loads(done.stdout)
    assert abs(found["peak_memory_bytes"] - measured) <= COUNTING
    assert measured < BUDGET
    assert measured <= found["plan"]["projected_bytes"] <= BUDGET
    assert found["bytes_read"] == ROWS * (CLASSES * 4 + 1)
    assert found["losses"][LOSS]["count"] == found["rows"] == ROWS
    assert found["losses"][LOSS]["sum"] == expected_sum
