"""CUDA without a GPU: kernels in numba-cuda's simulator have the CPU's bits, and compile to code that fuses nothing."""

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest

import streamloss as sl
from cuda_process import run
from processes import environment
from streamloss.errors import MissingExtraError

has_numba_cuda = importlib.util.find_spec("numba_cuda") is not None
needs_numba_cuda = pytest.mark.skipif(not has_numba_cuda, reason="needs numba-cuda: pip install 'streamloss[cuda]'")

SPARSE, DENSE, LOGITS = "sparse_categorical_crossentropy", "categorical_crossentropy", {"from_logits": True}
MSE, BCE = "mean_squared_error", "binary_crossentropy"
FEW = {"loss": SPARSE, "given": LOGITS, "classes": 3, "rows": 40, "dtype": "float32"}
ONE = {"loss": MSE, "classes": 1, "rows": 70, "dtype": "float32"}
ORDER = {"loss": MSE, "dtype": "float32", "order": True}
CASES = {
    "elements": ONE,
    "elements, weighted, masked, to float64": {**ONE, "dtype": "float64", "weighted": True},
    "NaN raises": {**ONE, "nan": [33, 7], "policy": "raise"},
    "NaN is left out": {**ONE, "nan": [33, 7], "policy": "omit"},
    "NaN goes through": {**ONE, "nan": [33, 7], "policy": "propagate"},
    "logarithms": {"loss": BCE, "classes": 1, "rows": 70, "dtype": "float32"},
    "beyond a probability": {"loss": BCE, "classes": 1, "rows": 70, "dtype": "float32", "predictions": {9: 7.0, 5: -1}},
    "infinite logits": {"loss": BCE, "given": LOGITS, "classes": 1, "rows": 70, "dtype": "float32",
                        "predictions": {9: float("inf"), 5: float("-inf")}},
    "nothing predicted": {"loss": "kl_divergence", "given": {"epsilon": 0}, "classes": 3, "rows": 33,
                          "dtype": "float64", "predictions": {2: 0.0, 12: 0.0}},
    "a thread to a row": FEW,
    "an ignored class": {**FEW, "given": {**LOGITS, "ignore_class": -1}, "labels": {4: -1, 11: -1}},
    "labels out of range": {**FEW, "labels": {38: 3, 9: -1}},
    "smooth labels from logits": {**FEW, "given": {**LOGITS, "label_smoothing": 0.1, "ignore_class": -1},
                                  "labels": {4: -1}},
    "smooth labels, two passes": {**FEW, "given": {"label_smoothing": 0.1}, "classes": 70, "rows": 3},
    "16 lanes to a row, to float64": {**FEW, "classes": 70, "rows": 5, "dtype": "float64"},
    "a warp to a row": {**FEW, "classes": 1100, "rows": 4},
    "a warp to a row, to float64": {**FEW, "classes": 1100, "rows": 3, "dtype": "float64"},
    "dense, a thread to a row": {"loss": DENSE, "given": LOGITS, "classes": 5, "rows": 33, "dtype": "float32"},
    "dense, two passes": {"loss": DENSE, "classes": 70, "rows": 3, "dtype": "float64"},
    "means of elements": {"loss": MSE, "classes": 20, "rows": 9, "dtype": "float32", "nan": [4], "policy": "omit"},
    "a weight for each class": {"loss": "weighted_cross_entropy_with_logits", "given": {"pos_weight": [0.5, 2.0, 3.0]},
                                "classes": 3, "rows": 33, "dtype": "float32"},
    "two parameters": {"loss": "gaussian_nll", "classes": 2, "rows": 33, "dtype": "float32"},
    "ratios inside rows": {"loss": "dice", "given": {"axis": -1}, "classes": 4, "rows": 33, "dtype": "float32"},
    "four classes at once": {**FEW, "classes": 12, "rows": 35},
    "four classes at once, a warp to a row": {**FEW, "classes": 1104, "rows": 3},
    "two float64 at once": {**FEW, "classes": 24, "rows": 9, "stored": "float64", "dtype": "float64"},
    "float64 one by one": {**FEW, "classes": 23, "rows": 9, "stored": "float64", "dtype": "float64"},
    "float16": {**FEW, "classes": 5, "halves": "float16"},
    "float16, eight at once": {**FEW, "classes": 1032, "rows": 2, "halves": "float16"},
    "bfloat16": {**FEW, "classes": 5, "halves": "bfloat16"},
    "bfloat16, eight at once": {**FEW, "classes": 1032, "rows": 2, "halves": "bfloat16"},
    "dense, four at once": {"loss": DENSE, "classes": 1100, "rows": 1, "dtype": "float32"},
    "elements, several rows to a thread": {**ONE, "rows": 291, "weighted": True},
    "a block to a row": {**FEW, "classes": 2100, "rows": 2, "row_bytes": 1024},
    "a block to a row, dense": {"loss": DENSE, "classes": 1100, "rows": 1, "dtype": "float32", "row_bytes": 1024},
    "order, a thread to a row": {**ORDER, "classes": 8, "rows": 200},
    "order, a thread to a row, one by one": {**ORDER, "classes": 8, "rows": 200, "load": 4},
    "order, lanes": {**ORDER, "classes": 64, "rows": 16},
    "order, lanes, one by one": {**ORDER, "classes": 64, "rows": 16, "load": 4},
    "order, lanes, two at once": {**ORDER, "classes": 64, "rows": 16, "load": 8},
    "order, a warp to a row": {**ORDER, "classes": 1024, "rows": 4},
    "order, a block to a row": {**ORDER, "classes": 2048, "rows": 3, "row_bytes": 1024},
    "second moment": {**FEW, "weighted": True, "statistics": ["stderr"]},
    "second moment, elements": {**ONE, "dtype": "float64", "statistics": ["stderr"]},
    "in pieces": {**FEW, "rows": 70, "at_a_time": 32},
    "in pieces, a bad row": {**FEW, "rows": 70, "at_a_time": 32, "labels": {65: 9, 69: 9}},
    "evaluate, threads": {"how": {"workers": 3}},
    "evaluate, float16 as it is": {"how": {}, "halves": True},
    "evaluate, workers of a scheduler": {"how": {"scheduler": "synchronous"}},
    "evaluate, groups and statistics": {"how": {"workers": 3}, "asked": True},
    "evaluate, a cluster": {"how": {"scheduler": "a cluster"}},
    "arrays on the GPU": {"foreign": True},
    "arrays on the GPU, weighted and masked": {"foreign": True, "weighted": True, "labels": "int32"},
    "arrays on the GPU, groups and statistics": {"foreign": True, "weighted": True, "asked": True},
    "arrays on the GPU, labels of the host": {"foreign": True, "host": ["y_true"]},
    "arrays on the GPU, predictions of the host": {"foreign": True, "host": ["y_pred"]},
    "arrays on the GPU, not aligned": {"foreign": True, "misaligned": True},
    "arrays on the GPU, bfloat16": {"foreign": True, "stored": "bfloat16"},
    "arrays on the GPU, float16": {"foreign": True, "stored": "float16", "labels": "uint64"},
    "arrays on the GPU, weights of classes": {"foreign": True, "class_weight": {1: 2.5}},
    "arrays on the GPU, both conventions": {"foreign": True, "loss": "hinge", "class": "Hinge", "config": {}},
    "arrays on the GPU, a dtype first": {"foreign": True, "loss": "mse", "class": "MeanSquaredError",
                                         "config": {"dtype": "float16"}},
    "arrays on the GPU, for the CPU": {"foreign": True, "loss": "ctc", "class": "CTC", "config": {}},
    "arrays on the GPU, outside by rounding": {"foreign": True, "loss": "mse", "class": "BinaryCrossentropy",
                                               "config": {}, "outside": 2.0**-21},
    "arrays on the GPU, outside by rounding to bfloat16": {"foreign": True, "loss": "mse", "config": {},
                                                           "class": "BinaryCrossentropy", "outside": 2.0**-5,
                                                           "stored": "bfloat16"},
    "arrays on the GPU, one ratio": {"foreign": True, "loss": "dice", "class": "Dice", "config": {}, "ratio": True},
    "Dask arrays on the GPU": {"chunks": "there"},
    "Dask arrays to the GPU": {"chunks": "sent"},
    "the plan of arrays on the GPU": {"plan": True},
    "blocks gathered": {"gather": True},
    "make gpu": {"benchmark": True},
}  # fmt: skip
REFUSED = {
    "nan": (r"y_pred\[7, 1\] is NaN", None),
    "weight": (r"sample_weight\[8\] is -1", None),
    "order": (r"y_pred is a GPU array of shape \(9, 3\) .* expected a contiguous one", "SourceError"),
    "dtype": (r"y_pred: expected numbers; received dtype complex\w+ .a GPU array", "SourceError"),
    "devices": (r"y_true on GPU 0, y_pred on GPU 1; expected all on one", "UsageError"),
}
SHORT_OF_MEMORY = {"out of memory": {"bytes": 800}, "out of too much memory": {"bytes": 100}}
BAD = {"NaN raises": 7, "beyond a probability": 5, "labels out of range": 9, "in pieces, a bad row": 65}


@pytest.fixture(scope="module")
def simulated():
    cases = CASES | {name: {"refused": name} for name in REFUSED} | SHORT_OF_MEMORY
    lines = "".join(json.dumps(case) + "\n" for case in cases.values())
    return dict(zip(cases, run("cuda_cases.py", lines, NUMBA_ENABLE_CUDASIM="1"), strict=True))


@needs_numba_cuda
@pytest.mark.parametrize("case", CASES)
def test_rows_and_sums_have_the_bits_of_the_cpu(simulated, case):
    on_cpu, on_cuda, _ = simulated[case]
    assert on_cuda == on_cpu
    if "rows" in CASES[case]:
        assert on_cuda["bad"] == BAD.get(case, -1)


@needs_numba_cuda
@pytest.mark.parametrize("case", REFUSED)
def test_bad_arrays_on_the_gpu_are_refused_by_name(simulated, case):
    on_cpu, on_cuda, _ = simulated[case]
    message, error = REFUSED[case]
    assert re.search(message, on_cuda["message"])
    assert on_cuda == on_cpu if error is None else on_cuda["error"] == error


@needs_numba_cuda
def test_out_of_memory_lowers_the_rows_says_so_and_goes_on(simulated):
    expected, found, _ = simulated["out of memory"]
    assert found["state"] == expected["state"]
    assert re.search("no memory left for 500 rows at a time .* going on with 250", found["said"][0])
    assert len(found["said"]) == 2  # 250 float32 are 1,000 bytes, 125 are 500


@needs_numba_cuda
def test_no_memory_for_a_few_rows_is_an_error_with_its_numbers(simulated):
    _, found, _ = simulated["out of too much memory"]
    assert found["error"] == "MachineError"
    assert re.search(r"no memory left for 32 rows of 8 bytes; .* executor='threads'", found["message"])


def test_without_numba_cuda_the_error_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba_cuda" else find(name))
    for module in ("streamloss.core.cuda_compiler", "streamloss.execution.gpu"):
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
    no_gpu = environment(CUDA_VISIBLE_DEVICES="")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=no_gpu)
    assert done.returncode == 5
    assert "no GPU was found" in done.stderr


def test_the_cpu_path_imports_nothing_of_cuda():
    script = """
import sys, numpy as np, streamloss as sl
sl.evaluate("mse", np.ones(3), np.zeros(3))
print([name for name in sys.modules if name.startswith(("streamloss.kernels.cuda", "cuda"))])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
