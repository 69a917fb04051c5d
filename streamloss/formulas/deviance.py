"""Deviances: the distance of a likelihood from the best possible one."""

import numpy as np

from ..core.jit import scalar
from ..core.types import Interval
from ._double_double import (
    dd_diff,
    dd_div,
    dd_exp,
    dd_expm1,
    dd_log,
    dd_log_quotient,
    dd_mul,
    dd_plus,
    dd_share,
)
from ._kinds import Elementwise
from ._parameters import MEAN_AXIS, NOT_NEGATIVE, POSITIVE, Parameter
from ._registry import declare
from ._scalar import at_least, at_most, either, exp


@scalar
def near_deviance(u: float, b: float) -> float:
    """Return ``(exp(b u) - b exp(u) + b - 1) / ((b - 1) b)`` for small u and b u.

    There all of it cancels but the sum of ``u**n (1 + b + ... + b**(n-2)) / n!`` over n >= 2.
    """
    total, factor, geometric = 0.0, 0.5, 1.0
    for n in range(3, either(19, 11)):
        factor *= u * (1.0 / n)  # a constant for compilers
        geometric = geometric * b + 1.0
        total += factor * geometric
    return u * u * (0.5 + total)


@scalar
def deviance(y: float, mu: float, power_: float) -> float:
    """Return Tweedie's unit deviance for a power of at least 1.

    With ``a = 1 - power``, ``b = 2 - power`` (both exact), ``u = log(y / mu)`` and ``r = y / mu`` it is
    ``2 mu**b f``, where ``f = (r**b - b r + a) / (a b)``. For small u that is a series; elsewhere
    ``(r (r**a - 1) / a - (r - 1)) / b`` if b is not small, or ``((r**b - 1) / b - (r - 1)) / a`` if a is not: in
    double-double, because the difference cancels. So that nothing overflows before the loss does, all is divided by the
    largest of 1, r and ``r**b``. Then, for either of ``c = a`` and ``c = b``,
    ``f = |(1 - exp(-|c u|)) / c  exp(-k |u|) - |y - mu| / max(y, mu) exp(-m |u|)| / (the other one)``.
    """
    a, b = 1.0 - power_, 2.0 - power_
    by_a = abs(b) > 0.5
    c, other = (a, b) if by_a else (b, a)
    u, u_lo = dd_log_quotient(y, mu)
    above = u > 0.0
    size, size_lo = (u, u_lo) if above else (-u, -u_lo)

    k = (0.0 if by_a else (1.0 if b <= 0.0 else -a)) if above else (at_least(b, 0.0) if by_a else 0.0)
    m = 0.0 if above else at_least(-b, 0.0)  # one of the two is 0
    x, x_lo = dd_mul(-(k + m), 0.0, size, size_lo)
    decay, decay_lo = dd_exp(x, x_lo)

    x, x_lo = dd_mul(-abs(c), 0.0, size, size_lo)
    x, x_lo = dd_expm1(x, x_lo)
    first, first_lo = dd_div(-x, -x_lo, abs(c), 0.0)
    first, first_lo = (first, first_lo) if c != 0.0 else (size, size_lo)
    d, d_lo = dd_diff(y, mu)
    second, second_lo = dd_div(abs(d), d_lo if d > 0.0 else -d_lo, y if above else mu, 0.0)
    scaled, scaled_lo = dd_mul(decay, decay_lo, first if k > 0.0 else second, first_lo if k > 0.0 else second_lo)
    first, first_lo = (scaled, scaled_lo) if k > 0.0 else (first, first_lo)
    second, second_lo = (second, second_lo) if k > 0.0 else (scaled, scaled_lo)
    gap, gap_lo = dd_plus(first, first_lo, -second, -second_lo)
    far = abs((gap + gap_lo) / other)

    near = size * at_least(abs(b), 1.0) < 0.5
    value = near_deviance(u, b) * (1.0 + 2.0 * dd_share(u_lo, u)) if near else far
    value = 1.0 / b if y == 0.0 else value

    # mu**b, times the largest of 1, r and r**b
    of_y = 0.0 if near | (y == 0.0) else (1.0 if above else at_most(b, 0.0))
    of_mu = b if near | (y == 0.0) else (a if above else at_least(b, 0.0))
    log_y, log_y_lo = dd_log(y)
    log_y = log_y if y > 0.0 else 0.0  # it may be -inf, and is multiplied by 0
    log_mu, log_mu_lo = dd_log(mu)
    x, x_lo = dd_mul(log_y, log_y_lo, b, 0.0)
    limit = 2.0 * (exp(x, x_lo) / (a * b)) if b < 0.0 else np.inf  # for a mu of infinity
    log_y, log_y_lo = dd_mul(log_y, log_y_lo, of_y, 0.0)
    log_mu, log_mu_lo = dd_mul(log_mu, log_mu_lo, of_mu, 0.0)
    x, x_lo = dd_plus(log_y, log_y_lo, log_mu, log_mu_lo)
    value = 0.0 if d == 0.0 else 2.0 * (exp(x, x_lo) * value)
    value = limit if mu == np.inf else value + 0.0 * mu
    value = value if (y > 0.0) | (b > 0.0) else np.nan  # from a power of 2 on, 0 is infinitely unlikely
    return value + 0.0 * y


def tweedie(y: float, mu: float, power: float) -> float:
    return deviance(y, mu, power)


declare(
    "tweedie_deviance",
    "TweedieDeviance",
    formula=Elementwise(tweedie, y_true=NOT_NEGATIVE, y_pred=POSITIVE),
    parameters={
        "power": Parameter(1.5, "1: Poisson, 2: gamma, 3: inverse Gaussian, between 1 and 2 both", Interval(1.0, 10.0)),
        "axis": MEAN_AXIS,
    },
    positional=("power", "reduction"),
    peer="scikit-learn",
    brief="amounts, many of them 0: rain, claims",
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
    brief="counts; 0 where a rate is the count",
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
    brief="positive amounts: claims, durations",
    doc="""
    Mean gamma deviance: the mean of ``2 (log(y_pred / y_true) + y_true / y_pred - 1)``.

    Source: scikit-learn, ``mean_gamma_deviance``.

    >>> import streamloss as sl
    >>> sl.losses.GammaDeviance()([2.0, 0.5, 1.0, 4.0], [0.5, 0.5, 2.0, 2.0]).round(6)
    np.float64(1.056853)
    """,
)
