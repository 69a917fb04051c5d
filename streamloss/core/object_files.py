"""Code that Numba compiles as object files, for kernels that are kept.

Numba's own libraries load what they compile, and optimise each function by itself, also those that are only inlined.
Here these become part of the loop around them and nothing else; loops, and parts that loops call by their symbols,
become object files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import numba
from llvmlite import binding as llvm
from numba.core.codegen import JITCodeLibrary
from numba.core.registry import cpu_target

from .machine_code import C_LIBRARY, Module

MARK = "streamloss_kernel"
"""The part of a function's name by which it is compiled in this way; behind it stands how it was declared."""
modules: dict[str, Module] = {}
"""All modules that this process has compiled or found, by their symbols."""


def needed_by(symbol: str) -> dict[str, Module]:
    """Return the module of a symbol and those that it calls."""
    found: dict[str, Module] = {}
    todo = [symbol]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = modules[name]
            todo += modules[name].calls
    return found


class _Library(JITCodeLibrary):
    """The code of one function: to be linked into others, or an object file. Numba's own is also loaded."""

    def finalize(self) -> None:
        self._raise_if_finalized()  # type: ignore[no-untyped-call]
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        if f"{MARK}_compile_once" in self.name or f"{MARK}_loop" in self.name:
            self._optimize_final_module()  # type: ignore[no-untyped-call]
            self._final_module.verify()
            self._emit()
        self._finalized = True

    def _emit(self) -> None:
        calls, defined = [], []
        for function in self._final_module.functions:
            name = function.name
            if not function.is_declaration:
                if function.linkage == llvm.Linkage.external:
                    defined.append(name)
            elif name in modules:
                calls.append(name)
            elif not name.startswith("llvm.") and name not in C_LIBRARY:
                raise TypeError(f"{self.name} calls {name}, which machine code that is kept cannot call")
        (symbol,) = defined
        modules[symbol] = Module(self._codegen._tm.emit_object(self._final_module), tuple(calls))

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        return 0


@contextlib.contextmanager
def compiling_apart() -> Iterator[None]:
    """Give functions that are compiled for the cache libraries of ours while the context lasts, and compile them also
    where NUMBA_DISABLE_JIT=1 is to debug functions of others: ours have no form that Python could run.
    """
    codegen = cpu_target.target_context.codegen()
    create_library, set_env = codegen.create_library, codegen.set_env

    def create(name: str, **options: Any) -> Any:
        return cast(Any, _Library)(codegen, name, **options) if MARK in name else create_library(name, **options)

    def set_env_of(name: str, env: Any) -> None:
        if MARK not in name:
            set_env(name, env)

    codegen.create_library, codegen.set_env = create, set_env_of
    config = cast(Any, numba.config)
    disabled, config.DISABLE_JIT = config.DISABLE_JIT, 0
    try:
        yield
    finally:
        config.DISABLE_JIT = disabled
        del codegen.create_library, codegen.set_env
