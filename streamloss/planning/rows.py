"""The rows of the arrays that are evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import UsageError
from ..formulas._registry import LossSpec
from .alignment import Shape


def cut_to_common_rows(shapes: Mapping[str, Shape], specs: Sequence[LossSpec]) -> Mapping[str, Shape]:
    """Return the arrays' shapes by role, for ``rows=``: longer arrays are treated as if they ended with the shortest.

    Only where the first axis is rows for every loss; cut classes would be another loss.
    """
    y_pred = shapes["y_pred"]
    if any(spec.parameters.get("class_axis") in (0, -len(y_pred)) for spec in specs):
        return shapes
    if not y_pred or any(len(y_pred) > 1 and _reads_first_axis_whole(spec, len(y_pred)) for spec in specs):
        return shapes
    fewest = min(shape[0] for shape in shapes.values() if shape and (shape[0] != 1 or y_pred[0] == 1))
    return {role: (min(shape[0], fewest), *shape[1:]) if shape else shape for role, shape in shapes.items()}


def _reads_first_axis_whole(spec: LossSpec, rank: int) -> bool:
    axes = spec.axis if isinstance(spec.axis, tuple) else () if spec.axis is None else (spec.axis,)
    return any(axis % rank == 0 for axis in axes) and not spec.formula.is_ratio


def range_of(rows: slice | None, count: int, shortest: str) -> tuple[int, int]:
    """Return the first row of ``rows=`` and one past its last, of `count`; `shortest` is the role of the array that
    ends first. Raises UsageError where `rows` is no plain slice, or reaches past the array.
    """
    if rows is None:
        return 0, count
    if not isinstance(rows, slice) or not all(isinstance(v, int | np.integer | None) for v in (rows.start, rows.stop)):
        raise UsageError(f"rows must be a slice of integers, such as slice(0, 1000); received {rows!r}.")
    if rows.step not in (None, 1) or any(v is not None and v < 0 for v in (rows.start, rows.stop)):
        raise UsageError(f"rows must be a slice of non-negative rows with step 1; received {rows}.")
    start = 0 if rows.start is None else int(rows.start)  # JSON has none of NumPy's integers
    stop = count if rows.stop is None else int(rows.stop)
    if start > stop:
        raise UsageError(f"rows={start}:{stop} starts behind its end; expected START:STOP with START <= STOP.")
    if stop > count:
        raise UsageError(f"rows={start}:{stop} reaches past {shortest}, which has {count:,} rows.")
    return start, stop
