"""Negative log-likelihoods of counts and measurements, and deviances: how far a likelihood is from its best."""

import numpy as np

from .._jit import scalar
from .._primitives import fma
from ..types import REAL, Interval
from ._kinds import Elementwise, Parametric
from ._parameters import MEAN_AXIS, NOT_NEGATIVE, POSITIVE, Parameter, floor
from ._registry import declare
from ._scalar import at_least, difference, exp, expm1, log, log1p, log_parts, log_quotient, power

INFINITY = float("inf")
LOG_2PI = 1.8378770664093453
FULL = "whether to add what does not depend on `y_pred`"


@scalar
def stirling(y: float) -> float:
    """Stirling's approximation of ``log(y!)``: ``y log(y) - y + log(2 pi y) / 2``."""
    log_y = log(y)
    return fma(y, log_y, -y) + 0.5 * (LOG_2PI + log_y)


@scalar
def minus_log_rate(y: float, p: float, lower: float) -> float:
    """``p - y log(p + lower)``."""
    shifted, lost = difference(p, -lower)
    usable = shifted if shifted > 0.0 else 1.0
    high, low = log_parts(usable)
    low += lost / usable
    value = fma(-y, high, p) - y * low
    at_zero = 0.0 if y == 0.0 else y * INFINITY
    return value if shifted != 0.0 else at_zero


def poisson_of_rate(y: float, p: float, lower: float) -> float:
    return minus_log_rate(y, p, lower)


declare(
    "poisson",
    "Poisson",
    formula=Elementwise(poisson_of_rate, y_pred=NOT_NEGATIVE),
    parameters={"axis": MEAN_AXIS, "epsilon": floor("added to `y_pred` inside the logarithm")},
    doc="""
    Mean of ``y_pred - y_true log(y_pred + epsilon)``: the Poisson deviance up to terms without `y_pred`.

    Source: Keras 3, ``poisson``.

    >>> import streamloss as sl
    >>> sl.losses.Poisson()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]]).round(6)
    np.float64(0.5)
    """,
)


@scalar
def minus_log_exponential(y: float, x: float) -> float:
    """``exp(x) - x y``; an infinite x below leaves no rate."""
    return fma(-y, x, exp(x)) if y != 0.0 else exp(x)


def nll_of_log_rate(y: float, x: float, full: float) -> float:
    return minus_log_exponential(y, x) + (stirling(y) if (full != 0.0) & (y > 1.0) else 0.0 * y)


def nll_of_rate(y: float, p: float, full: float, lower: float) -> float:
    return minus_log_rate(y, p, lower) + (stirling(y) if (full != 0.0) & (y > 1.0) else 0.0 * y)


declare(
    "poisson_nll",
    "PoissonNLL",
    "poisson_nll_loss",
    select=(
        "log_input",
        {
            True: Elementwise(nll_of_log_rate, y_true=NOT_NEGATIVE),
            False: Elementwise(nll_of_rate, y_true=NOT_NEGATIVE, y_pred=NOT_NEGATIVE),
        },
    ),
    parameters={
        "log_input": Parameter(True, "whether `y_pred` holds the rates' logarithms", types=(bool,)),
        "full": Parameter(False, FULL + ", by Stirling's approximation, for labels above 1", types=(bool,)),
        "axis": MEAN_AXIS,
        "epsilon": floor("added to a rate inside its logarithm", 1e-8),
    },
    positional=("log_input", "full", "reduction"),
    peer="PyTorch",
    doc="""
    Poisson negative log-likelihood: the mean of ``exp(y_pred) - y_true y_pred``, or of
    ``y_pred - y_true log(y_pred + epsilon)`` without ``log_input``.

    ``full`` adds ``y_true log(y_true) - y_true + log(2 pi y_true) / 2`` for labels above 1.

    Source: PyTorch, ``poisson_nll_loss``.

    >>> import streamloss as sl
    >>> sl.losses.PoissonNLL()([0.0, 3.0], [0.0, 1.0]).round(6)
    np.float64(0.359141)
    """,
)


def nll_of_log_input(y: float, x: float, compute_full_loss: float) -> float:
    return minus_log_exponential(y, x) + (stirling(y) if (compute_full_loss != 0.0) & (y > 1.0) else 0.0 * y)


declare(
    "log_poisson_loss",
    "LogPoissonLoss",
    formula=Elementwise(nll_of_log_input, y_true=NOT_NEGATIVE),
    parameters={
        "compute_full_loss": Parameter(False, FULL + ", by Stirling's approximation", types=(bool,)),
        "axis": MEAN_AXIS,
    },
    positional=("compute_full_loss", "reduction"),
    peer="TensorFlow",
    doc="""
    Poisson loss of a predicted logarithm c: the mean of ``exp(c) - y_true c``; the full loss adds
    ``y_true log(y_true) - y_true + log(2 pi y_true) / 2`` for labels above 1.

    Source: TensorFlow, ``log_poisson_loss``.

    >>> import streamloss as sl
    >>> sl.losses.LogPoissonLoss(compute_full_loss=True)([3.0], [1.0]).round(6)
    np.float64(1.482363)
    """,
)


def gaussian(y: float, mean: float, variance: float, full: float, lower: float) -> float:
    v = at_least(variance, lower)
    error = y - mean
    square = error * error
    return 0.5 * ((log(v) + square / v) + (LOG_2PI if full != 0.0 else 0.0))


declare(
    "gaussian_nll",
    "GaussianNLL",
    "gaussian_nll_loss",
    formula=Parametric(gaussian, ("mean", "variance"), y_preds=(REAL, NOT_NEGATIVE)),
    parameters={
        "full": Parameter(False, "whether to add log(2 pi) / 2", types=(bool,)),
        "axis": Parameter(-1, "the axis of `y_pred` that holds the mean and the variance", types=(int,)),
        "epsilon": floor("the least variance", 1e-6),
    },
    positional=("full", "reduction"),
    peer="PyTorch",
    doc="""
    Gaussian negative log-likelihood ``(log(v) + (y_true - mean)**2 / v) / 2``, where ``y_pred[..., 0]`` is the mean and
    ``v = max(y_pred[..., 1], epsilon)`` the variance.

    Source: PyTorch, ``gaussian_nll_loss``.

    >>> import streamloss as sl
    >>> sl.losses.GaussianNLL()([1.0, 0.0], [[0.0, 1.0], [0.0, 4.0]]).round(6)
    np.float64(0.596574)
    """,
)


@scalar
def divided(a: float, u: float) -> float:
    """``expm1(a u) / a``, and its limit u for a = 0."""
    return expm1(a * u) / a if a != 0.0 else u


@scalar
def deviance(y: float, mu: float, power_: float) -> float:
    """Tweedie's unit deviance for a power of at least 1.

    With ``u = log(y / mu)``, ``b = 2 - power`` and ``a = 1 - power`` it is
    ``2 mu**b (exp(b u) - b exp(u) + a) / (a b)``. Near u = 0 the bracket is the sum of
    ``u**n (1 + b + ... + b**(n-2)) / n!`` over n >= 2; elsewhere it is taken over whichever of a and b is not small.
    """
    b = 2.0 - power_
    a = 1.0 - power_
    ratio = (y - mu) / mu
    near = abs(ratio) < 0.5
    u = log1p(ratio) if near else log_quotient(y, mu)
    inverse = 1.0 / power(mu, -b) if b < 0.0 else power(mu, b)

    total, factor, geometric = 0.0, 1.0, 0.0
    for n in range(2, 28):
        factor = factor * u / n if n > 2 else u * u / 2.0
        geometric = geometric * b + 1.0
        total += factor * geometric
    series = (abs(u) < 1.5) & (abs(b * u) < 3.0)

    e = expm1(u)
    by_a = ((1.0 + e) * divided(a, u) - e) / b
    by_b = (divided(b, u) - e) / a
    outer = by_a if abs(b) > 0.5 else by_b
    outer = 1.0 / b if y == 0.0 else outer
    value = 2.0 * inverse * (total if series else outer)
    return value if (y > 0.0) | (b > 0.0) | (y != y) else np.nan  # from a power of 2 on, 0 is infinitely unlikely


def tweedie(y: float, mu: float, power: float) -> float:
    return deviance(y, mu, power)


declare(
    "tweedie_deviance",
    "TweedieDeviance",
    "mean_tweedie_deviance",
    formula=Elementwise(tweedie, y_true=NOT_NEGATIVE, y_pred=POSITIVE),
    parameters={
        "power": Parameter(1.5, "1: Poisson, 2: gamma, 3: inverse Gaussian, between 1 and 2 both", Interval(1.0, 10.0)),
        "axis": MEAN_AXIS,
    },
    positional=("power", "reduction"),
    peer="scikit-learn",
    doc="""
    Mean Tweedie deviance of positive predictions m: with the power p, the mean of
    ``2 (y**(2-p) / ((1-p) (2-p)) - y m**(1-p) / (1-p) + m**(2-p) / (2-p))``, and its limits for p = 1 and 2.

    A power of 0 is the squared error. From a power of 2 on, labels must be above 0.

    Source: scikit-learn, ``mean_tweedie_deviance``.

    >>> import streamloss as sl
    >>> sl.losses.TweedieDeviance(power=1.5)([2.0, 0.0, 1.0, 4.0], [0.5, 0.5, 2.0, 2.0]).round(6)
    np.float64(1.778175)
    """,
)


def poisson_deviance(y: float, mu: float) -> float:
    return deviance(y, mu, 1.0)


declare(
    "poisson_deviance",
    "PoissonDeviance",
    "mean_poisson_deviance",
    formula=Elementwise(poisson_deviance, y_true=NOT_NEGATIVE, y_pred=POSITIVE),
    parameters={"axis": MEAN_AXIS},
    peer="scikit-learn",
    doc="""
    Mean Poisson deviance: the mean of ``2 (y_true log(y_true / y_pred) - y_true + y_pred)``.

    Source: scikit-learn, ``mean_poisson_deviance``.

    >>> import streamloss as sl
    >>> sl.losses.PoissonDeviance()([2.0, 0.0, 1.0, 4.0], [0.5, 0.5, 2.0, 2.0]).round(6)
    np.float64(1.426015)
    """,
)


def gamma_deviance(y: float, mu: float) -> float:
    return deviance(y, mu, 2.0)


declare(
    "gamma_deviance",
    "GammaDeviance",
    "mean_gamma_deviance",
    formula=Elementwise(gamma_deviance, y_true=POSITIVE, y_pred=POSITIVE),
    parameters={"axis": MEAN_AXIS},
    peer="scikit-learn",
    doc="""
    Mean gamma deviance: the mean of ``2 (log(y_pred / y_true) + y_true / y_pred - 1)``.

    Source: scikit-learn, ``mean_gamma_deviance``.

    >>> import streamloss as sl
    >>> sl.losses.GammaDeviance()([2.0, 0.5, 1.0, 4.0], [0.5, 0.5, 2.0, 2.0]).round(6)
    np.float64(1.056853)
    """,
)
