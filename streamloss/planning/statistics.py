"""The statistics that losses can have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..aggregation.statistic import chosen
from ..aggregation.statistics import known
from ..aggregation.tables.cuts import Cut
from ..core.machine import mib
from ..errors import MemoryBudgetError, UsageError
from ..storage.sources.base import Source
from .alignment import Shape, row_axes
from .dimensions import meant_names
from .plan import PlannedLoss
from .request import Limits, LossRequest, Sources

MOST_LABELS = 4096
"""The most coordinates of a kept axis that results carry."""
CELL_BYTES = 400
"""Bytes for each cell of kept axes: its sums in the result, in a block's part of it, and while the two are merged."""


def with_meaning(losses: Sequence[PlannedLoss]) -> tuple[PlannedLoss, ...]:
    """Return the losses without the statistics that have no meaning for them but for others of the evaluation.

    Raises UsageError for a statistic that has a meaning for none of them.
    """
    refused: dict[str, dict[str, str]] = {}
    for loss in losses:
        for text in loss.identity.statistics:
            reason = _reason(loss, text)
            if reason is not None:
                refused.setdefault(text, {})[loss.name] = reason
    for text, reasons in refused.items():
        if len(reasons) == len(losses):
            name, reason = next(iter(reasons.items()))
            raise UsageError(f"{name}: the statistic {text!r} {reason}.")
    return tuple(
        replace(
            loss,
            identity=replace(
                loss.identity,
                statistics=tuple(t for t in loss.identity.statistics if loss.name not in refused.get(t, {})),
            ),
        )
        for loss in losses
    )


def kept_axes(sources: Sources, requests: Sequence[LossRequest], shape: Shape, limits: Limits) -> tuple[Cut, ...]:
    """Return the axes that are not reduced, by their numbers among the losses' axes.

    `shape` is that of the rows evaluated. Raises UsageError for an axis that is none, and
    MemoryBudgetError for more cells than memory holds.
    """
    if not sources.keep:
        return ()
    names = meant_names(sources.y_pred)
    rows = row_axes(requests[0].spec, sources.y_pred.shape)
    of_axes = [names[axis] if axis < len(names) else None for axis in rows]
    found: dict[int, Cut] = {}
    for asked in sources.keep:
        axis = asked
        if isinstance(asked, str):
            if of_axes.count(asked) != 1:
                known = ", ".join(str(name) for name in of_axes if name) or "no names"
                raise UsageError(
                    f"keep={asked!r} is none of the losses' axes, of shape {shape}, which have {known}; expected one "
                    f"of their names, or a number from 0 to {len(shape) - 1}."
                )
            axis = of_axes.index(asked)
        if not -len(shape) <= int(axis) < len(shape):
            raise UsageError(f"keep={asked} is out of bounds for losses of shape {shape}.")
        axis = int(axis) % len(shape)
        labels = coordinates(sources.y_pred, rows[axis])
        found[axis] = Cut(of_axes[axis] or f"axis_{axis}", "keep", axis=axis, labels=labels)
    cells = math.prod(shape[axis] for axis in found)
    if cells * CELL_BYTES > limits.memory_bytes:
        raise MemoryBudgetError(
            f"keep={list(sources.keep)} leaves {cells:,} cells, which take about {mib(cells * CELL_BYTES)}, but memory "
            f"leaves {mib(limits.memory_bytes)}. Allow more, keep fewer axes, or write the losses of rows (reduction "
            "NONE with out=)."
        )
    return tuple(found[axis] for axis in sorted(found))


def coordinates(source: Source, axis: int) -> tuple[Any, ...] | None:
    """Return the labels along an axis, as JSON has them; None where there are none, or too many to carry along."""
    labels = source.labels().get(axis)
    count = source.shape[axis]
    if labels is None or count > MOST_LABELS:
        return None
    values = labels.read(0, count)
    if values.dtype.kind == "M":
        values = np.datetime_as_string(values, unit="auto")
    return tuple(value if isinstance(value, int | float | str) else str(value) for value in values.tolist())


def _reason(loss: PlannedLoss, text: str) -> str | None:
    if loss.alignment.ratio_shape is not None:
        return (
            "needs a loss of each row; one ratio over the whole data has none. Leave the first axis out of axis= "
            "for a loss of each row"
        )
    return chosen(text, known()).statistic.refuses(loss)
