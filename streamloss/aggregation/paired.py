"""The difference of the means of two losses over the same rows, and its standard error, from exact moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from .exact_sum import ExactSum
from .state import State
from .student_t import probability_beyond
from .tables.states import mean_of
from .uncertainty import Moments, Ratio, cluster_moments, ratio_error


class Clusters(NamedTuple):
    """The sums of the losses, of the weights, and the counts, of each cluster."""

    losses: Sequence[ExactSum]
    weights: Sequence[ExactSum]
    counts: Sequence[int]


class Pair(NamedTuple):
    """A model and its baseline on the same rows."""

    model: State
    baseline: State
    product: Fraction | None
    """``Σ a b`` of the two losses of each row; None where it is not finite."""
    better: int
    equal: int
    clusters: tuple[Clusters, Clusters] | None


def mean_difference(pair: Pair) -> tuple[float, int]:
    """Return the difference of the means, rounded once, and the number of independent units."""
    units = pair.model.count("count")
    if pair.clusters is not None:
        units = sum(1 for count in pair.clusters[0].counts if count)
    loss, other = pair.model.sum("loss"), pair.baseline.sum("loss")
    if loss.special is not None or other.special is not None:
        return mean_of(pair.model) - mean_of(pair.baseline), units
    return ExactSum(loss.units - other.units).over(_denominator(pair.model).exactly()), units


def difference_error(pair: Pair) -> float:
    """Return the standard error of the difference of the means: of independent rows, or of clusters."""
    total = _denominator(pair.model)
    difference = ExactSum(pair.model.sum("loss").units - pair.baseline.sum("loss").units)
    moments = _cluster_moments_of_difference(pair) if pair.clusters is not None else _moments_of_difference(pair)
    return math.nan if moments is None else ratio_error(Ratio(difference, total), moments)


def skill_error(pair: Pair) -> float:
    """Return the standard error of the skill score, ``1 - Σ b / Σ a``: that of the ratio of the two sums."""
    if pair.clusters is not None:
        own, other = pair.clusters
        used = [i for i, count in enumerate(own.counts) if count]
        moments = cluster_moments([own.losses[i] for i in used], [other.losses[i] for i in used])
    else:
        moments = _moments_of_ratio(pair)
    return (
        math.nan if moments is None else ratio_error(Ratio(pair.model.sum("loss"), pair.baseline.sum("loss")), moments)
    )


def _moments_of_ratio(pair: Pair) -> Moments | None:
    squares = [state.sum("loss_squared") for state in (pair.model, pair.baseline)]
    if pair.product is None or any(square.special is not None for square in squares):
        return None
    return Moments(squares[0].exactly(), pair.product, squares[1].exactly(), pair.model.count("count"))


def _moments_of_difference(pair: Pair) -> Moments | None:
    """Return Σ d², Σ d w and Σ w² of the differences d of weighted losses, over rows."""
    of_ratio = _moments_of_ratio(pair)
    if of_ratio is None:
        return None
    squares = of_ratio.aa - 2 * of_ratio.ab + of_ratio.bb
    count = pair.model.count("count")
    if not pair.model.identity.weighted:
        difference = pair.model.sum("loss").exactly() - pair.baseline.sum("loss").exactly()
        return Moments(squares, difference, Fraction(count), count)
    products = [state.sum("loss_times_weight").exactly() for state in (pair.model, pair.baseline)]
    return Moments(squares, products[0] - products[1], pair.model.sum("weight_squared").exactly(), count)


def _cluster_moments_of_difference(pair: Pair) -> Moments | None:
    assert pair.clusters is not None
    own, other = pair.clusters
    used = [i for i, count in enumerate(own.counts) if count]
    if any(own.losses[i].special is not None or other.losses[i].special is not None for i in used):
        return None
    differences = [ExactSum(own.losses[i].units - other.losses[i].units) for i in used]
    return cluster_moments(differences, [own.weights[i] for i in used])


def _denominator(state: State) -> ExactSum:
    return state.sum("weight") if state.identity.weighted else ExactSum.of_count(state.count("count"))


def p_value_of(difference: float, error: float, units: int) -> float:
    """Return the two-sided p-value of a difference; NaN where there is no error to judge it by."""
    if math.isnan(error) or units < 2:
        return math.nan
    if error == 0.0:
        return 1.0 if difference == 0.0 else 0.0
    return probability_beyond(difference / error, units - 1)
