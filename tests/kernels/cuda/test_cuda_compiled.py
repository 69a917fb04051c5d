"""CUDA without a GPU: kernels compile to machine code that fuses nothing, spills nothing, and can be launched."""

import re

import pytest

from cuda_process import needs_compiler, run
from streamloss.formulas._registry import declarations

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def compiled():
    return run("cuda_compiled.py")


@pytest.fixture
def kernels(compiled):
    """For sm_90 and sm_80."""
    found = {(f"sm_{each['capability']}", each["kernel"]): each for each in compiled if "ptx" in each}
    assert {capability for capability, _ in found} == {"sm_90", "sm_80"}
    return found


def test_nothing_is_fused_but_what_formulas_fuse(kernels):
    (control,) = (found["ptx"] for (_, name), found in kernels.items() if name == "control")
    assert {"mul.f64", "add.f64"} <= set(control), "compilers may fuse unless told otherwise, or this test sees nothing"
    for (_, name), found in kernels.items():
        if name == "control":
            continue
        assert all(".rn." in operation for operation in found["ptx"]), (name, found["ptx"])
        if not name.startswith("every loss"):
            formula_fuses = not name.removeprefix("elements: ").startswith(("mean_squared_error", "gather"))
            assert ("fma.rn.f64" in found["ptx"]) == formula_fuses, (name, found["ptx"])
        assert not any(operation.endswith("f32") for operation in found["ptx"]), name
        if not {"fma.rn.f64", "div.rn.f64"} & set(found["ptx"]):
            assert "DFMA" not in found["sass"], name  # divisions are made of some


def test_kernels_keep_their_rows_in_registers(kernels):
    for key, found in kernels.items():
        assert not found["local"], key
        assert not {"LDL", "STL"} & set(found["sass"]), (key, found["sass"])


def test_every_loss_compiles_and_every_team_has_its_registers(kernels):
    """Of 65,536 for a block of threads, handed out eight to a thread; the largest team has 256 threads."""
    of_rows = [declaration for declaration in declarations() if declaration.name != "ctc"]
    assert {f"every loss: {declaration.name}" for declaration in of_rows} <= {name for _, name in kernels}
    for key, found in kernels.items():
        assert -(-found["sass"]["registers"] // 8) * 8 * 256 <= 65536, key


def test_aligned_rows_are_read_16_bytes_at_a_time(kernels):
    """8 where a lane's sums would not stay in registers otherwise; and never where rows are not aligned."""
    for (capability, name), found in kernels.items():
        if name.startswith("every loss"):
            continue
        at_once = "wide" in name
        assert any(found["sass"].get(load, 0) for load in ("LDG.128", "LDG.64")) >= at_once, (capability, name)
        if "sparse" in name or "elements" in name:
            assert (found["sass"].get("LDG.128", 0) > 0) == at_once, (capability, name)


@pytest.mark.parametrize(
    ("kernel", "received"), [("unheeded", r"received \w+\.f64"), ("linked late", "received code whose operations")]
)
def test_a_kernel_that_may_be_fused_is_refused(compiled, kernel, received):
    (refused,) = (found["refused"] for found in compiled if found["kernel"] == kernel)
    assert re.search(f"{received}.*Use executor='threads'", refused)
