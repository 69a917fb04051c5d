"""What will be read, in which pieces, by how many workers, in how much memory: decided before it is read."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import blocking
from .alignment import Layout, Shape, View, align, align_weight
from .errors import MemoryBudgetError, ShapeError, UsageError
from .kernels.convert import floating_dtype
from .losses._registry import LossSpec, Sparse
from .sources.base import Source, nbytes
from .types import Block

COMPILER = 224 << 20
"""What compiling kernels, and the libraries' own pools, add to a process (measured: up to 190 MiB)."""


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
                f"{s.role.removeprefix('sample_'):<9} {s.where}: {s.shape} {s.dtype}"
                + (f", chunks of {s.grain}" if max(s.grain, default=1) > 1 else "")
                for s in self.sources
            ),
            f"rows      {self.rows:,} of shape {self.shape}" + (f", from row {self.start:,}" if self.start else ""),
            f"blocks    {self.num_blocks:,} of {self.block_shape}, {self.workers} at a time",
            f"memory    at most {_mib(self.projected_bytes)} of {_mib(self.baseline_bytes + self.memory_bytes)}: "
            f"{_mib(self.baseline_bytes)} held now, {_mib(COMPILER)} for the compiler, "
            f"{self.workers} x {_mib(self.block_bytes)} for blocks",
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
    if workers is not None and workers < 1:
        raise UsageError(f"workers must be at least 1; received {workers}.")
    sources = [y_true, y_pred] + ([] if sample_weight is None or isinstance(sample_weight, float) else [sample_weight])
    shapes = [source.shape for source in sources]
    if rows is not None:
        shapes = _cut_to_common_rows(shapes, [spec for _, spec, _ in named])
    jobs = tuple(Job(name, spec, dtype, align(spec, shapes[0], shapes[1])) for name, spec, dtype in named)
    shape = _common_shape(jobs)
    arrays = [(y_true, job.layout.y_true) for job in jobs] + [(y_pred, job.layout.y_pred) for job in jobs]
    weight_view = align_weight(shapes[2], shape) if len(sources) == 3 else None
    if weight_view is not None:
        arrays.append((sources[2], weight_view))
    long_enough = [source for source in sources if source.shape and source.shape[0] >= shape[0]]
    shortest = min(long_enough, key=lambda source: source.shape[0], default=y_pred)
    start, stop = _range(rows, shape[0], shortest.role)
    shape = (stop - start, *shape[1:])

    def block_bytes(block_shape: Shape) -> int:
        read = {(source.role, view): _read_bytes(source, view, block_shape, jobs) for source, view in arrays}
        scalar = 8 * math.prod(block_shape) if isinstance(sample_weight, float) else 0
        return scalar + sum(read.values()) + sum(math.prod(block_shape) * 2 * job.dtype.itemsize for job in jobs)

    wanted = workers or available_cpus()
    share = (memory_bytes - COMPILER) // wanted
    block_shape = blocking.choose_block(arrays, y_pred, shape, share, block_bytes, wanted)
    each = block_bytes(block_shape)
    fitting = (memory_bytes - COMPILER) // max(1, each)
    if fitting < 1:
        raise MemoryBudgetError(_too_small(memory_bytes, each, block_shape, shape, arrays))
    blocks = math.prod(-(-n // b) for n, b in zip(shape, block_shape, strict=True))
    used = max(1, min(wanted, fitting, blocks))
    notes = blocking.notes(arrays, block_shape)
    if fitting < min(wanted, blocks):
        notes.insert(0, f"{used} of {wanted} workers: more would not fit the memory allowed")
    return Plan(
        jobs=jobs,
        y_true=y_true,
        y_pred=y_pred,
        sample_weight=sample_weight,
        weight_view=weight_view,
        shape=shape,
        start=start,
        block_shape=block_shape,
        workers=used,
        block_bytes=each,
        baseline_bytes=resident_bytes(),
        memory_bytes=memory_bytes,
        notes=tuple(notes),
    )


def _common_shape(jobs: Sequence[Job]) -> Shape:
    """The losses' shape, which losses evaluated in one pass share."""
    shape = jobs[0].layout.rows
    for job in jobs[1:]:
        if job.layout.rows != shape:
            raise ShapeError(
                f"{job.name} has losses of shape {job.layout.rows}, but {jobs[0].name} of {shape}; losses evaluated in "
                "one pass must have one shape. Evaluate them apart."
            )
    return shape


def _too_small(memory_bytes: int, each: int, block_shape: Shape, shape: Shape, arrays: blocking.Arrays) -> str:
    held = resident_bytes()
    message = (
        f"the smallest block, {block_shape} of {shape} rows, needs {_mib(each)} and the compiler {_mib(COMPILER)}, "
        f"but memory leaves {_mib(max(0, memory_bytes))} beyond the {_mib(held)} that the process holds. "
        f"Allow at least {_mib(each + COMPILER)} "
        f"(on the command line: --memory {-(-(held + each + COMPILER) >> 20)}MiB)"
    )
    chunks = {
        source.role: f"{source.role} has chunks of {source.grain} ({_mib(nbytes(source.grain, source.dtype))})"
        for source, _ in arrays
        if max(source.grain) > 1
    }
    return message + (
        f", or store smaller chunks: {'; '.join(chunks.values())}." if each > COMPILER and chunks else "."
    )


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


def _cut_to_common_rows(shapes: list[Shape], specs: Sequence[LossSpec]) -> list[Shape]:
    """Under ``rows=``, arrays may differ in their number of rows: as if the longer ones ended with the shortest.

    Only where the first axis is rows for every loss; cut classes would be another loss.
    """
    y_pred = shapes[1]
    if not y_pred or any(len(y_pred) > 1 and s.axis is not None and s.axis % len(y_pred) == 0 for s in specs):
        return shapes
    fewest = min(shape[0] for shape in shapes if shape and (shape[0] != 1 or y_pred[0] == 1))
    return [(min(shape[0], fewest), *shape[1:]) if shape else shape for shape in shapes]


def _range(rows: slice | None, count: int, shortest: str) -> tuple[int, int]:
    """The first row and one past the last."""
    if rows is None:
        return 0, count
    if rows.step not in (None, 1) or any(v is not None and v < 0 for v in (rows.start, rows.stop)):
        raise UsageError(f"rows must be a slice of non-negative rows with step 1; received {rows}.")
    start = 0 if rows.start is None else rows.start
    stop = count if rows.stop is None else rows.stop
    if start > stop:
        raise UsageError(f"rows={start}:{stop} starts behind its end; expected START:STOP with START <= STOP.")
    if stop > count:
        raise UsageError(f"rows={start}:{stop} reaches past {shortest}, which has {count:,} rows.")
    return start, stop


def _read_bytes(source: Source, view: View, block_shape: Shape, jobs: Sequence[Job]) -> int:
    """Reading a block of one array, and converting it to what kernels take."""
    selected = view.selected_shape(block_shape)
    read = source.read_bytes(selected)
    rows = math.prod(block_shape)
    classes = math.prod(n for n, axis in zip(view.shape, view.axes, strict=True) if axis == -1)
    if source.role == "sample_weight":
        return read + 8 * rows
    sparse = source.role == "y_true" and any(isinstance(job.spec.formula, Sparse) for job in jobs)
    if sparse:
        return read + 3 * 8 * rows  # int64, and two steps on the way there from floats
    # in memory and float already: views; axes out of order or another dtype: one copy
    plain = floating_dtype(source.dtype) == source.dtype and (-1 not in view.axes or view.axes[-1] == -1)
    return read + (0 if plain else 2 * rows * classes * floating_dtype(source.dtype).itemsize)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
