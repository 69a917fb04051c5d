"""Negative log-likelihoods of counts and measurements, and deviances: how far a likelihood is from its best."""

import numpy as np

from .._jit import scalar
from .._primitives import fma
from ..types import REAL, Interval
from ._kinds import Elementwise, Parametric
from ._parameters import MEAN_AXIS, NOT_NEGATIVE, POSITIVE, Parameter, floor
from ._registry import declare
from ._scalar import (
    at_least,
    at_most,
    difference,
    divided_parts,
    exp,
    exp_twice,
    expm1_twice,
    log,
    log_parts,
    log_quotient_parts,
    plus_parts,
    times_parts,
)

INFINITY = float("inf")
LOG_2PI = 1.8378770664093453
FULL = "whether to add what does not depend on `y_pred`"


@scalar
def stirling(y: float) -> float:
    """Stirling's approximation of ``log(y!)``: ``y log(y) - y + log(2 pi y) / 2``."""
    log_y = log(y)
    return fma(y, log_y, -y) + 0.5 * (LOG_2PI + log_y)


@scalar
def constant(y: float, full: float) -> float:
    """What a full likelihood of a count adds, which does not depend on the prediction."""
    return stirling(y) if (full != 0.0) & (y > 1.0) else 0.0 * y


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
    return minus_log_exponential(y, x) + constant(y, full)


def nll_of_rate(y: float, p: float, full: float, lower: float) -> float:
    return minus_log_rate(y, p, lower) + constant(y, full)


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
    return minus_log_exponential(y, x) + constant(y, compute_full_loss)


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
    return 0.5 * ((log(v) + error * (error / v)) + (LOG_2PI if full != 0.0 else 0.0))


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
def near_deviance(u: float, b: float) -> float:
    """``(exp(b u) - b exp(u) + b - 1) / ((b - 1) b)`` for small u and b u, where all of it cancels but
    ``u**n (1 + b + ... + b**(n-2)) / n!`` over n >= 2.
    """
    total, factor, geometric = 0.0, 0.5, 1.0
    for n in range(3, 19):
        factor *= u / n
        geometric = geometric * b + 1.0
        total += factor * geometric
    return u * u * (0.5 + total)


@scalar
def deviance(y: float, mu: float, power_: float) -> float:
    """Tweedie's unit deviance for a power of at least 1.

    With ``a = 1 - power``, ``b = 2 - power`` (both exact), ``u = log(y / mu)`` and ``r = y / mu`` it is
    ``2 mu**b f``, where ``f = (r**b - b r + a) / (a b)``. For small u that is a series; elsewhere
    ``(r (r**a - 1) / a - (r - 1)) / b`` or ``((r**b - 1) / b - (r - 1)) / a``, whichever of a and b is not small: in
    two floats, because the difference cancels. So that nothing overflows before the loss does, all is divided by the
    largest of 1, r and ``r**b``. Then, for either of ``c = a`` and ``c = b``,
    ``f = |(1 - exp(-|c u|)) / c  exp(-k |u|) - |y - mu| / max(y, mu) exp(-m |u|)| / (the other one)``.
    """
    a, b = 1.0 - power_, 2.0 - power_
    by_a = abs(b) > 0.5
    c, other = (a, b) if by_a else (b, a)
    u, u_low = log_quotient_parts(y, mu)
    above = u > 0.0
    size, size_low = (u, u_low) if above else (-u, -u_low)

    k = (0.0 if by_a else (1.0 if b <= 0.0 else -a)) if above else (at_least(b, 0.0) if by_a else 0.0)
    m = 0.0 if above else at_least(-b, 0.0)  # one of the two is 0
    x, x_low = times_parts(-(k + m), 0.0, size, size_low)
    decay, decay_low = exp_twice(x, x_low)

    x, x_low = times_parts(-abs(c), 0.0, size, size_low)
    x, x_low = expm1_twice(x, x_low)
    first, first_low = divided_parts(-x, -x_low, abs(c), 0.0)
    first, first_low = (first, first_low) if c != 0.0 else (size, size_low)
    d, d_low = difference(y, mu)
    second, second_low = divided_parts(abs(d), d_low if d > 0.0 else -d_low, y if above else mu, 0.0)
    scaled, scaled_low = times_parts(
        decay, decay_low, first if k > 0.0 else second, first_low if k > 0.0 else second_low
    )
    first, first_low = (scaled, scaled_low) if k > 0.0 else (first, first_low)
    second, second_low = (second, second_low) if k > 0.0 else (scaled, scaled_low)
    gap, gap_low = plus_parts(first, first_low, -second, -second_low)
    far = abs((gap + gap_low) / other)

    near = size * at_least(abs(b), 1.0) < 0.5
    value = near_deviance(u, b) * (1.0 + 2.0 * (u_low / u)) if near else far
    value = 1.0 / b if y == 0.0 else value

    # mu**b, times the largest of 1, r and r**b
    of_y = 0.0 if near | (y == 0.0) else (1.0 if above else at_most(b, 0.0))
    of_mu = b if near | (y == 0.0) else (a if above else at_least(b, 0.0))
    log_y, log_y_low = log_parts(y)
    log_mu, log_mu_low = log_parts(mu)
    log_y, log_y_low = times_parts(log_y, log_y_low, of_y, 0.0)
    log_mu, log_mu_low = times_parts(log_mu, log_mu_low, of_mu, 0.0)
    x, x_low = plus_parts(log_y, log_y_low, log_mu, log_mu_low)
    value = 0.0 if d == 0.0 else 2.0 * (exp(x, x_low) * value)
    value = value if (y > 0.0) | (b > 0.0) else np.nan  # from a power of 2 on, 0 is infinitely unlikely
    return value + 0.0 * y + 0.0 * mu


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
