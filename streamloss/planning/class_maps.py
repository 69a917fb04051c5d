"""Labels of ratios that are maps of classes: integers in the shape of `y_pred` without its axis of classes."""

from __future__ import annotations

from ..errors import ShapeError, UsageError
from ..formulas._registry import LossSpec

Shape = tuple[int, ...]


def class_axis_of_map(spec: LossSpec, y_true: Shape, y_pred: Shape) -> int | None:
    """Return the axis of `y_pred` that holds the classes of labels that are a map; None for labels that are none.

    Raises ShapeError for a ``class_axis`` that `y_pred` does not have.
    """
    asked, rank = spec.parameters["class_axis"], len(y_pred)
    if not -rank <= asked < rank:
        raise ShapeError(
            f"{spec.name}: class_axis={asked} is out of bounds for y_pred of rank {rank}; "
            f"expected {-rank} to {rank - 1}."
        )
    axis = int(asked % rank)
    if y_pred[axis] == 1:  # labels of one column are numbers, with or without the axis
        return None
    rows, with_one = y_pred[:axis] + y_pred[axis + 1 :], (*y_pred[:axis], 1, *y_pred[axis + 1 :])
    return axis if rows and y_true in (rows, with_one) else None


def refuse_ignored_number(spec: LossSpec, y_true: Shape, y_pred: Shape) -> None:
    """Raise UsageError for an ``ignore_class`` that is a label of elements: it would leave out all that are 0, or 1."""
    ignored = spec.parameters["ignore_class"]
    if ignored in (0, 1):
        raise UsageError(
            f"{spec.name}: ignore_class={ignored} names a class, but y_true has the shape {y_true} of y_pred {y_pred}, "
            "whose labels are 0 and 1 themselves; expected integer labels without the axis of the classes, or a number "
            "that is neither. Pass y_true.argmax(-1) for one-hot labels, or a mask."
        )
