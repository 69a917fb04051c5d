"""Losses between the directions of two vectors."""

from ..core.jit import scalar
from ..core.primitives import fma
from ._kinds import Rowwise
from ._parameters import AXIS
from ._registry import declare
from ._scalar import sqrt

SMALLEST_NORM = 1e-7


def products(
    y: float, p: float, top: float, total: float, err: float, size: float
) -> tuple[float, float, float, float]:
    dot = y * p
    return (dot, fma(y, p, -dot), y * y, p * p)


@scalar
def norm(square: float, err: float) -> tuple[float, float]:
    """Return the square root of ``square + err`` as a double-double, but at least SMALLEST_NORM."""
    root = sqrt(square)
    lo = (fma(-root, root, square) + err) / (2.0 * root)
    return (SMALLEST_NORM, 0.0) if root < SMALLEST_NORM else (root, lo)


def negative_cosine(
    sums: tuple[float, float, float, float], err: tuple[float, float, float, float], top: float, size: float
) -> float:
    dot = sums[0] + (err[0] + sums[1])
    dot_err = (sums[0] - dot) + (err[0] + sums[1])
    y, y_err = norm(sums[2], err[2])
    p, p_err = norm(sums[3], err[3])
    area = y * p
    area_err = fma(y, p, -area) + (y * p_err + y_err * p)
    cosine = dot / area
    cosine += (fma(-cosine, area, dot) + (dot_err - cosine * area_err)) / area
    # squares beyond the largest float64 have no cosine here; inf - inf makes that a NaN, which is refused by name
    return -cosine + 0.0 * (area - area)


declare(
    "cosine_similarity",
    "CosineSimilarity",
    "cosine",
    "cosine_proximity",
    formula=Rowwise(products, 4, negative_cosine),
    parameters={"axis": AXIS},
    positional=("axis", "reduction"),
    brief="directions of vectors: embeddings",
    doc="""
    Negative cosine of the angle between two vectors: ``-sum(l2_norm(y_true) l2_norm(y_pred), axis)``; -1 for equal
    directions, 1 for opposite ones. A vector is divided by its norm or 1e-7, whichever is larger.

    Source: Keras 3, ``cosine_similarity``.

    >>> import streamloss as sl
    >>> sl.losses.CosineSimilarity(axis=1)([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]).round(6)
    np.float64(-0.5)
    """,
)
