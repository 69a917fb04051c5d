"""The totals that all reductions are made of; every evaluation has them."""

from ..accumulation import RowCount, RowSum, value_alone, weight_alone
from ..statistic import Statistic


def has_weight(value: float, weight: float) -> bool:
    return weight != 0.0


STATISTIC = Statistic(
    "totals",
    sums=(
        RowSum("loss", value_alone),  # the first: kernels learn from adding it whether a loss is NaN
        RowSum("weight", weight_alone, of_weight_alone=True),
    ),
    counts=(RowCount("nonzero_weights", has_weight, of_weight_alone=True),),
)
