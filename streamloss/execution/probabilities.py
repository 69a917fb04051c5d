"""Probabilities outside [0, 1]: those that rounding put there, or with ``clip_probabilities`` all, are taken as 0 or 1.

Kernels refuse such rows, and few blocks have any: only a block in which a row was refused for them is evaluated again,
in pieces, of which the numbers are changed in a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.types import UNIT
from ..planning.plan import Plan, PlannedLoss

Array = np.ndarray[Any, Any]

ROUNDING = {"float16": 2.0**-8, "bfloat16": 2.0**-5, "float32": 2.0**-21, "float64": 2.0**-50}
"""The distance from [0, 1] that rounding may have given a number, by the dtype that it is stored in: four times the one
from 1 to the next number.
"""
PIECE = 1 << 18
"""Predictions that are copied at a time."""


@dataclass(frozen=True, slots=True)
class Slack:
    """The numbers outside [0, 1] that an array may hold, because they are taken as 0 or 1."""

    rounding: float = 0.0
    """The distance from [0, 1] that they may have; 0: there are none."""
    clip: bool = False
    """Whether they may have any finite distance."""
    fractions_only: bool = False
    """Whether whole numbers are none of them: a label of 2 or -1 is a code, not a probability."""

    def inside(self, data: Array) -> Array:
        """Return floats with those that may be outside [0, 1] as 0 or 1, and any others as they are."""
        if self.rounding == 0.0:
            return data
        reach = float(np.finfo(data.dtype).max) if self.clip else self.rounding
        allowed = (data >= -reach) & (data <= 1.0 + reach)
        if self.fractions_only:
            allowed &= data != np.floor(data)
        return np.where(allowed, np.clip(data, 0.0, 1.0), data)

    def changes(self, data: Array) -> bool:
        """Return whether :meth:`inside` changes any number."""
        if self.rounding == 0.0:
            return False
        numbers = data.astype(np.float64)
        changed: Array = (self.inside(numbers) != numbers) & (numbers == numbers)
        return bool(changed.any())


NO_SLACK = Slack()


@dataclass(frozen=True, slots=True)
class Slacks:
    """The slack of labels and of predictions."""

    y_true: Slack
    y_pred: Slack


def slacks_of(plan: Plan, planned: PlannedLoss) -> Slacks:
    """Return which numbers outside [0, 1] a loss takes as 0 or 1. Integers, and other intervals, have no slack."""
    formula, clip = planned.formula, plan.clip_probabilities
    numbers = formula.y_true == UNIT and planned.alignment.class_axis is None
    of_labels = ROUNDING.get(plan.y_true.dtype.name, 0.0) if numbers else 0.0
    of_predictions = ROUNDING.get(plan.predictions(planned).dtype.name, 0.0) if formula.y_pred == UNIT else 0.0
    return Slacks(Slack(of_labels, clip, fractions_only=True), Slack(of_predictions, clip))
