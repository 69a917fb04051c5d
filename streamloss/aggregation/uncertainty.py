"""Standard errors and intervals of means, from exact sums."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from ..core.types import Reduction
from .exact_sum import ExactSum
from .state import State
from .student_t import quantile


class Ratio(NamedTuple):
    """A mean as the ratio of two sums over units: rows, or clusters."""

    numerator: ExactSum
    denominator: ExactSum


class Moments(NamedTuple):
    """The exact second moments of the numerators ``a`` and denominators ``b`` of units: Σa², Σab and Σb²."""

    aa: Fraction
    ab: Fraction
    bb: Fraction
    units: int


def standard_error(state: State, reduction: Reduction) -> float:
    """Return the standard error of a mean over independent rows: NaN for fewer than two rows, or losses that are not
    finite.

    The state has the sums of the statistic "stderr". The reduction is a mean.
    """
    count, loss = state.count("count"), state.sum("loss")
    if loss.special is not None or count < 2:
        return math.nan
    squares = _finite(state.sum("loss_squared"))
    if squares is None:
        return math.nan
    match reduction:
        case Reduction.MEAN_WITH_SAMPLE_WEIGHT:
            weight = state.sum("weight")
            products, weights = _finite(state.sum("loss_times_weight")), _finite(state.sum("weight_squared"))
            if products is None or weights is None or weight.special is not None:
                return math.nan
            if not state.identity.weighted:
                products, weights = loss.exactly(), Fraction(count)
            return ratio_error(Ratio(loss, weight), Moments(squares, products, weights, count))
        case Reduction.SUM_BY_NONZERO_WEIGHTS:  # rows of weight 0 have neither numerator nor denominator
            nonzero = state.count("nonzero_weights")
            of = Moments(squares, loss.exactly(), Fraction(nonzero), count)
            return ratio_error(Ratio(loss, ExactSum.of_count(nonzero)), of)
        case _:
            of = Moments(squares, loss.exactly(), Fraction(count), count)
            return ratio_error(Ratio(loss, ExactSum.of_count(count)), of)


def ratio_error(ratio: Ratio, of: Moments) -> float:
    """Return the standard error of a ratio of sums over independent units.

    ``sqrt(n / (n - 1) Σ (a - R b)²) / Σ b``: Cochran's for rows (equation 6.13); for clusters Liang and Zeger's
    sandwich ("Longitudinal data analysis using generalized linear models", 1986) with the correction of CR1.
    """
    total = ratio.denominator.exactly()
    if of.units < 2 or total == 0:
        return math.nan
    r = ratio.numerator.exactly() / total
    residual = of.aa - 2 * r * of.ab + r * r * of.bb  # exact, so it is not below 0
    return _square_root(residual * of.units / (of.units - 1)) / abs(float(total))


def cluster_moments(numerators: Iterable[ExactSum], denominators: Iterable[ExactSum]) -> Moments | None:
    """Return the moments of clusters' sums; None where one is not finite."""
    aa = ab = bb = Fraction(0)
    units = 0
    for numerator, denominator in zip(numerators, denominators, strict=True):
        a, b = _finite(numerator), _finite(denominator)
        if a is None or b is None:
            return None
        aa, ab, bb, units = aa + a * a, ab + a * b, bb + b * b, units + 1
    return Moments(aa, ab, bb, units)


def jackknife_error(numerators: Sequence[ExactSum], denominators: Sequence[ExactSum]) -> float:
    """Return the standard error of a ratio of sums over units by leaving out one unit at a time.

    ``sqrt((n - 1) / n Σ (R_i - mean of R_i)²)``, with R_i the ratio without the i-th unit (Quenouille, "Notes on bias
    in estimation", 1956; Tukey, 1958). For a series the units are blocks of it: days, weeks.
    """
    sums = [_finite(total) for total in (*numerators, *denominators)]
    units = len(numerators)
    if units < 2 or any(total is None for total in sums):
        return math.nan
    a, b = sum(numerators, ExactSum()), sum(denominators, ExactSum())
    without = []
    for numerator, denominator in zip(numerators, denominators, strict=True):
        rest = ExactSum(b.units - denominator.units)
        if rest.units == 0:
            return math.nan
        without.append(ExactSum(a.units - numerator.units).over(rest.exactly()))
    mean = math.fsum(without) / units
    return math.sqrt(math.fsum((value - mean) ** 2 for value in without) * (units - 1) / units)


class Interval(NamedTuple):
    """A confidence interval of a mean."""

    low: float
    high: float


def interval(mean: float, error: float, units: int, level: float) -> Interval:
    """Return the interval around a mean by Student's t with ``units - 1`` degrees of freedom."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"a level of confidence lies between 0 and 1; received {level!r}")
    if units < 2 or math.isnan(error):
        return Interval(math.nan, math.nan)
    reach = quantile(0.5 + level / 2, units - 1) * error
    return Interval(mean - reach, mean + reach)


def _finite(total: ExactSum) -> Fraction | None:
    return total.exactly() if total.special is None else None


def _square_root(value: Fraction) -> float:
    """Return the square root of a fraction as a float64, also where the fraction itself is none."""
    if value <= 0:
        return 0.0
    shift = (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    scaled = value / Fraction(4) ** shift
    return math.ldexp(math.sqrt(scaled), shift)
