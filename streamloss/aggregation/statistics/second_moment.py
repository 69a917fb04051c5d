"""The second moment of a loss: ``mean((v w)**2)``, from the exact sum of squares.

It is the first ingredient of standard errors. A square of a float64 is the sum of two float64: the rounded square and
what its rounding lost, which a fused multiply-add tells (exact where the square is above 2**-969).
"""

from fractions import Fraction

from ...core.primitives import fma
from ..accumulation import RowSum, Statistic
from ..state import State

INFINITY = float("inf")


def square(value: float, weight: float) -> tuple[float, float]:
    rounded = value * value
    return rounded, fma(value, value, -rounded) if rounded < INFINITY else 0.0


def mean_square(state: State) -> float:
    return state.sum("loss_squared").over(Fraction(state.count("count")))


STATISTIC = Statistic(
    "second_moment",
    sums=(RowSum("loss_squared", square, num_terms=2),),
    derived={"mean_square": mean_square},
)
