"""Losses of rows that were written before: what is evaluated where no loss is named."""

from ._kinds import Elementwise
from ._parameters import MEAN_AXIS
from ._registry import declare

NAME = "recorded_loss"


def recorded(y: float, p: float) -> float:
    return p


declare(
    NAME,
    "RecordedLoss",
    formula=Elementwise(recorded, cancels=True),
    parameters={"axis": MEAN_AXIS},
    listed=False,
    peer="streamloss",
    doc="""
    Losses of rows that were written before, by ``reduction="none"`` or by another program: ``y_pred`` itself.

    Source: none; ``evaluate(None, None, losses)`` and ``compare(None, None, {...})`` use it.
    """,
)
