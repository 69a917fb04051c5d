"""CUDA without a GPU: kernels in numba-cuda's simulator have the CPU's bits, and compile to code that fuses nothing."""

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streamloss as sl
from streamloss.errors import MissingExtraError, UsageError

pytestmark = pytest.mark.xdist_group("cuda")
HERE = Path(__file__).parent

has_numba_cuda = importlib.util.find_spec("numba_cuda") is not None
needs_numba_cuda = pytest.mark.skipif(not has_numba_cuda, reason="needs numba-cuda: pip install 'streamloss[cuda]'")
COMPILER = {"numba-cuda", "nvidia-nvvm", "nvidia-cuda-nvrtc", "nvidia-nvjitlink"}
installed = {str(found.metadata["Name"]).lower() for found in importlib.metadata.distributions()}
needs_compiler = pytest.mark.skipif(
    not installed >= COMPILER or not hasattr(np, "row_stack"),
    reason="needs NVIDIA's compiler and NumPy below 2.5: pip install 'streamloss[cuda]'",
)

SPARSE, DENSE, LOGITS = "sparse_categorical_crossentropy", "categorical_crossentropy", {"from_logits": True}
MSE, BCE = "mean_squared_error", "binary_crossentropy"
FEW = {"loss": SPARSE, "given": LOGITS, "classes": 3, "rows": 40, "dtype": "float32"}
ONE = {"loss": MSE, "classes": 1, "rows": 70, "dtype": "float32"}
CASES = {
    "elements": ONE,
    "elements, weighted, masked, to float64": {**ONE, "dtype": "float64", "weighted": True},
    "NaN raises": {**ONE, "nan": [33, 7], "policy": "raise"},
    "NaN is left out": {**ONE, "nan": [33, 7], "policy": "omit"},
    "NaN goes through": {**ONE, "nan": [33, 7], "policy": "propagate"},
    "logarithms": {"loss": BCE, "classes": 1, "rows": 70, "dtype": "float32"},
    "beyond a probability": {"loss": BCE, "classes": 1, "rows": 70, "dtype": "float32", "predictions": {9: 7.0, 5: -1}},
    "a thread to a row": FEW,
    "an ignored class": {**FEW, "given": {**LOGITS, "ignore_class": -1}, "labels": {4: -1, 11: -1}},
    "labels out of range": {**FEW, "labels": {38: 3, 9: -1}},
    "16 lanes to a row, to float64": {**FEW, "classes": 70, "rows": 5, "dtype": "float64"},
    "a warp to a row": {**FEW, "classes": 1100, "rows": 4},
    "a warp to a row, to float64": {**FEW, "classes": 1100, "rows": 3, "dtype": "float64"},
    "dense, a thread to a row": {"loss": DENSE, "given": LOGITS, "classes": 5, "rows": 33, "dtype": "float32"},
    "dense, two passes": {"loss": DENSE, "classes": 140, "rows": 3, "dtype": "float64"},
    "means of elements": {"loss": MSE, "classes": 20, "rows": 9, "dtype": "float32", "nan": [4], "policy": "omit"},
    "a weight for each class": {"loss": "weighted_cross_entropy_with_logits", "given": {"pos_weight": [0.5, 2.0, 3.0]},
                                "classes": 3, "rows": 33, "dtype": "float32"},
    "two parameters": {"loss": "gaussian_nll", "classes": 2, "rows": 33, "dtype": "float32"},
    "ratios inside rows": {"loss": "dice", "given": {"axis": -1}, "classes": 4, "rows": 33, "dtype": "float32"},
    "evaluate": {"executors": ["inline", "cuda"]},
    "make gpu": {"benchmark": True},
}  # fmt: skip
BAD = {"NaN raises": 7, "beyond a probability": 5, "labels out of range": 9}


def run(script, lines="", **environment):
    command = [sys.executable, HERE / script]
    environment = {**os.environ, **environment}
    done = subprocess.run(
        command, input=lines, capture_output=True, text=True, check=False, env=environment, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def simulated():
    lines = "".join(json.dumps(case) + "\n" for case in CASES.values())
    return dict(zip(CASES, run("cuda_cases.py", lines, NUMBA_ENABLE_CUDASIM="1"), strict=True))


@needs_numba_cuda
@pytest.mark.parametrize("case", CASES)
def test_rows_and_sums_have_the_bits_of_the_cpu(simulated, case):
    on_cpu, on_cuda, _ = simulated[case]
    assert on_cuda == on_cpu
    assert on_cuda.get("bad", -1) == BAD.get(case, -1)


@pytest.fixture(scope="module")
def compiled():
    return {found["kernel"]: found for found in run("cuda_compiled.py")}


@pytest.fixture
def kernels(compiled):
    return {name: found for name, found in compiled.items() if "ptx" in found}


@needs_compiler
def test_nothing_is_fused_but_what_formulas_fuse(kernels):
    control = kernels["control"]["ptx"]
    assert {"mul.f64", "add.f64"} <= set(control), "compilers may fuse unless told otherwise, or this test sees nothing"
    for name, found in kernels.items():
        if name == "control":
            continue
        assert all(".rn." in operation for operation in found["ptx"]), (name, found["ptx"])
        formula_fuses = not name.startswith(("mean_squared_error", "sums", "gather"))
        assert ("fma.rn.f64" in found["ptx"]) == formula_fuses, (name, found["ptx"])
        assert not any(operation.endswith("f32") for operation in found["ptx"]), name
        if found["sass"] is not None and not {"fma.rn.f64", "div.rn.f64"} & set(found["ptx"]):
            assert "DFMA" not in found["sass"], name  # divisions are made of some


@needs_compiler
def test_kernels_keep_their_rows_in_registers(kernels):
    for name, found in kernels.items():
        assert not found["local"], name
        if found["sass"] is not None:
            assert not {"LDL", "STL"} & set(found["sass"]), (name, found["sass"])


@needs_compiler
@pytest.mark.parametrize(
    ("kernel", "received"), [("unheeded", r"received \w+\.f64"), ("linked late", "received code whose operations")]
)
def test_a_kernel_that_may_be_fused_is_refused(compiled, kernel, received):
    assert re.search(f"{received}.*Use executor='auto'", compiled[kernel]["refused"])


def test_without_numba_cuda_the_error_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba_cuda" else find(name))
    for module in ("streamloss.cuda.toolkit", "streamloss.executors.cuda"):
        monkeypatch.delitem(sys.modules, module, raising=False)
        package, _, name = module.rpartition(".")
        if package in sys.modules:  # where `from package import name` looks first
            monkeypatch.delattr(sys.modules[package], name, raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'streamloss\[cuda\]'") as raised:
        sl.evaluate("mse", [1.0], [2.0], executor="cuda")
    assert raised.value.exit_code == 5


@needs_numba_cuda
def test_without_a_gpu_the_command_line_says_so_and_returns_5(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    arrays = ["--y-true", tmp_path / "a.npy", "--y-pred", tmp_path / "a.npy"]
    command = [sys.executable, "-m", "streamloss", "evaluate", "--loss", "mse", *arrays, "--executor", "cuda"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 5
    assert "no GPU was found" in done.stderr


def test_dask_arrays_are_not_sent_to_the_cpu_silently():
    import dask.array as da

    with pytest.raises(UsageError, match=r"executor='cuda' reads arrays block by block; received Dask arrays"):
        sl.evaluate("mse", da.ones(3), da.ones(3), executor="cuda")


def test_the_cpu_path_imports_nothing_of_cuda():
    script = """
import sys, numpy as np, streamloss as sl
sl.evaluate("mse", np.ones(3), np.zeros(3))
print([name for name in sys.modules if name.startswith(("streamloss.cuda", "cuda"))])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
