"""Write the state files that tests/aggregation/test_old_files.py reads.

    PYTHONPATH=<a checkout of the version> python tests/support/old_files.py tests/aggregation/data/<the version>

Each evaluation is written as the files of two shards, the two merged, a checkpoint that was interrupted, and the bare
state of each loss; beside them, in JSON, what that version reported. Only the public API is used, and the module that
chooses blocks, so that one file serves versions whose modules have moved.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import streamloss as sl

ROWS = 12
STOP = 5
"""Blocks after which the checkpoint is interrupted."""


def numbers(*shape: int, factor: int) -> np.ndarray:
    """Return numbers in [0, 1) that do not depend on a generator of random numbers."""
    return (np.arange(np.prod(shape)) * factor % 101 / 101).astype(np.float32).reshape(shape)


def evaluations() -> dict[str, dict[str, Any]]:
    """Return the arguments of `evaluate`, by the evaluation's name."""
    p, logits = numbers(ROWS, 4, factor=37), 8 * numbers(ROWS, 5, factor=29) - 4
    logits[3, 2] = np.nan
    labels, binary = np.arange(ROWS) * 7 % 5, (numbers(ROWS, 4, factor=53) > 0.5).astype(np.float32)
    losses = sl.losses
    return {
        "dense": {
            "losses": [
                losses.MeanSquaredError(),
                losses.MeanSquaredError(name="half", dtype="float16"),
                losses.MeanSquaredError(name="double", dtype="float64", reduction="sum"),
                losses.Hinge(),  # whether labels are 0 and 1, or -1 and 1, is open until all are merged
            ],
            "y_true": binary,
            "y_pred": p,
        },
        "ratios": {
            "losses": [losses.Dice(), losses.Tversky(alpha=0.25, beta=0.75)],
            "y_true": binary,
            "y_pred": p,
        },
        "columns": {"losses": [losses.Dice(axis=0)], "y_true": binary, "y_pred": p},
        "sparse": {
            "losses": [
                losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2),
                losses.SparseCategoricalCrossentropy(True, name="half", dtype="float16", reduction="sum"),
            ],
            "y_true": labels,
            "y_pred": logits,
            "sample_weight": 1 + numbers(ROWS, factor=11),
            "class_weight": {0: 0.5, 4: 3.0},
            "nan_policy": "omit",
        },
        "masked": {
            "losses": [losses.BinaryCrossentropy(axis=None), losses.MeanAbsoluteError(axis=None)],
            "y_true": np.full((ROWS, 4), 0.25, np.float32),
            "y_pred": np.where(np.arange(4 * ROWS).reshape(ROWS, 4) == 21, np.float32(np.nan), p),
            "sample_weight": 0.375,
            "mask": np.arange(ROWS)[:, np.newaxis] % 3 > 0,
            "nan_policy": "propagate",
        },
    }


def reported(result: sl.Result) -> str:
    """Return what a result reports of each loss, as text, in which NaN equals NaN."""
    losses = {name: loss.to_dict() for name, loss in result.items()}
    for of in losses.values():
        of.pop("ratios", None)  # reported since, and made of the same sums
    said = {"rows": result.rows, "losses": losses}
    return json.dumps(said, indent=1, sort_keys=True) + "\n"


def interrupted(folder: Path, **arguments: Any) -> None:
    """Evaluate until `STOP` blocks are saved in the checkpoint."""
    seen = []

    def progress(now: object) -> None:
        seen.append(now)
        if len(seen) == STOP:
            raise KeyboardInterrupt

    try:
        sl.evaluate(**arguments, checkpoint=folder, executor="inline", progress=progress)
    except KeyboardInterrupt:
        (folder / ".all.state.lock").unlink()


@contextmanager
def blocks_of_one_row() -> Iterator[None]:
    try:
        blocks = import_module("streamloss.planning.blocks")
    except ImportError:
        blocks = import_module("streamloss.blocking")
    names = "TARGET", "TARGET_IN_MEMORY", "SMALLEST"
    before = {name: getattr(blocks, name) for name in names}
    try:
        for name in names:
            setattr(blocks, name, 1)
        yield
    finally:
        for name in names:
            setattr(blocks, name, before[name])


def write(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, arguments in evaluations().items():
        there = folder / name
        shards = [sl.evaluate(**arguments, shard=(i, 2)) for i in range(2)]
        merged = sl.merge(shards)
        for path, result in (("0-of-2.state", shards[0]), ("1-of-2.state", shards[1]), ("merged.state", merged)):
            result.save(there / path)
        interrupted(there / "checkpoint", **arguments)
        for loss, result in merged.items():
            (there / f"{loss}.bytes").write_bytes(result.state.to_bytes())
        (there / "reported.json").write_text(reported(merged))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with blocks_of_one_row():
        write(Path(sys.argv[1]))
