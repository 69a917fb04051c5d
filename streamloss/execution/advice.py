"""Advice about a label that has no loss: the mistakes that people make, by the label's value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.types import UNIT, Interval
from ..formulas._registry import LossSpec
from ..planning.advice import advice_on_binary

Array = np.ndarray[Any, Any]

CLIP = "pass clip_probabilities=True to evaluate (--clip-probabilities), which takes what is outside as 0 or 1"


def advice_on_label(spec: LossSpec, label: Array, allowed: Interval) -> str:
    """Return what to do about a label of a loss whose labels lie in [0, 1] or [-1, 1]."""
    outside = label[(label < allowed.low) | (label > allowed.high)]
    if allowed == UNIT and (outside != np.floor(outside)).all():
        return f" If it is a probability, {CLIP}."
    if allowed == UNIT and (label == -1).any():
        return " If labels are -1 and 1, pass (y_true + 1) / 2."
    if allowed.low in (-1.0, 0.0) and allowed.high == 1.0 and (label > 1).any():
        classes = "use SparseCategoricalCrossentropy"
        if "class_axis" in spec.parameters:
            classes = "name the axis of y_pred that holds these: class_axis=, and leave it out of y_true"
        return f" If labels are 1 and 2, pass y_true - 1; if they name classes, {classes}."
    return ""


def advice_on_integer(spec: LossSpec, number: float, classes: int, labels: Array) -> str:
    """Return what to do about an integer label that names none of the classes; `labels` are those of the rows around
    it, as far as they were read.
    """
    has_ignore_class = "ignore_class" in spec.parameters
    if not math.isfinite(number) or number != math.floor(number):
        if 0.0 < number < 1.0:
            return " If y_true holds probabilities, use CategoricalCrossentropy; y_true comes first, then y_pred."
        if has_ignore_class:
            return " Rows without a label: give them one integer, such as -1, and pass ignore_class=-1."
        return " Rows without a label: leave them out by mask."
    if classes == 1:
        return f" y_pred has one column. {advice_on_binary(spec)}"
    value, advice = int(number), ""
    used = labels[labels != spec.parameters.get("ignore_class")] if has_ignore_class else labels
    if value == classes and used.min() >= 1 and used.max() == classes:
        advice = f" If labels run from 1 to {classes}, pass y_true - 1."
        if used.size > 1:
            return advice
    if not has_ignore_class:
        return f"{advice} If {value} marks rows without a label, leave them out by mask."
    ignored = f"pass ignore_class={value}" if abs(value) < 2**63 else "write -1 instead, and pass ignore_class=-1"
    return f"{advice} If {value} marks rows without a label, {ignored}."
