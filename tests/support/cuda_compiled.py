"""Compile kernels without a GPU, in a process of its own, for tests/kernels/cuda/test_cuda_compiled.py.

Prints a line of JSON for each kernel, about its PTX and, where nvdisasm is installed, its machine code for sm_90.
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

import numpy as np
from numba import types
from numba.cuda import codegen, dispatcher
from numba.cuda.cudadrv import nvvm

from streamloss.aggregation.statistics import accumulation_of
from streamloss.core import cuda_compiler as toolkit
from streamloss.errors import MachineError
from streamloss.formulas._kinds import LabelSequence
from streamloss.formulas._registry import LossSpec, declarations
from streamloss.kernels.base import KernelKey
from streamloss.kernels.build import layout_of
from streamloss.kernels.cuda import accumulate, classes, elementwise, launch, loads

CAPABILITIES = ((9, 0), (8, 0))
LOGITS = {"from_logits": True}
FLOAT, DOUBLE, LONG, BYTE, SHORT = types.float32, types.float64, types.int64, types.uint8, types.uint16
ONE_BY_ONE = loads.Form()
TOTALS = accumulation_of()

# The compiler asks the GPU, which is not there, for its capability.
asked = list(CAPABILITIES[:1])
the_gpu = lambda: SimpleNamespace(id=0, compute_capability=asked[0])  # noqa: E731
dispatcher.get_current_device = toolkit.cuda.get_current_device = the_gpu
codegen.CUDACodeLibrary._ensure_cc = lambda self, cc=None: asked[0]


def array(dtype, axes=1):
    return types.Array(dtype, axes, "C")


def signature_of(label, prediction, result, arguments):
    """Return the signature of a kernel that `streamloss.kernels.cuda.kernel.rows_kernel` makes."""
    passed = types.UniTuple(DOUBLE, arguments) if arguments else types.Tuple(())
    operands = array(label), array(prediction), array(DOUBLE), array(types.boolean)
    settings = types.UniTuple(LONG, 2), passed, array(DOUBLE), LONG, types.boolean, array(result)
    return (*operands, LONG, LONG, LONG, *settings, array(LONG, 3), array(LONG, 2), array(LONG))


def compiled(launcher, signature):
    """Compile the kernel as a launch does."""
    return dispatcher._Kernel(launcher.function, signature, **launcher.dispatcher().targetoptions)._codelibrary


def machine_code(library):
    """Count each instruction; wide loads by their width."""
    import nvidia.cu13

    tool = Path(next(iter(nvidia.cu13.__path__))) / "bin" / "nvdisasm"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(library.get_cubin().code)
        file.flush()
        done = subprocess.run([tool, "-c", "-ndf", file.name], capture_output=True, text=True, check=True)
    instructions = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z0-9]+(?:\.[A-Z0-9]+)*)", done.stdout)
    wide = (f"LDG.{width}" for name in instructions for width in re.findall(r"^LDG\..*\b(64|128)\b", name))
    registers = 1 + max(map(int, re.findall(r"\bR(\d+)\b", done.stdout)))
    return Counter(name.partition(".")[0] for name in instructions) + Counter(wide) + Counter(registers=registers)


def report(name, launcher, signature, fused=False):
    with nullcontext() if fused else toolkit.unfused():
        library = compiled(launcher, signature)
        ptx, code = library.get_asm_str(), machine_code(library)
    operations = Counter(re.findall(r"\s((?:fma|mul|add|sub|mad|div|sqrt)[.\w]*\.f(?:64|32))\s", ptx))
    capability = "".join(map(str, asked[0]))
    found = {"kernel": name, "capability": capability, "ptx": operations, "local": ".local" in ptx, "sass": code}
    print(json.dumps(found), flush=True)


def report_refusals(launcher, signature):
    """Report the errors that are raised if numba-cuda no longer heeds its options."""
    heeding = nvvm.compile_ir
    nvvm.compile_ir = lambda modules, **options: heeding(modules, **{k: v for k, v in options.items() if k != "fma"})
    print(json.dumps({"kernel": "unheeded", "refused": refusal(launcher, signature)}), flush=True)
    nvvm.compile_ir = heeding
    launcher.dispatcher().targetoptions["lto"] = True
    print(json.dumps({"kernel": "linked late", "refused": refusal(launcher, signature)}), flush=True)


def refusal(launcher, signature):
    try:
        with toolkit.unfused():
            compiled(launcher, signature).get_cubin()
    except MachineError as error:
        return str(error)
    return None


ELEMENTS = (("mean_squared_error", {}, 0), ("binary_crossentropy", {}, 3))
CLASSES = (
    ("sparse_categorical_crossentropy", LOGITS, LONG, 0),
    ("categorical_crossentropy", LOGITS, FLOAT, 1),
    ("categorical_crossentropy", {}, FLOAT, 3),
    ("mean_squared_error", {}, FLOAT, 0),
)
WIDTHS = {FLOAT: loads.Form(width=4), DOUBLE: loads.Form(width=2), SHORT: loads.Form("bfloat16", 8)}


def report_kernels():
    for name, given, arguments in ELEMENTS:
        formula = LossSpec.of(name, given).formula
        for single, result in ((True, FLOAT), (False, DOUBLE)):
            for how, form in (("one by one", ONE_BY_ONE), ("wide", WIDTHS[FLOAT])):
                if asked[0] != CAPABILITIES[0] and (not single or how == "one by one"):
                    continue
                launcher = elementwise.elementwise(formula, single, form, form, TOTALS)
                report(f"elements: {name} {result} {how}", launcher, signature_of(FLOAT, FLOAT, result, arguments))
    for name, given, label, arguments in CLASSES:
        formula = LossSpec.of(name, given).formula
        for single, result in ((True, FLOAT), (False, DOUBLE)):
            for how, team, stored, form in (
                ("one by one", classes.LANES, FLOAT, ONE_BY_ONE),
                ("wide", classes.LANES, FLOAT, WIDTHS[FLOAT]),
                ("wide, a block to a row", classes.team_of(1 << 16, 4), FLOAT, WIDTHS[FLOAT]),
                ("bfloat16 wide", classes.LANES, SHORT, WIDTHS[SHORT]),
            ):
                again = asked[0] != CAPABILITIES[0]  # the PTX is the same, so what it is checked for is too
                if again and (how == "one by one" or name == "mean_squared_error"):
                    continue
                if ("block" in how or stored is SHORT or again) and not single:
                    continue
                if "block" in how and "sparse" not in name:
                    continue
                true = form if label is stored else ONE_BY_ONE
                launcher = classes.classes(formula, single, true, form, team, TOTALS)
                report(f"{name} {given} {result} {how}", launcher, signature_of(label, stored, result, arguments))
    for declaration in declarations() if asked[0] == CAPABILITIES[0] else ():  # that all of them compile
        spec = LossSpec.of(declaration.name, {"axis": -1} if declaration.name in ("dice", "tversky") else {})
        if isinstance(spec.formula, LabelSequence):
            continue
        layout = layout_of(spec.formula, 2)
        label = LONG if spec.formula.integer_labels else FLOAT
        key = KernelKey(spec.formula, False, layout, TOTALS)
        kernel = launch.kernel_of(key, ONE_BY_ONE, WIDTHS[FLOAT], classes.LANES)
        signature = signature_of(label, FLOAT, DOUBLE, len(spec.arguments(np.dtype(np.float64))))
        report(f"every loss: {declaration.name}", kernel, signature)
    gathered = LONG, LONG, array(LONG, 3), array(LONG, 2), array(LONG), array(LONG)
    report("gather", accumulate.gatherer(accumulate.ThreadSums.of(TOTALS)), gathered)


def main():
    for capability in CAPABILITIES:
        asked[0] = capability
        report_kernels()
    bce, signature = LossSpec.of("bce", {}).formula, signature_of(FLOAT, FLOAT, FLOAT, 3)
    report("control", elementwise.elementwise(bce, True, ONE_BY_ONE, ONE_BY_ONE, TOTALS), signature, fused=True)
    report_refusals(elementwise.elementwise(bce, True, ONE_BY_ONE, ONE_BY_ONE, TOTALS), signature)


if __name__ == "__main__":
    sys.exit(main())
