"""The command ``compile``, and the line of ``info`` about the kernel cache."""

import json
import re
import subprocess
import sys

import pytest

from other_process import environment


@pytest.fixture
def streamloss(tmp_path):
    """Run a command with a kernel cache of its own; returns its exit code, stdout and stderr."""

    def run(*arguments, **variables):
        command = [sys.executable, "-m", "streamloss", *map(str, arguments)]
        given = {"env": environment(tmp_path / "cache", **variables), "capture_output": True, "text": True}
        done = subprocess.run(command, check=False, **given)
        return done.returncode, done.stdout, done.stderr

    return run


def test_kernels_that_are_compiled_ahead_are_found(streamloss, tmp_path):
    code, out, err = streamloss("compile", "--loss", "mse", "--classes", 1)
    assert code == 0
    assert err.startswith("mean_squared_error: labels float32, predictions float32, 1 output: compiled in ")
    assert out.startswith("1 compiled, 0 found, ")
    assert str(tmp_path / "cache") in out
    code, out, err = streamloss("compile", "--loss", "mse", "--classes", 1, "--weights", "none", "--weights", "float64")
    assert err.splitlines()[0].endswith("1 output: found")
    assert "weights float64, 1 output: " in err.splitlines()[1]
    assert "0 found" not in out
    assert streamloss("info")[1].count(f" {tmp_path / 'cache'}: ") == 1


def test_losses_come_from_a_configuration_too(streamloss, tmp_path):
    (tmp_path / "job.toml").write_text('y_true = "a.npy"\ny_pred = "b.npy"\n[[losses]]\nloss = "mae"\n')
    code, out, err = streamloss("compile", tmp_path / "job.toml", "--classes", 1)
    assert (code, out[:10]) == (0, "1 compiled"), err
    assert err.startswith("mean_absolute_error: ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "losses: required"),
        (["--loss", "msee"], 2, "Did you mean 'mse'?"),
        (["--loss", "mse:from_logits=true"], 2, "from_logits"),
        (["--loss", "mse", "--dtype", "int8"], 2, "int8"),
        (["--loss", "mse", "--classes", "0"], 2, "0"),
        (["none.toml"], 2, "none.toml"),
    ],
)
def test_what_cannot_be_compiled_is_named(streamloss, arguments, code, message):
    found, out, err = streamloss("compile", *arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_without_a_cache_there_is_nothing_to_fill(streamloss):
    code, out, err = streamloss("compile", "--loss", "mse", STREAMLOSS_CACHE="0")
    assert (code, out) == (5, "")
    assert "STREAMLOSS_CACHE_DIR=" in err
    told = streamloss("info", STREAMLOSS_CACHE="0")[1]
    assert re.search("^kernels +not kept: STREAMLOSS_CACHE=0", told, re.MULTILINE)


def test_a_result_says_how_long_it_compiled(streamloss, tmp_path):
    import numpy as np

    np.save(tmp_path / "a.npy", np.zeros(9, np.float32))
    command = ["evaluate", "--loss", "mse", "--y-true", tmp_path / "a.npy", "--y-pred", tmp_path / "a.npy"]
    first, second = (json.loads(streamloss(*command)[1]) for _ in range(2))
    assert 0 < first["compile_seconds"] < first["seconds"]
    assert second["compile_seconds"] == 0
    assert "compiling" not in streamloss(*command, "--table")[1]
    assert " s of them compiling (" in streamloss(*command, "--table", STREAMLOSS_CACHE="0")[1]
