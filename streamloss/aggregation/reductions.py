"""The values of an exact state: reductions, ratios over the whole data, statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import numpy as np

from ..core.types import Reduction
from ..formulas._kinds import Overlap
from ..formulas._registry import LossSpec
from .accumulation import BINARY
from .exact_sum import ExactSum
from .identity import StateIdentity
from .ratios import RATIOS
from .state import State
from .statistics import values_of


@dataclass(frozen=True, slots=True)
class Totals:
    """The exact sums and counts that reductions are made of."""

    loss: ExactSum
    """``Σ v w``"""
    weight: ExactSum
    """``Σ w``, with w broadcast to the losses; the count where there are no weights."""
    count: int
    nonzero_weights: int


def totals(state: State) -> Totals:
    """Return the sums over a state's losses.

    A loss whose labels' convention was left open has both sums, of which all labels decide; ratios over the whole data
    are computed here.
    """
    identity = state.identity
    if identity.ratio_shape is not None:
        losses = ratio_losses(state, weighted=True)
        total = sum((ExactSum.of_value(loss) for loss in losses.ravel().tolist()), ExactSum())
        weight = ExactSum.of_value(_weight_of_ratios(identity))
        return Totals(total, weight.times(losses.size), losses.size, losses.size if identity.weight else 0)
    decided = with_convention(state)
    return Totals(decided.sum("loss"), decided.sum("weight"), decided.count("count"), decided.count("nonzero_weights"))


def with_convention(state: State) -> State:
    """Return the state with the sums of the labels' convention that all labels decide, under their own names.

    Other states are returned as they are.
    """
    if state.identity.parameters.get("labels") != "auto" or state.count("other_labels") > 0:
        return state
    binary = {name.removesuffix(BINARY): total for name, total in state.sums.items() if name.endswith(BINARY)}
    parts = {name.removesuffix(BINARY): part for name, part in state.parts.items() if name.endswith(BINARY)}
    return State(state.identity, {**state.sums, **binary}, state.counts, {**state.parts, **parts})


def derived_values(state: State) -> dict[str, Any]:
    """Return the values that the statistics of an evaluation derive from its merged state, by name."""
    return values_of(with_convention(state), state.identity.statistics)


def reduce_state(state: State, reduction: Reduction) -> float:
    """Return the value under a reduction other than NONE: the exact sum over the exact divisor, rounded once."""
    of = totals(state)
    match reduction:
        case Reduction.SUM:
            return of.loss.rounded()
        case Reduction.SUM_OVER_BATCH_SIZE | Reduction.MEAN | Reduction.AUTO:
            return of.loss.over(Fraction(of.count))
        case Reduction.MEAN_WITH_SAMPLE_WEIGHT:
            return of.loss.over(of.weight.exactly())
        case Reduction.SUM_BY_NONZERO_WEIGHTS:
            return of.loss.over(Fraction(of.nonzero_weights))
    raise ValueError(f"{reduction} is not one number")


def ratio_losses(state: State, weighted: bool = False) -> np.ndarray[Any, Any]:
    """Return the ratios over the whole data as float64, each rounded once and, if `weighted`, times the weight."""
    identity = state.identity
    assert identity.ratio_shape is not None
    spec = LossSpec.of(identity.loss, identity.parameters)
    formula = cast(Overlap, spec.formula)  # the only kind that has a ratio_shape
    arguments = [Fraction(value) for value in spec.arguments(np.dtype(identity.dtype))]
    losses = np.empty(identity.ratio_shape, np.float64)
    names = iter(RATIOS.sum_names(losses.size))
    for position in range(losses.size):
        both, y_pred, y_true = (state.sum(next(names)) for _ in range(3))
        shared = both.exactly()
        try:
            ratio = formula.finish(shared, y_pred.exactly() - shared, y_true.exactly() - shared, *arguments)
        except ZeroDivisionError:  # nothing against nothing, with epsilon=0
            ratio = math.nan
        losses.flat[position] = math.nan if (y_pred + y_true).special is not None else float(ratio)
    return losses * _weight_of_ratios(identity) if weighted else losses


def _weight_of_ratios(identity: StateIdentity) -> float:
    assert identity.weight is not None  # ratios over the whole data always have one
    return identity.weight
