"""What a loss is, how one is declared, and how it is found by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from ..errors import UnknownNameError, UsageError
from ..types import REAL, Interval

Scalar = Callable[..., float]


@dataclass(frozen=True, slots=True, eq=False)
class Elementwise:
    """A term for each element of ``y_pred``; a row's loss is the mean of its terms.

    ``term(y, p, *arguments)`` with y and p as float64.
    """

    term: Scalar
    y_true: Interval = REAL
    y_pred: Interval = REAL

    @property
    def argument_names(self) -> tuple[str, ...]:
        return _names(self.term)[2:]


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """An integer label and a row over the classes.

    ``finish(p_label, top, others, *arguments)``, where ``others`` is the sum of ``term(p, top)`` over all
    classes but the labelled one, and ``top`` the row's maximum (NaN unless ``needs_top``). The labelled class
    stays out of the sum because the loss of a confident, right prediction *is* the others' share: adding 1
    to it and subtracting 1 again would lose it.
    """

    term: Scalar
    finish: Scalar
    y_pred: Interval = REAL
    needs_top: bool = False

    @property
    def argument_names(self) -> tuple[str, ...]:
        return _names(self.finish)[3:]


@dataclass(frozen=True, slots=True, eq=False)
class Rowwise:
    """Labels and predictions over the classes; a row's loss is made of sums over them.

    ``term(y, p, top, total, lost, size, *arguments)`` gives a tuple of ``terms`` floats for each class, and
    ``finish(sums, lost, top, size, *arguments)`` the row's loss from their sums. `top` is the maximum of
    ``peak(y, p)`` and ``total + lost`` the sum of ``share(p, top)`` over the row, where a loss has these (else
    NaN). Sums are compensated: ``sums[i] + lost[i]`` has twice a float64's digits, so they may cancel.
    """

    term: Callable[..., tuple[float, ...]]
    terms: int
    finish: Scalar
    y_true: Interval = REAL
    y_pred: Interval = REAL
    peak: Scalar | None = None
    share: Scalar | None = None

    @property
    def argument_names(self) -> tuple[str, ...]:
        return _names(self.finish)[4:]


Formula = Elementwise | Sparse | Rowwise


@dataclass(frozen=True, slots=True)
class Parameter:
    """One keyword of a loss."""

    default: Any
    doc: str
    interval: Interval | None = None
    """Where numbers are allowed; None for parameters that are not plain numbers."""
    types: tuple[type, ...] = (float, int)

    def check(self, loss: str, name: str, given: Any) -> Any:
        """The value in its plain Python type, or UsageError."""
        value: Any = given.item() if isinstance(given, np.generic) else given
        wrong_bool = isinstance(value, bool) and bool not in self.types
        if wrong_bool or not any(isinstance(value, kind) for kind in self.types):
            wanted = " or ".join("None" if t is type(None) else t.__name__ for t in self.types)
            raise UsageError(f"{loss}: {name} must be {wanted}; received {value!r}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{loss}: {name} must be finite; received {value!r}.")
        if self.interval is None or value is None:
            return value
        if value not in self.interval:
            raise UsageError(f"{loss}: {name} must lie in {self.interval}; received {value!r}.")
        return float(value) if float in self.types else value


FROM_LOGITS = Parameter(False, "whether `y_pred` holds logits rather than probabilities", types=(bool,))
AXIS = Parameter(-1, "the axis of `y_pred` that holds the classes", types=(int,))
MEAN_AXIS = Parameter(
    -1,
    "the axis of `y_pred` that is averaged; None: nothing is averaged, each element is a sample",
    types=(int, type(None)),
)
IGNORE_CLASS = Parameter(
    None,
    "rows with this label have no loss and are not counted",
    Interval(-(2.0**63), 2.0**63, low_open=True, high_open=True),  # int64
    types=(int, type(None)),
)
EPSILON = Parameter(
    1e-7,
    "probabilities are clipped to [epsilon, 1 - epsilon] in the result dtype, as in Keras; 0: not clipped",
    Interval(0.0, 0.5, high_open=True),
)


@dataclass(frozen=True, slots=True, eq=False)  # one object for each loss: identity is equality
class Declaration:
    """A loss as its family's file states it; everything else is derived from this."""

    name: str
    """Keras' function name."""
    class_name: str
    aliases: tuple[str, ...]
    doc: str
    parameters: Mapping[str, Parameter]
    formula: Formula
    logits: Formula | None
    """The formula under ``from_logits=True``, if the loss has that parameter."""
    positional: tuple[str, ...]
    """What Keras' constructor takes by position, before `name` and `dtype`. Other parameters are ours, by keyword."""

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters: the given ones checked, the others by default. Raises UsageError."""
        for name in given:
            if name not in self.parameters:
                raise UnknownNameError(f"parameter of {self.class_name}", name, self.parameters)
        return {
            name: parameter.check(self.class_name, name, given.get(name, parameter.default))
            for name, parameter in self.parameters.items()
        }


@dataclass(frozen=True, slots=True)
class LossSpec:
    """A loss with its parameters: small, picklable, enough for any process to rebuild the kernel."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any]) -> LossSpec:
        declaration = find(name)
        return cls(declaration.name, declaration.check(given))

    @property
    def declaration(self) -> Declaration:
        return find(self.name)

    @property
    def formula(self) -> Formula:
        declaration = self.declaration
        if self.parameters.get("from_logits"):
            assert declaration.logits is not None
            return declaration.logits
        return declaration.formula

    @property
    def axis(self) -> int | None:
        axis: int | None = self.parameters.get("axis", -1)
        return axis

    def arguments(self, dtype: np.dtype[Any]) -> tuple[float, ...]:
        """The formula's arguments after its data, by name. ``lower`` and ``upper`` are the clip bounds that
        ``epsilon`` means in the result dtype (float32: 1 - 2**-23, not 1 - 1e-7).
        """
        known = dict(self.parameters)
        if "epsilon" in known:
            epsilon = dtype.type(known["epsilon"])
            known |= {"lower": epsilon, "upper": dtype.type(1) - epsilon}
        return tuple(float(known[name]) for name in self.formula.argument_names)


_DECLARATIONS: dict[str, Declaration] = {}


def declare(
    name: str,
    class_name: str,
    *aliases: str,
    formula: Formula,
    logits: Formula | None = None,
    parameters: Mapping[str, Parameter] | None = None,
    positional: tuple[str, ...] = ("reduction",),
    doc: str,
) -> Declaration:
    """Make a loss known under its names. ``from_logits`` is a parameter where there is a formula for it."""
    first = {"from_logits": FROM_LOGITS} if logits is not None else {}
    declaration = Declaration(
        name, class_name, aliases, inspect.cleandoc(doc), first | dict(parameters or {}), formula, logits, positional
    )
    for known in (name, class_name, *aliases):
        if known in _DECLARATIONS:
            raise ValueError(f"the loss name {known!r} is taken by {_DECLARATIONS[known].class_name}")
        _DECLARATIONS[known] = declaration
    return declaration


@cache
def _names(function: Scalar) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def _all() -> dict[str, Declaration]:
    from . import _families  # importing the families' files fills the registry

    _families.load()
    return _DECLARATIONS


def find(name: str) -> Declaration:
    """The loss of that name, class name or alias; UnknownNameError with the nearest name otherwise."""
    known = _all()
    if name not in known:
        raise UnknownNameError("loss", name, known, {d.class_name for d in known.values()})
    return known[name]


def declarations() -> list[Declaration]:
    """Every loss once, by name."""
    return sorted(set(_all().values()), key=lambda d: d.name)
