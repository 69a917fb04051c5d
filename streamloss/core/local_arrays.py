"""Arrays in a compiled function's own stack frame.

LLVM knows that nothing else points to them: a loop that writes only to them needs no check of whether what it reads is
overwritten, and one whose length is known becomes vectors in registers. With arrays of the caller, short loops spent
most of their time on such checks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

from .jit import intrinsic


@cache
def local_array(size: int) -> Callable[[Any], Any]:
    """Return ``local(like)``: a vector of `size` entries of arbitrary content, of the dtype of the array `like`, that
    lives until the function returns.
    """

    @intrinsic
    def local(context: Any, like: Any) -> Any:
        from llvmlite import ir
        from numba import types
        from numba.core import cgutils
        from numba.np.arrayobj import populate_array

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            element = context.get_data_type(like.dtype)
            data = cast(Any, cgutils.alloca_once)(builder, ir.ArrayType(element, size))
            data.align = 64  # a cache line, and the longest vector
            array = context.make_array(signature.return_type)(context, builder)
            item = context.get_constant(types.intp, context.get_abi_sizeof(element))
            length = context.get_constant(types.intp, size)
            cast(Any, populate_array)(array, builder.bitcast(data, element.as_pointer()), [length], [item], item, None)
            return array._getvalue()

        return types.Array(like.dtype, 1, "C")(like), codegen

    return cast(Callable[[Any], Any], local)
