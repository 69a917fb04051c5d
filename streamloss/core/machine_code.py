"""Machine code on its way into the process. It needs llvmlite, and no Numba.

All modules of a program are linked with each other, and with a few functions of the C library, in a library of its own:
whatever the symbols of two programs are called, they never meet.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import llvmlite.binding as llvm

C_LIBRARY = frozenset({"memset", "memcpy", "memmove", "fma", "sqrt", "floor"})
"""The functions of the C library that machine code may call: what they return is defined to the last bit."""


FAILED = -(1 << 63)
"""The result of an entry whose code raised an exception of Numba's, which ours has no reason to."""


class Module(NamedTuple):
    """A relocatable object file; in the kernel cache also PTX, for a GPU."""

    code: bytes
    calls: tuple[str, ...]
    """The symbols of other modules that it needs."""


class Program(NamedTuple):
    """Machine code that is called by one symbol."""

    entry: str
    """The symbol: of a kernel ``int64 entry(int64 *words)``, of a part of kernels a function as Numba calls them; or of
    a kernel for a GPU."""
    returns: str
    """The name of a Numba type."""
    modules: Mapping[str, Module]
    """All that it is linked from, by the symbols that others call."""


def processor() -> tuple[str, str]:
    """Return the processor's name and features, for which machine code is made; Numba's variables may name others."""
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        try:
            found = llvm.get_host_cpu_features()
            if os.environ.get("NUMBA_ENABLE_AVX") == "0":
                found.update({key: False for key in found if key.startswith("avx")})
            features = str(found.flatten())
        except RuntimeError:  # LLVM does not know them on every platform
            features = ""
    return name or str(llvm.get_host_cpu_name()), features


_linking = threading.Lock()
_loaded: list[Any] = []
"""The libraries of all programs: their machine code stays for as long as the process lives."""

if hasattr(os, "register_at_fork"):  # a child must not begin in the middle of linking
    os.register_at_fork(before=_linking.acquire, after_in_parent=_linking.release, after_in_child=_linking.release)


def load(program: Program) -> int:
    """Link a program and return the address of its entry. Raises RuntimeError if it cannot be linked."""
    with _linking:
        builder = llvm.JITLibraryBuilder()
        for module in program.modules.values():
            builder.add_object_img(module.code)
        for name, address in _c_library().items():
            builder.import_symbol(name, address)
        library = builder.export_symbol(program.entry).link(_linker(), f"kernel {len(_loaded)}")
        _loaded.append(library)
        entry: int = library[program.entry]
    return entry


@cache
def _linker() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.create_lljit_compiler()


@cache
def _c_library() -> dict[str, int]:
    """Return the addresses of the functions of C_LIBRARY."""
    process, found = ctypes.CDLL(None), {}
    for name in C_LIBRARY:
        try:
            function = getattr(process, name)
        except AttributeError:
            function = getattr(ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6"), name)
        found[name] = ctypes.cast(function, ctypes.c_void_p).value or 0
    return found
