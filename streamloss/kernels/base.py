"""The records that all loops over rows take, the status of a row, and formulas as compiled functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from ..aggregation.accumulation import Accumulation
from ..core.jit import no_alloc, scalar
from ..core.types import Interval
from ..formulas._float32 import in_single
from ..formulas._kinds import Elementwise, Formula

TILE = 512  # rows whose losses are in L1 while they are finished, weighted, stored and added up
KEPT, IGNORED, BAD, IMPOSSIBLE = 0, 1, 2, 3
"""The status of a row: it has a loss; a mask or ``ignore_class`` leaves it out; a label or prediction is outside its
interval; its loss is infinite because no alignment is possible, which a policy may allow."""
RAISE, OMIT, PROPAGATE = 0, 1, 2
"""``nan_policy`` in kernels."""


class Operands(NamedTuple):
    """The rows of a block, as loops take them: contiguous, read-only, of a few dtypes (`execution.convert`)."""

    y_true: Any
    """(rows,) for labels and numbers; of y_pred's shape for losses of elements and classes; (rows, length) for
    sequences."""
    y_pred: Any
    """float32 or float64: (rows, classes), or (rows, time, classes) for sequences."""
    weight: Any
    """float32 or float64: (rows,), (1,) for one that all rows have, or empty."""
    mask: Any
    """bool: (rows,), or empty. Rows where it is False are ignored."""


class Ignore(NamedTuple):
    """A label whose rows have no loss."""

    enabled: int
    """1, or 0 where there is none."""
    label: int


class Settings(NamedTuple):
    """The settings of a loss, as loops take them beside the data."""

    ignore: Ignore
    arguments: tuple[float, ...]
    """The formula's arguments after its data."""
    per_class: Any
    """The parameter that has a value for each class: float64 (classes,), or empty."""
    nan_policy: int


class Output(NamedTuple):
    """The array that the losses of rows (NONE) are written to."""

    wanted: bool
    losses: Any
    """float32 or float64 (rows,), written where `wanted`; else anything."""


class Totals(NamedTuple):
    """The arrays that a loop adds to, in the order of an :class:`~streamloss.aggregation.accumulation.Accumulation`."""

    limbs: Any
    """int64 (sums, SIZE)"""
    counts: Any
    """int64 (num_counts,)"""


class RowStats(NamedTuple):
    """The statistics of one row that are known when its terms are computed."""

    label: Any
    """The class that a sparse label names."""
    row_max: Any
    """The maximum of the row's peaks; NaN for a formula without one."""
    total: Any
    """The sum of the row's shares, where a formula has them: ``total + total_err`` has twice the digits."""
    total_err: Any
    size: Any
    """The number of classes, as float64."""


class RowsStats(NamedTuple):
    """The statistics of several rows: float64 arrays (rows,)."""

    row_max: Any
    total: Any
    total_err: Any


class KernelKey(NamedTuple):
    """The formula, precision, layout and sums that a kernel is made for."""

    formula: Formula
    single: bool
    """Whether losses are rounded to float32."""
    layout: str
    """See :mod:`.summation_order`."""
    accumulation: Accumulation


@dataclass(frozen=True)
class Kernel:
    """A formula's compiled loop over the rows of a tile."""

    rows: Callable[..., int]
    """``rows(y_true, y_pred, settings, values, status, workspace)`` writes the float64 `values` of a tile's rows, and
    their `status` if any is not KEPT: then it returns a positive number, else 0."""
    new_workspace: Callable[[Operands], Any]
    """Returns the arrays that `rows` writes to, made once for many tiles."""


def no_workspace(operands: Operands) -> int:
    return 0


@cache
def compiled(function: Callable[..., Any], single: bool) -> Callable[..., Any]:
    """Return the compiled function of a formula; `single`: with functions good enough for float32 results."""
    return scalar(in_single(function) if single else function)


@cache
def count_outside_of(interval: Interval) -> Callable[..., int]:
    """Return ``count(array) -> int``: how many values lie outside. NaN is none of them: its loss is judged instead."""
    low, high = interval.smallest, interval.largest
    if not interval.bounded:

        @no_alloc
        def count_none(values: Any) -> int:
            return 0

        return count_none

    @no_alloc
    def count_outside(values: Any) -> int:
        outside = 0
        for j in range(values.size):
            outside += 1 if (values[j] < low) | (values[j] > high) else 0
        return outside

    return count_outside


@cache
def with_class_parameter(term: Callable[..., Any], has_parameter: bool) -> Callable[..., Any]:
    """Return ``call(per_class, j, data, arguments)``: the term of data, arguments and, if it takes one, the value of
    class j in `per_class`.
    """

    @scalar
    def call_with(per_class: Any, j: int, data: Any, arguments: Any) -> Any:
        return term(*data, *arguments, per_class[j])

    @scalar
    def call_without(per_class: Any, j: int, data: Any, arguments: Any) -> Any:
        return term(*data, *arguments)

    return call_with if has_parameter else call_without


def term_of(formula: Elementwise, single: bool) -> Callable[..., Any]:
    """Return the term of an element; see :func:`with_class_parameter`."""
    term = compiled(formula.term, single)
    return with_class_parameter(term, formula.per_class is not None)
