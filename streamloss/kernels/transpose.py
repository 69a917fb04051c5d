"""Rows turned into columns: what lets loops run over rows that are stored one after the other."""

from __future__ import annotations

from typing import Any

from ..core.jit import compile_once, intrinsic
from ..core.primitives import flat

WIDTH = 8  # of the squares that are transposed in registers: a vector of float64


@intrinsic
def _transpose_square(context: Any, matrix: Any, row: Any, column: Any, columns: Any) -> Any:
    """``columns[column + j, row + i] = matrix[row + i, column + j]`` for i and j below WIDTH; both are C-contiguous.

    Three rounds in which vector i is interleaved with vector i + WIDTH / 2 transpose WIDTH vectors. Compilers do not
    find that by themselves: loops that copy element by element took longer than the exponentials that followed.
    """
    from llvmlite import ir
    from numba import types

    as_float = "fpext" if isinstance(matrix.dtype, types.Float) else "sitofp" if matrix.dtype.signed else "uitofp"

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, target = (context.make_array(signature.args[i])(context, builder, value=args[i]) for i in (0, 3))
        row, column = args[1], args[2]
        element, double = context.get_value_type(signature.args[0].dtype), ir.DoubleType()

        def vector_at(array: Any, kind: Any, first: Any, second: Any) -> Any:
            """Pointer to WIDTH entries from ``array[first, second]`` on."""
            length = builder.extract_value(array.shape, 1)
            at = builder.add(builder.mul(first, length), second)
            return builder.bitcast(builder.gep(array.data, [at]), ir.VectorType(kind, WIDTH).as_pointer())

        def plus(value: Any, i: int) -> Any:
            return builder.add(value, ir.Constant(value.type, i))

        vectors = []
        for i in range(WIDTH):
            pointer = vector_at(source, element, plus(row, i), column)
            vectors.append(builder.load(pointer, align=context.get_abi_sizeof(element)))
        half, word = WIDTH // 2, ir.IntType(32)
        low = [i // 2 + (i % 2) * WIDTH for i in range(WIDTH)]
        masks = [ir.Constant(ir.VectorType(word, WIDTH), [k + shift for k in low]) for shift in (0, half)]
        for _ in range(3):  # log2(WIDTH)
            vectors = [
                builder.shuffle_vector(vectors[i], vectors[i + half], mask) for i in range(half) for mask in masks
            ]
        wide = ir.VectorType(double, WIDTH)
        for j, vector in enumerate(vectors):
            number = vector if element == double else getattr(builder, as_float)(vector, wide)
            builder.store(number, vector_at(target, double, plus(column, j), row), align=8)
        return ir.Constant(context.get_value_type(types.none), None)

    return types.none(matrix, types.intp, types.intp, columns), codegen


@compile_once
def to_columns(matrix: Any, columns: Any) -> None:
    """Rows as float64 columns: ``columns[j, r] = matrix[r, j]``."""
    n, classes = matrix.shape
    if n >= WIDTH and classes >= WIDTH:  # the last squares may overlap others
        for start in range(0, n, WIDTH):
            row = min(start, n - WIDTH)
            for first in range(0, classes, WIDTH):
                _transpose_square(matrix, row, min(first, classes - WIDTH), columns)
    elif classes == 2:  # a distance that is known is one LLVM has vectors for
        entries, first, second = flat(matrix), columns[0], columns[1]
        for r in range(n):
            first[r] = entries[2 * r]
            second[r] = entries[2 * r + 1]
    else:
        for j in range(classes):
            column = columns[j]
            for r in range(n):
                column[r] = matrix[r, j]
