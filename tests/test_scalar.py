"""The elementary functions are good to an ulp and treat special values as mathematics does."""

import numpy as np
import pytest
from mpmath import mp, mpf
from numba import njit

from oracles import ulps
from streamloss.losses import _scalar

rng = np.random.default_rng(20260101)


def mapped(function):
    @njit(error_model="numpy")
    def over(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    def call(x):
        x = np.asarray(x, np.float64)
        out = np.empty_like(x)
        over(x, out)
        return out

    return call


FUNCTIONS = {
    "exp": (
        mapped(_scalar.exp),
        mp.exp,
        [rng.uniform(-745, 709, 3000), rng.normal(size=2000), rng.normal(size=500) * 1e-9],
    ),
    "log": (
        mapped(_scalar.log),
        mp.log,
        [np.exp(rng.uniform(-744, 709, 3000)), rng.uniform(0.4, 2.2, 2000), 1 + rng.normal(size=500) * 1e-9, [5e-324]],
    ),
    "log1p": (
        mapped(_scalar.log1p),
        mp.log1p,
        [np.exp(rng.uniform(-744, 709, 3000)), rng.uniform(-1, 2, 2000), rng.normal(size=500) * 1e-9, [-1 + 2**-53]],
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_one_ulp(name):
    function, true, samples = FUNCTIONS[name]
    x = np.concatenate(samples)
    worst = max(ulps(value, true(mpf(float(v)))) for v, value in zip(x, function(x), strict=True))
    assert worst <= 1.0


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", [0.0, -0.0, -np.inf, np.inf, np.nan, -800.0, 800.0], [1, 1, 0, np.inf, np.nan, 0, np.inf]),
        ("log", [1.0, 0.0, -0.0, np.inf, np.nan, -1.0], [0, -np.inf, -np.inf, np.inf, np.nan, np.nan]),
        ("log1p", [0.0, -1.0, np.inf, np.nan, -2.0], [0, -np.inf, np.inf, np.nan, np.nan]),
    ],
)
def test_special_values(name, x, expected):
    np.testing.assert_array_equal(FUNCTIONS[name][0](x), expected)


def test_exp_takes_what_rounding_its_argument_lost():
    @njit(error_model="numpy")
    def exp_of_difference(a, b):
        d, lost = _scalar.difference(a, b)
        return _scalar.exp(d, lost)

    pairs = [(0.1, 40.3), (1e-9, 700.1), (3.3, -2.7), (1e4, 1e4 - 0.3), (-np.inf, 3.0)]
    for a, b in pairs:
        assert ulps(np.float64(exp_of_difference(a, b)), mp.exp(mpf(a) - mpf(b))) <= 1.0
