"""Find CUDA kernels in the kernel cache, or compile them, without a GPU; for tests/kernels/cuda/test_cuda_cache.py.

Reads a line of JSON for each kernel that is wanted, and prints one about what was found.
"""

import hashlib
import json
import re
import sys
from types import SimpleNamespace

import numpy as np
from numba import types
from numba.cuda import args, codegen, dispatcher
from numba.cuda.cudadrv import nvvm

import cuda_compiled
from streamloss.core import cuda_cache, kernel_cache
from streamloss.core import cuda_compiler as toolkit
from streamloss.core.machine_code import Module, Program
from streamloss.formulas._kinds import Elementwise
from streamloss.formulas._registry import LossSpec
from streamloss.kernels.cuda import accumulate, classes, elementwise, loads

FLOAT, LONG = cuda_compiled.FLOAT, cuda_compiled.LONG
array = cuda_compiled.array
GATHERED = LONG, LONG, array(LONG, 3), array(LONG, 2), array(LONG), array(LONG)
compile_cuda, compile_ir, compilers_of = dispatcher.compile_cuda, nvvm.compile_ir, cuda_cache._compilers
seen = {"functions": 0, "modules": 0}


def counting_functions(*arguments, **options):
    seen["functions"] += 1
    return compile_cuda(*arguments, **options)


def counting_modules(modules, **options):
    seen["modules"] += 0 if isinstance(modules, str) else len(modules)  # an empty one is compiled for its header
    return compile_ir(modules, **options)


dispatcher._Kernel.bind = lambda kernel: kernel._codelibrary.get_cubin()  # which a GPU would load
dispatcher.compile_cuda, nvvm.compile_ir = counting_functions, counting_modules


def launcher_of(name):
    """Return the kernel of a loss, new in this process, and the types of its arguments."""
    if name == "gather":
        return accumulate.gatherer.__wrapped__(accumulate.ThreadSums.of(cuda_compiled.TOTALS)), GATHERED
    spec, form = LossSpec.of(name, {}), cuda_compiled.WIDTHS[FLOAT]
    label, totals = LONG if spec.formula.integer_labels else FLOAT, cuda_compiled.TOTALS
    if isinstance(spec.formula, Elementwise):
        launcher = elementwise.elementwise(spec.formula, True, form, form, totals)
    else:
        launcher = classes.classes(spec.formula, True, loads.Form(), form, classes.LANES, totals)
    return launcher, cuda_compiled.signature_of(label, FLOAT, FLOAT, len(spec.arguments(np.dtype(np.float64))))


def wanted(name, capabilities=((9, 0),), options=(), compilers=(), planted=""):
    """Return how the kernel came, and what it is, for the last of the capabilities.

    `planted` is first put into the cache as its code.
    """
    launcher, signature = launcher_of(name)
    launcher.options.update(options)
    cuda_cache._compilers = lambda: (*compilers_of(), *compilers)
    before = how_many()
    for capability in capabilities:
        cuda_compiled.asked[0] = tuple(capability)
        with toolkit.unfused():
            if planted:
                key = launcher.dispatcher()._cache.key(signature)
                kernel_cache.keep(key, Program("planted", "none", {"planted": Module(planted.encode(), ())}))
            kernel = launcher.dispatcher().compile(signature)
    library = kernel._codelibrary
    ptx = library.get_asm_str()
    facts = {
        "ptx": hashlib.sha1(ptx.encode()).hexdigest(),
        "machine code": hashlib.sha1(library.get_cubin().code).hexdigest(),
        "target": re.search(r"^\.target (\w+)", ptx, re.MULTILINE)[1].removesuffix("a"),
        "named": kernel.entry_name in ptx,
        "types": str(kernel.argument_types),
    }
    return {name: count - before[name] for name, count in how_many().items()} | {"kernel": facts}


def how_many():
    counts = kernel_cache.counts
    return {
        "found": counts.found,
        "compiled": counts.compiled,
        "by Numba": seen["functions"],
        "by NVVM": seen["modules"],
    }


def all_keys():
    """Return the keys of all kernels of cuda_compiled.py, by name."""
    found = {}

    def collect(name, launcher, signature):
        found[name] = launcher.dispatcher()._cache.key(signature)

    cuda_compiled.report, report = collect, cuda_compiled.report
    cuda_compiled.asked[0] = cuda_compiled.CAPABILITIES[0]
    cuda_compiled.report_kernels()
    cuda_compiled.report = report
    return found


class OnGpu(args.ArgHint):
    """A contiguous array of integers that would be on a GPU."""

    def __init__(self, *shape):
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype(np.int64)
        self._numba_type_ = types.Array(types.int64, self.ndim, "C")

    def is_c_contiguous(self):
        return True

    is_f_contiguous = is_c_contiguous

    def to_device(self, retr, stream=0):
        layout = SimpleNamespace(strides_in_bytes=None, is_contiguous_c=True, is_contiguous_f=False)
        size = int(np.prod(self.shape))
        return SimpleNamespace(size=size, dtype=self.dtype, ptr=4096, shape=self.shape, _layout=layout)


def launched():
    """Return what CUDA's driver would be given by two launches of a kernel, the first of which finds it or compiles."""
    given = []

    def launch(stream, config, kernel, *arguments):
        given.append([config.grid, config.block, kernel, [getattr(value, "value", value) for value in arguments]])

    dispatcher.launch = launch
    codegen.CUDACodeLibrary.get_cufunc = lambda self: SimpleNamespace(kernel=[self._entry_name, self.get_asm_str()])
    launcher, _ = launcher_of("gather")
    for blocks in (128, 256):
        launcher.launch(blocks, 32, 0, 7, 32, OnGpu(3, 2, 40), OnGpu(3, 5), OnGpu(1), OnGpu(86))
    return {"counts": [kernel_cache.counts.found, kernel_cache.counts.compiled], "given": given}


def main():
    for line in sys.stdin:
        asked = json.loads(line)
        done = {"keys": all_keys, "launch": launched}[asked]() if isinstance(asked, str) else wanted(**asked)
        print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
