"""Record the bytes of every loss, to compare two versions of the code.

    python tests/support/record_bits.py record before.json     # with the code as it was
    python tests/support/record_bits.py record after.json      # with the code as it is
    python tests/support/record_bits.py compare before.json after.json

The first command evaluates every formula of every loss in both precisions, each layout (one element, few, many and
several segments of classes), with and without weights and masks, and writes a digest of NONE and the bytes of the state
for each. The last one lists what differs and exits with 1 if anything does. Only the public API and the registry of
losses are used, so that one file serves versions whose modules have moved.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import streamloss as sl

ROWS = 600  # more than a tile
CLASSES = (1, 5, 200, 1100)


def registry() -> Any:
    """The module of declarations, wherever this version has it."""
    try:
        return import_module("streamloss.formulas._registry")
    except ImportError:
        return import_module("streamloss.losses._registry")


def inside(interval: Any, uniform: np.ndarray) -> np.ndarray:
    """Float32 values inside an interval from values in [0, 1)."""
    low, high = max(interval.low, -6.0), min(interval.high, 6.0)
    values = (low + (high - low) * uniform).astype(np.float32)
    return np.clip(values, np.float32(low) + np.float32(1e-3 * interval.low_open), np.float32(high))


def data_of(formula: Any, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions that have a loss in every row."""
    rng = np.random.default_rng(7)
    shape = (ROWS, classes)
    kind = type(formula).__name__
    if kind == "Parametric":
        pairs = [inside(interval, rng.random(ROWS)) for interval in formula.y_preds]
        return inside(formula.y_true, rng.random(ROWS)), np.stack(pairs, axis=1)
    if kind == "LabelSequence":
        labels = np.sort(rng.integers(0, classes, (40, 3)), axis=1)[:, ::-1].copy()
        return labels, rng.normal(size=(40, 8, classes)).astype(np.float32)
    p = inside(formula.y_pred, rng.random(shape))
    if formula.y_pred.bounded:
        p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    if kind == "Sparse":
        return rng.integers(0, classes, ROWS), p
    return inside(formula.y_true, rng.random(shape)), p


def cases() -> Iterator[tuple[str, Any, np.ndarray, np.ndarray]]:
    for declaration in registry().declarations():
        make = getattr(sl.losses, declaration.class_name)
        variants = list(declaration.variants)
        if type(next(iter(declaration.formulas.values()))).__name__ == "Overlap":
            variants += [{"axis": -1}, {"axis": 0}]
        for variant in variants:
            for dtype in ("float32", "float64"):
                loss = make(**variant, dtype=dtype)
                kind = type(loss.spec.formula).__name__
                for classes in CLASSES:
                    if (kind == "Parametric" and classes != 5) or (kind == "LabelSequence" and classes != 5):
                        continue
                    if kind in ("Sparse", "Rowwise") and classes == 1:
                        continue
                    name = ":".join([declaration.name, *(f"{k}={v}" for k, v in variant.items()), dtype, str(classes)])
                    yield name, loss, *data_of(loss.spec.formula, classes)


def digests_of(loss: Any, y: np.ndarray, p: np.ndarray) -> Iterator[tuple[str, str]]:
    rng = np.random.default_rng(8)
    weights = {"none": None, "rows": rng.random(len(p)) * 3, "float32": rng.random(len(p)).astype(np.float32)}
    masks = {"none": None, "rows": rng.random(len(p)) < 0.8}
    unreduced = type(loss)(**{**loss.get_config(), "reduction": "none"})
    for weighted, weight in weights.items():
        for masked, mask in masks.items():
            try:
                state = sl.evaluate(loss, y, p, weight, mask=mask, executor="inline")[loss.name].state.to_bytes()
                losses = np.asarray(unreduced(y, p, weight, mask=mask)).tobytes()
            except sl.errors.StreamlossError as error:
                yield f"weight {weighted}, mask {masked}", f"{type(error).__name__}: {error}"
                continue
            none = hashlib.blake2b(losses, digest_size=12).hexdigest()
            yield f"weight {weighted}, mask {masked}", f"{none} {state.decode().strip()}"


def record(part: int, parts: int) -> dict[str, str]:
    found = {}
    for i, (name, loss, y, p) in enumerate(cases()):
        if i // len(CLASSES) % parts == part:
            found.update((f"{name}, {how}", digest) for how, digest in digests_of(loss, y, p))
    return found


def main(command: str, *arguments: str) -> int:
    warnings.simplefilter("ignore")
    if command == "record":
        path, *split = arguments
        part, parts = (int(n) for n in split[0].split("/")) if split else (0, 1)
        Path(path).write_text(json.dumps(record(part, parts), indent=1))
        return 0
    before, after = (json.loads(Path(path).read_text()) for path in arguments)
    different = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    for key in different:
        print(f"{key}\n  before {before.get(key)}\n  after  {after.get(key)}")
    print(f"{len(before)} recorded, {len(different)} differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
