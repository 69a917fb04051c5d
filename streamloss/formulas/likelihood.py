"""Negative log-likelihoods of counts and measurements."""

import numpy as np

from ..core.jit import scalar
from ..core.primitives import fma, two_sum
from ..core.types import REAL
from ._double_double import dd_log
from ._kinds import Elementwise, Parametric
from ._parameters import MEAN_AXIS, NOT_NEGATIVE, Parameter, epsilon
from ._registry import declare
from ._scalar import LARGEST, at_least, at_most, exp, log

LOG_2PI = 1.8378770664093453
FULL = "whether to add what does not depend on `y_pred`"


@scalar
def stirling(y: float) -> float:
    """Return Stirling's approximation of ``log(y!)``: ``y log(y) - y + log(2 pi y) / 2``."""
    log_y = log(y)
    return fma(y, log_y, -y) + 0.5 * (LOG_2PI + log_y)


@scalar
def constant(y: float, full: float) -> float:
    """Return the term of the full likelihood of a count that does not depend on the prediction."""
    return stirling(y) if (full != 0.0) & (y > 1.0) else 0.0 * y


@scalar
def minus_log_rate(y: float, p: float, lower: float) -> float:
    """Return ``p - y log(p + lower)``."""
    shifted, err = two_sum(at_most(p, LARGEST), lower)  # so that infinity less y times its logarithm is infinity
    usable = shifted if shifted > 0.0 else 1.0
    hi, lo = dd_log(usable)
    lo += err / usable
    value = fma(-y, hi, p) - y * lo
    at_zero = 0.0 if y == 0.0 else y * np.inf
    return value if shifted != 0.0 else at_zero


def poisson_of_rate(y: float, p: float, lower: float) -> float:
    return minus_log_rate(y, p, lower)


declare(
    "poisson",
    "Poisson",
    formula=Elementwise(poisson_of_rate, y_pred=NOT_NEGATIVE, cancels=True),
    parameters={"axis": MEAN_AXIS, "epsilon": epsilon("added to `y_pred` inside the logarithm")},
    brief="counts, from rates, as in Keras",
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
    """Return ``exp(x) - x y``; for a label of 0 it is ``exp(x)`` also where x is infinite."""
    return fma(-y, at_most(x, LARGEST), exp(x)) if y != 0.0 else exp(x)


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
            True: Elementwise(nll_of_log_rate, y_true=NOT_NEGATIVE, cancels=True),
            False: Elementwise(nll_of_rate, y_true=NOT_NEGATIVE, y_pred=NOT_NEGATIVE, cancels=True),
        },
    ),
    parameters={
        "log_input": Parameter(True, "whether `y_pred` holds the rates' logarithms", types=(bool,)),
        "full": Parameter(False, FULL + ", by Stirling's approximation, for labels above 1", types=(bool,)),
        "axis": MEAN_AXIS,
        "epsilon": epsilon("added to a rate inside its logarithm", 1e-8),
    },
    positional=("log_input", "full", "reduction"),
    peer="PyTorch",
    brief="counts, as in PyTorch",
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
    formula=Elementwise(nll_of_log_input, y_true=NOT_NEGATIVE, cancels=True),
    parameters={
        "compute_full_loss": Parameter(False, FULL + ", by Stirling's approximation", types=(bool,)),
        "axis": MEAN_AXIS,
    },
    positional=("compute_full_loss", "reduction"),
    peer="TensorFlow",
    brief="counts, from logarithms of rates",
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
        "axis": Parameter(-1, "the axis of `y_pred` that holds the mean and the variance", types=(int, str)),
        "epsilon": epsilon("the least variance", 1e-6),
    },
    positional=("full", "reduction"),
    peer="PyTorch",
    brief="forecasts of a mean and a variance",
    doc="""
    Gaussian negative log-likelihood ``(log(v) + (y_true - mean)**2 / v) / 2``, where ``y_pred[..., 0]`` is the mean and
    ``v = max(y_pred[..., 1], epsilon)`` the variance.

    Source: PyTorch, ``gaussian_nll_loss``.

    >>> import streamloss as sl
    >>> sl.losses.GaussianNLL()([1.0, 0.0], [[0.0, 1.0], [0.0, 4.0]]).round(6)
    np.float64(0.596574)
    """,
)
