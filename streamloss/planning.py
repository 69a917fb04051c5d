"""What will be read, in which pieces, by how many workers, in how much memory: decided, or refused, before it is read."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .alignment import Layout, Shape, View, align, align_weight
from .errors import MemoryBudgetError, ShapeError, UsageError
from .kernels.convert import floating_dtype
from .losses._registry import Elementwise, LossSpec
from .sources.base import Source, nbytes
from .types import Block

COMPILER = 224 << 20
"""What compiling kernels, and the libraries' own pools, add to a process (measured: up to 190 MiB)."""
TARGET = 32 << 20
"""Bytes of `y_pred` in a block: a millisecond of scheduling is nothing beside it, and a few fit any budget."""
TARGET_IN_MEMORY = 256 << 20
SMALLEST = 1 << 20
MAX_ROWS = 1 << 29  # a block's sums fit their limbs, see exact.accumulator.MAX_VALUES


@dataclass(frozen=True, slots=True)
class Job:
    """One loss of an evaluation."""

    name: str
    spec: LossSpec
    dtype: np.dtype[Any]
    """Of the losses of rows."""
    layout: Layout


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions. ``print(plan)`` shows them."""

    jobs: tuple[Job, ...]
    y_true: Source
    y_pred: Source
    sample_weight: Source | float | None
    weight_view: View | None
    shape: Shape
    """The losses' shape, of the rows evaluated."""
    start: int
    """The arrays' first row evaluated."""
    block_shape: Shape
    workers: int
    block_bytes: int
    """Upper bound of what one worker holds while it evaluates a block."""
    baseline_bytes: int
    """Held by the process when the plan was made."""
    memory_bytes: int
    """The budget: what the evaluation may add to that."""
    notes: tuple[str, ...]

    @property
    def added_bytes(self) -> int:
        """Upper bound of what the evaluation adds to the process."""
        return COMPILER + self.workers * self.block_bytes

    @property
    def projected_bytes(self) -> int:
        """Upper bound of the process' peak memory."""
        return self.baseline_bytes + self.added_bytes

    @property
    def rows(self) -> int:
        return math.prod(self.shape)

    @property
    def sources(self) -> tuple[Source, ...]:
        weight = self.sample_weight
        return (self.y_true, self.y_pred) + (() if weight is None or isinstance(weight, float) else (weight,))

    @property
    def grid(self) -> Shape:
        """Number of blocks along each axis of the losses."""
        return tuple(-(-n // b) for n, b in zip(self.shape, self.block_shape, strict=True))

    @property
    def num_blocks(self) -> int:
        return math.prod(self.grid)

    def blocks(self) -> Iterator[Block]:
        """All blocks, row-major."""
        for index, position in enumerate(itertools.product(*(range(n) for n in self.grid))):
            start = tuple(i * b for i, b in zip(position, self.block_shape, strict=True))
            stop = tuple(min(a + b, n) for a, b, n in zip(start, self.block_shape, self.shape, strict=True))
            yield Block(index, start, stop)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the same facts as ``str(plan)``."""
        return {
            "losses": {job.name: {"loss": job.spec.name, "dtype": str(job.dtype)} for job in self.jobs},
            "arrays": {
                s.role: {"where": s.where, "shape": s.shape, "dtype": str(s.dtype), "chunks": s.grain}
                for s in self.sources
            },
            "shape": self.shape,
            "rows": self.rows,
            "block_shape": self.block_shape,
            "blocks": self.num_blocks,
            "workers": self.workers,
            "memory_bytes": self.memory_bytes,
            "block_bytes": self.block_bytes,
            "baseline_bytes": self.baseline_bytes,
            "projected_bytes": self.projected_bytes,
            "notes": self.notes,
        }

    def __str__(self) -> str:
        lines = [
            f"losses    {', '.join(f'{job.name} ({job.dtype})' for job in self.jobs)}",
            *(
                f"{s.role.removeprefix('sample_'):<9} {s.where}: {s.shape} {s.dtype}, read in pieces of {s.grain}"
                for s in self.sources
            ),
            f"rows      {self.rows:,} of shape {self.shape}" + (f", from row {self.start:,}" if self.start else ""),
            f"blocks    {self.num_blocks:,} of {self.block_shape}, {self.workers} at a time",
            f"memory    {_mib(self.projected_bytes)} at most: {_mib(self.baseline_bytes)} held now, "
            f"{_mib(COMPILER)} for the compiler, {self.workers} x {_mib(self.block_bytes)} for blocks",
            *(f"note      {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def make_plan(
    named: Sequence[tuple[str, LossSpec, np.dtype[Any]]],
    y_true: Source,
    y_pred: Source,
    sample_weight: Source | float | None,
    *,
    memory_bytes: int,
    workers: int | None,
    rows: slice | None,
) -> Plan:
    """Raises ShapeError where the arrays do not align and MemoryBudgetError where nothing fits."""
    shapes, start = _restrict(y_true, y_pred, sample_weight, rows)
    jobs = tuple(Job(name, spec, dtype, align(spec, shapes[0], shapes[1])) for name, spec, dtype in named)
    shape = jobs[0].layout.rows
    for job in jobs[1:]:
        if job.layout.rows != shape:
            raise ShapeError(
                f"{job.name} has losses of shape {job.layout.rows}, but {jobs[0].name} of {shape}; losses evaluated in "
                "one pass must have one shape. Evaluate them apart."
            )
    weight_view = None
    if sample_weight is not None and not isinstance(sample_weight, float):
        weight_view = align_weight(shapes[2], shape)
    arrays = [(y_true, job.layout.y_true) for job in jobs] + [(y_pred, job.layout.y_pred) for job in jobs]
    if weight_view is not None:
        assert not isinstance(sample_weight, float | None)
        arrays.append((sample_weight, weight_view))

    def block_bytes(block_shape: Shape) -> int:
        read = {(source.role, view): _read_bytes(source, view, block_shape, jobs) for source, view in arrays}
        return sum(read.values()) + sum(math.prod(block_shape) * 2 * job.dtype.itemsize for job in jobs)

    available = available_cpus()
    if workers is not None and workers < 1:
        raise UsageError(f"workers must be at least 1; received {workers}.")
    wanted = workers or available
    grain = _grain(arrays, shape, y_pred)
    share = (memory_bytes - COMPILER) // wanted
    block_shape = _block_shape(shape, grain, y_pred, jobs[0].layout.y_pred, share, block_bytes, wanted)
    block_shape = _on_all_grains(arrays, shape, block_shape, share, block_bytes)
    used, notes = wanted, []
    while used > 1 and COMPILER + used * block_bytes(block_shape) > memory_bytes:
        used -= 1
    if used < wanted:
        notes.append(f"{used} of {wanted} workers: more would not fit the memory allowed")
    if COMPILER + block_bytes(block_shape) > memory_bytes:
        pieces = {s.role: f"{s.role} has pieces of {s.grain} ({_mib(nbytes(s.grain, s.dtype))})" for s, _ in arrays}
        raise MemoryBudgetError(
            f"the smallest block, {block_shape} of {shape} rows, needs {_mib(block_bytes(block_shape))} and the "
            f"compiler {_mib(COMPILER)}, but memory leaves {_mib(memory_bytes)} beyond the {_mib(resident_bytes())} that the "
            f"process holds. Allow more memory, or store smaller chunks: {'; '.join(pieces.values())}."
        )
    notes += _chunk_notes(arrays, block_shape)
    return Plan(
        jobs, y_true, y_pred, sample_weight, weight_view, shape, start, block_shape,
        min(used, max(1, math.prod(-(-n // b) for n, b in zip(shape, block_shape, strict=True)))),
        block_bytes(block_shape), resident_bytes(), memory_bytes, tuple(notes),
    )  # fmt: skip


def available_cpus() -> int:
    """Processors this process may use, which in a container or a job are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resident_bytes() -> int:
    """Memory the process holds now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _restrict(
    y_true: Source, y_pred: Source, weight: Source | float | None, rows: slice | None
) -> tuple[tuple[Shape, Shape, Shape], int]:
    """The arrays' shapes as if they had only the rows asked for, and the first of these."""
    sources = [y_true, y_pred] + ([] if weight is None or isinstance(weight, float) else [weight])
    shapes = [s.shape for s in sources] + [()] * (3 - len(sources))
    if rows is None:
        return (shapes[0], shapes[1], shapes[2]), 0
    if rows.step not in (None, 1) or any(v is not None and v < 0 for v in (rows.start, rows.stop)):
        raise UsageError(f"rows must be a slice of non-negative rows with step 1; received {rows}.")
    start = rows.start or 0
    stop = y_pred.shape[0] if rows.stop is None and y_pred.shape else rows.stop or 0
    for i, source in enumerate(sources):
        if not source.shape or (source is weight and source.shape[0] == 1):
            continue
        if not start <= stop <= source.shape[0]:
            raise UsageError(f"rows={start}:{stop} reaches past {source.role}, which has {source.shape[0]:,} rows.")
        shapes[i] = (stop - start, *source.shape[1:])
    return (shapes[0], shapes[1], shapes[2]), start


def _read_bytes(source: Source, view: View, block_shape: Shape, jobs: Sequence[Job]) -> int:
    """Reading a block of one array, and converting it to what kernels take."""
    selected = view.selected_shape(block_shape)
    read = source.read_bytes(selected)
    rows = math.prod(block_shape)
    classes = math.prod(n for n, axis in zip(view.shape, view.axes, strict=True) if axis == -1)
    if source.role == "sample_weight":
        return read + 8 * rows
    sparse = source.role == "y_true" and any(not isinstance(job.spec.formula, Elementwise) for job in jobs)
    if sparse:
        return read + 3 * 8 * rows  # int64, and two steps on the way there from floats
    # in memory and float already: views; axes out of order or another dtype: one copy
    plain = floating_dtype(source.dtype) == source.dtype and (-1 not in view.axes or view.axes[-1] == -1)
    return read + (0 if plain else 2 * rows * classes * floating_dtype(source.dtype).itemsize)


def _grain(arrays: Sequence[tuple[Source, View]], shape: Shape, y_pred: Source) -> Shape:
    """The rows that `y_pred` decodes as a whole, for each axis of the losses."""
    view = next(view for source, view in arrays if source is y_pred)
    grain = [1] * len(shape)
    for size, axis in zip(y_pred.grain, view.axes, strict=True):
        if axis >= 0:
            grain[axis] = max(1, min(size, shape[axis]))
    return tuple(grain)


def _block_shape(
    shape: Shape, grain: Shape, y_pred: Source, view: View, share: int, block_bytes: Any, workers: int
) -> Shape:
    """Whole grains up to the target, the last axis first; fewer where the budget asks for it."""
    total = nbytes(view.selected_shape(shape), y_pred.dtype)
    target = TARGET_IN_MEMORY if y_pred.in_memory else max(SMALLEST, min(TARGET, total // (4 * workers)))

    def fits(candidate: Shape) -> bool:
        bytes_read = nbytes(view.selected_shape(candidate), y_pred.dtype)
        return bytes_read <= target and block_bytes(candidate) <= share and math.prod(candidate) <= MAX_ROWS

    block = list(grain)
    for axis in reversed(range(len(shape))):
        low, high = 1, -(-shape[axis] // grain[axis])  # in grains; the largest that fits, by bisection
        while low < high:
            middle = (low + high + 1) // 2
            block[axis] = min(middle * grain[axis], shape[axis])
            low, high = (middle, high) if fits(tuple(block)) else (low, middle - 1)
        block[axis] = max(1, min(low * grain[axis], shape[axis]))
        if block[axis] < shape[axis]:
            break
    return tuple(block)


def _on_all_grains(
    arrays: Sequence[tuple[Source, View]], shape: Shape, block: Shape, share: int, block_bytes: Any
) -> Shape:
    """The block, cut or doubled at most so that it ends where all arrays' chunks end: each is decoded once."""
    common = [1] * len(shape)
    for source, view in arrays:
        for chunk, axis in zip(source.grain, view.axes, strict=True):
            if axis >= 0:
                common[axis] = math.lcm(common[axis], chunk)
    aligned = tuple(
        size if size == n or c > 2 * size else max(1, size // c) * c
        for size, n, c in zip(block, shape, common, strict=True)
    )
    aligned = tuple(min(size, n) for size, n in zip(aligned, shape, strict=True))
    return aligned if block_bytes(aligned) <= max(share, block_bytes(block)) else block


def _chunk_notes(arrays: Sequence[tuple[Source, View]], block_shape: Shape) -> list[str]:
    """What costs time and could be stored otherwise, said once."""
    notes = {}
    for source, view in arrays:
        for size, chunk, axis in zip(source.shape, source.grain, view.axes, strict=True):
            if axis == -1 and 1 < chunk < size:
                notes[source.role] = (
                    f"{source.role} is chunked along its classes ({chunk} of {size}): rows are assembled in memory"
                )
            elif axis >= 0 and chunk > block_shape[axis]:
                notes[source.role] = (
                    f"{source.role} has chunks of {chunk:,} rows, more than a block's {block_shape[axis]:,}: "
                    "each is decoded for every block it touches"
                )
    return list(notes.values())


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
