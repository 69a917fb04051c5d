"""Making a plan: what is read, in which pieces, by how many workers, in how much memory, decided before it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..aggregation.identity import StateIdentity
from ..core.machine import available_cpus, mib, resident_bytes
from ..errors import MemoryBudgetError, ShapeError, UsageError
from ..storage.sources.base import Source, nbytes
from . import blocks
from .alignment import CLASS_AXIS, Alignment, Shape, align
from .dimensions import refuse_other_labels, refuse_other_order
from .dtypes import result_dtype
from .memory import BlockCost
from .names import arranged_by_name, axes_by_name
from .plan import COMPILER, Plan, PlannedKey, PlannedLoss
from .request import Limits, LossRequest, Sources
from .rows import cut_to_common_rows, range_of
from .statistics import kept_axes, with_meaning
from .tables import TableCost
from .weights import align_weight

MACHINE_INDEPENDENT_SHARE, MACHINE_INDEPENDENT_WORKERS = 96 << 20, 16
"""The bytes for a block, and the workers to cut for, of plans that do not depend on the machine."""

WAITING = 4
"""The threads for each processor where arrays come over a network: most of them wait."""


def make_plan(
    requests: Sequence[LossRequest],
    sources: Sources,
    limits: Limits,
    *,
    class_weight: Mapping[int, float] | None = None,
    clip_probabilities: bool = False,
    rows: slice | None = None,
) -> Plan:
    """Return the plan of an evaluation of `rows`, by default all. Reads no data.

    Raises ShapeError where the arrays do not align, UsageError for weights without a meaning, and MemoryBudgetError
    where nothing fits.
    """
    workers = limits.workers
    if workers is not None and not (isinstance(workers, int | np.integer) and workers >= 1):
        raise UsageError(f"workers must be an integer of at least 1; received {workers!r}.")
    requests = axes_by_name(requests, sources.y_pred)
    sources = arranged_by_name(requests, sources)
    refuse_other_order(sources.arrays)
    y_true, y_pred, mask = sources.y_true, sources.y_pred, sources.mask
    weight = None if isinstance(sources.sample_weight, float) else sources.sample_weight
    shapes: Mapping[str, Shape] = {source.role: source.shape for source in sources.arrays}
    if rows is not None:
        shapes = cut_to_common_rows(shapes, [request.spec for request in requests])
    losses = with_meaning([_plan_loss(request, shapes, sources, class_weight) for request in requests])
    shape = _common_shape(losses)
    arrays = [(y_true, loss.alignment.y_true) for loss in losses]
    arrays += [(sources.predictions(loss.model), loss.alignment.y_pred) for loss in losses]
    weight_view = None if weight is None else align_weight(shapes[weight.role], shape)
    mask_view = None if mask is None else align_weight(shapes[mask.role], shape, mask.role)
    for source, view in ((weight, weight_view), (mask, mask_view)):
        if source is not None and view is not None:
            arrays.append((source, view))
    keys = tuple(PlannedKey(cut, key, align_weight(shapes[key.role], shape, key.role)) for cut, key in sources.keys)
    arrays += [(key.source, key.view) for key in keys]
    _refuse_weights(losses, weight, class_weight)
    start, stop = range_of(rows, shape[0], _shortest(sources, shape[0]).role)
    for loss in {(loss.alignment, loss.model): loss for loss in losses}.values():
        labels = [(y_true, loss.alignment.y_true), (sources.predictions(loss.model), loss.alignment.y_pred)]
        refuse_other_labels([*labels, *arrays[2 * len(losses) :]], start, stop)
    shape = (stop - start, *shape[1:])
    kept = kept_axes(sources, requests, shape, limits)
    if kept:
        losses = tuple(
            replace(loss, identity=replace(loss.identity, by=(*loss.identity.by, *(cut.to_dict() for cut in kept))))
            for loss in losses
        )

    held = limits.losses_on_host or not y_pred.on_gpu
    tables = TableCost(losses, kept, shape, limits.max_groups)
    cost, table_bytes = (
        BlockCost(tuple(arrays), losses, class_weight is not None, held, tables),
        tables.bytes_of(math.prod(shape)),
    )
    budget, wanted = limits.memory_bytes - COMPILER - table_bytes, workers or _usual_workers(sources, limits)
    share, parts = budget // wanted, wanted
    if limits.machine_independent:
        share, parts = MACHINE_INDEPENDENT_SHARE, MACHINE_INDEPENDENT_WORKERS
    block_shape = blocks.choose_block(cost, y_pred, shape, share, parts)
    block_bytes = cost.bytes_of(block_shape)
    fitting = budget // max(1, block_bytes)
    if fitting < 1:
        groups = f" Tables of up to {limits.max_groups:,} groups (max_groups) take {mib(table_bytes)} more." * (
            table_bytes > 0
        )
        message = _too_small(limits.memory_bytes - table_bytes, block_bytes, block_shape, shape, sources)
        raise MemoryBudgetError(message + groups)
    num_blocks = math.prod(-(-n // b) for n, b in zip(shape, block_shape, strict=True))
    used = max(1, min(wanted, fitting, num_blocks))
    notes = blocks.notes(cost, block_shape)
    if fitting < min(wanted, num_blocks):
        notes.insert(0, f"{used} of {wanted} workers: more would not fit the memory allowed")
    return Plan(
        losses=losses,
        equal_losses=_equal_losses(losses),
        y_true=y_true,
        y_pred=y_pred,
        sample_weight=sources.sample_weight,
        weight_view=weight_view,
        mask=mask,
        mask_view=mask_view,
        class_weight=class_weight,
        clip_probabilities=clip_probabilities,
        shape=shape,
        start=start,
        block_shape=block_shape,
        workers=used,
        block_bytes=block_bytes,
        baseline_bytes=resident_bytes(),
        memory_bytes=limits.memory_bytes,
        notes=tuple(notes),
        keys=keys,
        kept=kept,
        table_bytes=table_bytes,
        others=sources.others,
    )


def _plan_loss(
    request: LossRequest, shapes: Mapping[str, Shape], sources: Sources, class_weight: Mapping[int, float] | None
) -> PlannedLoss:
    y_pred = sources.predictions(request.model)
    try:
        alignment = align(request.spec, shapes["y_true"], shapes[y_pred.role])
    except ShapeError as error:
        raise ShapeError(f"{y_pred.role}: {error}") if request.model else error from None
    classes = [n for n, axis in zip(alignment.y_pred.shape, alignment.y_pred.axes, strict=True) if axis == CLASS_AXIS]
    request.spec.per_class(math.prod(classes))  # refuses a list of another length
    dtype, spec = result_dtype(y_pred.dtype, request.dtype), request.spec
    weight = 1.0 if sources.sample_weight is None else sources.sample_weight
    identity = StateIdentity(
        spec.name,
        spec.recorded_parameters,
        str(dtype),
        weighted=sources.sample_weight is not None or class_weight is not None,
        precision=request.precision,
        class_weight=None if class_weight is None else {str(label): w for label, w in class_weight.items()},
        ratio_shape=alignment.ratio_shape,
        weight=weight if alignment.ratio_shape is not None and isinstance(weight, float) else None,
        statistics=request.statistics,
        by=tuple(cut.to_dict() for cut, _ in sources.keys),
    )
    return PlannedLoss(
        request.name, spec, dtype, request.precision, alignment, identity, request.model, request.baseline
    )


def _equal_losses(losses: Sequence[PlannedLoss]) -> tuple[tuple[PlannedLoss, ...], ...]:
    """Return the losses, those together that differ only in name."""
    alike: dict[tuple[StateIdentity, Alignment, str, str | None], list[PlannedLoss]] = {}
    for loss in losses:
        alike.setdefault((loss.identity, loss.alignment, loss.model, loss.baseline), []).append(loss)
    return tuple(map(tuple, alike.values()))


def _refuse_weights(
    losses: Sequence[PlannedLoss], weight: Source | None, class_weight: Mapping[int, float] | None
) -> None:
    """Raise UsageError where weights would have no meaning."""
    for loss in losses:
        if loss.alignment.ratio_shape is not None and (weight is not None or class_weight is not None):
            raise UsageError(
                f"{loss.name}: one ratio over the whole data has no rows that could be weighted; expected no "
                "weights, or one number. Leave the first axis out of axis= for a loss of each row, which can be."
            )
        view = loss.alignment.y_pred
        has_classes = math.prod(n for n, axis in zip(view.shape, view.axes, strict=True) if axis == CLASS_AXIS) > 1
        if class_weight is not None and not loss.formula.has_one_label(has_classes):
            raise UsageError(
                f"{loss.name}: class_weight needs one label for each row: an integer, or one-hot over the classes; "
                f"this loss has labels of shape {loss.alignment.y_true.shape}. Pass sample_weight instead."
            )


def _common_shape(losses: Sequence[PlannedLoss]) -> Shape:
    """Return the losses' shape, which losses evaluated in one pass share. Raises ShapeError where they do not."""
    shape = losses[0].alignment.rows
    for loss in losses[1:]:
        if loss.alignment.rows != shape:
            raise ShapeError(
                f"{loss.name} has losses of shape {loss.alignment.rows}, but {losses[0].name} of {shape}; losses "
                "evaluated in one pass must have one shape. Evaluate them apart."
            )
    return shape


def _shortest(sources: Sources, rows: int) -> Source:
    """Return the array that ends first, of those that have a row for each loss."""
    long_enough = [source for source in sources.arrays if source.shape and source.shape[0] >= rows]
    return min(long_enough, key=lambda source: source.shape[0], default=sources.y_pred)


def _usual_workers(sources: Sources, limits: Limits) -> int:
    """Return how many blocks are evaluated at a time where nobody asks for a number."""
    if sources.y_pred.on_gpu:
        return 1  # a GPU has one block at a time
    waiting = WAITING if any(source.remote for source in sources.arrays) else 1
    return max(limits.least_workers, available_cpus() * waiting)


def _too_small(memory_bytes: int, block_bytes: int, block_shape: Shape, shape: Shape, sources: Sources) -> str:
    held = resident_bytes()
    message = (
        f"the smallest block, {block_shape} of {shape} rows, needs {mib(block_bytes)} and the compiler "
        f"{mib(COMPILER)}, but memory leaves {mib(max(0, memory_bytes))} beyond the {mib(held)} that the process "
        f"holds. Allow at least {mib(block_bytes + COMPILER)} "
        f"(on the command line: --memory {-(-(held + block_bytes + COMPILER) >> 20)}MiB)"
    )
    chunks = {
        source.role: (
            f"{source.role} has chunks of {source.chunk_shape} ({mib(nbytes(source.chunk_shape, source.dtype))})"
        )
        for source in sources.arrays
        if max(source.chunk_shape) > 1
    }
    return message + (
        f", or store smaller chunks: {'; '.join(chunks.values())}." if block_bytes > COMPILER and chunks else "."
    )
