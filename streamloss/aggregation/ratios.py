"""The sums of ratios over the whole data: of labels, predictions and their products, exact."""

from __future__ import annotations

from ..core.primitives import fma
from .accumulation import Accumulation, RowSum


def product(y: float, p: float) -> tuple[float, float]:
    """Return ``y p`` as two float64: the rounded product, and what its rounding lost."""
    rounded = y * p
    return rounded, fma(y, p, -rounded)


def prediction(y: float, p: float) -> tuple[float]:
    return (p,)


def label(y: float, p: float) -> tuple[float]:
    return (y,)


RATIOS = Accumulation(
    sums=(RowSum("both", product, num_terms=2), RowSum("y_pred", prediction), RowSum("y_true", label)),
    counted="elements",
    per_ratio=True,
)
