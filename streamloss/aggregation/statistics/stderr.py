"""The standard error of a mean over independent rows, from exact second moments.

With ``v`` the losses, ``w`` the weights, ``x = v w`` and n rows that count (Cochran, Sampling Techniques, 3rd edition,
1977): of ``Σ x / n``, ``sqrt(Σ (x - x̄)² / (n (n - 1)))`` (equation 2.22, without the finite population correction); of
the ratio ``R = Σ x / Σ w``, ``sqrt(n / (n - 1) Σ (x - R w)²) / Σ w`` (equation 6.13), which is the same without
weights. See :mod:`streamloss.aggregation.uncertainty`.

A product of two float64 is the sum of two: the rounded product, and what its rounding lost, which a fused multiply-add
tells (exact where the product is above 2**-969).
"""

from ...core.primitives import fma
from ...core.types import Reduction
from ..accumulation import RowSum
from ..state import State
from ..statistic import Statistic
from ..uncertainty import standard_error

INFINITY = float("inf")


def square(value: float, weight: float) -> tuple[float, float]:
    rounded = value * value
    return rounded, fma(value, value, -rounded) if rounded < INFINITY else 0.0


def product(value: float, weight: float) -> tuple[float, float]:
    rounded = value * weight
    return rounded, fma(value, weight, -rounded) if abs(rounded) < INFINITY else 0.0


def weight_square(value: float, weight: float) -> tuple[float, float]:
    rounded = weight * weight
    return rounded, fma(weight, weight, -rounded) if rounded < INFINITY else 0.0


def of_mean(state: State) -> float:
    return standard_error(state, Reduction.SUM_OVER_BATCH_SIZE)


def of_weighted_mean(state: State) -> float:
    return standard_error(state, Reduction.MEAN_WITH_SAMPLE_WEIGHT)


STATISTIC = Statistic(
    "stderr",
    sums=(
        RowSum("loss_squared", square, num_terms=2),
        RowSum("loss_times_weight", product, num_terms=2),
        RowSum("weight_squared", weight_square, num_terms=2, of_weight_alone=True),
    ),
    derived={"stderr_of_mean": of_mean, "stderr_of_weighted_mean": of_weighted_mean},
)
