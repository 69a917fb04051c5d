"""The compiler for CUDA: numba-cuda, which a successor with the same decorator may replace.

Only this module, `cuda_cache`, `cuda_memory` and `kernels.cuda.loads` depend on its internals.

Kernels have the bits of the CPU only if no compiler fuses ``a * b + c``. NVVM does so unless it receives ``-fma=0``,
for which numba-cuda has no argument; with it every operation is written with its rounding (``.rn``), and such
operations the assembler may not fuse either. The linker may, where it makes the PTX, so kernels are linked from PTX
(``lto=False``); and the code of each compilation is checked before it may run.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from importlib import import_module, util
from types import FunctionType
from typing import Any, cast

import numpy as np

from ..errors import MachineError, MissingExtraError, NoGpuError
from .compiler import with_dispatchers
from .cuda_cache import FUSIBLE, KeptKernels
from .digest import frozen
from .jit import JitFunction

if util.find_spec("numba_cuda") is None:  # Numba's own numba.cuda is deprecated and does not compile our kernels
    raise MissingExtraError("evaluating on a GPU", "cuda")

cuda: Any = import_module("numba.cuda")  # Any: what the simulator puts in its place has no types

__all__ = [
    "EVERYONE",
    "SIMULATED",
    "WARP",
    "Launcher",
    "cuda",
    "current_device",
    "device",
    "intrinsic",
    "kernel",
    "require_gpu",
    "unfused",
]

SIMULATED = bool(cuda.config.ENABLE_CUDASIM)
"""Whether kernels run as Python, with a thread of the CPU for each thread of CUDA (NUMBA_ENABLE_CUDASIM=1)."""

DRIVER = (13, 0)
"""The least version of the driver: that of the compiler, CUDA 13."""
WARP = 32
EVERYONE = 0xFFFFFFFF
"""All lanes of a warp."""

if not (SIMULATED or hasattr(np, "row_stack")):  # numba-cuda looks it up; NumPy 2.5 dropped it
    raise MachineError(
        f"numba-cuda needs a NumPy below 2.5; found {np.__version__}. Install one: pip install 'streamloss[cuda]'"
    )

_patching = threading.RLock()


class Launcher:
    """A kernel, found in the kernel cache or compiled on its first launch for each combination of dtypes."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self.options: dict[str, Any] = {} if SIMULATED else {"lto": False}  # cuda.jit(lto=False)(function) drops it
        self._dispatchers: dict[tuple[int, ...], Any] = {}
        self._launched: dict[tuple[Any, ...], Any] = {}
        """The dispatchers that have a kernel for arguments of these kinds on this GPU."""

    def launch(self, blocks: int, threads: int, stream: Any, *arguments: Any) -> None:
        """Start the kernel on a stream, without waiting for it; only a first compilation is waited for."""
        kinds = current_device(), *map(_kind, arguments)  # a GPU may need machine code of its own
        dispatcher = self._launched.get(kinds)
        if dispatcher is not None and not SIMULATED:
            dispatcher[blocks, threads, stream](*arguments)
            return
        with unfused():  # its lock serves the simulator, too, which runs one kernel at a time
            dispatcher = self.dispatcher()
            dispatcher[blocks, threads, stream](*arguments)
        self._launched[kinds] = dispatcher

    def dispatcher(self) -> Any:
        """Return numba-cuda's dispatcher for GPUs like the current one: what is found is for one capability."""
        capability = (0, 0) if SIMULATED else tuple(cuda.get_current_device().compute_capability)
        if capability not in self._dispatchers:
            function = self.function if SIMULATED else frozen(cast(FunctionType, self.function))
            made = cuda.jit(_prepared(function), **self.options)
            if not SIMULATED:
                made._cache = KeptKernels(cast(FunctionType, function), made, capability)
            self._dispatchers[capability] = made
        return self._dispatchers[capability]


class CudaFunction(JitFunction):
    """A function that kernels call, with a digest like all that is compiled."""

    def dispatcher(self, for_cache: bool = False) -> Any:
        """Return what numba-cuda calls the function by."""
        if not self._dispatchers:
            if self.kind == "cuda_intrinsic":
                made = import_module("numba.cuda.extending").intrinsic(self.py_func)
            else:
                made = cuda.jit(device=True)(_prepared(self.function))
            self._dispatchers[False] = made
        return self._dispatchers[False]


def _kind(argument: Any) -> Any:
    """Return what a kernel is compiled for: an array's dtype, number of axes and order, or a type."""
    if hasattr(argument, "is_c_contiguous"):
        return argument.dtype.str, argument.ndim, argument.is_c_contiguous(), argument.is_f_contiguous()
    return (tuple, *map(type, argument)) if isinstance(argument, tuple) else type(argument)


def kernel(function: Callable[..., None]) -> Launcher:
    """Return the launcher of a kernel; a decorator."""
    return Launcher(function)


def device(function: Callable[..., Any]) -> Any:
    """Declare a function that kernels call. The scalar functions of formulas need no decorator of CUDA's."""
    return cuda.jit(device=True)(function) if SIMULATED else CudaFunction(function, "cuda_device")


def _prepared(function: Callable[..., Any]) -> Any:
    """Return a function as numba-cuda takes it: calling Numba's dispatchers, which it knows."""
    return function if SIMULATED else with_dispatchers(function, function.__qualname__)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Declare a function that kernels call and that is written as instructions of LLVM."""
    if SIMULATED:
        return import_module("numba.cuda.extending").intrinsic(function)
    return CudaFunction(function, "cuda_intrinsic")


@contextlib.contextmanager
def unfused() -> Iterator[None]:
    """Compile kernels without fusing while the context lasts.

    Raises MachineError for code that holds a fusible operation nevertheless.
    """
    if SIMULATED:
        with _patching:
            yield
        return
    nvvm: Any = import_module("numba.cuda.cudadrv.nvvm")

    with _patching:
        original, this_thread = nvvm.compile_ir, threading.get_ident()

        def compile_ir(modules: Any, **options: Any) -> bytes:
            if threading.get_ident() != this_thread:  # a kernel that is not ours
                return original(modules, **options)
            code: bytes = original(modules, **{**options, "fma": False})
            found = FUSIBLE.search(code)
            if found or {"gen-lto", "gen_lto"} & set(options):
                received = found.group().decode().strip() if found else "code whose operations the linker chooses"
                raise MachineError(
                    "numba-cuda compiled an operation that may be fused with another, which would change the bits of "
                    f"losses: expected add.rn, sub.rn and mul.rn, received {received}. "
                    "Use executor='threads', which evaluates on the CPU, and report the version of numba-cuda."
                )
            return code

        nvvm.compile_ir = compile_ir
        try:
            yield
        finally:
            nvvm.compile_ir = original


def current_device() -> int:
    """Return the number of the calling thread's current GPU."""
    return 0 if SIMULATED else int(cuda.get_current_device().id)


def require_gpu() -> None:
    """Raise NoGpuError unless there is a GPU with a driver of at least version ``DRIVER``."""
    available = cuda.is_available()
    version = (0, 0) if SIMULATED or not available else cuda.cudadrv.driver.get_version()
    if not available or (not SIMULATED and version < DRIVER):
        found = "no GPU was found" if not available else f"CUDA's driver has version {version[0]}.{version[1]}"
        raise NoGpuError(
            f"{found}: expected a GPU that CUDA's driver (libcuda, version {DRIVER[0]} or later) can use. "
            "executor='threads' evaluates on the CPU, with the same bits."
        )
