"""Ratios over the whole data as a table, such as the Dice loss of each class."""

from __future__ import annotations

import math

import numpy as np

from ..aggregation.ratios import RATIOS
from ..aggregation.reductions import ratio_losses
from ..aggregation.state import State
from ..errors import UsageError
from ..formulas._registry import LossSpec
from .table import Table


def ratios_of(state: State) -> Table:
    """Return a row for each ratio: its index along the axes that are not summed over, its loss, and the sums it is of.

    Raises UsageError for a loss that has losses of rows.
    """
    shape = state.identity.ratio_shape
    if shape is None:
        raise UsageError(
            f"{state.identity.loss} has a loss for each row; only Dice and Tversky with an axis= that includes the "
            "first have ratios over the whole data. Group rows with by= or keep=."
        )
    names = iter(RATIOS.sum_names(math.prod(shape)))
    rows = []
    for index, loss in zip(np.ndindex(*shape), ratio_losses(state).ravel().tolist(), strict=True):
        both, y_pred, y_true = (state.sum(next(names)).rounded() for _ in range(3))
        rows.append([*map(int, index), loss, both, y_true, y_pred])
    return Table([*_axes_of(state, len(shape)), "loss", "both", "y_true", "y_pred"], rows, "ratios", len(shape))


def _axes_of(state: State, kept: int) -> list[str]:
    """Return the names of the axes that are not summed over: "class" for that of the classes."""
    spec = LossSpec.of(state.identity.loss, state.identity.parameters)
    summed = spec.axis if isinstance(spec.axis, tuple) else () if spec.axis is None else (spec.axis,)
    rank = kept + len(summed)
    others = sorted(set(range(rank)) - {axis % rank for axis in summed}) if kept else []
    class_axis = spec.parameters["class_axis"] % rank if others else None
    return ["class" if axis == class_axis else f"axis_{axis}" for axis in others]
