"""Connectionist temporal classification: the loss of a sequence of labels over all alignments with the time steps.

Each path through the classes is in one state: how many labels it has passed, and whether it stands on the last of them
or on a blank behind it; or it has left the labels for good. The loss is ``log(1 + others / aligned)``, where *others*
adds up all paths that have left or did not arrive. Nothing is subtracted, so that a loss of almost nothing has all its
digits.

Weights of paths are ``(hi + lo) 2**exponent``: over a thousand steps they neither underflow nor gather roundings.
"""

from typing import Any, NamedTuple

import numpy as np

from ..core.jit import scalar
from ..core.primitives import bits_of, two_diff, two_sum
from ._double_double import dd_add, dd_div, dd_mul
from ._kinds import LabelSequence
from ._registry import declare
from ._scalar import exp_scaled, log1p, log_scaled, power_of_two

ZERO = -1e300  # the exponent of a weight of 0: below that of any other
AHEAD = 4  # classes that are kept apart: one more than the classes that continue a state


@scalar
def power_of_two_or_0(k: float) -> float:
    """Return ``2**k`` for a whole k <= 1023; 0 below the normal numbers."""
    return power_of_two(np.int64(k)) if k > -1023.0 else 0.0


@scalar
def normalised(hi: float, lo: float, exponent: float) -> tuple[float, float, float]:
    """Return the same weight with hi in [1, 2)."""
    k = float(((bits_of(hi) >> np.int64(52)) & np.int64(0x7FF)) - np.int64(1023))
    scale = power_of_two_or_0(-k)
    return (hi * scale, lo * scale, exponent + k) if hi > 0.0 else (hi, lo, ZERO)


@scalar
def plus(
    hi: float, lo: float, exponent: float, other: float, other_lo: float, other_exponent: float
) -> tuple[float, float, float]:
    """Return the sum of two weights, with the larger of their exponents."""
    most = exponent if exponent > other_exponent else other_exponent
    a, b = power_of_two_or_0(exponent - most), power_of_two_or_0(other_exponent - most)
    hi, lo = dd_add(hi * a, lo * a, other * b, other_lo * b)
    return hi, lo, most


@scalar
def sort_out(odds: Any, ahead: Any, places: Any) -> tuple[float, float]:
    """Put the largest of `odds` into `ahead` and their classes into `places`; return the sum of the others, and the sum
    of its rounding errors.
    """
    ahead[:], places[:] = 0.0, -1
    rest, rest_lo = 0.0, 0.0
    for j in range(odds.size):
        value, place = odds[j], j
        if value > ahead[AHEAD - 1]:
            for i in range(AHEAD):
                if value > ahead[i]:
                    ahead[i], value = value, ahead[i]
                    places[i], place = place, places[i]
        rest, err = two_sum(rest, value)
        rest_lo += err
    return rest, rest_lo


@scalar
def all_but(odds: Any, ahead: Any, places: Any, rest: float, stay: int, go: int) -> float:
    """Return the sum of the odds of all classes but the blank, `stay` and `go` (which may be the blank).

    Each of these that is not among the largest is smaller than one of the largest that is none of these, so that its
    subtraction from the rest loses nothing that shows.
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


class Workspace(NamedTuple):
    """The arrays that the loss of a row writes to."""

    states: Any
    """float64 (6, states): two weights of each state, with their errors and exponents."""
    classes: Any
    """float64 (3, classes): odds, mantissas and exponents."""
    ahead: Any
    """float64 (AHEAD,): the largest odds."""
    places: Any
    """int64 (AHEAD,): their classes."""


def new_workspace(longest: int, classes: int) -> Workspace:
    """Return the work space for rows of at most `longest` labels."""
    return Workspace(np.empty((6, 2 * longest + 1)), np.empty((3, classes)), np.empty(AHEAD), np.empty(AHEAD, np.int64))


def connectionist_temporal(labels: Any, scores: Any, workspace: Any) -> float:
    """Return the loss of one row, by the forward algorithm (Graves et al. 2006).

    State 2 i is the blank before label i, state 2 i + 1 that label.
    """
    time, classes = scores.shape
    length = labels.shape[0]
    states = 2 * length + 1
    work, of_classes, ahead, places = workspace.states, workspace.classes, workspace.ahead, workspace.places
    odds, mantissas, exponents = of_classes[0], of_classes[1], of_classes[2]
    hi, lo, exponent = work[0:2, :states], work[2:4, :states], work[4:6, :states]
    hi[0], lo[0], exponent[0] = 0.0, 0.0, ZERO
    hi[0, 0], exponent[0, 0] = 1.0, 0.0  # before the first step, as on the first blank
    left, left_lo, left_exponent = 0.0, 0.0, ZERO
    spoilt = 0.0  # NaN if any score is
    for t in range(time):
        before, now = t % 2, (t + 1) % 2
        top = np.float64(scores[t, 0])
        for j in range(classes):
            x = np.float64(scores[t, j])
            top = x if (x > top) | (x != x) else top
        for j in range(classes):
            d, d_lo = two_diff(np.float64(scores[t, j]), top)
            mantissas[j], exponents[j] = exp_scaled(d, d_lo)
            odds[j] = mantissas[j] * power_of_two_or_0(exponents[j])
        rest, rest_lo = sort_out(odds, ahead, places)
        total, total_lo = dd_add(rest, rest_lo, 0.0, 0.0)
        for i in range(AHEAD):
            total, total_lo = dd_add(ahead[AHEAD - 1 - i], 0.0, total, total_lo)
        spoilt += 0.0 * total

        most = left_exponent
        for s in range(states):
            most = exponent[before, s] if exponent[before, s] > most else most
        scale = power_of_two_or_0(left_exponent - most)
        left, left_lo = dd_mul(left * scale, left_lo * scale, total, total_lo)
        for s in range(states):
            if hi[before, s] > 0.0:
                i = s // 2
                stay = labels[i] if i < length else 0
                go = labels[i + 1] if (s % 2 == 1) & (i + 1 < length) else 0
                go = go if go != stay else 0
                leaving = all_but(odds, ahead, places, rest, stay, go) * power_of_two_or_0(exponent[before, s] - most)
                left, err = two_sum(left, leaving * hi[before, s])
                left_lo += err
        left, left_lo, left_exponent = normalised(left, left_lo, most)

        for s in range(states):
            label = labels[s // 2] if s % 2 == 1 else 0
            h, w, e = hi[before, s], lo[before, s], exponent[before, s]
            if s > 0:
                h, w, e = plus(h, w, e, hi[before, s - 1], lo[before, s - 1], exponent[before, s - 1])
            if (s % 2 == 1) & (s > 1) and label != labels[s // 2 - 1]:
                h, w, e = plus(h, w, e, hi[before, s - 2], lo[before, s - 2], exponent[before, s - 2])
            h, w = dd_mul(h, w, mantissas[label], 0.0)
            hi[now, s], lo[now, s], exponent[now, s] = normalised(h, w, e + exponents[label])

    end = time % 2
    for s in range(states - 2):
        left, left_lo, left_exponent = plus(left, left_lo, left_exponent, hi[end, s], lo[end, s], exponent[end, s])
    h, w, e = hi[end, states - 1], lo[end, states - 1], exponent[end, states - 1]
    if states > 1:
        h, w, e = plus(h, w, e, hi[end, states - 2], lo[end, states - 2], exponent[end, states - 2])
    if not h > 0.0:
        return np.inf + spoilt
    whole, whole_lo, whole_exponent = plus(left, left_lo, left_exponent, h, w, e)
    gap = whole_exponent - e
    ratio, ratio_lo = dd_div(whole, whole_lo, h, w)
    far = log_scaled(ratio, gap) + ratio_lo / ratio
    scale = power_of_two_or_0(left_exponent - e if left_exponent - e < 3.0 else 3.0)
    odd, odd_lo = dd_div(left * scale, left_lo * scale, h, w)
    near = log1p(odd) + odd_lo / (1.0 + odd)
    return (near if odd < 1.0 else far) + spoilt


declare(
    "ctc",
    "CTC",
    "ctc_loss",
    formula=LabelSequence(connectionist_temporal, new_workspace),
    brief="labels without times: speech, writing",
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
