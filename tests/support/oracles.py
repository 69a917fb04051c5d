"""Slow, obvious references: the formulas of all losses in arbitrary precision.

Each formula is written from the loss' documentation, not from its code. It takes the labels and predictions of a
row (of an element, where rows are means of elements) as mpf and gives the loss; or, where the loss adds up
terms of either sign, the list of those terms: see :class:`Truth`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf

import streamloss as sl
from streamloss.formulas._kinds import Elementwise, Overlap
from streamloss.formulas._registry import declarations

mp.prec = 350  # of what is not computed under `precision_for`
TWO_PI = 2 * mp.pi


class Truth(NamedTuple):
    """A row's true loss, and the size that errors are measured by."""

    value: Any
    scale: Any
    """The loss itself; or, for losses that add up terms of either sign, the row's largest term, if that is larger.

    Such terms are rounded before they cancel: no float64 holds both 1000 and the 1e-20 that is left of
    ``1000 - y log(p)``. A unit in the last place then is one of the largest term.
    """


def precision_for(numbers: Sequence[Any]) -> int:
    """Return the bits that hold sums of the numbers and 1 to 350 bits of the smallest: 1 + 1e-300 takes 1,000 more."""
    exponents = [0, *(np.frexp(float(v))[1] for v in numbers if v and np.isfinite(float(v)))]
    return 350 + int(max(exponents) - min(exponents))


def clip(q, epsilon, dtype):
    """Clip as Keras does, whose bounds are numbers of the result dtype."""
    if epsilon == 0:
        return q
    low = dtype.type(epsilon)
    return min(max(q, mpf(float(low))), mpf(float(dtype.type(1) - low)))


def floor(epsilon, dtype):
    return mpf(float(dtype.type(epsilon)))


def negative_log(q):
    return mp.inf if q == 0 else -mp.log(q)


def times(a, b):
    """Return the product; 0 times infinity is 0, for a label without mass adds nothing."""
    return mpf(0) if a == 0 or b == 0 else a * b


# Two numbers.


def squared_error(y, p, dtype):
    return (p - y) ** 2


def absolute_error(y, p, dtype):
    return abs(p - y)


def absolute_percentage_error(y, p, dtype, epsilon):
    return 100 * abs(p - y) / max(abs(y), floor(epsilon, dtype))


def squared_logarithmic_error(y, p, dtype, epsilon):
    y, p = (max(v, floor(epsilon, dtype)) for v in (y, p))
    return (mp.log1p(p) - mp.log1p(y)) ** 2


def huber(y, p, dtype, delta):
    error, delta = abs(p - y), mpf(delta)
    return error**2 / 2 if error <= delta else delta * error - delta**2 / 2


def log_cosh(y, p, dtype):
    error = abs(p - y)
    return error**2 / 2 if error < mpf(10) ** -60 else error + mp.log1p(mp.exp(-2 * error)) - mp.log(2)


def pinball(y, p, dtype, quantile):
    error = y - p
    return quantile * error if error >= 0 else (mpf(quantile) - 1) * error


def hinge(y, p, dtype, labels):
    side = 2 * y - 1 if labels == "01" else y
    return max(1 - times(side, p), mpf(0))


def squared_hinge(y, p, dtype, labels):
    return hinge(y, p, dtype, labels) ** 2


def two_masses(y, label_smoothing):
    """Return the masses of the label 1 and of the label 0."""
    smoothing = mpf(label_smoothing)
    return y * (1 - smoothing) + smoothing / 2, (1 - y) * (1 - smoothing) + smoothing / 2


def binary_crossentropy(y, p, dtype, from_logits=False, label_smoothing=0.0, epsilon=1e-7):
    one, zero = two_masses(y, label_smoothing)
    if from_logits:
        return times(one, mp.log1p(mp.exp(-p))) + times(zero, mp.log1p(mp.exp(p)))
    q = clip(p, epsilon, dtype)
    return times(one, negative_log(q)) + times(zero, negative_log(1 - q))


def binary_focal_crossentropy(
    y, p, dtype, apply_class_balancing, alpha, gamma, label_smoothing, from_logits=False, epsilon=1e-7
):
    one, zero = two_masses(y, label_smoothing)
    probabilities = (1 / (1 + mp.exp(-p)), 1 / (1 + mp.exp(p))) if from_logits else (p, 1 - p)
    missing = one * probabilities[1] + zero * probabilities[0]
    balance = one * alpha + zero * (1 - mpf(alpha)) if apply_class_balancing else mpf(1)
    cost = binary_crossentropy(y, p, dtype, from_logits, label_smoothing, epsilon)
    return balance * times(missing ** mpf(gamma), cost)


def weighted_crossentropy(y, x, dtype, pos_weight):
    return times(pos_weight * y, mp.log1p(mp.exp(-x))) + times(1 - y, mp.log1p(mp.exp(x)))


def stirling(y):
    return [y * mp.log(y), -y, mp.log(TWO_PI * y) / 2]


def poisson(y, p, dtype, epsilon):
    return [p, times(-y, mp.log(p + floor(epsilon, dtype)))]


def log_poisson(y, x, dtype, compute_full_loss):
    return [mp.exp(x), times(-y, x), *(stirling(y) if compute_full_loss and y > 1 else [])]


def poisson_nll(y, p, dtype, log_input, full, epsilon):
    terms = log_poisson(y, p, dtype, False) if log_input else poisson(y, p, dtype, epsilon)
    return [*terms, *(stirling(y) if full and y > 1 else [])]


def tweedie(y, mu, dtype, power):
    a, b = 1 - mpf(power), 2 - mpf(power)
    if y == mu:
        return mpf(0)  # what rounding leaves of it would not be 0
    if a == 0:
        return 2 * ((y * mp.log(y / mu) if y else 0) - y + mu)
    if b == 0:
        return 2 * (mp.log(mu / y) + y / mu - 1)
    return 2 * (y**b / (a * b) - y * mu**a / a + mu**b / b)


def poisson_deviance(y, mu, dtype):
    return tweedie(y, mu, dtype, 1)


def gamma_deviance(y, mu, dtype):
    return tweedie(y, mu, dtype, 2)


ELEMENTS: dict[str, Callable[..., Any]] = {
    "binary_crossentropy": binary_crossentropy,
    "binary_focal_crossentropy": binary_focal_crossentropy,
    "gamma_deviance": gamma_deviance,
    "hinge": hinge,
    "huber": huber,
    "log_cosh": log_cosh,
    "log_poisson_loss": log_poisson,
    "mean_absolute_error": absolute_error,
    "mean_absolute_percentage_error": absolute_percentage_error,
    "mean_squared_error": squared_error,
    "mean_squared_logarithmic_error": squared_logarithmic_error,
    "pinball": pinball,
    "poisson": poisson,
    "poisson_deviance": poisson_deviance,
    "poisson_nll": poisson_nll,
    "squared_hinge": squared_hinge,
    "tweedie_deviance": tweedie,
    "weighted_cross_entropy_with_logits": weighted_crossentropy,
}
"""``formula(y, p, dtype, **parameters)`` of an element; a row's loss is the mean of its elements'."""


# A label, or labels, and a row over the classes.


def odds_against(row, k):
    """Return ``sum(exp(x)) / exp(x_k) - 1``, without ever adding the 1: no precision holds 1 + exp(-1e4)."""
    return mp.fsum(mp.exp(x - row[k]) for j, x in enumerate(row) if j != k)


def sparse_categorical_crossentropy(label, row, dtype, label_smoothing, from_logits=False, epsilon=1e-7):
    if label_smoothing:
        one_hot = [mpf(k == label) for k in range(len(row))]
        return categorical_crossentropy(one_hot, row, dtype, from_logits, label_smoothing, epsilon)
    if from_logits:
        return mp.log1p(odds_against(row, label))
    q = clip(row[label] / mp.fsum(row), epsilon, dtype)
    return negative_log(q)


def categorical_generalized_cross_entropy(label, row, dtype, q):
    return (1 - row[label] ** mpf(q)) / mpf(q)


def masses(y, label_smoothing):
    smoothing = mpf(label_smoothing)
    return [v * (1 - smoothing) + smoothing / len(y) for v in y]


def categorical_crossentropy(y, p, dtype, from_logits=False, label_smoothing=0.0, epsilon=1e-7):
    mass = masses(y, label_smoothing)
    if from_logits:  # log_softmax by its largest entry
        top = max(range(len(p)), key=p.__getitem__)
        tail = mp.log1p(odds_against(p, top))
        return mp.fsum(times(m, p[top] - x + tail) for m, x in zip(mass, p, strict=True))
    total = mp.fsum(p)
    costs = [negative_log(clip(v / total, epsilon, dtype)) for v in p]
    return mp.fsum(times(m, cost) for m, cost in zip(mass, costs, strict=True))


def categorical_focal_crossentropy(y, p, dtype, alpha, gamma, label_smoothing, from_logits=False, epsilon=1e-7):
    mass = masses(y, label_smoothing)
    alphas = alpha if isinstance(alpha, tuple) else [alpha] * len(y)
    top = max(range(len(p)), key=p.__getitem__)
    tail, total = odds_against(p, top) if from_logits else None, mp.fsum(p)
    loss = mpf(0)
    for k, (m, a) in enumerate(zip(mass, alphas, strict=True)):
        if from_logits:  # 1 / share - 1
            odds = tail if k == top else (1 + tail) * mp.exp(p[top] - p[k]) - 1
        q = clip(1 / (1 + odds) if from_logits else p[k] / total, epsilon, dtype)
        missing, cost = 1 - q, negative_log(q)
        if from_logits and epsilon == 0:
            missing, cost = odds / (1 + odds), mp.log1p(odds)
        loss += times(a * m * missing ** mpf(gamma), cost)
    return loss


def kl_divergence(y, p, dtype, epsilon):
    low = floor(epsilon, dtype)
    pairs = [(min(max(a, low), mpf(1)), min(max(b, low), mpf(1))) for a, b in zip(y, p, strict=True)]
    return [a * mp.log(a / b) for a, b in pairs]


def cosine_similarity(y, p, dtype):
    norms = [max(mp.sqrt(mp.fsum(v * v for v in row)), mpf(1e-7)) for row in (y, p)]
    return [-a * b / norms[0] / norms[1] for a, b in zip(y, p, strict=True)]


def categorical_hinge(y, p, dtype):
    wrong = max(times(1 - a, b) for a, b in zip(y, p, strict=True))
    return max(wrong - mp.fsum(times(a, b) for a, b in zip(y, p, strict=True)) + 1, mpf(0))


def brier_score(label, row, dtype, scale_by_half):
    score = mp.fsum((v - (j == label)) ** 2 for j, v in enumerate(row))
    return score / 2 if scale_by_half else score


def top_k_error(label, row, dtype, k):
    ranking = sorted(range(len(row)), key=lambda j: (-row[j], j))
    return mpf(label not in ranking[:k])


def zero_one_loss(label, row, dtype):
    return top_k_error(label, row, dtype, 1)


def gaussian_nll(y, p, dtype, full, epsilon):
    mean, variance = p[0], max(p[1], floor(epsilon, dtype))
    return [mp.log(variance) / 2, (y - mean) ** 2 / variance / 2, *([mp.log(TWO_PI) / 2] if full else [])]


def shared(y, p):
    """Return the mass of the intersection, of predictions alone, and of labels alone."""
    pairs = list(zip(y, p, strict=True))
    return (
        mp.fsum(a * b for a, b in pairs),
        mp.fsum((1 - a) * b for a, b in pairs),
        mp.fsum(a * (1 - b) for a, b in pairs),
    )


def dice(y, p, dtype, epsilon):
    both, *_ = shared(y, p)
    return 1 - 2 * both / (mp.fsum(y) + mp.fsum(p) + floor(epsilon, dtype))


def tversky(y, p, dtype, alpha, beta, epsilon):
    both, only_pred, only_true = shared(y, p)
    return 1 - both / (both + mpf(alpha) * only_pred + mpf(beta) * only_true + floor(epsilon, dtype))


def ctc(labels, scores, dtype):
    """Sum over all alignments, by dynamic programming over the labels with blanks (class 0) between them."""
    labels = list(itertools.takewhile(bool, labels))
    states = [0, *itertools.chain.from_iterable((label, 0) for label in labels)]
    widest = max(float(max(row) - min(row)) for row in scores)
    with mp.workprec(mp.prec + 3 * int(widest)):  # odds of exp(-300) have to show in 1 - P
        odds = [[mp.exp(x - max(row)) for x in row] for row in scores]
        reached = [mpf(1)] + [mpf(0)] * (len(states) - 1)
        for t, row in enumerate(odds):
            before, reached = reached, []
            for s, label in enumerate(states):
                ways = before[s]
                if s > 0 and t > 0:
                    ways += before[s - 1]
                if s == 1 and t == 0:
                    ways = mpf(1)
                if s > 1 and label not in (0, states[s - 2]):
                    ways += before[s - 2]
                reached.append(ways * row[label] / mp.fsum(row))
        return negative_log(reached[-1] + (reached[-2] if labels else 0))


ROWS: dict[str, Callable[..., Any]] = {
    "brier_score": brier_score,
    "categorical_crossentropy": categorical_crossentropy,
    "categorical_focal_crossentropy": categorical_focal_crossentropy,
    "categorical_generalized_cross_entropy": categorical_generalized_cross_entropy,
    "categorical_hinge": categorical_hinge,
    "cosine_similarity": cosine_similarity,
    "ctc": ctc,
    "dice": dice,
    "gaussian_nll": gaussian_nll,
    "kl_divergence": kl_divergence,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "top_k_error": top_k_error,
    "tversky": tversky,
    "zero_one_loss": zero_one_loss,
}
"""``formula(y, p, dtype, **parameters)`` of a row: labels, a label or a number; and predictions."""


def numbers(array) -> Any:
    """Return an array as nested lists of mpf; whole numbers of an integer dtype as int."""
    if np.ndim(array):
        return [numbers(part) for part in array]
    return int(array) if np.asarray(array).dtype.kind in "iub" else mpf(float(array))


def _truth(value: Any, size: int = 1) -> Truth:
    if not isinstance(value, list):
        return Truth(value / size, value / size)
    loss = mp.fsum(value) / size
    return Truth(loss, max([abs(loss), *(abs(term) for term in value)]))


def _mean(values: list[Any]) -> Truth:
    if isinstance(values[0], list):
        return _truth([term for terms in values for term in terms], len(values))
    return _truth(mp.fsum(values) if mp.inf not in values else mp.inf, len(values))


def losses_of_rows(loss: sl.losses.Loss, y_true: np.ndarray, y_pred: np.ndarray, dtype: np.dtype) -> list[Truth]:
    """Return the true values of NONE, unweighted; rows labelled ``ignore_class`` are 0. `y_pred` has two axes.

    A ratio over the whole data has one value for each column, or (``axis=None``) one.
    """
    spec = loss.spec
    parameters = {k: v for k, v in spec.parameters.items() if k not in ("axis", "class_axis", "ignore_class")}
    if parameters.get("labels") == "auto":
        parameters["labels"] = "01" if np.isin(y_true, [0, 1]).all() else "pm1"
    if isinstance(spec.formula, Overlap) and spec.axis != -1:
        y_true, y_pred = (v.reshape(1, -1) if spec.axis is None else v.T for v in (y_true, y_pred))
    ignored = spec.parameters.get("ignore_class")
    per_class = spec.formula.per_class if isinstance(spec.formula, Elementwise) else None
    truths = []
    for y, p in zip(y_true, y_pred, strict=True):
        if ignored is not None and y == ignored:
            truths.append(Truth(mpf(0), mpf(0)))
            continue
        with mp.workprec(precision_for([*np.ravel(y), *np.ravel(p)])):
            if not isinstance(spec.formula, Elementwise):
                truths.append(_truth(ROWS[spec.name](numbers(y), numbers(p), dtype, **parameters)))
                continue
            values = []
            for j, (a, b) in enumerate(zip(numbers(y), numbers(p), strict=True)):
                own = {per_class: np.broadcast_to(parameters[per_class], len(p))[j]} if per_class else {}
                values.append(ELEMENTS[spec.name](a, b, dtype, **(parameters | own)))
            truths.append(_mean(values))
    return truths


def ulps(value, true, scale=None) -> float:
    """Return the distance of a float from the true value, in units in the last place of it, or of `scale`."""
    value = np.asarray(value)
    if mp.isinf(true):
        return 0.0 if float(value) == float(true) else np.inf
    largest = np.nextafter(np.finfo(value.dtype).max, value.dtype.type(0))  # that has a spacing
    if abs(true) > mpf(float(largest)):
        return 0.0 if np.isinf(value) else np.inf
    size = min(abs(true if scale is None else scale), mpf(float(largest)))
    return float(abs(mpf(float(value)) - true) / mpf(float(np.spacing(value.dtype.type(float(size))))))


def worst_ulps(loss: sl.losses.Loss, y_true, y_pred, dtype, got=None) -> float:
    """Return the worst error, in ulps, of a loss over rows, or of what another implementation `got` for them."""
    y_pred = np.asarray(y_pred, dtype)
    truths = losses_of_rows(loss, y_true, y_pred, np.dtype(dtype))
    if got is None:
        got = np.atleast_1d(loss(y_true, y_pred))
    return max(ulps(value, *truth) for value, truth in zip(got, truths, strict=True))


SETTINGS: dict[str, list[dict[str, Any]]] = {
    "binary_crossentropy": [
        {"label_smoothing": 0.1},
        {"epsilon": 0.0},
        {"from_logits": True, "label_smoothing": 0.1},
    ],
    "binary_focal_crossentropy": [
        {"gamma": 0.0, "label_smoothing": 0.1},
        {"gamma": 0.5, "apply_class_balancing": True},
        {"gamma": 5.0, "label_smoothing": 0.1, "apply_class_balancing": True},
        {"from_logits": True, "gamma": 0.5, "label_smoothing": 0.1, "apply_class_balancing": True},
        {"from_logits": True, "gamma": 5.0, "label_smoothing": 0.1},
    ],
    "categorical_crossentropy": [
        {"label_smoothing": 0.1},
        {"epsilon": 0.0},
        {"from_logits": True, "label_smoothing": 0.1},
    ],
    "categorical_focal_crossentropy": [
        {"gamma": 0.0, "label_smoothing": 0.1},
        {"gamma": 0.5},
        {"gamma": 5.0},
        {"from_logits": True, "gamma": 0.5, "label_smoothing": 0.1},
        {"from_logits": True, "gamma": 5.0},
    ],
    "categorical_generalized_cross_entropy": [{"q": 1e-3}, {"q": 0.999}],
    "gaussian_nll": [{"full": True}],
    "huber": [{"delta": 1e-3}],
    "log_poisson_loss": [{"compute_full_loss": True}],
    "pinball": [{"quantile": 0.9}],
    "poisson": [{"epsilon": 1.0}],
    "poisson_nll": [{"full": True}, {"log_input": False, "full": True}],
    "sparse_categorical_crossentropy": [
        {"epsilon": 0.0},
        {"label_smoothing": 1e-6},
        {"label_smoothing": 1.0},
        {"label_smoothing": 0.1, "epsilon": 0.0},
    ],
    "top_k_error": [{"k": 2}],
    "tversky": [{"axis": -1, "alpha": 0.3, "beta": 0.7}],
    "tweedie_deviance": [{"power": p} for p in (1.0, 1.0 + 1e-9, 1.9, 2.0, 2.001, 3.0, 10.0)],
    "weighted_cross_entropy_with_logits": [{"pos_weight": 3.7}],
}
"""Parameters, other than those that choose a formula, which change what a loss computes."""


def every_setting() -> dict[str, sl.losses.Loss]:
    """Return all losses unreduced, with each of their formulas and settings, by ``name:parameter=value,...``."""
    losses = {}
    for declaration in declarations():
        overlap = isinstance(next(iter(declaration.formulas.values())), Overlap)
        settings = [*declaration.variants, *([{"axis": -1}, {"axis": 0}] if overlap else [])]
        for given in settings + SETTINGS.get(declaration.name, []):
            label = ",".join(f"{k}={v}" for k, v in given.items())
            make = getattr(sl.losses, declaration.class_name)
            losses[f"{declaration.name}:{label}" if label else declaration.name] = make(**given, reduction="none")
    return losses
