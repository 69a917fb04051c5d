"""Elements of arrays on the device: one by one, or 16 bytes at a time where they are aligned; 16-bit floats widened.

Wherever an element comes from, it is the same float32 or float64, so the bits of what is computed from it are too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ...core.cuda_compiler import SIMULATED, device, intrinsic

LOAD = 16
"""The most bytes that one instruction loads."""


@dataclass(frozen=True, slots=True)
class Form:
    """The way in which an array's elements are read."""

    halves: str = ""
    """"float16" or "bfloat16", for arrays of uint16 that hold such floats' bits."""
    width: int = 1
    """The number of elements, 1, 2, 4 or 8, that one instruction may read: rows begin at multiples of their bytes."""


def form_of(array: Any, halves: str, run: int) -> Form:
    """Return the form of an array on the device whose elements are read in contiguous runs of `run`."""
    width = LOAD // array.dtype.itemsize
    aligned = array.is_c_contiguous() and address_of(array) % LOAD == 0
    whole = width > 1 and run % width == 0 and array.dtype.kind in "fu" and (array.dtype.kind == "f" or bool(halves))
    return Form(halves, width if aligned and whole else 1)


def address_of(array: Any) -> int:
    if SIMULATED:
        return int(array._ary.ctypes.data)
    return int(array.__cuda_array_interface__["data"][0])


@cache
def load_element(halves: str) -> Callable[..., Any]:
    """Return ``load(flat, i)``: element i as a float32, or as what it is."""
    widened = _widen(halves)

    @device
    def element(flat: Any, i: int) -> Any:
        return flat[i]

    @device
    def element_widened(flat: Any, i: int) -> Any:
        return widened(flat[i])

    return element_widened if halves else element


@cache
def load_scalars(halves: str, width: int) -> Callable[..., Any]:
    """Return ``load(flat, i, last)``: the tuple of `width` elements from i, one by one, and none beyond `last`."""
    element = load_element(halves)

    @device
    def alone(flat: Any, i: int, last: int) -> Any:
        return (element(flat, min(i, last)),)

    @device
    def two(flat: Any, i: int, last: int) -> Any:
        return element(flat, min(i, last)), element(flat, min(i + 1, last))

    @device
    def four(flat: Any, i: int, last: int) -> Any:
        return (
            element(flat, min(i, last)),
            element(flat, min(i + 1, last)),
            element(flat, min(i + 2, last)),
            element(flat, min(i + 3, last)),
        )

    @device
    def eight(flat: Any, i: int, last: int) -> Any:
        return four(flat, i, last) + four(flat, i + 4, last)

    return {1: alone, 2: two, 4: four, 8: eight}[width]


@cache
def load_vector(form: Form, width: int) -> Callable[..., Any]:
    """Return ``load(flat, i)``: the tuple of `width` elements from i, a multiple of it; at once, if `form` allows."""
    separately = load_scalars(form.halves, width)

    @device
    def not_at_once(flat: Any, i: int) -> Any:
        return separately(flat, i, i + width)

    return _load(form.halves, width) if form.width >= width > 1 and not SIMULATED else not_at_once


@cache
def select(width: int) -> Callable[..., Any]:
    """Return ``kth(values, k)``: the k-th of a tuple, by selections; Numba would branch."""

    @device
    def of_one(values: Any, k: int) -> Any:
        return values[0]

    @device
    def of_two(values: Any, k: int) -> Any:
        return values[0] if k == 0 else values[1]

    @device
    def of_four(values: Any, k: int) -> Any:
        low, high = (values[0] if k == 0 else values[1]), (values[2] if k == 2 else values[3])
        return low if k < 2 else high

    @device
    def of_eight(values: Any, k: int) -> Any:
        low, high = of_four(values[:4], k), of_four(values[4:], k - 4)
        return low if k < 4 else high

    return {1: of_one, 2: of_two, 4: of_four, 8: of_eight}[width]


def in_turn(functions: list[Callable[..., None]]) -> Callable[..., None]:
    """Return one function that calls all of them with its arguments: a loop whose turns the compiler knows."""
    first, *others = functions
    if not others:
        return first
    rest = in_turn(others)

    @device
    def all_of_them(*arguments: Any) -> None:
        first(*arguments)
        rest(*arguments)

    return all_of_them


@cache
def largest(width: int) -> Callable[..., Any]:
    """Return ``largest(values)`` of a tuple. Where one is NaN it may be any."""

    @device
    def of_one(values: Any) -> Any:
        return values[0]

    @device
    def of_two(values: Any) -> Any:
        return values[0] if values[0] > values[1] else values[1]

    @device
    def of_four(values: Any) -> Any:
        a, b = of_two(values[:2]), of_two(values[2:])
        return a if a > b else b

    @device
    def of_eight(values: Any) -> Any:
        a, b = of_four(values[:4]), of_four(values[4:])
        return a if a > b else b

    return {1: of_one, 2: of_two, 4: of_four, 8: of_eight}[width]


def _widen(halves: str) -> Callable[..., Any]:
    """Return the function from a uint16 to the float32 that its bits spell."""
    if halves == "bfloat16":
        return _simulated_bfloat16 if SIMULATED else _bfloat16
    return _simulated_float16 if SIMULATED else _float16


def _simulated_bfloat16(bits: Any) -> Any:
    return (np.uint32(bits) << np.uint32(16)).view(np.float32)


def _simulated_float16(bits: Any) -> Any:
    return np.float32(np.uint16(bits).view(np.float16))


@intrinsic
def _bfloat16(context: Any, bits: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _widened(builder, builder.zext(args[0], ir.IntType(32)), "bfloat16", 0)

    return types.float32(types.uint16), codegen


@intrinsic
def _float16(context: Any, bits: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _widened(builder, builder.zext(args[0], ir.IntType(32)), "float16", 0)

    return types.float32(types.uint16), codegen


def _widened(builder: Any, word: Any, halves: str, which: int) -> Any:
    """Build the lower (0) or upper (1) half of 32 bits as a float32: a shift, or one conversion."""
    bits, shift = ir.IntType(32), ir.Constant(ir.IntType(32), 16)
    if halves == "bfloat16":
        high = builder.and_(word, ir.Constant(bits, 0xFFFF0000)) if which else builder.shl(word, shift)
        return builder.bitcast(high, ir.FloatType())
    half = builder.trunc(builder.lshr(word, shift) if which else word, ir.IntType(16))
    return builder.fpext(builder.bitcast(half, ir.HalfType()), ir.FloatType())


@cache
def _load(halves: str, width: int) -> Any:
    """Return a function of one instruction for `width` elements, up to 16 bytes at a multiple of their number."""

    @intrinsic
    def load(context: Any, flat: Any, i: Any) -> Any:
        element = types.float32 if halves else flat.dtype
        tuple_of: Any = types.UniTuple
        signature = tuple_of(element, width)(flat, types.int64)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, value=args[0]).data
            scalar = ir.IntType(32) if halves else context.get_data_type(element)
            vector = ir.VectorType(scalar, width // 2 if halves else width)
            size = width * flat.dtype.bitwidth // 8
            words = builder.load(builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer()), align=size)
            parts = [builder.extract_element(words, ir.Constant(ir.IntType(32), k)) for k in range(vector.count)]
            if halves:
                parts = [_widened(builder, word, halves, which) for word in parts for which in (0, 1)]
            return context.make_tuple(builder, signature.return_type, parts)

        return signature, codegen

    return load
