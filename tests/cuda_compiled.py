"""What tests/test_cuda.py runs in a process of its own, without a GPU: kernels as PTX and, where nvdisasm is there, as
machine code of sm_90. A line of JSON for each kernel.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numba.cuda.dispatcher
from numba import cuda, types

from streamloss.cuda import groups, singles, sums, toolkit
from streamloss.losses._registry import LossSpec

CAPABILITY = (9, 0)
LOGITS = {"from_logits": True}
FLOAT, DOUBLE, LONG, BYTE = types.float32, types.float64, types.int64, types.int8

# A kernel that calls compiled functions asks the GPU that is not there what it can do.
numba.cuda.dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=CAPABILITY)


def array(dtype, axes=1):
    return types.Array(dtype, axes, "C")


def ptx_of(launcher, signature, fused=False):
    if fused:
        return cuda.compile(launcher.function, signature, device=False, abi="numba", output="ptx", cc=CAPABILITY)[0]
    with toolkit.unfused():
        return ptx_of(launcher, signature, fused=True)


def machine_code(ptx):
    """None without nvdisasm."""
    import nvidia.cu13
    from cuda.bindings import nvjitlink

    tool = Path(next(iter(nvidia.cu13.__path__))) / "bin" / "nvdisasm"
    if not tool.exists():
        return None
    link = nvjitlink.create(1, ["-arch=sm_90"])
    nvjitlink.add_data(link, nvjitlink.InputType.PTX, ptx.encode() + b"\0", len(ptx) + 1, "kernel")
    nvjitlink.complete(link)
    cubin = bytearray(nvjitlink.get_linked_cubin_size(link))
    nvjitlink.get_linked_cubin(link, cubin)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run([tool, "-c", "-ndf", file.name], capture_output=True, text=True, check=True)
    return Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z0-9]+)", done.stdout))


def report(name, ptx):
    operations = Counter(re.findall(r"\s((?:fma|mul|add|sub|mad|div|sqrt)[.\w]*\.f(?:64|32))\s", ptx))
    code = machine_code(ptx)
    print(json.dumps({"kernel": name, "ptx": operations, "local": ".local" in ptx, "sass": code}), flush=True)


def main():
    nothing = types.Tuple(())
    of_elements = array(FLOAT, 2), array(FLOAT, 2)
    written = array(DOUBLE), array(BYTE)
    for name, given, arguments in (("mean_squared_error", {}, 0), ("binary_crossentropy", {}, 3)):
        for single in (True, False):
            launcher = singles.singles(LossSpec.of(name, given).formula, single)
            passed = types.UniTuple(DOUBLE, arguments) if arguments else nothing
            signature = (*of_elements, passed, array(DOUBLE), *written)
            report(f"{name} {single}", ptx_of(launcher, signature))
            if name == "binary_crossentropy" and single:
                report("control", ptx_of(launcher, signature, fused=True))
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
            report(f"{name} {given} {single} by classes", ptx_of(launcher, signature))
    for single, result in ((True, FLOAT), (False, DOUBLE)):
        signature = *written, array(DOUBLE), array(types.boolean), LONG, types.boolean, array(result)
        signature = *signature, array(LONG, 3), array(LONG, 2), array(LONG)
        report(f"sums {single}", ptx_of(sums.reducer(single), signature))
    report("gather", ptx_of(sums.gatherer(), (array(LONG, 3), array(LONG, 2), array(LONG))))


if __name__ == "__main__":
    sys.exit(main())
