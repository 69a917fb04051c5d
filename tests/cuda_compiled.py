"""What tests/test_cuda.py runs in a process of its own, without a GPU: kernels as PTX and, where nvdisasm is there, as
machine code of sm_90. A line of JSON for each kernel.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

from numba import types
from numba.cuda import codegen, dispatcher
from numba.cuda.cudadrv import nvvm

from streamloss.cuda import groups, singles, sums, toolkit
from streamloss.errors import MachineError
from streamloss.losses._registry import LossSpec

CAPABILITY = (9, 0)
LOGITS = {"from_logits": True}
FLOAT, DOUBLE, LONG, BYTE = types.float32, types.float64, types.int64, types.int8

# Who compiles asks the GPU, which is not there, what it can do.
dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=CAPABILITY)
codegen.CUDACodeLibrary._ensure_cc = lambda self, cc=None: CAPABILITY


def array(dtype, axes=1):
    return types.Array(dtype, axes, "C")


def compiled(launcher, signature):
    """As a launch compiles it."""
    return dispatcher._Kernel(launcher.function, signature, **launcher.dispatcher.targetoptions)._codelibrary


def machine_code(library):
    """How often each instruction occurs; None without nvdisasm."""
    import nvidia.cu13

    tool = Path(next(iter(nvidia.cu13.__path__))) / "bin" / "nvdisasm"
    if not tool.exists():
        return None
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(library.get_cubin().code)
        file.flush()
        done = subprocess.run([tool, "-c", "-ndf", file.name], capture_output=True, text=True, check=True)
    return Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z0-9]+)", done.stdout))


def report(name, launcher, signature, fused=False):
    with nullcontext() if fused else toolkit.unfused():
        library = compiled(launcher, signature)
        ptx, code = library.get_asm_str(), machine_code(library)
    operations = Counter(re.findall(r"\s((?:fma|mul|add|sub|mad|div|sqrt)[.\w]*\.f(?:64|32))\s", ptx))
    print(json.dumps({"kernel": name, "ptx": operations, "local": ".local" in ptx, "sass": code}), flush=True)


def report_refusals(launcher, signature):
    """What happens if numba-cuda no longer heeds what it is told."""
    heeding = nvvm.compile_ir
    nvvm.compile_ir = lambda modules, **options: heeding(modules, **{k: v for k, v in options.items() if k != "fma"})
    print(json.dumps({"kernel": "unheeded", "refused": refusal(launcher, signature)}), flush=True)
    nvvm.compile_ir = heeding
    launcher.dispatcher.targetoptions["lto"] = True
    print(json.dumps({"kernel": "linked late", "refused": refusal(launcher, signature)}), flush=True)


def refusal(launcher, signature):
    try:
        with toolkit.unfused():
            compiled(launcher, signature).get_cubin()
    except MachineError as error:
        return str(error)
    return None


def main():
    nothing = types.Tuple(())
    of_elements = array(FLOAT, 2), array(FLOAT, 2)
    written = array(DOUBLE), array(BYTE)
    for name, given, arguments in (("mean_squared_error", {}, 0), ("binary_crossentropy", {}, 3)):
        for single in (True, False):
            launcher = singles.singles(LossSpec.of(name, given).formula, single)
            passed = types.UniTuple(DOUBLE, arguments) if arguments else nothing
            signature = (*of_elements, passed, array(DOUBLE), *written)
            report(f"{name} {single}", launcher, signature)
            if name == "binary_crossentropy" and single:
                report("control", launcher, signature, fused=True)
    for name, given, labels, arguments in (
        ("sparse_categorical_crossentropy", LOGITS, array(LONG), 0),
        ("categorical_crossentropy", LOGITS, array(FLOAT, 2), 1),
        ("categorical_crossentropy", {}, array(FLOAT, 2), 3),
        ("mean_squared_error", {}, array(FLOAT, 2), 0),
    ):
        for single in (True, False):
            passed = types.UniTuple(DOUBLE, arguments) if arguments else nothing
            signature = labels, array(FLOAT, 2), types.UniTuple(LONG, 2), passed, array(DOUBLE), LONG, *written
            launcher = groups.groups(LossSpec.of(name, given).formula, single)
            report(f"{name} {given} {single} by classes", launcher, signature)
    for single, result in ((True, FLOAT), (False, DOUBLE)):
        signature = *written, array(DOUBLE), array(types.boolean), LONG, types.boolean, array(result)
        signature = *signature, array(LONG, 3), array(LONG, 2), array(LONG)
        report(f"sums {single}", sums.reducer(single), signature)
    report("gather", sums.gatherer(), (array(LONG, 3), array(LONG, 2), array(LONG)))
    report_refusals(
        singles.singles(LossSpec.of("bce", {}).formula, True),
        (*of_elements, types.UniTuple(DOUBLE, 3), array(DOUBLE), *written),
    )


if __name__ == "__main__":
    sys.exit(main())
