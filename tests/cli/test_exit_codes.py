"""The exit code of each kind of error, and the table that says so in the help and in the reference."""

import re
from pathlib import Path

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss import cli, errors

ROWS = 12
BOTH = ("--y-true", "y.npy", "--y-pred", "p.npy")
MSE = ("evaluate", "--loss", "mse", *BOTH)


def predictions(where):
    return ("evaluate", "--loss", "mse", "--y-true", "y.npy", "--y-pred", where)


KINDS = {  # the code, the command, what stderr says, what the table calls it
    "nothing wrong": (0, MSE, "", "done"),
    "a gate": (1, (*MSE, "--fail-if", ">0.5"), "gate", "gate"),
    "a gate on a NaN": (1, (*predictions("nan.npy"), "--nan-policy", "propagate", "--fail-if", ">9"), "nan", "gate"),
    "an unknown command": (2, ("evalute",), "Did you mean 'evaluate'", "a name"),
    "an unknown option": (2, (*MSE, "--memry", "1GB"), "--memory", "argument"),
    "a missing option": (2, predictions("p.npy")[:-2], "--y-pred", "argument"),
    "an option's value": (2, (*MSE, "--workers", "0"), "--workers", "argument"),
    "an unknown loss": (2, ("evaluate", "--loss", "huberr", *BOTH), "huber", "a name"),
    "an unknown parameter": (2, (*MSE, "-s", "losses.0.x=1"), "'x'", "a setting"),
    "a gate on an unknown loss": (2, (*MSE, "--fail-if", "mae>1"), "Known: mean_squared_error", "a name"),
    "a file of settings": (2, ("evaluate", "bad.toml"), "not valid TOML", "a setting"),
    "no file of settings": (2, ("evaluate", "none.toml"), "No such file", "a setting"),
    "memory": (2, (*MSE, "--memory", "1B"), "memory", "a budget of memory"),
    "output that exists": (2, (*MSE, "--out", "there.zarr"), "--overwrite", "an output that exists"),
    "output over an input": (2, (*MSE, "--state", "y.npy"), "y_true", "would replace"),
    "shapes": (3, predictions("short.npy"), "(11,)", "shapes"),
    "a NaN": (3, predictions("nan.npy"), "y_pred[0] is NaN", "values"),
    "a value without a loss": (3, (*predictions("two.npy"), "--loss", "bce"), "y_pred[0] is 2", "values"),
    "a weight": (3, (*MSE, "--sample-weight", "nan.npy"), "sample_weight[0]", "values"),
    "a mask's entry": (3, (*MSE, "--mask", "mask.npy"), "mask[0] is 2", "values"),
    "a mask of floats": (3, (*MSE, "--mask", "p.npy"), "mask has dtype float32", "values"),
    "no such file": (3, predictions("none.npy"), "there is no file", "not found"),
    "no such store": (3, predictions("none.zarr/p"), "there is no", "not found"),
    "no such array": (3, predictions("missing.zarr/q"), "missing.zarr", "not found"),
    "another kind of file": (3, predictions("table.csv"), "a table in text", "cannot be read"),
    "another place": (3, predictions("nowhere://bucket/p.zarr"), "nowhere://", "cannot be read"),
    "a torn file": (3, predictions("torn.npy"), "torn.npy", "cannot be read"),
    "a corrupt chunk": (3, predictions("corrupt.zarr"), "c/1", "cannot be read"),
    "a missing chunk": (3, predictions("missing.zarr"), "--missing-chunks y_pred=fill", "missing chunks"),
    "shapes, in a plan": (3, ("plan", *predictions("short.npy")[1:]), "(11,)", "shapes"),
    "no such state": (3, ("merge", "none.state"), "none.state", "a state"),
    "no state": (3, ("merge", "y.npy"), "no saved state", "a state"),
    "states that leave rows out": (3, ("merge", "half.state"), "rows 0 to 11", "a state"),
    "some rows only": (4, ("merge", "half.state", "--partial"), "", "some rows only"),
    "output in a file": (5, (*MSE, "--out", "table.csv/out.zarr"), "cannot write", "cannot be written"),
    "a state in a file": (5, (*MSE, "--state", "table.csv/a.state"), "cannot be written", "cannot be written"),
    "a checkpoint in a file": (5, (*MSE, "--checkpoint", "table.csv/ck"), "cannot be written", "cannot be written"),
    "no scheduler": (5, (*MSE, "--scheduler-file", "none.json"), "none.json", "no scheduler"),
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = {"y": np.zeros(ROWS, "f4"), "p": np.ones(ROWS, "f4"), "short": np.ones(11, "f4")}
    arrays |= {"nan": np.full(ROWS, np.nan, "f4"), "two": np.full(ROWS, 2, "f4"), "mask": np.full(ROWS, 2, "i1")}
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)
    Path("torn.npy").write_bytes(Path("p.npy").read_bytes()[:-9])
    for name in ("missing", "corrupt"):
        zarr.create_array(f"{name}.zarr", data=np.ones(ROWS, "f4"), chunks=(4,))
    Path("missing.zarr/c/1").unlink()
    Path("corrupt.zarr/c/1").write_bytes(b"torn")
    Path("table.csv").write_text("1,2")
    Path("bad.toml").write_text("losses = [")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_code(kind, capsys):
    code, command, said, _ = KINDS[kind]
    if "there.zarr" in command:
        sl.evaluate("mse", "y.npy", "p.npy", out="there.zarr")
    if "half.state" in command:
        cli.run([*MSE, "--shard", "0/2", "--state", "half.state"])
        capsys.readouterr()
    assert cli.run(list(command)) == code
    written = capsys.readouterr()
    assert said in " ".join(written.err.split())
    assert (written.out == "") == (code in (2, 3, 5))


def tables(capsys):
    """Return what each code means, in the help and in the reference."""
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out.partition("Exit codes:")[2]
    helped = re.findall(r"^ +(\d+) {2,}(.*(?:\n {5,}\D.*)*)", shown, re.MULTILINE)
    page = (Path(__file__).parents[2] / "docs/reference/errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", page.partition("| exit code |")[2].partition("\n\n")[0], re.MULTILINE)
    return [{int(code): " ".join(text.replace("`", "").split()) for code, text in of} for of in (helped, rows)]


def test_the_help_and_the_reference_have_one_table(capsys):
    helped, page = tables(capsys)
    assert helped == page
    assert list(helped) == [0, 1, 2, 3, 4, 5, cli.DEFECT, errors.StoppedError.exit_code, 130]


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_names_each_kind(kind, capsys):
    code, _, _, name = KINDS[kind]
    assert all(name in table[code] for table in tables(capsys))


def test_each_error_has_a_code_of_the_table(capsys):
    helped, _ = tables(capsys)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.StreamlossError)}
    assert codes - {1} <= set(helped)  # 1: the base, which nothing raises
