"""The operations, beyond ``+ - * /`` and ``sqrt``, that formulas and exact sums are made of.

IEEE 754 defines each of them to the last bit, so whatever is built from them has the same bits on every
machine. The C library's ``exp`` or ``log`` would not do: their last bits differ between platforms.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _untyped(function: Any) -> Any:
    """Numba's decorator hides that callers do not pass the typing context."""
    return intrinsic(function)


@_untyped
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` rounded once. Processors without the instruction call a slower, equal function."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@_untyped
def bits_of(context: Any, x: Any) -> Any:
    """The 64 bits of a float64 as an int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@_untyped
def float_of(context: Any, bits: Any) -> Any:
    """The float64 that an int64's bits spell."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen
