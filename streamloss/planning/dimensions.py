"""Dimensions by name: arrays that name the same ones have them in the same order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ..errors import ShapeError
from ..storage.sources.base import Source


def refuse_other_order(sources: Sequence[Source]) -> None:
    """Raise ShapeError for two arrays that name the same dimensions in another order.

    Their shapes may agree all the same, as those of square grids do. Arrays without names, and names that only one of
    the two has, say nothing.
    """
    for one, other in itertools.combinations(sources, 2):
        shared = set(one.dimensions) & set(other.dimensions) - {None}
        theirs, ours = ([name for name in source.dimensions if name in shared] for source in (one, other))
        if theirs != ours:
            raise ShapeError(
                f"{one.role} ({one.where}) has the dimensions {_named(one)}, but {other.role} ({other.where}) "
                f"{_named(other)}; expected one order. Transpose one of them, or rename its dimensions if the names "
                "are wrong."
            )


def _named(source: Source) -> str:
    return f"({', '.join(map(str, source.dimensions))})"
