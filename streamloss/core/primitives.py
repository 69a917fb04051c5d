"""The operations, beyond ``+ - * /`` and ``sqrt``, that formulas and exact sums are made of.

IEEE 754 defines each of them to the last bit, so whatever is built from them has the same bits on every machine. The C
library's ``exp`` or ``log`` would not do: their last bits differ between platforms.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import scalar


def _untyped(function: Any) -> Any:
    """Declare an intrinsic; Numba's decorator hides that callers do not pass the typing context."""
    return intrinsic(function)


@_untyped
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c`` rounded once. Processors without the instruction call a slower, equal function."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@_untyped
def bits_of(context: Any, x: Any) -> Any:
    """Return the 64 bits of a float64 as an int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@_untyped
def float_of(context: Any, bits: Any) -> Any:
    """Return the float64 that has the bits of an int64."""

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


@_untyped
def _prefetch_line(context: Any, array: Any, index: Any) -> Any:
    """Fetch the cache line of ``array[index]``; `array` is contiguous and has one axis."""

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
