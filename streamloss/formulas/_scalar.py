"""Scalar mathematics that formulas share: elementary functions good to about one unit in the last place.

Each is a branch-free sequence of IEEE operations (comparisons select, they do not jump), so that LLVM can run it on
several rows or classes at once and every processor gives the same bits. NaN passes through all of them; a comparison
with NaN is false, hence the order of the operands in :func:`at_least` and :func:`at_most`.
"""

import math
from typing import Any

import numpy as np

from ..core.jit import scalar
from ..core.primitives import bits_of, float_of, fma

ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer, which the low bits then hold
ROUND_BITS = np.int64(0x4338000000000000)  # its bits
EXPONENT = np.int64(52)  # where a float64's exponent begins
SQRT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)  # bits of sqrt(1/2): mantissas are taken in [sqrt(1/2), sqrt(2))
LOG2E = 1.4426950408889634
LEAST, LEAST_NORMAL, LARGEST = 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308  # of the float64 above 0
TWO_54 = 18014398509481984.0  # 2**54 makes subnormals normal
LN2_HI = 0.693147180369123816490  # the first 33 bits of ln 2: its product with an exponent is exact
LN2_LO = 1.90821492927058770002e-10  # the rest


@scalar
def at_least(x: float, low: float) -> float:
    """Return ``max(x, low)``; NaN stays NaN."""
    return low if x < low else x


@scalar
def at_most(x: float, high: float) -> float:
    """Return ``min(x, high)``; NaN stays NaN."""
    return high if x > high else x


@scalar
def either(double: int, single: int) -> int:
    """Return `double`; `single` for float32 results, whose series end earlier."""
    return double


@scalar
def sqrt(x: float) -> float:
    """Return the square root, which IEEE 754 rounds correctly."""
    return math.sqrt(x)  # numba-cuda has it, too


@scalar
def _expm1_reduced(x: float, err: float) -> tuple[float, int]:
    """Return ``exp(r) - 1`` and k, with x + err = k ln 2 + r and |r| <= ln(2)/2.

    It is the Taylor series of degree 13, whose remainder is below 2**-57 of the sum.
    """
    z = fma(x, LOG2E, ROUND)
    k = z - ROUND
    r = fma(k, -LN2_LO, fma(k, -LN2_HI, x) + err)
    p = fma(r, 1.0 / 6227020800.0, 1.0 / 479001600.0)
    p = fma(p, r, 1.0 / 39916800.0)
    p = fma(p, r, 1.0 / 3628800.0)
    p = fma(p, r, 1.0 / 362880.0)
    p = fma(p, r, 1.0 / 40320.0)
    p = fma(p, r, 1.0 / 5040.0)
    p = fma(p, r, 1.0 / 720.0)
    p = fma(p, r, 1.0 / 120.0)
    p = fma(p, r, 1.0 / 24.0)
    p = fma(p, r, 1.0 / 6.0)
    p = fma(p, r, 0.5)
    return fma(p, r * r, r), bits_of(z) - ROUND_BITS


@scalar
def power_of_two(n: Any) -> float:
    """Return ``2**n`` for -1022 <= n <= 1023."""
    return float_of((n + np.int64(1023)) << EXPONENT)


@scalar
def exp(x: float, err: float = 0.0) -> float:
    """Return ``exp(x + err)`` with ``|err|`` at most half a unit in the last place of x; within 1 ulp.

    2**k is multiplied in two halves, so that results may be subnormal.
    """
    err = 0.0 if abs(x) > 746.0 else err
    p, n = _expm1_reduced(at_most(at_least(x, -746.0), 710.0), err)  # beyond: 0 and inf
    half = n >> np.int64(1)
    return (1.0 + p) * power_of_two(half) * power_of_two(n - half)


@scalar
def exp_nonpositive(x: float, err: float = 0.0) -> float:
    """Return ``exp(x + err)`` for x <= 0: the name under which float32 results have a function of fewer operations."""
    return exp(x, err)


@scalar
def exp_scaled(x: float, err: float) -> tuple[float, float]:
    """Return m and k with ``exp(x + err) = m 2**k`` and m near 1, for x <= 0 of any size; ``(0, 0)`` for -inf.

    It is within 1 ulp for x from -2**40 on; below, it is the exponential of a number within 1 ulp of x.
    """
    far = x < -1099511627776.0  # 2**40: its exponent's rounding is below half a unit in the last place of x
    p, n = _expm1_reduced(0.0 if far else x, 0.0 if far else err)
    m, k = 1.0 + p, float_of(n + ROUND_BITS) - ROUND
    m, k = (1.0, np.floor(x * LOG2E)) if far else (m, k)
    return (0.0, 0.0) if x == -np.inf else (m, k)


@scalar
def log_scaled(m: float, k: float) -> float:
    """Return ``log(m 2**k)``."""
    return k * LN2_HI + (log(m) + k * LN2_LO)


@scalar
def expm1(x: float) -> float:
    """Return ``exp(x) - 1`` within 2 ulp, also for tiny x."""
    p, n = _expm1_reduced(at_most(at_least(x, -50.0), 709.0), 0.0)
    scale = power_of_two(n)
    y = fma(scale, p, scale - 1.0)
    return y if x < 709.0 else exp(x)


@scalar
def _log_reduced(k: float, f: float, c: float) -> float:
    """Return ``k ln 2 + log(1 + f) + c`` for 1 + f in [sqrt(1/2), sqrt(2)) and a tiny c.

    log(1 + f) = f - f**2/2 + s (f**2/2 + R(s)), s = f/(2 + f), with the polynomial R of fdlibm's e_log.c
    (Sun Microsystems 1993), whose error is below 2**-58.45.
    """
    s = f / (2.0 + f)
    z = s * s
    r = fma(z, 1.479819860511658591e-01, 1.531383769920937332e-01)
    r = fma(r, z, 1.818357216161805012e-01)
    r = fma(r, z, 2.222219843214978396e-01)
    r = fma(r, z, 2.857142874366239149e-01)
    r = fma(r, z, 3.999999999940941908e-01)
    r = fma(r, z, 6.666666666666735130e-01)
    r = r * z
    square = 0.5 * f * f
    return k * LN2_HI - ((square - (s * (square + r) + (k * LN2_LO + c))) - f)


@scalar
def log(x: float) -> float:
    """Return the natural logarithm within 1 ulp; -inf at 0, NaN below."""
    tiny = x < LEAST_NORMAL
    u = x * TWO_54 if tiny else x
    b = bits_of(u)
    n = (b - SQRT_HALF_BITS) >> EXPONENT
    m = float_of(b - (n << EXPONENT))
    k = (float_of(n + ROUND_BITS) - ROUND) - (54.0 if tiny else 0.0)
    y = _log_reduced(k, m - 1.0, 0.0)
    y = x if x == np.inf else y
    y = -np.inf if x == 0.0 else y
    return y if x >= 0.0 else np.nan


@scalar
def log1p(x: float) -> float:
    """Return ``log(1 + x)`` within 1 ulp, also for tiny x; -inf at -1, NaN below."""
    u = 1.0 + x
    b = bits_of(u)
    n = (b - SQRT_HALF_BITS) >> EXPONENT
    m = float_of(b - (n << EXPONENT))
    k = float_of(n + ROUND_BITS) - ROUND
    err = (1.0 - (u - x)) if x > 1.0 else (x - (u - 1.0))
    direct = n == 0  # 1 + x stays in [sqrt(1/2), sqrt(2)): x itself enters, undamaged by the addition
    y = _log_reduced(k, x if direct else m - 1.0, 0.0 if direct else err / u)
    y = x if x == np.inf else y
    y = -np.inf if x == -1.0 else y
    return y if x >= -1.0 else np.nan


@scalar
def log_of_normal(x: float) -> float:
    """Return ``log(x)`` for 0 and for positive normal x; the name exists for float32 results, as
    :func:`exp_nonpositive`.
    """
    return log(x)


@scalar
def log1p_of_normal(x: float) -> float:
    """Return ``log(1 + x)`` for finite x of at least -1; as :func:`log_of_normal`."""
    return log1p(x)


@scalar
def log_of_outcome(q: float, happened: bool) -> float:
    """Return ``log(q)`` if an outcome of probability q happened, else ``log(1 - q)``, with the bits of
    :func:`log_of_normal` and :func:`log1p_of_normal`; for float32 results it takes one logarithm.
    """
    return log_of_normal(q) if happened else log1p_of_normal(-q)


@scalar
def share_cost(p: float, others: float, lower: float, upper: float) -> float:
    """Return ``-log(q)`` of the share ``q = p / (p + others)`` clipped to ``[lower, upper]``.

    It is computed as ``log(1 + others / p)``, in which nothing is lost where p is nearly all, and clipped to the
    logarithms of the bounds. Where the quotient overflows, p is scaled by 2**64.
    """
    odds = others / p
    over = (odds == np.inf) & (p > 0.0)
    odds = others / (p * 18446744073709551616.0) if over else odds
    cost = log1p(odds) + (44.3614195558364998 if over else 0.0)  # 64 ln 2
    return at_most(at_least(cost, -log(upper)), -log(lower))


@scalar
def log_quotient(a: float, b: float) -> float:
    """Return ``log(a / b)`` for positive a and b, within 2 ulp also where the quotient's rounding would show."""
    q = a / b
    err = fma(-q, b, a) / a  # relative to q
    return log(q) + (err if abs(err) < 1.0 else 0.0)
