"""The elementary functions are good to an ulp and treat special values as mathematics does."""

import inspect
from types import FunctionType

import numpy as np
import pytest
from mpmath import mp, mpf
from numba import njit

from oracles import ulps
from streamloss.core import primitives
from streamloss.formulas import _double_double, _scalar
from streamloss.formulas import _float32 as _single

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
    "expm1": (
        mapped(_scalar.expm1),
        mp.expm1,
        [rng.uniform(-60, 709, 3000), rng.uniform(-1, 1, 3000), rng.normal(size=500) * 1e-9],
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


BOUND = {"exp": 1.0, "expm1": 2.0, "log": 1.0, "log1p": 1.0}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_their_bound(name):
    function, true, samples = FUNCTIONS[name]
    x = np.concatenate(samples)
    worst = max(ulps(value, true(mpf(float(v)))) for v, value in zip(x, function(x), strict=True))
    assert worst <= BOUND[name]


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", [0.0, -0.0, -np.inf, np.inf, np.nan, -800.0, 800.0], [1, 1, 0, np.inf, np.nan, 0, np.inf]),
        ("expm1", [0.0, -np.inf, np.inf, np.nan, -800.0, 800.0, 1e-320], [0, -1, np.inf, np.nan, -1, np.inf, 1e-320]),
        ("log", [1.0, 0.0, -0.0, np.inf, np.nan, -1.0], [0, -np.inf, -np.inf, np.inf, np.nan, np.nan]),
        ("log1p", [0.0, -1.0, np.inf, np.nan, -2.0], [0, -np.inf, np.inf, np.nan, np.nan]),
    ],
)
def test_special_values(name, x, expected):
    np.testing.assert_array_equal(FUNCTIONS[name][0](x), expected)


def test_exp_takes_what_rounding_its_argument_lost():
    @njit(error_model="numpy")
    def exp_of_difference(a, b):
        d, err = primitives.two_diff(a, b)
        return _scalar.exp(d, err)

    pairs = [(0.1, 40.3), (1e-9, 700.1), (3.3, -2.7), (1e4, 1e4 - 0.3), (-np.inf, 3.0)]
    for a, b in pairs:
        assert ulps(np.float64(exp_of_difference(a, b)), mp.exp(mpf(a) - mpf(b))) <= 1.0


def test_logarithm_in_double_double():
    @njit(error_model="numpy")
    def dd_log(x):
        return _double_double.dd_log(x)

    for x in [*np.exp(rng.uniform(-700, 700, 1000)), *rng.uniform(0.5, 2, 1000), 1 + 1e-9, 1 - 2**-53]:
        high, low = dd_log(x)
        true = mp.log(mpf(float(x)))
        assert abs((mpf(high) + mpf(low)) / true - 1) < mpf(2) ** -57


def test_power():
    @njit(error_model="numpy")
    def power(x, y):
        return _double_double.power(x, y)

    for x, y in zip(
        [*rng.uniform(0, 1, 500), *np.exp(rng.uniform(-300, 2, 500))], rng.uniform(0, 5, 1000), strict=True
    ):
        true = mpf(float(x)) ** mpf(float(y))
        assert true < 1e-300 or ulps(np.float64(power(x, y)), true) <= 2.0
    special = [
        (0.0, 0.0, 1.0),
        (0.0, 2.0, 0.0),
        (0.3, 0.0, 1.0),
        (1.0, 7.0, 1.0),
        (0.3, 1.0, 0.3),
        (np.nan, 2.0, np.nan),
    ]
    for x, y, expected in special:
        np.testing.assert_equal(power(x, y), expected)


# Functions for losses that are rounded to float32

NANS = np.array([0x7FF8000000000000, 0xFFF8000000000001, 0x7FF80000000007A2, 0x7FF8000000000FFF], np.uint64)
"""Of either sign, with low bits that somebody left there: the third one is how R writes NA."""


@njit(error_model="numpy")
def _log_quotient(x):
    return _single.dd_log_quotient(x, 0.7)[0]


@njit(error_model="numpy")
def _power(x):
    return _single.power(x, 1.7)


NEAR_0 = [*rng.normal(size=300) * 1e-9, 5e-324, -5e-324, 1e-310, -1e-310, 2.3e-308]
SINGLES = {
    "exp": (mapped(_single.exp), mp.exp, [*rng.uniform(-708, 709.78, 2000), *NEAR_0, -708.0, 709.78]),
    "exp_nonpositive": (
        mapped(_single.exp_nonpositive),
        mp.exp,
        [*rng.uniform(-708, 0, 2000), -708.0, -5e-324, -1e-310],
    ),
    "expm1": (
        mapped(_single.expm1),
        mp.expm1,
        [*rng.uniform(-60, 709, 2000), *rng.uniform(-1, 1, 2000), *NEAR_0, -1e308],
    ),
    "log": (
        mapped(_single.log),
        mp.log,
        [*np.exp(rng.uniform(-744, 709, 2000)), *rng.uniform(0.4, 2.2, 2000), 5e-324, 1.7e308],
    ),
    "log_of_normal": (
        mapped(_single.log_of_normal),
        mp.log,
        [*np.exp(rng.uniform(-708, 709, 2000)), 2.3e-308, 1.7e308],
    ),
    "log1p": (
        mapped(_single.log1p),
        mp.log1p,
        [*np.exp(rng.uniform(-744, 709, 2000)), *rng.uniform(-1, 2, 2000), *NEAR_0, -1 + 2**-53, 1.7e308],
    ),
    "log1p_of_normal": (
        mapped(_single.log1p_of_normal),
        mp.log1p,
        [*rng.uniform(-1, 2, 2000), *NEAR_0, -1 + 2**-53, 1.7e308],
    ),
    "log_quotient": (
        mapped(_log_quotient),
        lambda x: mp.log(x / mpf(0.7)),
        [*np.exp(rng.uniform(-700, 700, 1000)), *rng.uniform(0.3, 1.5, 1000), 0.7 + 1e-12, 5e-324, 1.7e308],
    ),
    "power": (
        mapped(_power),
        lambda x: x ** mpf(1.7),
        [*rng.uniform(0, 1, 1000), *np.exp(rng.uniform(-400, 400, 1000))],
    ),
}


@pytest.mark.parametrize("name", SINGLES)
def test_functions_for_float32_results_are_within_their_bound(name):
    function, true, x = SINGLES[name]
    bound = 8e-10 if name == "expm1" else 3e-10
    for v, value in zip(x, function(x), strict=True):
        right = true(mpf(float(v)))
        assert abs(mpf(float(value)) - right) <= bound * abs(right), f"{name}({v!r}) is {value!r}, not {right}"


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", [0.0, -0.0, -np.inf, np.inf, -709.0, -1e308, 710.0, 1e308], [1, 1, 0, np.inf, 0, 0, np.inf, np.inf]),
        ("exp_nonpositive", [0.0, -0.0, -np.inf, -709.0, -1e308], [1, 1, 0, 0, 0]),
        ("expm1", [0.0, -0.0, -np.inf, np.inf, -800.0, 800.0], [0, 0, -1, np.inf, -1, np.inf]),
        ("log", [1.0, 0.0, -0.0, np.inf, -5e-324, -1.0, -np.inf], [0, -np.inf, -np.inf, np.inf, *[np.nan] * 3]),
        ("log_of_normal", [1.0, 0.0, -0.0], [0, -np.inf, -np.inf]),
        ("log1p", [0.0, -0.0, -1.0, np.inf, -2.0, -np.inf], [0, 0, -np.inf, np.inf, np.nan, np.nan]),
        ("log1p_of_normal", [0.0, -0.0, -1.0], [0, 0, -np.inf]),
        ("log_quotient", [0.7], [0]),
        ("power", [0.0, 1.0], [0, 1]),
    ],
)
def test_special_values_for_float32_results(name, x, expected):
    np.testing.assert_array_equal(SINGLES[name][0](x), expected)


@pytest.mark.parametrize("functions", [FUNCTIONS, SINGLES], ids=["float64", "float32"])
def test_nan_stays_nan_whatever_its_bits(functions):
    for name, (function, *_) in functions.items():
        assert np.isnan(function(NANS.view(np.float64))).all(), name


SAME_FOR_FLOAT32 = {
    *("at_least", "at_most", "sqrt", "power_of_two", "exp_scaled", "log_scaled", "fast_two_sum", "dd_add", "square"),
    *("share_cost", "log_quotient"),  # whose own calls are exchanged
}


def public_functions(module):
    """The compiled functions that a module defines, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if hasattr(value, "py_func") and value.py_func.__module__ == module.__name__ and not name.startswith("_")
    }


DOUBLES = public_functions(_scalar) | public_functions(_double_double)


def test_every_function_has_a_namesake_for_float32_results_or_needs_none():
    twins = public_functions(_single)
    assert set(DOUBLES) - set(twins) == SAME_FOR_FLOAT32
    assert set(twins) <= set(DOUBLES)


@pytest.mark.parametrize("name", sorted(public_functions(_single)))
def test_formulas_for_float32_results_call_the_namesake(name):
    double, single = DOUBLES[name], getattr(_single, name)
    assert _single.in_single(double) is single is not double
    assert inspect.getfullargspec(double.py_func)[:4] == inspect.getfullargspec(single.py_func)[:4]
    formula = eval(f"lambda x: {name}(x)", {name: double})
    assert _single.in_single(formula).__globals__[name] is single
    inner = FunctionType(formula.__code__, {name: double, "__name__": _scalar.__name__})
    outer = eval("lambda x: helper(x)", {"helper": inner})
    assert _single.in_single(outer).__globals__["helper"].__globals__[name] is single
