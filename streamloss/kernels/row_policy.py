"""The policy about masks, weights and NaN that decides the outcome of a row, for every loop on every target."""

from typing import Any

import numpy as np

from ..aggregation.accumulation import OUTCOME_COUNTED, OUTCOME_IGNORED, OUTCOME_OMITTED, OUTCOME_REFUSED
from ..core.jit import scalar
from .base import BAD, IGNORED, KEPT, OMIT, RAISE


@scalar
def is_proper(weight: float) -> Any:
    """Return whether a weight is finite and at least 0."""
    return (weight >= 0.0) & (weight < np.inf)


@scalar
def weighted(value: float, status: int, weight: float) -> tuple[float, int]:
    """Return a row's weighted loss and its status. With a weight of 0 it is exactly 0, whatever the row holds."""
    nothing = weight == 0.0
    return (0.0 if nothing else value * weight), (KEPT if nothing & (status != IGNORED) else status)


@scalar
def outcome_of(value: float, status: int, weight: float, nan_policy: int) -> int:
    """Return the outcome of a row from its loss and status as :func:`weighted` left them, its weight (1.0 where there
    are none) and the policy. See :mod:`streamloss.aggregation.accumulation` for the outcomes.

    Masks and ``ignore_class`` come first, then the weight, then what the row holds.
    """
    if status == IGNORED:
        return OUTCOME_IGNORED
    if status == BAD or not is_proper(weight):
        return OUTCOME_REFUSED
    if value != value or status != KEPT:
        if nan_policy == RAISE:
            return OUTCOME_REFUSED
        if nan_policy == OMIT:
            return OUTCOME_OMITTED
    return OUTCOME_COUNTED
