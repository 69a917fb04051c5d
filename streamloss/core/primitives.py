"""The operations, beyond ``+ - * /`` and ``sqrt``, that formulas and exact sums are made of.

IEEE 754 defines each of them to the last bit, so whatever is built from them has the same bits on every machine. The C
library's ``exp`` or ``log`` would not do: their last bits differ between platforms.

Operations that are written as instructions of LLVM import Numba when they are compiled, and not before.
"""

from typing import Any, cast

from .jit import intrinsic, scalar


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c`` rounded once. Processors without the instruction call a slower, equal function."""
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@intrinsic
def bits_of(context: Any, x: Any) -> Any:
    """Return the 64 bits of a float64 as an int64."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def float_of(context: Any, bits: Any) -> Any:
    """Return the float64 that has the bits of an int64."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@scalar
def two_sum(a: float, b: float) -> tuple[float, float]:
    """Return ``a + b`` as a float64 and its rounding error (Knuth's TwoSum); the error is 0 where the sum is infinite
    or NaN.
    """
    s = a + b
    t = s - a
    err = (a - (s - t)) + (b - t)
    return s, (err if err == err else 0.0)


@scalar
def two_diff(a: float, b: float) -> tuple[float, float]:
    """Return ``a - b`` as a float64 and its rounding error, as :func:`two_sum` does; the error is 0 at infinities."""
    d = a - b
    t = d - a
    err = (a - (d - t)) - (b + t)
    return d, (err if abs(err) <= abs(d) else 0.0)


@intrinsic
def _prefetch_line(context: Any, array: Any, index: Any) -> Any:
    """Fetch the cache line of ``array[index]``; `array` is contiguous and has one axis."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, value=args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        builder.call(function, [pointer, *(ir.Constant(word, flag) for flag in (0, 2, 1))])  # to read, second cache
        return ir.Constant(context.get_value_type(types.none), None)

    return types.none(array, types.intp), codegen


@scalar
def prefetch(flat: Any, start: int, stop: int) -> None:
    """Fetch ``flat[start:stop]`` of a contiguous array before it is needed; processors follow no two rows at once."""
    for i in range(start, stop, 64 // flat.itemsize):
        _prefetch_line(flat, i)


@intrinsic
def flat(context: Any, array: Any) -> Any:
    """Return a C-contiguous array with one axis; ``reshape`` would call a function of Numba's own library."""
    return _viewed(array, array.dtype)


@intrinsic
def bytes_of(context: Any, array: Any) -> Any:
    """Return the bytes of a C-contiguous array."""
    from numba import types

    return _viewed(array, types.uint8)


def _viewed(array: Any, dtype: Any) -> Any:
    """Return the signature and the code of a view with one axis: of the elements, or of their bytes."""
    from llvmlite import ir
    from numba import types
    from numba.core.imputils import impl_ret_borrowed
    from numba.np.arrayobj import populate_array

    if array.layout != "C":
        raise TypeError(f"expected a C-contiguous array; received the layout {array.layout}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(signature.args[0])(context, builder, value=args[0])
        view = context.make_array(signature.return_type)(context, builder)
        items, size = source.nitems, source.itemsize
        if dtype != array.dtype:
            items, size = builder.mul(items, size), ir.Constant(size.type, 1)
        cast(Any, populate_array)(
            view, builder.bitcast(source.data, view.data.type), [items], [size], size, source.meminfo
        )
        return cast(Any, impl_ret_borrowed)(context, builder, signature.return_type, view._getvalue())

    return types.Array(dtype, 1, "C", readonly=not array.mutable)(array), codegen


@intrinsic
def take_next(context: Any, counter: Any) -> Any:
    """Return ``counter[0]`` and add 1 to it, as one step: each of the threads that ask is given another number."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, value=args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), codegen
