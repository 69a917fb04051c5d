"""Find CUDA kernels in the kernel cache, or compile them, without a GPU; for tests/kernels/cuda/test_cuda_cache.py.

Reads a line of JSON for each kernel that is wanted, and prints one about what was found.
"""

import hashlib
import json
import re
import sys

from numba.cuda import dispatcher
from numba.cuda.cudadrv import nvvm

import cuda_compiled
from streamloss.core import cuda_cache, kernel_cache
from streamloss.core import cuda_compiler as toolkit
from streamloss.core.machine_code import Module, Program
from streamloss.formulas._registry import LossSpec
from streamloss.kernels.cuda import accumulate, elementwise

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
    """Return the kernel, new in this process, and the types of its arguments."""
    if name == "gather":
        return accumulate.gatherer.__wrapped__(accumulate.ThreadSums.of(cuda_compiled.TOTALS)), GATHERED
    form = cuda_compiled.WIDTHS[FLOAT]
    formula = LossSpec.of(name, {}).formula
    launcher = elementwise.elementwise(formula, True, form, form, cuda_compiled.TOTALS)
    return launcher, cuda_compiled.signature_of(FLOAT, FLOAT, FLOAT, 0)


def wanted(name, capabilities=((9, 0),), options=(), compilers="", planted=""):
    """Return how the kernel came, and what it is, for the last of the capabilities.

    `planted` is first put into the cache as its code.
    """
    launcher, signature = launcher_of(name)
    launcher.options.update(options)
    cuda_cache._compilers = lambda: (*compilers_of(), compilers)
    before = how_many()
    for capability in capabilities:
        cuda_compiled.asked[0] = tuple(capability)
        with toolkit.unfused():
            if planted:
                key = launcher.dispatcher()._cache._key(signature)
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
        found[name] = launcher.dispatcher()._cache._key(signature)

    cuda_compiled.report, report = collect, cuda_compiled.report
    cuda_compiled.asked[0] = cuda_compiled.CAPABILITIES[0]
    cuda_compiled.report_kernels()
    cuda_compiled.report = report
    return found


def main():
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(all_keys() if asked == "keys" else wanted(**asked)), flush=True)


if __name__ == "__main__":
    main()
