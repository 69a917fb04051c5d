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
def outcome_of(value: float, status: int, weight: float, nan_policy: int) -> int:
    """Return the outcome of a row from its loss (NaN included), its status, its weight (1.0 where there are none) and
    the policy. See :mod:`streamloss.aggregation.accumulation` for the outcomes.
    """
    if status == BAD or not is_proper(weight):
        return OUTCOME_REFUSED
    if status == IGNORED:
        return OUTCOME_IGNORED
    if value != value or status != KEPT:
        if nan_policy == RAISE:
            return OUTCOME_REFUSED
        if nan_policy == OMIT:
            return OUTCOME_OMITTED
    return OUTCOME_COUNTED
