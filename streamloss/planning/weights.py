"""Aligning the axes of `sample_weight`, `mask` and keys with those of the losses."""

from __future__ import annotations

import itertools

from ..errors import ShapeError
from .advice import advice_on_weight
from .alignment import BROADCAST_AXIS, UNIT_AXIS, Shape, View


def align_weight(weight: Shape, rows: Shape, role: str = "sample_weight") -> View:
    """Return how a weight (or mask) meets the losses: it has their shape, or their rank with 1s, or a 1 behind it.

    Raises ShapeError for anything else; a lower rank would be a guess which axes are meant.
    """
    squeezed = weight[:-1] if len(weight) == len(rows) + 1 and weight[-1] == 1 else weight
    if len(squeezed) == len(rows) and all(w in (1, n) for w, n in zip(squeezed, rows, strict=True)):
        axes = [i if w == n else BROADCAST_AXIS for i, (w, n) in enumerate(zip(squeezed, rows, strict=True))]
        return View(weight, tuple([*axes, UNIT_AXIS] if len(weight) > len(axes) else axes))
    if options := _reshapes(weight, rows):
        raise ShapeError(
            f"{role} has shape {weight} but the losses have shape {rows}: which axis it follows is ambiguous. "
            f"Reshape it to {' or '.join(map(str, options))}."
        )
    raise ShapeError(
        f"{role} has shape {weight} but the losses have shape {rows}; expected "
        f"{'a scalar, ' if role == 'sample_weight' else ''}the losses' shape, or their rank with 1s where one "
        f"entry holds for the whole axis.{advice_on_weight(role, weight, rows)}"
    )


def _reshapes(weight: Shape, rows: Shape) -> list[Shape]:
    """Return the shapes of the losses' rank that a weight of lower rank could have."""
    placed = (
        tuple(n if i in axes else 1 for i, n in enumerate(rows))
        for axes in itertools.combinations(range(len(rows)), len(weight))
        if tuple(rows[i] for i in axes) == weight
    )
    return [] if len(weight) >= len(rows) else list(dict.fromkeys(placed))
