"""Losses between two real numbers."""

import numpy as np

from ..core.primitives import two_diff, two_sum
from ..core.types import UNIT
from ._double_double import dd_diff, dd_div, dd_expm1, dd_log1p, dd_mul, dd_plus, dd_share
from ._kinds import Elementwise
from ._parameters import MEAN_AXIS, POSITIVE, Parameter, epsilon
from ._registry import declare
from ._scalar import LARGEST, at_least, at_most, log1p_of_normal

AXIS = {"axis": MEAN_AXIS}
LN2, LN2_ERR = 0.6931471805599453, 2.3190468138462996e-17


def squared_error(y: float, p: float) -> float:
    error = p - y
    return error * error


declare(
    "mean_squared_error",
    "MeanSquaredError",
    "mse",
    "MSE",
    formula=Elementwise(squared_error),
    parameters=AXIS,
    brief="squared errors: a mean is best",
    doc="""
    Mean of squared errors: ``mean((y_true - y_pred)**2, axis)``.

    Source: Keras 3, ``mean_squared_error``.

    >>> import streamloss as sl
    >>> loss = sl.losses.MeanSquaredError()
    >>> loss([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])
    np.float64(0.5)
    """,
)


def absolute_error(y: float, p: float) -> float:
    return abs(p - y)


declare(
    "mean_absolute_error",
    "MeanAbsoluteError",
    "mae",
    "MAE",
    formula=Elementwise(absolute_error),
    parameters=AXIS,
    brief="absolute errors: a median is best",
    doc="""
    Mean of absolute errors: ``mean(|y_true - y_pred|, axis)``.

    Source: Keras 3, ``mean_absolute_error``.

    >>> import streamloss as sl
    >>> sl.losses.MeanAbsoluteError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])
    np.float64(0.5)
    """,
)


def absolute_percentage_error(y: float, p: float, lower: float) -> float:
    return 100.0 * (abs(y - p) / at_least(abs(y), lower))


declare(
    "mean_absolute_percentage_error",
    "MeanAbsolutePercentageError",
    "mape",
    "MAPE",
    formula=Elementwise(absolute_percentage_error),
    parameters={**AXIS, "epsilon": epsilon("the least `|y_true|` that is divided by")},
    brief="absolute errors in percent of the label",
    doc="""
    Mean of absolute errors in percent: ``mean(100 |y_true - y_pred| / max(|y_true|, epsilon), axis)``.

    Source: Keras 3, ``mean_absolute_percentage_error``.

    >>> import streamloss as sl
    >>> sl.losses.MeanAbsolutePercentageError()([2.0, 4.0], [1.0, 3.0])
    np.float64(37.5)
    """,
)


def squared_logarithmic_error(y: float, p: float, lower: float) -> float:
    # log(1 + b) - log(1 + a) = log(1 + (b - a) / (1 + a)); with b the larger one nothing cancels
    a, b = at_least(y, lower), at_least(p, lower)
    low, high = (a, b) if b > a else (b, a)
    d, d_lo = two_diff(high, low)
    whole, whole_lo = two_sum(1.0, low)
    part, part_lo = dd_div(d, d_lo, whole, whole_lo)
    error, error_lo = dd_log1p(part, part_lo)
    square = error * error + 2.0 * error * error_lo
    return part if part == np.inf else square


declare(
    "mean_squared_logarithmic_error",
    "MeanSquaredLogarithmicError",
    "msle",
    "MSLE",
    formula=Elementwise(squared_logarithmic_error),
    parameters={**AXIS, "epsilon": epsilon("smaller values, also negative ones, are raised to it")},
    brief="squared errors of logarithms",
    doc="""
    Mean of squared errors of logarithms: ``mean((log(1 + max(y_true, epsilon)) - log(1 + max(y_pred, epsilon)))**2)``.

    Source: Keras 3, ``mean_squared_logarithmic_error``.

    >>> import streamloss as sl
    >>> sl.losses.MeanSquaredLogarithmicError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]).round(6)
    np.float64(0.240226)
    """,
)


def huber_error(y: float, p: float, delta: float) -> float:
    error = abs(p - y)
    return 0.5 * error * error if error <= delta else delta * (error - 0.5 * delta)


declare(
    "huber",
    "Huber",
    "huber_loss",
    formula=Elementwise(huber_error),
    parameters={
        "delta": Parameter(1.0, "where the loss turns from quadratic to linear", POSITIVE),
        **AXIS,
    },
    positional=("delta", "reduction"),
    brief="squared errors; outliers count less",
    doc="""
    Quadratic up to ``delta``, linear beyond: with ``e = |y_true - y_pred|``, the mean of ``e**2 / 2`` where
    ``e <= delta`` and ``delta e - delta**2 / 2`` elsewhere.

    Source: Keras 3, ``huber``.

    >>> import streamloss as sl
    >>> sl.losses.Huber()([[0.0, 1.0], [0.0, 0.0]], [[0.6, 0.4], [0.4, 0.6]]).round(6)
    np.float64(0.155)
    """,
)


def logarithm_of_cosh(y: float, p: float) -> float:
    # x = |p - y| in double-double: squaring doubles the error of a rounding
    d, d_lo = dd_diff(p, y)
    x, x_lo = (d, d_lo) if d >= 0.0 else (-d, -d_lo)
    # near 0 as log(1 + (cosh(x) - 1)), with cosh(x) - 1 = (exp(-x) - 1)**2 / (2 exp(-x)); far out as
    # x - log(2) + log(1 + exp(-2 x)): one exponential and one logarithm serve both
    far = x >= 1.0
    s, s_lo = dd_expm1(-x, -x_lo)
    e, e_lo = dd_plus(1.0, 0.0, s, s_lo)
    s, s_lo = dd_mul(s, s_lo, 0.5 * s, 0.5 * s_lo)
    s, s_lo = dd_div(s, s_lo, e, e_lo)
    s, s_lo = (e * e, 0.0) if far else (s, s_lo)
    rest = log1p_of_normal(s) + dd_share(s_lo, 1.0 + s)
    line, line_lo = dd_plus(x, x_lo, -LN2, -LN2_ERR)
    return line + (line_lo + rest) if far else rest


declare(
    "log_cosh",
    "LogCosh",
    "logcosh",
    formula=Elementwise(logarithm_of_cosh),
    parameters=AXIS,
    brief="as Huber, smooth everywhere",
    doc="""
    Mean of ``log(cosh(y_pred - y_true))``: about ``x**2 / 2`` for small errors x, ``|x| - log(2)`` for large ones.

    Source: Keras 3, ``log_cosh``.

    >>> import streamloss as sl
    >>> sl.losses.LogCosh()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]]).round(6)
    np.float64(0.108445)
    """,
)


def pinball(y: float, p: float, quantile: float) -> float:
    # a side that costs nothing costs 0 times a finite error, also for an infinite one
    error = at_least(at_most(y - p, np.inf if quantile > 0.0 else LARGEST), -np.inf if quantile < 1.0 else -LARGEST)
    return quantile * error if error >= 0.0 else (quantile - 1.0) * error


declare(
    "pinball",
    "Pinball",
    "mean_pinball_loss",
    formula=Elementwise(pinball),
    parameters={"quantile": Parameter(0.5, "the quantile that is predicted", UNIT), **AXIS},
    positional=("quantile", "reduction"),
    peer="scikit-learn",
    brief="forecasts of a quantile",
    doc="""
    Quantile loss: the mean of ``quantile (y_true - y_pred)`` above the prediction and
    ``(1 - quantile) (y_pred - y_true)`` below it.

    Source: scikit-learn, ``mean_pinball_loss`` (Koenker and Bassett 1978).

    >>> import streamloss as sl
    >>> sl.losses.Pinball(quantile=0.75)([1.0, 2.0, 3.0], [0.0, 2.0, 4.0]).round(6)
    np.float64(0.333333)
    """,
)
