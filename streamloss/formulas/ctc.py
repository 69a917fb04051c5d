"""The loss of a sequence of labels under every way to align it with the time steps.

Each way through the classes is in one state: how many labels it has passed, and whether it stands on the last of them
or on a blank behind it; or it has left the labels for good. The loss is ``log(1 + others / aligned)``, where *others*
adds up all ways that have left or did not arrive. Nothing is subtracted, so that a loss of almost nothing has all its
digits.

Weights are ``(high + low) 2**exponent``: a thousand steps neither underflow nor gather roundings.
"""

from typing import Any

import numpy as np

from ..core.jit import scalar
from ..core.primitives import bits_of, float_of
from ._double_double import divided_parts, plus_parts, times_parts
from ._kinds import LabelSequence
from ._registry import declare
from ._scalar import difference, exp_parts, log1p, log_of_scaled

ZERO = -1e300  # the exponent of a weight of 0: below that of any other
AHEAD = 4  # classes that are kept apart: one more than a state goes on with


@scalar
def power_of_two(k: float) -> float:
    """``2**k`` for a whole k <= 1023; 0 below the normal numbers."""
    return float_of(np.int64(k + 1023.0) << np.int64(52)) if k > -1023.0 else 0.0


@scalar
def normalised(high: float, low: float, exponent: float) -> tuple[float, float, float]:
    """The same weight with high in [1, 2)."""
    k = float(((bits_of(high) >> np.int64(52)) & np.int64(0x7FF)) - np.int64(1023))
    scale = power_of_two(-k)
    return (high * scale, low * scale, exponent + k) if high > 0.0 else (high, low, ZERO)


@scalar
def plus(
    high: float, low: float, exponent: float, other: float, other_low: float, other_exponent: float
) -> tuple[float, float, float]:
    """The sum of two weights, of which the larger one's exponent remains."""
    most = exponent if exponent > other_exponent else other_exponent
    a, b = power_of_two(exponent - most), power_of_two(other_exponent - most)
    high, low = plus_parts(high * a, low * a, other * b, other_low * b)
    return high, low, most


@scalar
def sort_out(odds: Any, ahead: Any, places: Any) -> tuple[float, float]:
    """Put the largest of `odds` and their places into `ahead` and `places`; return the sum of the others."""
    ahead[:], places[:] = 0.0, -1
    rest, rest_low = 0.0, 0.0
    for j in range(odds.size):
        value, place = odds[j], j
        if value > ahead[AHEAD - 1]:
            for i in range(AHEAD):
                if value > ahead[i]:
                    ahead[i], value = value, ahead[i]
                    places[i], place = place, places[i]
        rest, lost = difference(rest, -value)
        rest_low += lost
    return rest, rest_low


@scalar
def all_but(odds: Any, ahead: Any, places: Any, rest: float, stay: int, go: int) -> float:
    """The sum of the odds of all classes but the blank, `stay` and `go` (which may be the blank).

    Each of those that is not among the largest is smaller than one of the largest that does not belong to them, so
    that its subtraction from the rest loses nothing that shows.
    """
    value = 0.0
    kept_blank, kept_stay, kept_go = odds[0], odds[stay] if stay != 0 else 0.0, odds[go] if go != 0 else 0.0
    for i in range(AHEAD):
        place = places[i]
        kept_blank = 0.0 if place == 0 else kept_blank
        kept_stay = 0.0 if place == stay else kept_stay
        kept_go = 0.0 if place == go else kept_go
        value += 0.0 if (place == 0) | (place == stay) | (place == go) else ahead[i]
    rest -= kept_blank + kept_stay + kept_go
    return value + (rest if rest > 0.0 else 0.0)


def connectionist_temporal(labels: Any, scores: Any, work: Any) -> float:
    """The forward algorithm (Graves et al. 2006); state 2 i is the blank before label i, state 2 i + 1 that label."""
    time, classes = scores.shape
    length = labels.shape[0]
    states = 2 * length + 1
    odds, mantissas, exponents = np.empty(classes), np.empty(classes), np.empty(classes)
    ahead, places = np.empty(AHEAD), np.empty(AHEAD, np.int64)
    high, low, exponent = work[0:2, :states], work[2:4, :states], work[4:6, :states]
    high[0], low[0], exponent[0] = 0.0, 0.0, ZERO
    high[0, 0], exponent[0, 0] = 1.0, 0.0  # before the first step, as if behind the first blank
    left, left_low, left_exponent = 0.0, 0.0, ZERO
    spoilt = 0.0  # NaN where a score is
    for t in range(time):
        before, now = t % 2, (t + 1) % 2
        top = np.float64(scores[t, 0])
        for j in range(classes):
            x = np.float64(scores[t, j])
            top = x if (x > top) | (x != x) else top
        for j in range(classes):
            d, d_low = difference(np.float64(scores[t, j]), top)
            mantissas[j], exponents[j] = exp_parts(d, d_low)
            odds[j] = mantissas[j] * power_of_two(exponents[j])
        rest, rest_low = sort_out(odds, ahead, places)
        total, total_low = plus_parts(rest, rest_low, 0.0, 0.0)
        for i in range(AHEAD):
            total, total_low = plus_parts(ahead[AHEAD - 1 - i], 0.0, total, total_low)
        spoilt += 0.0 * total

        most = left_exponent
        for s in range(states):
            most = exponent[before, s] if exponent[before, s] > most else most
        scale = power_of_two(left_exponent - most)
        left, left_low = times_parts(left * scale, left_low * scale, total, total_low)
        for s in range(states):
            if high[before, s] > 0.0:
                i = s // 2
                stay = labels[i] if i < length else 0
                go = labels[i + 1] if (s % 2 == 1) & (i + 1 < length) else 0
                go = go if go != stay else 0
                leaving = all_but(odds, ahead, places, rest, stay, go) * power_of_two(exponent[before, s] - most)
                left, lost = difference(left, -leaving * high[before, s])
                left_low += lost
        left, left_low, left_exponent = normalised(left, left_low, most)

        for s in range(states):
            label = labels[s // 2] if s % 2 == 1 else 0
            h, w, e = high[before, s], low[before, s], exponent[before, s]
            if s > 0:
                h, w, e = plus(h, w, e, high[before, s - 1], low[before, s - 1], exponent[before, s - 1])
            if (s % 2 == 1) & (s > 1) and label != labels[s // 2 - 1]:
                h, w, e = plus(h, w, e, high[before, s - 2], low[before, s - 2], exponent[before, s - 2])
            h, w = times_parts(h, w, mantissas[label], 0.0)
            high[now, s], low[now, s], exponent[now, s] = normalised(h, w, e + exponents[label])

    end = time % 2
    for s in range(states - 2):
        left, left_low, left_exponent = plus(left, left_low, left_exponent, high[end, s], low[end, s], exponent[end, s])
    h, w, e = high[end, states - 1], low[end, states - 1], exponent[end, states - 1]
    if states > 1:
        h, w, e = plus(h, w, e, high[end, states - 2], low[end, states - 2], exponent[end, states - 2])
    if not h > 0.0:
        return np.inf + spoilt
    whole, whole_low, whole_exponent = plus(left, left_low, left_exponent, h, w, e)
    gap = whole_exponent - e
    ratio, ratio_low = divided_parts(whole, whole_low, h, w)
    far = log_of_scaled(ratio, gap) + ratio_low / ratio
    scale = power_of_two(left_exponent - e if left_exponent - e < 3.0 else 3.0)
    odd, odd_low = divided_parts(left * scale, left_low * scale, h, w)
    near = log1p(odd) + odd_low / (1.0 + odd)
    return (near if odd < 1.0 else far) + spoilt


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
