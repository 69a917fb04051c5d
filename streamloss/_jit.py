"""The only Numba options in the package, each with its reason.

``error_model="numpy"``: CUDA has no exceptions, so ``x / 0`` is inf (or NaN) on every target.
``nogil=True``: chunks are evaluated by threads side by side.
``fastmath=False``: fast-math flags let LLVM reorder sums and drop NaN checks; both would change bits.
No ``cache=True``: a cached closure never hits (numba#6264), and the key ignores ``parallel=``
(numba#6845), so the serial code of a loop could be loaded as its parallel one. A cold compile is about
a second for each loss, noise beside a pass over data that does not fit in memory.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def scalar(function: F) -> F:
    """Compile scalar mathematics, to be inlined into the loops that call it."""
    return cast(F, numba.njit(nogil=True, error_model="numpy", fastmath=False, inline="always")(function))


def serial(function: F) -> F:
    """Compile a loop that runs on the calling thread without the GIL."""
    return cast(F, numba.njit(nogil=True, error_model="numpy", fastmath=False)(function))


def parallel(function: F) -> F:
    """Compile a loop whose ``prange`` uses Numba's own threads; never call it from a thread pool,
    where the ``workqueue`` threading layer aborts the process."""
    return cast(F, numba.njit(parallel=True, error_model="numpy", fastmath=False)(function))


def spread(function: Callable[..., float], data: int, arguments: int) -> Callable[..., float]:
    """``f(x1, ..., arguments)`` for ``function(x1, ..., *arguments)``, compiled to be inlined.

    Numba inlines no call with ``*arguments``, and LLVM does not vectorise the loop around a call that was not
    inlined (four times slower, measured), so the call is written out for the numbers of data and arguments.
    """
    names = ", ".join(f"x{i}" for i in range(data))
    entries = "".join(f", a[{i}]" for i in range(arguments))
    call = eval(f"lambda {names}, a: function({names}{entries})", {"function": scalar(function)})
    return scalar(cast(Callable[..., float], call))
