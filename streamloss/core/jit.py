"""The compiler's options, each with its reason; no other module names Numba's decorators.

``error_model="numpy"``: CUDA has no exceptions, so ``x / 0`` is inf (or NaN) on every target.
``nogil=True``: chunks are evaluated by threads side by side.
``fastmath=False``: fast-math flags let LLVM reorder sums and drop NaN checks; both would change bits.
No ``cache=True``: a cached closure never hits (numba#6264), and the key ignores ``parallel=``
(numba#6845), so the serial code of a loop could be loaded as its parallel one. The first loss of a process
takes about four seconds, a further one about two: noise beside a pass over data that does not fit in memory.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])


def _njit(**options: bool | str) -> Callable[[F], F]:
    return cast(Callable[[F], F], numba.njit(**options))  # type: ignore[call-overload]  # _nrt has no type


def scalar(function: F) -> F:
    """Compile scalar mathematics, to be inlined into the loops that call it.

    LLVM is told to inline (``forceinline``), or it would not vectorise the loop: four times slower, measured.
    Numba's own inlining (``inline="always"``) does so too, at twice the compile time, and refuses ``*arguments``.
    """
    return _njit(nogil=True, error_model="numpy", fastmath=False, forceinline=True, _nrt=False)(function)


def no_alloc(function: F) -> F:
    """Compile a loop over arrays that its caller holds; it must not allocate.

    Slices then need no reference counting (``_nrt=False``), whose atomic increments cost a third in short loops.
    """
    return _njit(nogil=True, error_model="numpy", fastmath=False, _nrt=False)(function)


def compile_once(function: Callable[..., Any]) -> Any:
    """Compile a long loop as :func:`no_alloc` does, once, for other compiled loops to call; Python cannot call it."""
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return call_compiled(_njit(nogil=True, error_model="numpy", fastmath=False, _nrt=False, **options)(function))


def call_compiled(compiled: Any) -> Any:
    """Return a function with which loops call the machine code of a compiled function, instead of linking a copy of it.

    Numba links the code of what a function calls into the function, where LLVM optimises it again and makes machine
    code of it again, for each loop around it: half of the time to compile one. Small functions, which LLVM inlines, are
    better linked.
    """

    @intrinsic
    def call(typing: Any, *arguments: Any) -> Any:
        compiled.compile(arguments)
        found = compiled.overloads[arguments]

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            unpacked = cgutils.unpack_tuple(builder, *values)  # type: ignore[no-untyped-call]
            return context.call_internal(builder, found.fndesc, found.signature, unpacked)

        together = types.StarArgTuple.from_types(arguments)  # type: ignore[no-untyped-call]
        return found.signature.return_type(together), codegen

    return call


def inline(function: F) -> F:
    """Compile a part of a loop within it, and never by itself: LLVM would optimise the same code once more for each
    function around it. Numba cannot inline functions that take ``*arguments``.
    """
    return _njit(inline="always", nogil=True, error_model="numpy", fastmath=False)(function)


def serial(function: F) -> F:
    """Compile a loop that runs on the calling thread without the GIL, and may allocate."""
    return _njit(nogil=True, error_model="numpy", fastmath=False)(function)


def parallel(function: F) -> F:
    """Compile a loop whose ``prange`` uses Numba's own threads; never call it from a thread pool,
    where the ``workqueue`` threading layer aborts the process.
    """
    return _njit(parallel=True, error_model="numpy", fastmath=False)(function)
