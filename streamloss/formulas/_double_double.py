"""Double-double arithmetic: numbers of more digits than a float64 has, as unevaluated sums of two float64.

It serves formulas whose parts cancel: what is left is still good to all digits. As in :mod:`._scalar` there are no
branches, and NaN passes through. Names are those of the literature (Dekker 1971, Knuth, Hida et al. 2001): a number is
``a + a_lo``, and ``err`` is what a rounding lost.
"""

import numpy as np

from ..core.jit import scalar
from ..core.primitives import bits_of, float_of, fma, two_diff, two_sum
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
    power_of_two,
)


@scalar
def fast_two_sum(hi: float, lo: float) -> tuple[float, float]:
    """Return ``hi + lo`` as a float64 and its rounding error, for |hi| >= |lo| (Dekker's FastTwoSum); ``(hi, 0)`` where
    hi is infinite or NaN.
    """
    s = hi + lo
    err = lo - (s - hi)
    return (s, err) if err == err else (hi, 0.0)


@scalar
def dd_add(a: float, a_lo: float, b: float, b_lo: float) -> tuple[float, float]:
    """Return the sum of two double-doubles, within 2**-100 unless they cancel."""
    hi, err = two_sum(a, b)
    return fast_two_sum(hi, err + (a_lo + b_lo))


@scalar
def dd_plus(a: float, a_lo: float, b: float, b_lo: float) -> tuple[float, float]:
    """Return the sum of two double-doubles that do not cancel by more than some bits; the name exists for float32
    results, for which a float64 will do.
    """
    return dd_add(a, a_lo, b, b_lo)


@scalar
def dd_diff(a: float, b: float) -> tuple[float, float]:
    """Return ``a - b`` of two floats as a double-double; as :func:`dd_plus`."""
    return two_diff(a, b)


@scalar
def dd_share(lo: float, hi: float) -> float:
    """Return ``lo / hi`` of a double-double; 0 for float32 results."""
    return lo / hi


@scalar
def dd_mul(a: float, a_lo: float, b: float, b_lo: float) -> tuple[float, float]:
    """Return the product of two double-doubles."""
    hi = a * b
    return fast_two_sum(hi, fma(a, b, -hi) + (a * b_lo + a_lo * b))


@scalar
def dd_div(a: float, a_lo: float, b: float, b_lo: float) -> tuple[float, float]:
    """Return the quotient of two double-doubles."""
    hi = a / b
    return fast_two_sum(hi, (fma(-hi, b, a) + (a_lo - hi * b_lo)) / b)


@scalar
def _two_atanh_rest(s: float) -> float:
    """Return ``2 atanh(s) - 2 s`` for |s| < 0.172, by a series whose remainder is below 2**-64 of ``2 s``."""
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
def dd_log(x: float) -> tuple[float, float]:
    """Return ``log(x)`` for finite x > 0 as a double-double, within 2**-57 relative.

    With x = m 2**k and m = 1 + f, log(m) = 2 atanh(s) for s = f / (2 + f), which is computed in double-double.
    """
    tiny = x < LEAST_NORMAL
    b = bits_of(x * TWO_54 if tiny else x)
    n = (b - SQRT_HALF_BITS) >> EXPONENT
    f = float_of(b - (n << EXPONENT)) - 1.0
    k = (float_of(n + ROUND_BITS) - ROUND) - (54.0 if tiny else 0.0)
    d = 2.0 + f
    d_err = f - (d - 2.0)
    s = f / d
    s_err = fma(-s, d_err, fma(-s, d, f)) / d
    tail = 2.0 * s_err + _two_atanh_rest(s)
    whole = k * LN2_HI  # exact
    hi = whole + 2.0 * s
    lo = ((whole - hi) + 2.0 * s) + (tail + k * LN2_LO)  # |whole| > |2 s| unless k is 0
    top = hi + lo
    return top, lo - (top - hi)


@scalar
def dd_log_quotient(a: float, b: float) -> tuple[float, float]:
    """Return ``log(a / b)`` for finite positive a and b as a double-double, within 2**-56 also for a near b."""
    scale = 2.0**600 if a + b < 2.0**-500 else (0.25 if a + b > 2.0**1000 else 1.0)  # errors must not underflow
    d, d_lo = two_diff(scale * a, scale * b)
    t, t_lo = two_diff(scale * a, -scale * b)
    s, s_lo = dd_div(d, d_lo, t, t_lo)
    close, close_lo = fast_two_sum(2.0 * s, 2.0 * s_lo + _two_atanh_rest(s))
    a_log, a_lo = dd_log(a)
    b_log, b_lo = dd_log(b)
    far, far_lo = dd_add(a_log, a_lo, -b_log, -b_lo)
    return (close, close_lo) if abs(s) < 0.17 else (far, far_lo)


@scalar
def dd_log1p(x: float, err: float) -> tuple[float, float]:
    """Return ``log(1 + x + err)`` for finite x >= 0 as a double-double, within 2**-56 also for tiny x."""
    t, t_lo = dd_add(2.0, 0.0, x, err)
    s, s_lo = dd_div(x, err, t, t_lo)
    close, close_lo = fast_two_sum(2.0 * s, 2.0 * s_lo + _two_atanh_rest(s))
    u, u_lo = dd_add(1.0, 0.0, x, err)
    far, far_lo = dd_log(u)
    return (close, close_lo) if s < 0.17 else (far, far_lo + u_lo / u)


@scalar
def _expm1_reduced(x: float, err: float) -> tuple[float, float, int]:
    """Return ``exp(r) - 1`` as a double-double, within 2**-59, and k, with x + err = k ln 2 + r and |r| <= ln(2)/2."""
    z = fma(x, LOG2E, ROUND)
    k = z - ROUND
    r, r_lo = fast_two_sum(fma(k, -LN2_HI, x), fma(k, -LN2_LO, err))
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
    square_lo = fma(r, r, -square)
    hi, lo = fast_two_sum(r, 0.5 * square)
    lo += fma(p, r * square, 0.5 * square_lo) + fma(r, r_lo, r_lo)
    hi, lo = fast_two_sum(hi, lo)
    return hi, lo, bits_of(z) - ROUND_BITS


@scalar
def dd_exp(x: float, err: float) -> tuple[float, float]:
    """Return ``exp(x + err)`` as a double-double within 2**-58; for x below -690 the second float underflows."""
    hi, lo, n = _expm1_reduced(at_most(at_least(x, -746.0), 710.0), 0.0 if abs(x) > 746.0 else err)
    one, one_lo = dd_add(1.0, 0.0, hi, lo)
    half = n >> np.int64(1)
    a, b = power_of_two(half), power_of_two(n - half)
    return one * a * b, one_lo * a * b


@scalar
def dd_expm1(x: float, err: float) -> tuple[float, float]:
    """Return ``exp(x + err) - 1`` for x <= 0 as a double-double, within 2**-57 also for tiny x."""
    hi, lo, n = _expm1_reduced(at_least(x, -100.0), 0.0 if x < -100.0 else err)
    scale = power_of_two(n)
    less, err = two_diff(scale, 1.0)
    return dd_add(less, err, scale * hi, scale * lo)


@scalar
def power(x: float, y: float, err: float = 0.0) -> float:
    """Return ``(x + err)**y`` for finite x >= 0 and finite y >= 0; ``0**0 = 1``.

    It is within 1 ulp as long as the product of y and the logarithm is below 300 or so.
    """
    hi, lo = dd_log(x)
    lo += err / x if x > 0.0 else 0.0
    product = y * hi
    rest = fma(y, hi, -product) + y * lo
    z = dd_exp(product, rest)[0]
    z = 0.0 if x == 0.0 else z
    return 1.0 if y == 0.0 else (x if y == 1.0 else z) + 0.0 * x


@scalar
def square(x: float, y: float, err: float = 0.0) -> float:
    """Return ``(x + err)**2`` within 1 ulp, as :func:`power` is called; y is 2."""
    return fma(x, x, 2.0 * x * err)
