"""The declarations of functions that are compiled.

Declaring compiles nothing and does not import Numba: that waits until machine code is needed that is not in the kernel
cache (:mod:`.kernel_cache`). A function is declared for its place in a kernel; :mod:`.compiler` has the options that
Numba is given for each, with their reasons.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, Literal, TypeVar, cast

from .digest import Digestible, UnknownContentError, digest_of, frozen

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["scalar", "no_alloc", "compile_once", "inline", "intrinsic", "loop", "cuda_device", "cuda_intrinsic"]


_within = threading.local()
"""The functions whose digests the thread is computing."""


class JitFunction(Digestible):
    """A function that is compiled when something needs it. Called from Python, it is compiled by Numba, uncached."""

    def __init__(self, function: Callable[..., Any], kind: Kind) -> None:
        functools.update_wrapper(self, function)
        self.py_func: Any = function
        self.kind: Kind = kind
        self._dispatchers: dict[bool, Any] = {}
        self._contents: list[tuple[str, FunctionType]] = []
        """The first is the one that counts: appending is atomic, and threads may come at once."""

    @property
    def digest(self) -> str:
        """The kind and the content of the function and of all that it calls, the same in every process.

        Raises UnknownContentError if it has none.
        """
        return self._content()[0]

    @property
    def function(self) -> FunctionType:
        """The function to compile: that of the digest, for names may be bound to other values before it is compiled."""
        try:
            return self._content()[1]
        except UnknownContentError:
            return cast(FunctionType, self.py_func)

    def _content(self) -> tuple[str, FunctionType]:
        if not self._contents:
            entered = vars(_within).setdefault("functions", set())
            if self in entered:
                raise UnknownContentError(f"{self.py_func.__qualname__} calls itself")
            entered.add(self)
            try:
                function = frozen(self.py_func)
                self._contents.append((f"{self.kind}-{digest_of(function)}", function))
            finally:
                entered.remove(self)
        return self._contents[0]

    def dispatcher(self, for_cache: bool = False) -> Any:
        """Return what Numba calls the function by; `for_cache`: within a kernel whose machine code is kept."""
        if for_cache not in self._dispatchers:
            from . import compiler

            self._dispatchers[for_cache] = compiler.dispatcher_of(self, for_cache)
        return self._dispatchers[for_cache]

    @property
    def _numba_type_(self) -> Any:
        """The type by which functions that others compile, such as kernels of a GPU, find the function."""
        return self.dispatcher()._numba_type_

    def __call__(self, *arguments: Any) -> Any:
        return self.dispatcher()(*arguments)


def scalar(function: F) -> F:
    """Declare scalar mathematics, which is inlined into the loops that call it."""
    return cast(F, JitFunction(function, "scalar"))


def no_alloc(function: F) -> F:
    """Declare a loop over arrays that its caller holds; like everything that is compiled, it must not allocate."""
    return cast(F, JitFunction(function, "no_alloc"))


def compile_once(function: Callable[..., Any]) -> Any:
    """Declare a long loop that kernels call instead of holding a copy of it; Python cannot call it.

    Numba links the code of what a function calls into the function, where LLVM optimises it again and makes machine
    code of it again, for each kernel: half of the time to compile one. Small functions, which LLVM inlines, are better
    linked.
    """
    return JitFunction(function, "compile_once")


def inline(function: F) -> F:
    """Declare a part of a loop that is compiled within it and never by itself. Numba cannot inline functions that take
    ``*arguments``.
    """
    return cast(F, JitFunction(function, "inline"))


def intrinsic(function: Callable[..., Any]) -> Any:
    """Declare an operation that is written as instructions of LLVM: `function` is one for ``numba.extending.intrinsic``
    and imports what it needs of Numba when it is called.
    """
    return JitFunction(function, "intrinsic")
