"""The kinds of formulas: which scalar functions a loss is made of, and what the loops over rows do with them.

All arguments are float64. ``arguments`` are a loss' own parameters, by the names that its functions give them. NaN is
refused, left out or kept by the loss that it leads to, so formulas let it through.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, ClassVar, NamedTuple

from ..core.types import REAL, UNIT, Interval

Scalar = Callable[..., float]
MAXIMUM = "maximum"


class LabelLayout(Enum):
    """The labels that a row has."""

    PER_ELEMENT = "a number for each element of y_pred"
    PER_ROW = "one number, or one integer label"
    SEQUENCE = "a sequence of integer labels"


class Kind:
    """The properties by which other modules treat kinds of formulas differently; most kinds have these values."""

    __slots__ = ()

    label_layout: ClassVar[LabelLayout] = LabelLayout.PER_ELEMENT
    integer_labels: ClassVar[bool] = False
    """Whether labels are integers that name classes; they are never rounded to a loss' precision."""
    needs_class_axis: ClassVar[bool] = True
    """Whether rows need an axis of classes; otherwise predictions of one axis are rows of one output each."""
    is_ratio: ClassVar[bool] = False
    """Whether it is a ratio of sums over the axes that ``axis`` names, which may be axes of rows."""
    why_not_on_gpu: ClassVar[str | None] = None
    """The reason why no GPU can evaluate it; None where one can."""

    def has_one_label(self, has_classes: bool) -> bool:
        """Return whether a row has one label, an integer or one-hot, by which it can be weighted. `has_classes` says
        whether ``y_pred`` has an axis of classes.
        """
        return False


class OfOutcomes(NamedTuple):
    """A term in fewer operations, with the same bits, for labels that are 0 or 1."""

    term: Scalar
    applies: Scalar
    """``applies(*arguments)``: whether the arguments allow it."""


@dataclass(frozen=True, slots=True, eq=False)
class Elementwise(Kind):
    """A term for each element of ``y_pred``; a row's loss is the mean of its terms.

    ``term(y, p, *arguments)`` takes the element's own value of the parameter `per_class` last, where there is one.
    """

    term: Scalar
    y_true: Interval = REAL
    y_pred: Interval = REAL
    per_class: str | None = None
    """The parameter that may be a list with an entry for each class."""
    cancels: bool = False
    """Whether terms may be negative, so that their sum needs more digits than its value."""
    of_outcomes: OfOutcomes | None = None
    """The term for labels that are 0 or 1, where that saves operations; it takes no parameter of a class."""

    needs_class_axis: ClassVar[bool] = False
    meanings: ClassVar[tuple[str, ...]] = ()
    y_preds: ClassVar[tuple[Interval, ...]] = ()

    def has_one_label(self, has_classes: bool) -> bool:
        return not has_classes

    @property
    def argument_names(self) -> tuple[str, ...]:
        return _names(self.term)[2 : None if self.per_class is None else -1]


@dataclass(frozen=True, slots=True, eq=False)
class Sparse(Kind):
    """An integer label and a row over the classes.

    ``finish(p_label, pivot, others, *arguments)`` returns the row's loss, where ``others`` is the sum of
    ``term(p, pivot, earlier)`` over all classes but the labelled one. `pivot` is "maximum" (of the row), "label" (the
    labelled class' own value) or None (NaN is passed); ``earlier`` is 1.0 for classes before the label, else 0.0. The
    labelled class stays out of the sum because the loss of a confident, right prediction *is* the others' share: adding
    1 to it and subtracting 1 again would lose it. No term is negative.
    """

    term: Scalar
    finish: Scalar
    y_pred: Interval = REAL
    pivot: str | None = None

    label_layout: ClassVar[LabelLayout] = LabelLayout.PER_ROW
    integer_labels: ClassVar[bool] = True
    y_true: ClassVar[Interval] = REAL
    per_class: ClassVar[None] = None
    meanings: ClassVar[tuple[str, ...]] = ()
    y_preds: ClassVar[tuple[Interval, ...]] = ()

    def has_one_label(self, has_classes: bool) -> bool:
        return True

    @property
    def argument_names(self) -> tuple[str, ...]:
        return _names(self.finish)[3:]


@dataclass(frozen=True, slots=True, eq=False)
class Rowwise(Kind):
    """Labels and predictions over the classes; a row's loss is made of sums over them.

    ``term(y, p, top, total, err, size, *arguments)`` returns a tuple of ``terms`` floats for each class, and
    ``finish(sums, err, top, size, *arguments)`` the row's loss from their sums. `top` is the maximum of ``peak(y, p)``
    and ``total + err`` the sum of ``share(p, top)`` over the row, where a loss has these (else NaN). Sums are
    compensated: ``sums[i] + err[i]`` has twice a float64's digits, so they may cancel; but where no term is negative
    (`cancels` is False), those for a float32 are plain. ``term`` takes the class' own value of the parameter
    `per_class` last, where there is one.
    """

    term: Callable[..., tuple[float, ...]]
    terms: int
    finish: Scalar
    y_true: Interval = REAL
    y_pred: Interval = REAL
    peak: Scalar | str | None = None
    """A function of ``(y, p)``, or MAXIMUM for the largest prediction."""
    share: Scalar | None = None
    per_class: str | None = None
    cancels: bool = True

    meanings: ClassVar[tuple[str, ...]] = ()
    y_preds: ClassVar[tuple[Interval, ...]] = ()

    def has_one_label(self, has_classes: bool) -> bool:
        return True

    @property
    def argument_names(self) -> tuple[str, ...]:
        return _names(self.term)[6 : None if self.per_class is None else -1]


@dataclass(frozen=True, slots=True, eq=False)
class OneHot(Kind):
    """An integer label and a row over the classes, whose loss is the one of `dense` for the label as a one-hot row."""

    dense: Rowwise

    label_layout: ClassVar[LabelLayout] = LabelLayout.PER_ROW
    integer_labels: ClassVar[bool] = True
    y_true: ClassVar[Interval] = REAL
    per_class: ClassVar[None] = None
    meanings: ClassVar[tuple[str, ...]] = ()
    y_preds: ClassVar[tuple[Interval, ...]] = ()

    def has_one_label(self, has_classes: bool) -> bool:
        return True

    @property
    def y_pred(self) -> Interval:
        return self.dense.y_pred

    @property
    def argument_names(self) -> tuple[str, ...]:
        return self.dense.argument_names


@dataclass(frozen=True, slots=True, eq=False)
class Parametric(Kind):
    """A number, and the two parameters of a distribution that were predicted for it.

    ``term(y, first, second, *arguments)`` returns the row's loss; the class axis of ``y_pred`` holds the two.
    """

    term: Scalar
    meanings: tuple[str, str]
    """The names of the two parameters, for messages; empty in kinds whose class axis holds classes."""
    y_true: Interval = REAL
    y_preds: tuple[Interval, Interval] = (REAL, REAL)
    """The interval of each parameter; other kinds have one interval, `y_pred`, for all predictions."""

    label_layout: ClassVar[LabelLayout] = LabelLayout.PER_ROW
    y_pred: ClassVar[Interval] = REAL
    per_class: ClassVar[None] = None

    @property
    def argument_names(self) -> tuple[str, ...]:
        return _names(self.term)[3:]


@dataclass(frozen=True, slots=True, eq=False)
class Overlap(Kind):
    """A ratio of sums over the axes that ``axis`` names, of labels and predictions in [0, 1].

    ``finish(both, only_pred, only_true, *arguments)`` takes the sums of ``y p``, ``(1 - y) p`` and ``y (1 - p)``. Where
    those axes lie inside each row it is compiled; where they include the rows, so that one ratio is over the whole
    data, it is called with exact fractions. Either way it may only add, multiply and divide.
    """

    finish: Callable[..., Any]
    y_true: Interval = UNIT
    y_pred: Interval = UNIT

    is_ratio: ClassVar[bool] = True
    per_class: ClassVar[None] = None
    meanings: ClassVar[tuple[str, ...]] = ()
    y_preds: ClassVar[tuple[Interval, ...]] = ()

    @property
    def argument_names(self) -> tuple[str, ...]:
        return _names(self.finish)[3:]


@dataclass(frozen=True, slots=True, eq=False)
class LabelSequence(Kind):
    """A sequence of labels, and a row over the classes for each time step.

    ``loss(labels, scores, workspace)`` takes int64 labels (length,), which are not the first class, the blank; scores
    (time, classes); and what ``new_workspace(longest, classes)`` returns. It is infinite where the labels cannot be
    aligned.
    """

    loss: Callable[..., float]
    new_workspace: Callable[[int, int], Any]
    y_pred: Interval = REAL

    label_layout: ClassVar[LabelLayout] = LabelLayout.SEQUENCE
    integer_labels: ClassVar[bool] = True
    why_not_on_gpu: ClassVar[str | None] = "its rows are sequences"
    y_true: ClassVar[Interval] = REAL
    per_class: ClassVar[None] = None
    meanings: ClassVar[tuple[str, ...]] = ()
    y_preds: ClassVar[tuple[Interval, ...]] = ()

    @property
    def argument_names(self) -> tuple[str, ...]:
        return ()


Formula = Elementwise | Sparse | OneHot | Rowwise | Parametric | Overlap | LabelSequence


@cache
def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a function's parameters."""
    return tuple(inspect.signature(function).parameters)
