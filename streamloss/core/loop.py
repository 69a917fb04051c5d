"""Loops that Python calls: found in the kernel cache, or compiled and kept there, and called without Numba."""

from __future__ import annotations

import array
import ctypes
import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from . import kernel_cache, machine_code
from .arguments import ArgumentKind, append_words, text_of
from .digest import UnknownContentError
from .jit import JitFunction

_CALL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)  # releases the GIL


class Prepared(NamedTuple):
    """A call that is ready to be made."""

    run: Callable[[int], int]
    """The loop's machine code; it takes the address of the words."""
    words: array.array[int]
    """Its arguments."""
    held: tuple[Any, ...]
    """The same as they were given: the words hold the addresses of their arrays."""

    def __call__(self) -> int:
        address, _ = self.words.buffer_info()
        result = self.run(address)
        if result == machine_code.FAILED:
            raise RuntimeError("a kernel stopped before its end; this is a defect of streamloss, please report it")
        return result


class Loop:
    """A function of contiguous arrays, numbers and tuples of these that returns an integer.

    There is machine code for each combination of dtypes and axes that it is called with. It runs without the GIL.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = JitFunction(function, "loop")
        self._loaded: dict[tuple[ArgumentKind, ...], Callable[[int], int]] = {}
        self._loading = threading.Lock()
        _loops.add(self)

    def __call__(self, *arguments: Any) -> int:
        return self.prepare(*arguments)()

    def prepare(self, *arguments: Any) -> Prepared:
        """Return a call with these arguments, with its machine code loaded.

        Raises TypeError for arguments that kernels do not take.
        """
        words: list[int] = []
        kinds = tuple([append_words(argument, words) for argument in arguments])
        run = self._loaded.get(kinds) or self._load(kinds)
        return Prepared(run, array.array("q", words), arguments)

    def _load(self, kinds: tuple[ArgumentKind, ...]) -> Callable[[int], int]:
        with self._loading:
            if kinds not in self._loaded:
                self._loaded[kinds] = _CALL(machine_code.load(self._program(kinds)))
        return self._loaded[kinds]

    def _program(self, kinds: tuple[ArgumentKind, ...]) -> machine_code.Program:
        try:
            key = kernel_cache.key_of("loop", self.function.digest, *map(text_of, kinds))
        except UnknownContentError:  # it is compiled in each process
            key = None
        program = None if key is None else kernel_cache.find(key)
        if program is not None:
            kernel_cache.counts.count_found()
            return program
        with _compiling, kernel_cache.counts.while_compiling():
            from . import compiler  # which imports Numba

            program = compiler.program_of(self.function, kinds)
        if key is not None:
            kernel_cache.keep(key, program)
        return program


_compiling = threading.RLock()
"""Held while Numba compiles, or is imported: it has locks and tables that a child could not use half-way."""
_loops: weakref.WeakSet[Loop] = weakref.WeakSet()


def _after_fork() -> None:
    """Free the locks of threads that the child does not have."""
    for loop in _loops:
        loop._loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
    os.register_at_fork(
        before=_compiling.acquire, after_in_parent=_compiling.release, after_in_child=_compiling.release
    )


def loop(function: Callable[..., Any]) -> Loop:
    """Declare a loop that Python calls; a decorator."""
    return Loop(function)
