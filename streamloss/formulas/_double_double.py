"""Numbers of more digits than a float64 has: unevaluated sums of two floats, and elementary functions in them.

For formulas whose parts cancel: what is left is still good to all digits. As in :mod:`._scalar` there are no branches,
and NaN passes through.
"""

import numpy as np

from ..core.jit import scalar
from ..core.primitives import bits_of, float_of, fma
from ._scalar import (
    EXPONENT,
    LEAST_NORMAL,
    LN2_HI,
    LN2_LO,
    LOG2E,
    ROUND,
    ROUND_BITS,
    SQRT_HALF_BITS,
    TWO_54,
    at_least,
    at_most,
    difference,
    power_of_two,
)


@scalar
def renormalised(high: float, low: float) -> tuple[float, float]:
    """The same sum with the nearest float first; where that is infinite or NaN, it is the whole."""
    total = high + low
    rest = low - (total - high)
    return (total, rest) if rest == rest else (high, 0.0)


@scalar
def plus_parts(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
    """``a + b``, each of them a sum of two floats; so is the result, within 2**-100 unless the two cancel."""
    high, lost = difference(a, -b)
    return renormalised(high, lost + (a_low + b_low))


@scalar
def times_parts(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
    """``a b``, each of them a sum of two floats."""
    high = a * b
    return renormalised(high, fma(a, b, -high) + (a * b_low + a_low * b))


@scalar
def divided_parts(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
    """``a / b``, each of them a sum of two floats."""
    high = a / b
    return renormalised(high, (fma(-high, b, a) + (a_low - high * b_low)) / b)


@scalar
def _two_atanh_rest(s: float) -> float:
    """``2 atanh(s) - 2 s`` for |s| < 0.172, by a series whose remainder is below 2**-64 of ``2 s``."""
    z = s * s
    r = fma(z, 2.0 / 23.0, 2.0 / 21.0)
    r = fma(r, z, 2.0 / 19.0)
    r = fma(r, z, 2.0 / 17.0)
    r = fma(r, z, 2.0 / 15.0)
    r = fma(r, z, 2.0 / 13.0)
    r = fma(r, z, 2.0 / 11.0)
    r = fma(r, z, 2.0 / 9.0)
    r = fma(r, z, 2.0 / 7.0)
    r = fma(r, z, 2.0 / 5.0)
    r = fma(r, z, 2.0 / 3.0)
    return s * (z * r)


@scalar
def log_parts(x: float) -> tuple[float, float]:
    """``log(x)`` for finite x > 0 as an unevaluated sum of two floats, within 2**-57 relative.

    log(m) = 2 atanh(s), s = f / (2 + f), in two parts.
    """
    tiny = x < LEAST_NORMAL
    b = bits_of(x * TWO_54 if tiny else x)
    n = (b - SQRT_HALF_BITS) >> EXPONENT
    f = float_of(b - (n << EXPONENT)) - 1.0
    k = (float_of(n + ROUND_BITS) - ROUND) - (54.0 if tiny else 0.0)
    d = 2.0 + f
    d_lost = f - (d - 2.0)
    s = f / d
    s_lost = fma(-s, d_lost, fma(-s, d, f)) / d
    tail = 2.0 * s_lost + _two_atanh_rest(s)
    whole = k * LN2_HI  # exact
    high = whole + 2.0 * s
    low = ((whole - high) + 2.0 * s) + (tail + k * LN2_LO)  # |whole| > |2 s| unless k is 0
    top = high + low
    return top, low - (top - high)


@scalar
def log_quotient_parts(a: float, b: float) -> tuple[float, float]:
    """``log(a / b)`` for finite positive a and b as a sum of two floats, within 2**-56 also for a near b."""
    scale = 2.0**600 if a + b < 2.0**-500 else (0.25 if a + b > 2.0**1000 else 1.0)  # what is lost must have a float
    d, d_low = difference(scale * a, scale * b)
    t, t_low = difference(scale * a, -scale * b)
    s, s_low = divided_parts(d, d_low, t, t_low)
    close, close_low = renormalised(2.0 * s, 2.0 * s_low + _two_atanh_rest(s))
    a_log, a_low = log_parts(a)
    b_log, b_low = log_parts(b)
    far, far_low = plus_parts(a_log, a_low, -b_log, -b_low)
    return (close, close_low) if abs(s) < 0.17 else (far, far_low)


@scalar
def log1p_twice(x: float, lost: float) -> tuple[float, float]:
    """``log(1 + x + lost)`` for finite x >= 0 as a sum of two floats, within 2**-56 also for tiny x."""
    t, t_low = plus_parts(2.0, 0.0, x, lost)
    s, s_low = divided_parts(x, lost, t, t_low)
    close, close_low = renormalised(2.0 * s, 2.0 * s_low + _two_atanh_rest(s))
    u, u_low = plus_parts(1.0, 0.0, x, lost)
    far, far_low = log_parts(u)
    return (close, close_low) if s < 0.17 else (far, far_low + u_low / u)


@scalar
def _expm1_reduced(x: float, lost: float) -> tuple[float, float, int]:
    """``exp(r) - 1`` as a sum of two floats, and k, with x + lost = k ln 2 + r and |r| <= ln(2)/2; within 2**-59."""
    z = fma(x, LOG2E, ROUND)
    k = z - ROUND
    r, r_low = renormalised(fma(k, -LN2_HI, x), fma(k, -LN2_LO, lost))
    p = fma(r, 1.0 / 1307674368000.0, 1.0 / 87178291200.0)
    p = fma(p, r, 1.0 / 6227020800.0)
    p = fma(p, r, 1.0 / 479001600.0)
    p = fma(p, r, 1.0 / 39916800.0)
    p = fma(p, r, 1.0 / 3628800.0)
    p = fma(p, r, 1.0 / 362880.0)
    p = fma(p, r, 1.0 / 40320.0)
    p = fma(p, r, 1.0 / 5040.0)
    p = fma(p, r, 1.0 / 720.0)
    p = fma(p, r, 1.0 / 120.0)
    p = fma(p, r, 1.0 / 24.0)
    p = fma(p, r, 1.0 / 6.0)
    square = r * r
    square_low = fma(r, r, -square)
    high, low = renormalised(r, 0.5 * square)
    low += fma(p, r * square, 0.5 * square_low) + fma(r, r_low, r_low)
    high, low = renormalised(high, low)
    return high, low, bits_of(z) - ROUND_BITS


@scalar
def exp_twice(x: float, lost: float) -> tuple[float, float]:
    """``exp(x + lost)`` as a sum of two floats within 2**-58; of numbers below -690 the second is not to be had."""
    high, low, n = _expm1_reduced(at_most(at_least(x, -746.0), 710.0), 0.0 if abs(x) > 746.0 else lost)
    one, one_low = plus_parts(1.0, 0.0, high, low)
    half = n >> np.int64(1)
    a, b = power_of_two(half), power_of_two(n - half)
    return one * a * b, one_low * a * b


@scalar
def expm1_twice(x: float, lost: float) -> tuple[float, float]:
    """``exp(x + lost) - 1`` for x <= 0 as a sum of two floats, within 2**-57 also for tiny x."""
    high, low, n = _expm1_reduced(at_least(x, -100.0), 0.0 if x < -100.0 else lost)
    scale = power_of_two(n)
    less, lost = difference(scale, 1.0)
    return plus_parts(less, lost, scale * high, scale * low)


@scalar
def power(x: float, y: float, lost: float = 0.0) -> float:
    """``(x + lost)**y`` for finite x >= 0 and finite y >= 0, within 1 ulp (of products of y and the
    logarithm up to 300 or so); ``0**0 = 1``.
    """
    high, low = log_parts(x)
    low += lost / x if x > 0.0 else 0.0
    product = y * high
    rest = fma(y, high, -product) + y * low
    z = exp_twice(product, rest)[0]
    z = 0.0 if x == 0.0 else z
    return 1.0 if y == 0.0 else (x if y == 1.0 else z) + 0.0 * x
