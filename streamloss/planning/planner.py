"""What will be read, in which pieces, by how many workers, in how much memory: decided before it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from ..core.machine import available_cpus, mib, resident_bytes
from ..errors import MemoryBudgetError, ShapeError, UsageError
from ..formulas._kinds import Elementwise, LabelSequence, Overlap, Rowwise, Sparse
from ..formulas._registry import LossSpec
from ..storage.sources.base import Source, nbytes
from . import blocks as blocking
from .alignment import CLASS_AXIS, Shape, View, align, align_weight
from .dtypes import GPU_WEIGHTS, floating_dtype
from .plan import COMPILER, LossRequest, Plan, PlannedLoss

MACHINE_INDEPENDENT_SHARE, MACHINE_INDEPENDENT_WORKERS = 96 << 20, 16
"""Bytes for a block, and workers to cut for, of plans that do not depend on the machine."""

WAITING = 4
"""Threads for each processor where arrays come over a network: most of them wait."""

CELL_BYTES = 4 << 10
"""For each ratio over the whole data: its sums, as integers and on the way there."""


def make_plan(
    requests: Sequence[LossRequest],
    y_true: Source,
    y_pred: Source,
    sample_weight: Source | float | None,
    mask: Source | None = None,
    class_weight: Mapping[int, float] | None = None,
    *,
    memory_bytes: int,
    workers: int | None,
    rows: slice | None,
    machine_independent: bool = False,
    least_workers: int = 1,
    written: bool = True,
) -> Plan:
    """`machine_independent` cuts blocks by the data alone, whatever memory and workers: parts evaluated on other
    machines, or another day, have the same ones. `least_workers` is for where `workers` is not given, and memory
    allows them; `written` says whether losses of rows are held by the host until they are written.

    Raises ShapeError where the arrays do not align and MemoryBudgetError where nothing fits.
    """
    if workers is not None and not (isinstance(workers, int | np.integer) and workers >= 1):
        raise UsageError(f"workers must be an integer of at least 1; received {workers!r}.")
    weight = None if isinstance(sample_weight, float) else sample_weight
    sources = [y_true, y_pred, *(source for source in (weight, mask) if source is not None)]
    shapes: Mapping[str, Shape] = {source.role: source.shape for source in sources}
    if rows is not None:
        shapes = _cut_to_common_rows(shapes, [request.spec for request in requests])
    jobs = tuple(_job(request, shapes) for request in requests)
    shape = _common_shape(jobs)
    arrays = [(y_true, job.alignment.y_true) for job in jobs] + [(y_pred, job.alignment.y_pred) for job in jobs]
    weight_view = None if weight is None else align_weight(shapes[weight.role], shape)
    mask_view = None if mask is None else align_weight(shapes[mask.role], shape, mask.role)
    for source, view in ((weight, weight_view), (mask, mask_view)):
        if source is not None and view is not None:
            arrays.append((source, view))
    _refuse_weights(jobs, weight, class_weight)
    long_enough = [source for source in sources if source.shape and source.shape[0] >= shape[0]]
    shortest = min(long_enough, key=lambda source: source.shape[0], default=y_pred)
    start, stop = _range(rows, shape[0], shortest.role)
    shape = (stop - start, *shape[1:])

    def block_bytes(block_shape: Shape) -> int:
        read = {
            (source.role, view): _read_bytes(source, view, block_shape, jobs, class_weight is not None)
            for source, view in arrays
        }
        rows_in_block = math.prod(block_shape)
        by_class = 4 * 8 * rows_in_block if class_weight is not None else 0
        held = 2 * rows_in_block if written or not y_pred.on_gpu else 0
        losses = sum(held * job.dtype.itemsize for job in jobs if job.alignment.ratio_shape is None)
        ratios = sum(
            CELL_BYTES * math.prod(job.alignment.ratio_shape) for job in jobs if job.alignment.ratio_shape is not None
        )
        return by_class + sum(read.values()) + losses + ratios

    waiting = WAITING if any(source.remote for source in sources) else 1
    usual = 1 if y_pred.on_gpu else max(least_workers, available_cpus() * waiting)  # a GPU has one block at a time
    wanted = workers or usual
    share, parts = (
        (MACHINE_INDEPENDENT_SHARE, MACHINE_INDEPENDENT_WORKERS)
        if machine_independent
        else ((memory_bytes - COMPILER) // wanted, wanted)
    )
    block_shape = blocking.choose_block(arrays, y_pred, shape, share, block_bytes, parts)
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
        mask=mask,
        mask_view=mask_view,
        class_weight=class_weight,
        shape=shape,
        start=start,
        block_shape=block_shape,
        workers=used,
        block_bytes=each,
        baseline_bytes=resident_bytes(),
        memory_bytes=memory_bytes,
        notes=tuple(notes),
    )


def _job(request: LossRequest, shapes: Mapping[str, Shape]) -> PlannedLoss:
    alignment = align(request.spec, shapes["y_true"], shapes["y_pred"])
    classes = [n for n, axis in zip(alignment.y_pred.shape, alignment.y_pred.axes, strict=True) if axis == CLASS_AXIS]
    request.spec.per_class(math.prod(classes))  # refuses a list of another length
    return PlannedLoss(**{f.name: getattr(request, f.name) for f in fields(request)}, alignment=alignment)


def _refuse_weights(
    jobs: Sequence[PlannedLoss], weight: Source | None, class_weight: Mapping[int, float] | None
) -> None:
    """Raises UsageError where weights would have no meaning."""
    for job in jobs:
        if job.alignment.ratio_shape is not None and (weight is not None or class_weight is not None):
            raise UsageError(
                f"{job.name}: one ratio over the whole data has no rows that could be weighted; expected no "
                "weights, or one number. Leave the first axis out of axis= for a loss of each row, which can be."
            )
        classes = CLASS_AXIS in job.alignment.y_pred.axes
        one_label = isinstance(job.formula, Sparse | Rowwise) or (isinstance(job.formula, Elementwise) and not classes)
        if class_weight is not None and not one_label:
            raise UsageError(
                f"{job.name}: class_weight needs one label for each row: an integer, or one-hot over the classes; this "
                f"loss has labels of shape {job.alignment.y_true.shape}. Pass sample_weight instead."
            )


def _common_shape(jobs: Sequence[PlannedLoss]) -> Shape:
    """The losses' shape, which losses evaluated in one pass share."""
    shape = jobs[0].alignment.rows
    for job in jobs[1:]:
        if job.alignment.rows != shape:
            raise ShapeError(
                f"{job.name} has losses of shape {job.alignment.rows}, but {jobs[0].name} of {shape}; losses evaluated "
                "in one pass must have one shape. Evaluate them apart."
            )
    return shape


def _too_small(memory_bytes: int, each: int, block_shape: Shape, shape: Shape, arrays: blocking.Arrays) -> str:
    held = resident_bytes()
    message = (
        f"the smallest block, {block_shape} of {shape} rows, needs {mib(each)} and the compiler {mib(COMPILER)}, "
        f"but memory leaves {mib(max(0, memory_bytes))} beyond the {mib(held)} that the process holds. "
        f"Allow at least {mib(each + COMPILER)} "
        f"(on the command line: --memory {-(-(held + each + COMPILER) >> 20)}MiB)"
    )
    chunks = {
        source.role: (
            f"{source.role} has chunks of {source.chunk_shape} ({mib(nbytes(source.chunk_shape, source.dtype))})"
        )
        for source, _ in arrays
        if max(source.chunk_shape) > 1
    }
    return message + (
        f", or store smaller chunks: {'; '.join(chunks.values())}." if each > COMPILER and chunks else "."
    )


def _cut_to_common_rows(shapes: Mapping[str, Shape], specs: Sequence[LossSpec]) -> Mapping[str, Shape]:
    """Under ``rows=``, arrays may differ in their number of rows: as if the longer ones ended with the shortest.

    Only where the first axis is rows for every loss; cut classes would be another loss.
    """
    y_pred = shapes["y_pred"]
    if not y_pred or any(len(y_pred) > 1 and _reads_first_axis_whole(spec, len(y_pred)) for spec in specs):
        return shapes
    fewest = min(shape[0] for shape in shapes.values() if shape and (shape[0] != 1 or y_pred[0] == 1))
    return {role: (min(shape[0], fewest), *shape[1:]) if shape else shape for role, shape in shapes.items()}


def _reads_first_axis_whole(spec: LossSpec, rank: int) -> bool:
    return isinstance(spec.axis, int) and spec.axis % rank == 0 and not isinstance(spec.formula, Overlap)


def _range(rows: slice | None, count: int, shortest: str) -> tuple[int, int]:
    """The first row and one past the last."""
    if rows is None:
        return 0, count
    if not isinstance(rows, slice) or not all(isinstance(v, int | np.integer | None) for v in (rows.start, rows.stop)):
        raise UsageError(f"rows must be a slice of integers, such as slice(0, 1000); received {rows!r}.")
    if rows.step not in (None, 1) or any(v is not None and v < 0 for v in (rows.start, rows.stop)):
        raise UsageError(f"rows must be a slice of non-negative rows with step 1; received {rows}.")
    start = 0 if rows.start is None else rows.start
    stop = count if rows.stop is None else rows.stop
    if start > stop:
        raise UsageError(f"rows={start}:{stop} starts behind its end; expected START:STOP with START <= STOP.")
    if stop > count:
        raise UsageError(f"rows={start}:{stop} reaches past {shortest}, which has {count:,} rows.")
    return start, stop


def _stays_on_gpu(source: Source, view: View, rank: int, jobs: Sequence[PlannedLoss], weights_by_class: bool) -> bool:
    """Whether an array is on a GPU and read nowhere else."""
    if not source.on_gpu or not view.in_order(rank):
        return False
    conventions = any(job.spec.both_conventions for job in jobs)  # which labels that count decide, on the host
    match source.role:
        case "sample_weight":
            return source.dtype.name in GPU_WEIGHTS and not weights_by_class
        case "mask":
            return source.dtype == np.bool_ and not conventions
        case "y_true":
            return all(job.gpu_reads(source) for job in jobs) and not weights_by_class and not conventions
        case _:
            return all(job.gpu_reads(source) for job in jobs)


def _read_bytes(
    source: Source, view: View, block_shape: Shape, jobs: Sequence[PlannedLoss], weights_by_class: bool
) -> int:
    """Reading a block of one array, and converting it to what kernels take."""
    if _stays_on_gpu(source, view, len(block_shape), jobs, weights_by_class):
        return 0
    selected = view.selected_shape(block_shape)
    read = source.read_bytes(selected)
    rows = math.prod(block_shape)
    classes = math.prod(n for n, axis in zip(view.shape, view.axes, strict=True) if axis == CLASS_AXIS)
    if source.role in ("sample_weight", "mask"):
        return read + 8 * rows
    integers = source.role == "y_true" and any(isinstance(job.spec.formula, Sparse | LabelSequence) for job in jobs)
    if integers:
        return read + 3 * 8 * rows * classes  # int64, and two steps on the way there from floats
    # in memory and float already: views; axes out of order or another dtype: one copy
    in_order = CLASS_AXIS not in view.axes or view.axes[-1] == CLASS_AXIS
    plain = floating_dtype(source.dtype) == source.dtype and in_order and all(job.precision is None for job in jobs)
    return read + (0 if plain else 2 * rows * classes * floating_dtype(source.dtype).itemsize)
