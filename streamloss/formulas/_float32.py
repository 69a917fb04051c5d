"""The elementary functions again, for losses that are rounded to float32: good to 3e-10 (expm1: 8e-10), at half the
price.

A result of 24 bits hides errors 100 times larger than those of float64. :func:`in_single` compiles the text of a
formula with the functions of this module in place of those of the same name in :mod:`._scalar` and
:mod:`._double_double`: a function that is renamed there must be renamed here. A double-double loses its second float
where it is multiplied, divided or an elementary function is applied to it. Sums and differences keep it: they may
cancel.

The polynomials are minimax (Remez exchange) on the reduced ranges.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..core.jit import scalar
from ..core.primitives import bits_of, float_of, fma
from . import _double_double, _scalar
from ._scalar import EXPONENT, LEAST_NORMAL, LOG2E, ROUND, ROUND_BITS, SQRT_HALF_BITS, TWO_54, at_least, at_most
from ._substitution import substituted

_LN2 = 0.6931471805599453
_LOWEST, _HIGHEST = -708.0, 709.78  # beyond, 2**k is no normal float64: the results are 0 and inf
_double_exp, _double_log = _scalar.exp, _scalar.log


@scalar
def either(double: int, single: int) -> int:
    return single


@scalar
def _unscaled(x: float, bias: float) -> tuple[float, float]:
    """Return ``exp(x - k ln 2)`` and ``2**(k + bias - 1023)``, for numbers whose k leaves the latter normal."""
    shift = ROUND + bias  # the low bits of a sum with it are then a biased exponent
    z = fma(x, LOG2E, shift)
    r = fma(z - shift, -_LN2, x)
    p = fma(r, 0.000199075848564031417, 0.00139336549793067)
    p = fma(p, r, 0.00833328600731884138)
    p = fma(p, r, 0.041666464865424935)
    p = fma(p, r, 0.166666667564550645)
    p = fma(p, r, 0.500000001347479708)
    p = fma(p, r, 1.0)
    return fma(p, r, 1.0), float_of(bits_of(z) << EXPONENT)


@scalar
def exp_nonpositive(x: float, err: float = 0.0) -> float:
    p, scale = _unscaled(x, 1023.0)
    return 0.0 if x < _LOWEST else p * scale  # a product: NaN stays NaN, whatever its low bits make of the scale


@scalar
def exp(x: float, err: float = 0.0) -> float:
    p, scale = _unscaled(x, 1022.0)  # half of it: k may be 1024
    y = 0.0 if x < _LOWEST else (p + p) * scale
    return np.inf if x > _HIGHEST else y


@scalar
def expm1(x: float) -> float:
    c = at_most(at_least(x, -50.0), 709.0)
    z = fma(c, LOG2E, ROUND)
    r = fma(z - ROUND, -_LN2, c)
    p = fma(r, 0.000199075848564031417, 0.00139336549793067)
    p = fma(p, r, 0.00833328600731884138)
    p = fma(p, r, 0.041666464865424935)
    p = fma(p, r, 0.166666667564550645)
    p = fma(p, r, 0.500000001347479708)
    p = fma(p, r * r, r)
    scale = float_of((bits_of(z) - ROUND_BITS + np.int64(1023)) << EXPONENT)
    return np.inf if x > 709.0 else fma(scale, p, scale - 1.0)


@scalar
def _log1p_reduced(f: float) -> float:
    """Return ``log(1 + f)`` for 1 + f in [sqrt(1/2), sqrt(2))."""
    # even and odd powers side by side: half as long a chain of operations that wait for each other
    z = f * f
    even = fma(z, 0.0567934665745078468, 0.0988620389346827031)
    even = fma(even, z, 0.110283873117624989)
    even = fma(even, z, 0.14289319528477393)
    even = fma(even, z, 0.199999358330321659)
    even = fma(even, z, 0.333333336571813876)
    odd = fma(z, -0.0996685387730895543, -0.0989239139192970145)
    odd = fma(odd, z, -0.125017338117910843)
    odd = fma(odd, z, -0.166667070329952567)
    odd = fma(odd, z, -0.249999990982033621)
    odd = fma(odd, z, -0.500000000016761335)
    return fma(fma(even, f, odd), z, f)


@scalar
def log_of_normal(x: float) -> float:
    b = bits_of(x)
    n = (b - SQRT_HALF_BITS) >> EXPONENT
    k = float_of(n + ROUND_BITS) - ROUND
    y = fma(k, _LN2, _log1p_reduced(float_of(b - (n << EXPONENT)) - 1.0))
    return -np.inf if x == 0.0 else fma(0.0, x, y)  # NaN stays NaN


@scalar
def log1p_of_normal(x: float) -> float:
    u = 1.0 + x
    b = bits_of(u)
    n = (b - SQRT_HALF_BITS) >> EXPONENT
    k = float_of(n + ROUND_BITS) - ROUND
    f = x if n == 0 else float_of(b - (n << EXPONENT)) - 1.0  # 1 + x near 1: x itself, undamaged by the addition
    return -np.inf if u == 0.0 else fma(0.0, x, fma(k, _LN2, _log1p_reduced(f)))


@scalar
def log_of_outcome(q: float, happened: bool) -> float:
    x = q if happened else -q
    u = x if happened else 1.0 + x
    b = bits_of(u)
    n = (b - SQRT_HALF_BITS) >> EXPONENT
    k = float_of(n + ROUND_BITS) - ROUND
    near = (n == 0) & (not happened)
    f = x if near else float_of(b - (n << EXPONENT)) - 1.0
    return -np.inf if u == 0.0 else fma(0.0, x, fma(k, _LN2, _log1p_reduced(f)))


@scalar
def log(x: float) -> float:
    tiny = x < LEAST_NORMAL
    y = log_of_normal(x * TWO_54 if tiny else x) - (54.0 * _LN2 if tiny else 0.0)
    y = x if x == np.inf else y
    return y if x >= 0.0 else np.nan


@scalar
def log1p(x: float) -> float:
    y = x if x == np.inf else log1p_of_normal(x)
    return y if x >= -1.0 else np.nan


@scalar
def dd_log(x: float) -> tuple[float, float]:
    return log(x), 0.0


@scalar
def dd_exp(x: float, err: float) -> tuple[float, float]:
    return exp(x), 0.0


@scalar
def dd_expm1(x: float, err: float) -> tuple[float, float]:
    return expm1(x), 0.0


@scalar
def dd_log1p(x: float, err: float) -> tuple[float, float]:
    return log1p(x), 0.0


@scalar
def dd_plus(a: float, a_lo: float, b: float, b_lo: float) -> tuple[float, float]:
    return a + b, 0.0


@scalar
def dd_diff(a: float, b: float) -> tuple[float, float]:
    return a - b, 0.0


@scalar
def dd_share(lo: float, hi: float) -> float:
    return 0.0


@scalar
def dd_mul(a: float, a_lo: float, b: float, b_lo: float) -> tuple[float, float]:
    return a * b, 0.0


@scalar
def dd_div(a: float, a_lo: float, b: float, b_lo: float) -> tuple[float, float]:
    return a / b, 0.0


@scalar
def dd_log_quotient(a: float, b: float) -> tuple[float, float]:
    d = a - b
    return (log1p(d / b) if abs(d) < 0.25 * b else _double_log(a) - _double_log(b)), 0.0  # a / b might overflow


@scalar
def power(x: float, y: float, err: float = 0.0) -> float:
    z = _double_exp(y * _double_log(x))  # y multiplies the logarithm's error
    z = 0.0 if x == 0.0 else z
    return 1.0 if y == 0.0 else (x if y == 1.0 else z) + 0.0 * x


_DOUBLE = {**vars(_scalar), **vars(_double_double)}
_SINGLE: dict[Any, Any] = {
    _DOUBLE[name]: value
    for name, value in list(globals().items())
    if not name.startswith("_") and hasattr(value, "py_func") and _DOUBLE[name] is not value
}


@cache
def in_single(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its text unchanged, but calling this module's functions, as do the formulas' helpers
    that it calls; the function itself where nothing changes.
    """
    return substituted(function, _SINGLE)
