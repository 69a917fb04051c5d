"""CUDA kernels in the kernel cache, as PTX: it takes the place of the cache that numba-cuda has itself.

Four fifths of the time to compile a kernel is Numba's: types, and code of LLVM as text. So a kernel is found by what it
is made of, before Numba sees it, and not by that text, which also differs between processes. What is found becomes a
kernel of numba-cuda in the way in which its own cache restores them, so it is linked and launched like one that it has
just compiled. That cache pickles whole objects, under the names and times of source files; this one keeps PTX alone,
under a digest of all that it depends on.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

from . import kernel_cache
from .compiler import text_of_type
from .digest import UnknownContentError, digest_of
from .machine_code import Module, Program

FUSIBLE = re.compile(rb"\s(?:add|sub|mul|mad)\.f(?:32|64)\s")
"""The operations of PTX that the assembler may fuse: those without a rounding."""
_IN_KERNELS = ("cooperative", "entry_name", "argument_types", "debug", "lineinfo", "extensions",
               "shared_memory_carveout", "launch_config_sensitive")  # fmt: skip
_IN_LIBRARIES = ("_entry_name", "_ptx_cache", "_linking_files", "_setup_functions", "_teardown_functions",
                 "referenced_objects", "_max_registers", "needs_cudadevrt", "use_cooperative", "_lto")  # fmt: skip
"""The attributes on which it depends what a launch does, beside those that follow from them."""


class KeptKernels:
    """The kernels of a dispatcher for GPUs of one capability: found or compiled.

    It stands where numba-cuda has its own cache, which a dispatcher asks for kernels that it has not had before.
    """

    def __init__(self, function: FunctionType, dispatcher: Any, capability: tuple[int, ...]) -> None:
        self._function, self._dispatcher, self._capability = function, dispatcher, capability

    def load_overload(self, arguments: Any, context: Any) -> Any:
        """Return the kernel for arguments of these Numba types, with machine code for the current GPU."""
        key = self.key(arguments)
        program = None if key is None else kernel_cache.find(key)
        if program is not None and not FUSIBLE.search(program.modules[program.entry].code):
            kernel_cache.counts.count_found()
            return _kernel_of(program.entry, program.modules[program.entry].code.decode(), arguments)
        with kernel_cache.counts.while_compiling():
            compiled = import_module("numba.cuda.dispatcher")._Kernel
            kernel = compiled(self._dispatcher.py_func, arguments, **self._dispatcher.targetoptions)
            kernel.bind()  # as dispatchers do
        ptx = kernel._codelibrary.get_asm_str()
        if key is not None and _described(kernel) == _described(_kernel_of(kernel.entry_name, ptx, arguments)):
            kernel_cache.keep(key, Program(kernel.entry_name, "none", {kernel.entry_name: Module(ptx.encode(), ())}))
        return kernel

    def key(self, arguments: Any) -> str | None:
        """Return the key of a kernel in the kernel cache; None if it is compiled in each process."""
        try:
            digest = digest_of(self._function)
        except UnknownContentError:
            return None
        target = str(self._capability), repr(sorted(self._dispatcher.targetoptions.items()))
        return kernel_cache.key_of("cuda", digest, *target, *_compilers(), *map(text_of_type, arguments))


def _kernel_of(entry: str, ptx: str, arguments: Any) -> Any:
    """Return numba-cuda's kernel that has this PTX, for the current GPU."""
    codegen, dispatcher = import_module("numba.cuda.codegen"), import_module("numba.cuda.dispatcher")
    typing, types = import_module("numba.cuda.typing"), import_module("numba.cuda.types")
    library = codegen.CUDACodeLibrary._rebuild(
        codegen=None,
        name=entry,
        entry_name=entry,
        llvm_strs=[],  # so it can be linked for no other capability
        ptx_cache={},
        cubin_cache={},
        linkerinfo_cache={},
        max_registers=None,
        nvvm_options={},
        needs_cudadevrt=False,
        nrt=False,
        use_cooperative=False,
        lto=False,
    )
    library._ptx_cache[library._ensure_cc(None)] = [ptx]
    return dispatcher._Kernel._rebuild(
        cooperative=False,
        name=entry,
        signature=typing.signature(types.none, *arguments),
        codelibrary=library,
        debug=False,
        lineinfo=False,
        call_helper=None,  # names the errors of kernels that are debugged
        extensions=[],
    )


def _described(kernel: Any) -> list[Any]:
    """Return what a launch of a kernel depends on."""
    library = kernel._codelibrary
    return [getattr(kernel, name) for name in _IN_KERNELS] + [getattr(library, name) for name in _IN_LIBRARIES]


@cache
def _compilers() -> tuple[str, ...]:
    """Return what PTX depends on beside its function, its target and what all keys hold: who makes it.

    NVVM writes its build into the PTX of an empty module.
    """
    codegen, nvvm = import_module("numba.cuda.codegen"), import_module("numba.cuda.cudadrv.nvvm")
    empty = str(codegen.JITCUDACodegen("")._create_empty_module("empty"))
    own = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("cuda_cache.py", "cuda_compiler.py"))
    contents = hashlib.blake2b(own).hexdigest(), hashlib.blake2b(nvvm.LibDevice().get()).hexdigest()
    return str(import_module("numba_cuda").__version__), nvvm.compile_ir(empty).decode(), *contents
