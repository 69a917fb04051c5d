"""Deviances: how far a likelihood is from the best there could be."""

import numpy as np

from ..core.jit import scalar
from ..core.types import Interval
from ._double_double import (
    divided_parts,
    exp_twice,
    expm1_twice,
    log_parts,
    log_quotient_parts,
    plus_parts,
    times_parts,
)
from ._kinds import Elementwise
from ._parameters import MEAN_AXIS, NOT_NEGATIVE, POSITIVE, Parameter
from ._registry import declare
from ._scalar import at_least, at_most, difference, exp


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
    formula=Elementwise(tweedie, y_true=NOT_NEGATIVE, y_pred=POSITIVE, precise=True),
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
    formula=Elementwise(poisson_deviance, y_true=NOT_NEGATIVE, y_pred=POSITIVE, precise=True),
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
