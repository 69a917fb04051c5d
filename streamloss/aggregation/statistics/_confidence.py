"""The class that is predicted for each row, with its probability: the loop over rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...core.loop import loop
from ...formulas._scalar import exp
from ..statistic import Array, LossRows


class Predicted(NamedTuple):
    """The predictions of rows."""

    confidence: Array
    """float64 (rows,): the probability of the class with the largest one; for one column, that of class 1."""
    doubt: Array
    """float64 (rows,): 1 less the confidence, without the rounding of a confidence near 1."""
    predicted: Array
    """int64 (rows,): that class; for one column 1 from a probability of 1/2 on."""
    label: Array
    """int64 (rows,): the label, or the class of the largest entry; -1 where there is none."""


def predicted_of(rows: LossRows) -> Predicted:
    """Return what is predicted for rows, in the same bits on every machine. Rows that do not count hold anything."""
    predictions = np.ascontiguousarray(rows.predictions())
    n, classes = predictions.shape
    confidence, doubt, predicted = np.empty(n), np.empty(n), np.empty(n, np.int64)
    _predict(predictions, bool(rows.from_logits), confidence, doubt, predicted)
    labels = rows.labels()
    if labels.ndim > 1 and labels.shape[1] > 1:
        label = labels.argmax(axis=1).astype(np.int64)
    else:
        flat = labels.reshape(-1)
        if flat.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                whole = flat.astype(np.int64)
            label = np.where(whole == flat, whole, -1)
        else:
            label = flat.astype(np.int64)
    if classes == 1:
        label = np.where((label == 0) | (label == 1), label, -1)
    return Predicted(confidence, doubt, predicted, label)


@loop
def _predict(predictions: Any, from_logits: bool, confidence: Any, doubt: Any, predicted: Any) -> int:
    """Find the largest of each row, the first of equal ones, and its share: of exponentials for logits, else of the
    probabilities' sum, by which cross-entropies divide, too.
    """
    n, classes = predictions.shape
    for r in range(n):
        if classes == 1:
            x = np.float64(predictions[r, 0])
            if from_logits:
                e = exp(-abs(x))
                near, far = np.float64(1.0 / (1.0 + e)), np.float64(e / (1.0 + e))
                confidence[r], doubt[r] = (near, far) if x >= 0.0 else (far, near)
            else:
                confidence[r], doubt[r] = x, 1.0 - x
            predicted[r] = 1 if confidence[r] >= 0.5 else 0
            continue
        best, at = np.float64(predictions[r, 0]), 0
        for c in range(1, classes):
            x = np.float64(predictions[r, c])
            if x > best:
                best, at = x, c
        others = np.float64(0.0)
        for c in range(classes):
            x = np.float64(predictions[r, c])
            share = np.float64(exp(x - best)) if from_logits else x
            others += share if c != at else np.float64(0.0)
        own = np.float64(1.0) if from_logits else best
        confidence[r], doubt[r] = own / (own + others), others / (own + others)
        predicted[r] = at
    return 0


def refuses(planned: Any) -> str | None:
    """Return why a loss has no predicted classes, or None."""
    parameters = planned.spec.parameters
    labels = planned.formula.label_layout.name
    if "from_logits" not in parameters or labels == "SEQUENCE":
        return (
            "needs predictions that are probabilities or logits of classes, as cross-entropies have; "
            f"{planned.spec.name} has none. Evaluate a cross-entropy in the same call, or leave the statistic out"
        )
    return None
