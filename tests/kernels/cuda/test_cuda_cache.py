"""CUDA kernels in the kernel cache, without a GPU: what is found is what was compiled, and only where that is right."""

import json
import shutil

import pytest

from cuda_process import needs_compiler, run

pytestmark = needs_compiler
GATHER, MSE = {"name": "gather"}, {"name": "mean_squared_error"}
COMPILED = {"found": 0, "compiled": 1}
FOUND = {"found": 1, "compiled": 0, "by Numba": 0, "by NVVM": 0}


def asked(folder, *requests, switch="1", **variables):
    """Return what a process finds that asks for kernels one after the other."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    return run("cuda_kept.py", lines, STREAMLOSS_CACHE=switch, STREAMLOSS_CACHE_DIR=str(folder), **variables)


def how(found):
    return {name: found[name] for name in COMPILED}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache with two kernels, and what is known of them from their compilation."""
    folder = tmp_path_factory.mktemp("filled") / "cache"
    kernels = asked(folder, GATHER, MSE)
    assert [how(kernel) for kernel in kernels] == [COMPILED] * 2
    assert all(kernel["by Numba"] and kernel["by NVVM"] for kernel in kernels), "the tests see who compiles"
    assert len(list(folder.glob("*.kernel"))) == 2
    return folder, [kernel["kernel"] for kernel in kernels]


@pytest.fixture
def copy(filled, tmp_path):
    """A copy of the cache, to be changed."""
    return shutil.copytree(filled[0], tmp_path / "cache")


def test_a_second_process_compiles_nothing_and_has_the_same_code(filled):
    """Also where strings are hashed in another way, which changes the order of Numba's modules."""
    folder, compiled = filled
    assert asked(folder, GATHER, MSE, PYTHONHASHSEED="7") == [FOUND | {"kernel": kernel} for kernel in compiled]
    assert all(kernel["named"] for kernel in compiled), "PTX names its entry"


def test_without_a_cache_the_code_is_the_same(filled):
    (found,) = asked(filled[0], GATHER, switch="0")
    assert how(found) == COMPILED
    assert found["kernel"] == filled[1][0]


def test_a_kernel_that_is_found_is_launched_like_one_that_was_compiled(filled):
    """By numba-cuda itself, as far as the call of CUDA's driver."""
    (compiled,), (found,) = (asked(filled[0], "launch", switch=switch) for switch in "01")
    assert (compiled["counts"], found["counts"]) == ([0, 1], [1, 0])
    assert found["given"] == compiled["given"]
    assert [grid for grid, *_ in found["given"]] == [[128, 1, 1], [256, 1, 1]]


def test_a_damaged_file_is_compiled_again(copy):
    for path in copy.glob("*.kernel"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    again, found = asked(copy, GATHER, GATHER)
    assert how(again) == COMPILED
    assert found == FOUND | {"kernel": again["kernel"]}


def test_another_target_option_or_compiler_is_another_kernel(copy):
    others = {"capabilities": [[8, 0]]}, {"options": {"opt": False}}, {"compilers": ["another NVVM"]}
    requests = [GATHER | other for other in others]
    found = asked(copy, *requests, *requests, GATHER)
    assert [how(kernel) for kernel in found[:3]] == [COMPILED] * 3
    assert found[3:6] == [FOUND | {"kernel": kernel["kernel"]} for kernel in found[:3]]
    assert {name: found[6][name] for name in FOUND} == FOUND


def test_a_kernel_of_two_gpus_has_code_for_each(copy):
    """Code that is found is for one capability, so the other's is found, or compiled, apart from it."""
    both = GATHER | {"capabilities": [[9, 0], [8, 0]]}
    first, second = asked(copy, both, both)
    assert (first["found"], first["compiled"], second["found"], second["compiled"]) == (1, 1, 2, 0)
    assert first["kernel"]["target"] == second["kernel"]["target"] == "sm_80"


def test_code_that_may_be_fused_is_not_taken_from_the_cache(copy):
    planted, found = asked(copy, GATHER | {"planted": "\tadd.f64 %fd3, %fd1, %fd2;\n"}, GATHER)
    assert how(planted) == COMPILED
    assert found == FOUND | {"kernel": planted["kernel"]}


def test_a_kernel_that_is_more_than_its_code_is_compiled_in_each_process(copy):
    requests = [GATHER | {"options": {"lineinfo": True}}] * 2
    assert [how(kernel) for kernel in asked(copy, *requests)] == [COMPILED] * 2


def test_every_kernel_has_the_same_key_in_every_process(filled):
    (first,), (second,) = (asked(filled[0], "keys", PYTHONHASHSEED=seed) for seed in "12")
    assert first == second
    assert None not in first.values()
    assert len(first) > 50
