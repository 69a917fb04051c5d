"""The loss of a sequence of labels under every way to align it with the time steps.

Numbers here are ``(high + low) 2**exponent``, so that a thousand steps neither underflow nor lose the difference
between almost certain and certain: the loss is ``log(all / aligned)``, and where the two are near each other it is
their difference that counts.
"""

from typing import Any

import numpy as np

from .._jit import scalar
from .._primitives import bits_of, float_of, fma
from ._kinds import LabelSequence
from ._registry import declare
from ._scalar import difference, exp_parts, log1p, log_of_scaled

Scaled = tuple[float, float, float]
NOTHING, ONE = (0.0, 0.0, 0.0), (1.0, 0.0, 0.0)
FAR = 220.0  # a number 2**220 times smaller than another one changes neither part of it


@scalar
def power_of_two(k: float) -> float:
    """``2**k`` for a whole k in [-1022, 1023]."""
    return float_of(np.int64(k + 1023.0) << np.int64(52))


@scalar
def normalised(high: float, low: float, exponent: float) -> Scaled:
    """The same number with high in [1, 2)."""
    total = high + low
    low = low - (total - high)
    k = float((bits_of(total) >> np.int64(52)) & np.int64(0x7FF)) - 1023.0
    scale = power_of_two(-k) if (k > -1023.0) & (k < 1023.0) else 1.0
    return (total * scale, low * scale, exponent + k) if total != 0.0 else NOTHING


@scalar
def plus(a: Scaled, b: Scaled) -> Scaled:
    if b[0] == 0.0:
        return a
    if a[0] == 0.0:
        return b
    if a[2] < b[2]:
        a, b = b, a
    gap = a[2] - b[2]
    if gap > FAR:
        return a
    scale = power_of_two(-gap)
    high, low = difference(a[0], -b[0] * scale)
    return normalised(high, low + (a[1] + b[1] * scale), a[2])


@scalar
def times(a: Scaled, b: Scaled) -> Scaled:
    product = a[0] * b[0]
    lost = fma(a[0], b[0], -product) + (a[0] * b[1] + a[1] * b[0])
    return normalised(product, lost, a[2] + b[2])


@scalar
def log_ratio(whole: Scaled, part: Scaled) -> float:
    """``log(whole / part)`` for whole >= part."""
    if part[0] == 0.0:
        return np.inf
    gap = whole[2] - part[2]
    if gap < 3.0:
        scale = power_of_two(gap)
        d, lost = difference(whole[0] * scale, part[0])
        rest = (d + (lost + (whole[1] * scale - part[1]))) / part[0]
        if rest < 1.0:
            return log1p(rest if rest > 0.0 else 0.0)
    return log_of_scaled(whole[0] / part[0], gap)


def connectionist_temporal(labels: Any, scores: Any, work: Any) -> float:
    """The forward algorithm (Graves et al. 2006) over the labels with blanks between them: state 2 i + 1 is label i."""
    time, classes = scores.shape
    states = 2 * labels.shape[0] + 1
    now, before = work[:3], work[3:]
    now[:, :states] = 0.0
    now[0, 0] = 1.0  # before the first step, as if behind the first blank
    whole = ONE
    for t in range(time):
        now, before = before, now
        top = np.float64(scores[t, 0])
        for j in range(classes):
            x = np.float64(scores[t, j])
            top = x if (x > top) | (x != x) else top
        total, total_lost = 0.0, 0.0
        for j in range(classes):
            d, d_lost = difference(np.float64(scores[t, j]), top)
            m, k = exp_parts(d, d_lost)
            total, lost = difference(total, -(m * power_of_two(k) if k > -1000.0 else 0.0))
            total_lost += lost
        whole = times(whole, normalised(total, total_lost, 0.0))
        for s in range(states):
            label = labels[s // 2] if s % 2 else 0
            d, d_lost = difference(np.float64(scores[t, label]), top)
            m, k = exp_parts(d, d_lost)
            reached = (before[0, s], before[1, s], before[2, s])
            if s > 0:
                reached = plus(reached, (before[0, s - 1], before[1, s - 1], before[2, s - 1]))
            if s > 1 and s % 2 == 1 and label != labels[s // 2 - 1]:
                reached = plus(reached, (before[0, s - 2], before[1, s - 2], before[2, s - 2]))
            now[0, s], now[1, s], now[2, s] = times(reached, (m, 0.0, k))
    last = states - 1
    aligned = (now[0, last], now[1, last], now[2, last])
    if states > 1:
        aligned = plus(aligned, (now[0, last - 1], now[1, last - 1], now[2, last - 1]))
    return log_ratio(whole, aligned) + 0.0 * (whole[0] - whole[0])


declare(
    "ctc",
    "CTC",
    "ctc_loss",
    formula=LabelSequence(connectionist_temporal),
    doc="""
    Connectionist temporal classification: ``-log P(labels)``, where P adds up the probabilities of all ways to spread
    the labels over the time steps, with blanks between them.

    `y_true` has shape (rows, length): labels from 1 on, each row filled up with zeros; `y_pred` (rows, time, classes)
    holds logits, and class 0 is the blank. A row whose labels do not fit into its steps has no finite loss: it is
    refused, left out, or infinite, as ``nan_policy`` says.

    Source: Keras 3, ``ctc`` (Graves et al. 2006).

    >>> import numpy as np
    >>> import streamloss as sl
    >>> sl.losses.CTC()([[1, 2]], np.zeros((1, 3, 3))).round(6)
    np.float64(1.686399)
    """,
)
