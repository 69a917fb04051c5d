"""The keywords of losses: the values that they may have, and the keywords that many losses share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.types import UNIT, Interval
from ..errors import UnknownNameError, UsageError

FOREIGN = {
    "ignore_index": "PyTorch's ignore_index is ignore_class here, of losses with integer labels: ignore_class=-100.",
    "weight": (
        "PyTorch's weight of classes is class_weight=[...] of streamloss.evaluate (--class-weight) and of the call, "
        "loss(y_true, y_pred, class_weight=[...]), with reduction='mean_with_sample_weight' for PyTorch's mean; "
        "weights of rows are sample_weight."
    ),
    "class_weight": (
        "It is an argument of streamloss.evaluate (--class-weight 1,2,0.5; in TOML a key beside losses) and of the "
        "call, loss(y_true, y_pred, class_weight=[...]), not of a loss."
    ),
    "size_average": "It is reduction here: 'sum_over_batch_size' or 'sum'.",
    "reduce": "It is reduction here: 'sum_over_batch_size', 'sum' or 'none'.",
    "beta": "PyTorch's beta of smooth L1 is delta of Huber, whose value is divided by it there.",
}
"""The parameters that losses have in PyTorch, and what to write here instead."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One keyword of a loss."""

    default: Any
    doc: str
    interval: Interval | None = None
    """The interval of allowed numbers; None for parameters that are not plain numbers."""
    types: tuple[type, ...] = (float, int)
    choices: tuple[str, ...] = ()
    """The allowed words, for a parameter that is a word."""
    several: bool = False
    """Whether it may be a list of its types."""
    added_later: bool = False
    """Whether states and results leave it out where it has its default: those that were written before it was there
    mean the same.
    """

    def check(self, loss: str, name: str, given: Any) -> Any:
        """Return the value in its plain Python type, a tuple for a list. Raises UsageError for a value that is not
        allowed.
        """
        if self.several and isinstance(given, list | tuple | np.ndarray) and np.ndim(given) == 1:
            values: list[Any] = given.tolist() if isinstance(given, np.ndarray) else list(given)
            return tuple(self._check_one(loss, f"{name}[{i}]", value) for i, value in enumerate(values))
        return self._check_one(loss, name, given)

    def _check_one(self, loss: str, name: str, given: Any) -> Any:
        value: Any = given.item() if isinstance(given, np.generic | np.ndarray) and np.size(given) == 1 else given
        if self.choices:
            if value not in self.choices:
                raise UnknownNameError(f"{name} of {loss}", value, self.choices)
            return value
        wrong_bool = isinstance(value, bool) and bool not in self.types
        if wrong_bool or not any(isinstance(value, kind) for kind in self.types):
            one = f" It is one, not several: {self.doc}." if isinstance(value, list | tuple) else ""
            raise UsageError(f"{loss}: {name} must be {self._wanted()}; received {value!r}.{one}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{loss}: {name} must be finite; received {value!r}.")
        if self.interval is None or value is None:
            return value
        if value not in self.interval:
            raise UsageError(f"{loss}: {name} must lie in {self.interval}; received {value!r}.")
        return float(value) if float in self.types else value

    def _wanted(self) -> str:
        one = " or ".join("None" if t is type(None) else t.__name__ for t in self.types)
        return f"{one}, or a list of these" if self.several else one


INT64 = Interval(-(2.0**63), 2.0**63, low_open=True, high_open=True)
FROM_LOGITS = Parameter(False, "whether `y_pred` holds logits rather than probabilities", types=(bool,))
AXIS = Parameter(-1, "the axis of `y_pred` that holds the classes: a number, or a dimension's name", types=(int, str))
MEAN_AXIS = Parameter(
    -1,
    "the axis of `y_pred` that is averaged, or a list of axes; None: nothing is averaged, each element is a sample",
    types=(int, str, type(None)),
    several=True,
)
IGNORE_CLASS = Parameter(
    None,
    "rows with this label have no loss and are not counted",
    INT64,
    types=(int, type(None)),
)
EPSILON = Parameter(
    1e-7,
    "probabilities are clipped to [epsilon, 1 - epsilon] in the result dtype, as in Keras; 0: not clipped",
    Interval(0.0, 0.5, high_open=True),
)
LABEL_SMOOTHING = Parameter(0.0, "how much of the labels' mass is spread evenly over the classes", UNIT)
GAMMA = Parameter(2.0, "how strongly easy samples are discounted; 0: not at all", Interval(0.0))
POSITIVE = Interval(0.0, low_open=True)
NOT_NEGATIVE = Interval(0.0)


def epsilon(doc: str, default: float = 1e-7) -> Parameter:
    """Return a parameter ``epsilon`` without an upper bound.

    Formulas receive it as `lower`, rounded to the result dtype.
    """
    return Parameter(default, doc, NOT_NEGATIVE)
