"""Advice about labels and predictions whose shapes do not fit a loss: the mistakes that people make, by shape."""

from __future__ import annotations

from ..formulas._kinds import LabelLayout
from ..formulas._registry import LossSpec

Shape = tuple[int, ...]

SPARSE = "SparseCategoricalCrossentropy"
OF_ONE_SCORE = (
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "weighted_cross_entropy_with_logits",
    "hinge",
    "squared_hinge",
)
"""The losses of a label 0 or 1 (or -1 and 1) and one score."""
OF_CLASSES = ("categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge", "kl_divergence")
"""The losses of one-hot labels, or of a distribution, over the classes."""
EXCHANGED = "If the two are exchanged: y_true comes first."


def advice_on_shapes(spec: LossSpec, y_true: Shape, y_pred: Shape) -> str:
    """Return what to do about shapes that do not align, from the most to the least certain mistake."""
    if y_true and (other := _other_axes(spec, y_true, y_pred)) is not None:
        return other
    if spec.formula.label_layout is LabelLayout.SEQUENCE:
        found = _on_sequences(y_true, y_pred)
    elif spec.formula.label_layout is LabelLayout.PER_ROW:
        found = _on_one_number(spec, y_true, y_pred)
    else:
        found = _on_elements(spec, y_true, y_pred) if y_true else None
    return found or _on_rows(y_true, y_pred)


def advice_on_one_column(spec: LossSpec, y_true: Shape, y_pred: Shape) -> str:
    """Return what to do about predictions of one axis in a loss over classes."""
    if spec.formula.meanings:
        return f"Stack them: np.stack([{', '.join(spec.formula.meanings)}], axis=-1)."
    if len(y_true) > 1 and y_true[0] == y_pred[0]:
        return EXCHANGED
    one_row = "For a single row of classes pass y_pred.reshape(1, -1)."
    if y_true[:1] == y_pred and spec.formula.integer_labels:
        return f"{advice_on_binary(spec)} {one_row}"
    return one_row


def advice_on_binary(spec: LossSpec) -> str:
    """Return which loss has one column of predictions, and labels 0 and 1."""
    if spec.name in ("zero_one_loss", "top_k_error"):
        return "For one column p of probabilities of class 1 pass np.stack([1 - p, p], axis=-1)."
    if spec.name == "brier_score":
        return "For one column of probabilities of class 1 use MeanSquaredError."
    return f"For one column of {_scores(spec)} of class 1 use BinaryCrossentropy{_logits(spec)}."


def advice_on_weight(role: str, weight: Shape, rows: Shape) -> str:
    """Return what to do about a weight or mask that does not align with losses of the shape `rows`; a space before."""
    if sorted(weight) == sorted(rows):
        return " " + _transposed(weight, rows, role)
    if 0 in weight:
        return f" {role} has no rows: look how it was written, or selected."
    if weight[:-1] == rows:
        return (
            f" A loss is one number for the last axis, of which {role} has {weight[-1]} entries: pass one for each "
            "row; losses that take axis=None then have one for each element."
        )
    if weight[1:] == rows[1:] and len(weight) == len(rows):
        return f" {_on_numbers_of_rows(weight[0], rows[0])}"
    return ""


def _on_one_number(spec: LossSpec, y_true: Shape, y_pred: Shape) -> str | None:
    """Advise on a loss that has one label for each row."""
    if y_true == y_pred:
        if spec.formula.meanings:
            return "Pass one number for each row as y_true: the distribution's parameters are in y_pred alone."
        has_dense = spec.name == "sparse_categorical_crossentropy"
        use = f"use CategoricalCrossentropy{_logits(spec)}, or " if has_dense else ""
        return f"For one-hot labels {use}pass y_true.argmax({_axis(spec)})."
    if len(y_true) > len(y_pred):
        return EXCHANGED
    return None


def _on_elements(spec: LossSpec, y_true: Shape, y_pred: Shape) -> str | None:
    """Advise on a loss that has a label for each element of the predictions."""
    labels = y_true[:-1] if len(y_true) == len(y_pred) and y_true[-1:] == (1,) else y_true
    if y_pred and labels == y_pred[:-1]:
        return _on_one_label_for_classes(spec, y_pred[-1])
    predictions = y_pred[:-1] if len(y_true) == len(y_pred) and y_pred[-1:] == (1,) else y_pred
    if y_true and predictions == y_true[:-1]:
        what = "class scores" if spec.name in OF_CLASSES else "a value"
        return (
            f"y_pred has one number where y_true has {y_true[-1]}: pass {what} for each of them, not the predicted "
            f"class. {EXCHANGED}"
        )
    return None


def _on_one_label_for_classes(spec: LossSpec, classes: int) -> str:
    """Advise on labels of which there is one for each row of predictions over several classes."""
    one_hot = f"streamloss.losses.to_categorical(y_true, {classes})"
    if spec.name in OF_ONE_SCORE:
        if spec.name in ("hinge", "squared_hinge"):
            instead = f"use CategoricalHinge with {one_hot}"
        else:
            logits = "(from_logits=True)" if spec.name.endswith("with_logits") else _logits(spec)
            instead = f"use {SPARSE}{logits}, or pass {one_hot} for a yes or no of each class"
        column = "; for class 1 alone, pass y_pred[..., 1]" if classes == 2 else ""
        return f"For integer labels and scores of {classes} classes {instead}{column}."
    if spec.name == "categorical_crossentropy":
        return f"For integer labels use {SPARSE}{_logits(spec)}, or pass {one_hot}."
    if spec.name in OF_CLASSES:
        return f"For integer labels pass {one_hot}."
    return (
        f"y_pred has {classes} values for each label: pass the one that is meant, such as y_pred[..., 0]. For integer "
        f"labels of {classes} classes use 'brier_score' or '{SPARSE}', or pass {one_hot}."
    )


def _on_sequences(y_true: Shape, y_pred: Shape) -> str | None:
    """Advise on sequences of labels."""
    if len(y_true) == 2 and len(y_pred) == 3 and y_true[0] == y_pred[1] != y_pred[0]:
        return "If time is the first axis of y_pred, pass np.moveaxis(y_pred, 1, 0)."
    if len(y_true) == 3 and len(y_pred) == 2:
        return EXCHANGED
    if len(y_true) != 2:
        return "Labels of all rows are one array, each row filled up with zeros; the blank is class 0."
    return None


def _other_axes(spec: LossSpec, y_true: Shape, y_pred: Shape) -> str | None:
    """Return which axis holds the classes, or that axes are in another order, where the shapes say so."""
    ratio = spec.formula.is_ratio
    one_label = spec.formula.label_layout is LabelLayout.PER_ROW and not spec.formula.meanings
    if (one_label or ratio) and len(y_pred) > 1:
        fits = [axis for axis in range(len(y_pred)) if y_true == y_pred[:axis] + y_pred[axis + 1 :]]
        if fits:
            name = "class_axis" if ratio else "axis"
            return f"If axis {fits[0]} of y_pred holds the classes, pass {name}={fits[0]}."
        rows = y_pred[:-1]
        if len(rows) > 1 and sorted(y_true) == sorted(rows):
            return _transposed(y_true, rows, "y_true")
    if len(y_true) > 1 and y_true != y_pred and sorted(y_true) == sorted(y_pred):
        return _transposed(y_true, y_pred, "y_true")
    return None


def _transposed(shape: Shape, wanted: Shape, role: str) -> str:
    """Return how an array of `shape` has its axes in the order of `wanted`."""
    left = list(range(len(shape)))
    order = []
    for n in wanted:
        axis = next(axis for axis in left if shape[axis] == n)
        order.append(axis)
        left.remove(axis)
    how = f"{role}.T" if len(shape) == 2 else f"{role}.transpose({', '.join(map(str, order))})"
    return f"They have the same lengths in another order: pass {how} if it is the same data."


def _on_rows(y_true: Shape, y_pred: Shape) -> str:
    """Advise on any other shapes: as many entries, other numbers of rows or of something else."""
    if not y_true:
        return "One label does not hold for all rows: pass one for each."
    if [n for n in y_true if n != 1] == [n for n in y_pred if n != 1]:
        return f"They differ in axes of length 1 alone: pass y_true.reshape({', '.join(map(str, y_pred))})."
    if 0 in (y_true[0], y_pred[0]):
        return f"{'y_pred' if y_true[0] else 'y_true'} has no rows: look how it was written, or selected."
    if y_true[0] != y_pred[0]:
        return _on_numbers_of_rows(y_true[0], y_pred[0])
    if len(y_true) == len(y_pred):
        axis = next(axis for axis, (a, b) in enumerate(zip(y_true, y_pred, strict=True)) if a != b)
        return f"Axis {axis} has {y_true[axis]} entries in y_true and {y_pred[axis]} in y_pred: pass the same of both."
    return f"y_true has {len(y_true)} axes and y_pred {len(y_pred)}: pass, or pick, the part of each that is meant."


def _on_numbers_of_rows(first: int, second: int) -> str:
    """Return how to evaluate the rows that two arrays both have."""
    both = min(first, second)
    return (
        f"They have {first:,} and {second:,} rows: pass rows=slice(0, {both}) (--rows 0:{both}) to evaluate the rows "
        "both have, if they do belong together."
    )


def _axis(spec: LossSpec) -> int:
    return spec.axis if isinstance(spec.axis, int) else -1


def _logits(spec: LossSpec) -> str:
    return "(from_logits=True)" if spec.parameters.get("from_logits") else ""


def _scores(spec: LossSpec) -> str:
    return "logits" if spec.parameters.get("from_logits") else "probabilities"
