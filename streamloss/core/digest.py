"""Digests of functions: what their machine code depends on, in a form that is the same in every process.

A function counts by its bytecode with its constants. The global names that it looks up and the cells of its closure
count by what they hold now, which is what a compiler freezes: numbers by their bits, functions by their own content.
Anything whose content is not known here is refused, so that no two functions that differ can have one digest.
"""

from __future__ import annotations

import builtins
import dis
import hashlib
import struct
import sys
from collections.abc import Iterator
from functools import cache
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from .arguments import text_of_record

LIBRARIES = frozenset({"math", "numpy", "numba", "numba.core.types", "numba.cuda", "numba.types", "llvmlite.ir"})
"""Modules whose members are what their version says; the versions are in the keys of the kernel cache."""


class UnknownContentError(TypeError):
    """A function depends on something that has no digest."""


class Digestible:
    """The base of what has a digest of its own: functions that are declared to be compiled."""

    @property
    def digest(self) -> str:
        raise NotImplementedError


def digest_of(function: FunctionType) -> str:
    """Return the digest of a Python function as 40 hexadecimal digits.

    Raises UnknownContentError if the function depends on something whose content is unknown.
    """
    return _Walk().content(function).hex()


def frozen(function: FunctionType) -> FunctionType:
    """Return the same function with the values that its names have now: what they are bound to later is not seen."""
    namespace = function.__globals__
    held = {name: namespace[name] for name in looked_up(function.__code__) & namespace.keys()}
    held["__name__"] = function.__module__
    cells = None if function.__closure__ is None else tuple(CellType(_held(cell)) for cell in function.__closure__)
    twin = FunctionType(function.__code__, held, function.__name__, function.__defaults__, cells)
    twin.__qualname__, twin.__kwdefaults__ = function.__qualname__, function.__kwdefaults__
    return twin


def _held(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        raise UnknownContentError("a name of an enclosing function is not yet bound") from None


class _Walk:
    """A walk over all that a function depends on."""

    def __init__(self) -> None:
        self._entered: dict[int, int] = {}
        """The positions of the functions that the walk is inside of, by identity: a function may call itself."""

    def content(self, value: Any) -> bytes:
        """Return 20 bytes that stand for a value."""
        kind = type(value)
        if value is None or value is Ellipsis or kind in (bool, int, str, bytes):
            return _hash(kind.__name__, repr(value).encode())
        if kind in (float, complex):
            return _hash(kind.__name__, struct.pack("<dd", value.real, value.imag))
        if isinstance(value, np.dtype) and value.kind in "biufc":
            return _hash("dtype", value.str.encode())
        if isinstance(value, np.generic) and value.dtype.kind in "biuf":
            return _hash("number", value.dtype.str.encode(), value.tobytes())
        if isinstance(value, Digestible):
            return _hash("compiled", value.digest.encode())
        if kind is tuple:
            return _hash("tuple", *map(self.content, value))
        if kind is frozenset:
            return _hash("frozenset", *sorted(map(self.content, value)))
        if isinstance(value, CodeType):
            return self._code(value)
        if isinstance(value, FunctionType):
            return self._function(value)
        if value is Any:  # an annotation
            return _hash("Any")
        named = _name_of(value)
        if named is None:
            raise UnknownContentError(f"the content of {value!r} ({kind.__name__}) is not known")
        return _hash("named", named.encode())

    def _function(self, function: FunctionType) -> bytes:
        if id(function) in self._entered:
            return _hash("itself", str(self._entered[id(function)]).encode())
        if function.__kwdefaults__:
            raise UnknownContentError(f"{function.__qualname__} has defaults of arguments by keyword")
        self._entered[id(function)] = len(self._entered)
        parts = [self._code(function.__code__), self.content(function.__defaults__)]
        for name in sorted(looked_up(function.__code__)):
            if name in function.__globals__:
                parts += [name.encode(), self.content(function.__globals__[name])]
            elif hasattr(builtins, name):
                parts += [name.encode(), self.content(getattr(builtins, name))]
            else:  # defined later, or by another name space
                raise UnknownContentError(f"{function.__qualname__} looks up {name}, which is not defined")
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            parts += [name.encode(), self.content(_held(cell))]
        del self._entered[id(function)]
        return _hash("function", *parts)

    def _code(self, code: CodeType) -> bytes:
        names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
        shape = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, *names
        constants = map(self.content, code.co_consts)
        return _hash("code", code.co_code, code.co_exceptiontable, repr(shape).encode(), *constants)


@cache
def looked_up(code: CodeType) -> frozenset[str]:
    """Return the global names that code looks up, also in the functions that it defines."""
    return frozenset(
        instruction.argval
        for part in _nested(code)
        for instruction in dis.get_instructions(part)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    )


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _name_of(value: Any) -> str | None:
    """Return a name that says all about a value: of a member of a library, or of a named tuple; else None."""
    if isinstance(value, ModuleType):
        return f"module {value.__name__}" if value.__name__ in LIBRARIES else None
    if isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields"):
        return f"record {text_of_record(value)}"
    if isinstance(value, np.ufunc):  # not one of another library that has the same name
        name = value.__name__
        return f"ufunc {name}" if getattr(np, name, None) is value else None
    if isinstance(value, type | BuiltinFunctionType) and value.__module__ in ("builtins", "math", "numpy"):
        module, name = value.__module__, value.__qualname__
        return f"{module}.{name}" if getattr(sys.modules[module], name, None) is value else None
    return None


def _hash(tag: str, *parts: bytes) -> bytes:
    """Return the hash of parts, each after its length: no two lists of parts have one text."""
    text = b"".join(len(part).to_bytes(8, "little") + part for part in (tag.encode(), *parts))
    return hashlib.blake2b(text, digest_size=20).digest()
