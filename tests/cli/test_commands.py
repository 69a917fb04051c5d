"""The command line, as its users meet it: what it takes, what it prints where, and its exit codes."""

import doctest
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import zarr

import streamloss
from processes import SUPPORT, started
from streamloss import cli, errors
from streamloss.api import progress
from streamloss.api.result_text import summary
from streamloss.cli import about, commands, show
from streamloss.formulas._registry import declarations
from waiting import HANG, wait_until

SCCE = "sparse_categorical_crossentropy"
HEAVY = ("numba", "llvmlite", "dask", "distributed", "zarr", "numpy", "rich", "pydantic")
N = 10


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty directory with data, no settings in the environment, and a terminal of 80 columns if there is one."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STREAMLOSS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(progress, "SILENCE", HANG)  # however busy the machine is
    rng = np.random.default_rng(1)
    np.save("t.npy", rng.random(N, np.float32))
    np.save("p.npy", rng.random(N, np.float32))
    np.save("w.npy", rng.random(N))
    p = rng.random((N, 3), np.float32)
    group = zarr.open_group("data.zarr", mode="w")
    group.create_array("probabilities", shape=(N, 3), chunks=(4, 3), dtype="f4")[:] = p / p.sum(1, keepdims=True)
    group.create_array("labels", shape=(N,), chunks=(4,), dtype="f8")[:] = rng.integers(0, 3, N)
    return tmp_path


MSE = ["--loss", "mse", "--y-true", "t.npy", "--y-pred", "p.npy"]
SPARSE = ["--loss", SCCE, "--y-true", "data.zarr/labels", "--y-pred", "data.zarr/probabilities"]


@pytest.fixture
def run(capsys):
    """Run a command that should end with `code`: its stdout as JSON or text, and its stderr."""

    def go(*arguments, code=0):
        capsys.readouterr()
        ended = cli.run(list(arguments))
        out, err = capsys.readouterr()
        assert (ended, "Traceback" in err) == (code, False), err
        return (json.loads(out) if out.startswith(("{", "[")) else out), err

    return go


def squares():
    return (np.load("t.npy").astype(float) - np.load("p.npy")) ** 2


def terminal(monkeypatch, *streams):
    for stream in streams:
        monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True)


# What it takes


def test_evaluate_from_flags_over_npy(run):
    result, err = run("evaluate", *MSE)
    assert result["losses"]["mean_squared_error"]["mean"] == pytest.approx(squares().mean(), rel=1e-6)
    assert result["rows"] == N
    assert err == ""


def test_evaluate_from_flags_over_zarr(run):
    result, _ = run("evaluate", *SPARSE)
    p, y = zarr.open_array("data.zarr/probabilities")[:], zarr.open_array("data.zarr/labels")[:].astype(int)
    assert result["losses"][SCCE]["value"] == pytest.approx(-np.log(p[np.arange(N), y]).mean(), rel=1e-5)
    assert result["plan"]["arrays"]["y_pred"]["chunks"] == [4, 3]


def test_the_same_value_as_the_library_to_the_last_bit(run):
    result, _ = run("evaluate", *SPARSE)
    made = streamloss.evaluate(SCCE, "data.zarr/labels", "data.zarr/probabilities")
    assert result["losses"][SCCE]["sum"] == made[SCCE].sum


def test_several_losses_in_one_pass_with_parameters_and_names(run):
    losses = ["--loss", f"{SCCE}:ignore_class=0,name=without_0", "--loss", f"{SCCE}:name=all,reduction=sum"]
    result, _ = run("evaluate", *losses, *SPARSE[2:])
    y = zarr.open_array("data.zarr/labels")[:]
    assert list(result["losses"]) == ["without_0", "all"]
    without, everything = result["losses"].values()
    assert without["config"]["ignore_class"] == 0
    assert (without["ignored"], without["count"]) == ((y == 0).sum(), (y != 0).sum())
    assert (everything["ignored"], everything["count"]) == (0, N)
    assert everything["value"] == everything["sum"] > without["sum"]


@pytest.mark.parametrize("weight", ["w.npy", "2.5"])
def test_weights_by_place_and_by_number(weight, run):
    result, _ = run("evaluate", *MSE, "--sample-weight", weight, "--reduction", "mean_with_sample_weight")
    w = np.load("w.npy") if weight == "w.npy" else np.full(N, 2.5)
    loss = result["losses"]["mean_squared_error"]
    assert loss["value"] == loss["weighted_mean"] == pytest.approx(np.average(squares(), weights=w), rel=1e-6)
    assert loss["weight_sum"] == pytest.approx(w.sum())


def test_none_is_said_for_parameters(run):
    result, _ = run("evaluate", "--loss", "mse:axis=None", *MSE[2:])
    assert result["losses"]["mean_squared_error"]["config"]["axis"] is None


@pytest.mark.parametrize(
    ("reduction", "key"),
    [("sum", "sum"), ("SUM_OVER_BATCH_SIZE", "mean"), ("mean_with_sample_weight", "weighted_mean"), ("mean", "mean")],
)
def test_reductions(reduction, key, run):
    loss = run("evaluate", *MSE, "--reduction", reduction)[0]["losses"]["mean_squared_error"]
    assert (loss["value"], loss["reduction"]) == (loss[key], reduction.lower())


def test_rows(run):
    result, _ = run("evaluate", *MSE, "--rows", "3:7")
    assert result["rows"] == 4
    assert result["losses"]["mean_squared_error"]["mean"] == pytest.approx(squares()[3:7].mean(), rel=1e-6)


def test_out_holds_the_losses_of_rows(run):
    result, _ = run("evaluate", *MSE, "--out", "out.zarr", "--reduction", "none")
    loss = result["losses"]["mean_squared_error"]
    assert loss["value"] == loss["out"] == "out.zarr/mean_squared_error"
    written = zarr.open_array(loss["out"], mode="r")
    np.testing.assert_allclose(written[:], squares(), rtol=1e-6)
    _, err = run("evaluate", *MSE, "--out", "out.zarr", code=2)
    assert "--overwrite" in err
    run("evaluate", *MSE, "--rows", ":3", "--out", "out.zarr", "--overwrite")
    assert zarr.open_array(loss["out"], mode="r").shape == (3,)


def test_a_file_and_who_overrides_it(run, monkeypatch):
    """File, then environment, then -s, then flags; each seen by the number of rows evaluated."""
    with open("job.toml", "w", encoding="utf-8") as file:
        file.write('y_true = "t.npy"\ny_pred = "p.npy"\nrows = ":2"\n[[losses]]\nloss = "mse"\nname = "error"\n')
    result, _ = run("evaluate", "job.toml")
    assert (list(result["losses"]), result["rows"]) == (["error"], 2)
    monkeypatch.setenv("STREAMLOSS_ROWS", ":3")
    assert run("evaluate", "job.toml")[0]["rows"] == 3
    assert run("evaluate", "job.toml", "-s", "rows=:4")[0]["rows"] == 4
    assert run("evaluate", "job.toml", "-s", "rows=:4", "--rows", ":5")[0]["rows"] == 5
    assert run("evaluate", "job.toml", "--rows", ":6", "--set", "losses.0.name=other")[0]["losses"].keys() == {"other"}
    monkeypatch.setenv("STREAMLOSS_MEMORY", "1MB")
    assert "memory" in run("evaluate", "job.toml", code=2)[1]
    run("evaluate", "job.toml", "--memory", "1GiB")


def test_gates(run):
    mean = squares().mean()
    above, below = f"{mean * 1.01:.6f}", f"{mean * 0.99:.6f}"
    for passed in (
        f">{above}",
        f"mean_squared_error > {above}",
        f">={above}",
        f"<{below}",
        f"mean_squared_error<={below}",
    ):
        run("evaluate", *MSE, "--fail-if", passed)
    for failed in (f">{below}", f"mean_squared_error >= {below}", f"<{above}", f"mean_squared_error <={above}"):
        result, err = run("evaluate", *MSE, "--fail-if", failed, "--fail-if", f">{above}", "-q", code=1)
        assert result["losses"], "the result is printed whether or not a gate failed"
        assert re.fullmatch(rf"streamloss: the gate {failed!r} failed: mean_squared_error is 0\.\d+\.\n", err)


def test_a_gate_at_the_value_itself(run):
    value = run("evaluate", *MSE)[0]["losses"]["mean_squared_error"]["value"]
    run("evaluate", *MSE, "--fail-if", f">{value!r}", "--fail-if", f"<{value!r}")
    run("evaluate", *MSE, "--fail-if", f">={value!r}", code=1)
    run("evaluate", *MSE, "--fail-if", f"<={value!r}", code=1)


def test_a_gate_for_any_loss_or_one_of_them(run):
    two = [*MSE[2:], "--loss", "mse:name=one", "--loss", "mse:name=ten,reduction=sum"]
    value = squares().sum() * 0.9
    run("evaluate", *two, "--fail-if", f"one>{value}")
    run("evaluate", *two, "--fail-if", f"ten>{value}", code=1)
    run("evaluate", *two, "--fail-if", f">{value}", code=1)


def test_a_gate_names_a_loss_by_any_of_its_names(run):
    for name in ("mse", "MSE", "MeanSquaredError", "l2", "mean_squared_error"):
        run("evaluate", *MSE, "--fail-if", f"{name}>5")
        run("evaluate", *MSE, "--fail-if", f"{name}>0", code=1)
    two = [*MSE[2:], "--loss", "mse:name=one", "--loss", "mse:name=mae,reduction=sum", "--loss", "mae:name=three"]
    run("evaluate", *two, "--fail-if", "mae>0.5", code=1)  # the name in the result comes first
    run("evaluate", *two, "--fail-if", "mean_absolute_error>0.5")
    _, err = run("evaluate", *two, "--fail-if", "mse>1", code=2)
    assert "mse is what one and mae are; name one of them" in err
    run("evaluate", *MSE, "--state", "all.state")
    run("merge", "all.state", "--fail-if", "mse>0", code=1)


def test_a_gate_on_a_value_by_name(run):
    weighted = [*MSE, "--sample-weight", "w.npy"]
    loss = run("evaluate", *weighted)[0]["losses"]["mean_squared_error"]
    for key in ("value", "sum", "mean", "weighted_mean"):
        run("evaluate", *weighted, "--fail-if", f"mse.{key}>{loss[key]!r}")
        _, err = run("evaluate", *weighted, "--fail-if", f"mse.{key}>={loss[key]!r}", code=1)
        assert f"is {loss[key]:.10g}." in err
    unreduced = [*MSE, "--reduction", "none", "--out", "o.zarr"]
    run("evaluate", *unreduced, "--fail-if", "mse.mean>0", code=1)
    run("evaluate", *unreduced, "--fail-if", "mse.value>0", code=2)
    assert "Known: mean_squared_error" in run("evaluate", *MSE, "--fail-if", "mse.median>0", code=2)[1]


def test_with_weights_the_weighted_mean_is_what_is_shown_and_gated(run):
    """A sum of weighted losses divided by the number of rows is no mean: with weights of 100, a hundred times one."""
    np.save("w.npy", np.full(N, 100.0))
    weighted = [*MSE, "--sample-weight", "w.npy"]
    text, _ = run("evaluate", *weighted, "--table")
    head, _, row = (line.split() for line in text.splitlines()[1:4])
    assert head == ["loss", "weighted_mean", "sum_over_batch_size", "sum", "count"]
    assert [float(cell) for cell in row[1:3]] == pytest.approx([squares().mean(), squares().mean() * 100], rel=1e-6)
    run("evaluate", *weighted, "--fail-if", "mse>1", "--fail-if", ">1")
    _, err = run("evaluate", *weighted, "--fail-if", "mse>0.01", code=1)
    assert "mean_squared_error.weighted_mean is 0.0" in err
    run("evaluate", *weighted, "--fail-if", "mse.value>1", code=1)
    run("evaluate", *weighted, "--reduction", "sum", "--fail-if", ">1", code=1)  # asked for by name
    by_class = [*MSE[2:], "--loss", SCCE, "--y-true", "data.zarr/labels", "--y-pred", "data.zarr/probabilities"]
    with open("classes.toml", "w", encoding="utf-8") as file:
        file.write("[class_weight]\n0 = 100\n1 = 100\n2 = 100\n")
    assert "weighted_mean" in run("evaluate", "classes.toml", *by_class, "--table")[0]
    one = run("evaluate", *weighted, "--reduction", "mean_with_sample_weight", "--table")[0]
    assert one.split()[:4] == ["loss", "mean_with_sample_weight", "sum", "count"], "not twice"


def test_a_shard_of_nothing_is_no_table_of_zeros(run):
    text, err = run("evaluate", *SPARSE, "--shard", "3/100", "--table", "--state", "3.state")
    assert SCCE not in text
    assert text.startswith("0 rows in ")
    assert "warning: shard 3/100 has no rows: the data has 1 block of 10 rows, fewer than shards." in err
    loss = run("evaluate", *SPARSE, "--shard", "3/100")[0]["losses"][SCCE]
    assert {loss[key] for key in ("value", "sum", "mean", "weighted_mean")} == {"NaN"}
    assert loss["count"] == 0
    run("evaluate", *SPARSE, "--shard", "99/100", "--state", "99.state")
    merged = run("merge", "3.state", "99.state")[0]["losses"][SCCE]
    assert merged == run("evaluate", *SPARSE)[0]["losses"][SCCE]
    text, err = run("merge", "3.state", "--partial", "--table", "--fail-if", ">0", code=1)
    assert SCCE not in text
    assert "are not in the one state given" in err


@pytest.mark.parametrize("gate", [">1e9", "<-1e9", "mean_squared_error>=1e9", ">inf"])
def test_nan_fails_every_gate(gate, run):
    p = np.load("p.npy")
    p[3] = np.nan
    np.save("p.npy", p)
    run("evaluate", *MSE, "--nan-policy", "propagate", "--fail-if", gate, code=1)


@pytest.mark.parametrize(
    ("gate", "parts"),
    [
        ("mse", ["[LOSS]>NUMBER", "'mse'"]),
        ("mse>", ["[LOSS]>NUMBER"]),
        ("mse=1", ["[LOSS]>NUMBER"]),
        (">one", ["[LOSS]>NUMBER", "'>one'"]),
        (">nan", ["[LOSS]>NUMBER"]),
        ("", ["[LOSS]>NUMBER"]),
        ("mean_square_error>1", ["unknown loss", "Did you mean 'mean_squared_error'?"]),
    ],
)
def test_gates_that_mean_nothing(gate, parts, run):
    out, err = run("evaluate", *MSE, "--fail-if", gate, code=2)
    assert out == "", "refused before anything is read"
    for part in ["--fail-if", *parts]:
        assert part in err


def test_a_gate_on_a_loss_without_a_value_is_refused(run):
    """It could never fail, so whoever relied on it would be deceived."""
    for gate in (">1", "mean_squared_error>1"):
        _, err = run("evaluate", *MSE, "--reduction", "none", "--out", "o.zarr", "--fail-if", gate, code=2)
        assert "reduction 'none'" in err
    assert not os.path.exists("o.zarr")
    both = ["--loss", "mse:name=a,reduction=none", "--loss", "mse:name=b", "--out", "o.zarr", *MSE[2:]]
    run("evaluate", *both, "--fail-if", ">1", code=2)
    run("evaluate", *both, "--fail-if", "b>1")


# What it prints


def test_the_json_schema(run):
    result, _ = run("evaluate", *MSE, "--sample-weight", "w.npy", "--json")
    assert result["schema"] == "streamloss.result/2"
    assert result["streamloss"] == streamloss.__version__
    keys = {
        "schema", "streamloss", "losses", "rows", "seconds", "compile_seconds", "rows_per_second", "bytes_read",
        "peak_memory_bytes", "executor", "workers", "plan", "warnings",
    }  # fmt: skip
    assert set(result) == keys, "a key that goes, or changes its meaning, needs another schema version"
    loss = result["losses"]["mean_squared_error"]
    assert set(loss) >= {
        "module", "class_name", "config", "dtype", "reduction", "value", "sum", "mean", "weighted_mean", "count",
        "weight_sum", "ignored", "omitted", "out",
    }  # fmt: skip
    assert (loss["class_name"], loss["dtype"], loss["count"]) == ("MeanSquaredError", "float32", N)
    assert streamloss.losses.deserialize(loss).get_config() == loss["config"]
    assert result["bytes_read"] == 2 * 4 * N + 8 * N
    assert result["seconds"] > 0
    assert result["peak_memory_bytes"] > 2**20
    assert result["warnings"] == []
    plan, _ = run("plan", *MSE, "--sample-weight", "w.npy")
    assert set(result["plan"]) == set(plan)


def test_what_is_no_finite_number_is_a_string_in_json(capsys):
    np.save("p.npy", np.full(N, np.inf, np.float32))

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    assert cli.run(["evaluate", *MSE]) == 0
    loss = json.loads(capsys.readouterr().out, parse_constant=refuse)["losses"]["mean_squared_error"]
    assert (loss["sum"], loss["mean"], loss["count"]) == ("Infinity", "Infinity", N)
    np.save("p.npy", np.full(N, np.nan, np.float32))
    assert cli.run(["evaluate", *MSE, "--nan-policy", "propagate"]) == 0
    loss = json.loads(capsys.readouterr().out, parse_constant=refuse)["losses"]["mean_squared_error"]
    assert (loss["sum"], loss["value"]) == ("NaN", "NaN")


def test_a_table_on_a_terminal_json_off_it(run, monkeypatch):
    assert isinstance(run("evaluate", *MSE)[0], dict)
    assert "sum_over_batch_size" in run("evaluate", *MSE, "--table")[0]
    terminal(monkeypatch, "stdout")
    text = run("evaluate", *MSE)[0]
    assert isinstance(text, str)
    assert isinstance(run("evaluate", *MSE, "--json")[0], dict)
    head, _, row = (line.split() for line in text.splitlines()[1:4])
    assert head == ["loss", "sum_over_batch_size", "sum", "count"]
    assert row[0] == "mean_squared_error"
    assert [float(cell) for cell in row[1:3]] == pytest.approx([squares().mean(), squares().sum()], rel=1e-6)
    assert row[3] == str(N)
    assert re.search(rf"^{N} rows in [\d.]+ s", text, re.MULTILINE)


def test_the_table_of_losses_that_differ(run, monkeypatch):
    terminal(monkeypatch, "stdout")
    names = ["a[bracketed]", "a_name_that_is_longer_than_the_column_can_be", "rows"]
    losses = [
        f"mse:name={n},reduction={r}" for n, r in zip(names, ["sum", "mean_with_sample_weight", "none"], strict=True)
    ]
    text, _ = run("evaluate", *[f"--loss={loss}" for loss in losses], *MSE[2:], "--out", "out.zarr")
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("losses of rows"))
    assert "a[bracketed]" in text
    assert "mean_with_sample_weight" in text
    assert "losses of rows, rows: out.zarr/rows" in text
    assert text.split()[:5] == ["loss", "reduction", "value", "sum", "count"]


def test_a_table_that_is_too_wide_leaves_out_sums_and_breaks_names_behind_underscores(run, monkeypatch):
    terminal(monkeypatch, "stdout")
    monkeypatch.setenv("TERM", "xterm")  # a dumb one always has 80 columns

    def lines_of(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown = run("evaluate", *SPARSE, "--stats", "stderr")[0]
        return re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()

    lines = lines_of(80)
    assert lines[1].split() == ["loss", "sum_over_batch_size", "95%", "interval", "count"]
    assert any(re.match(rf" {SCCE} +\d", line) for line in lines), "there is room for the name now"
    lines = lines_of(70)
    assert any(re.match(r" sparse_categorical_ +\d", line) for line in lines)
    assert " crossentropy" in map(str.rstrip, lines)
    assert all(len(line) <= 50 for line in lines_of(50)[-2:]), "the summary is wrapped between words"
    assert lines_of(120)[1].split()[4:] == ["sum", "count"]


def test_the_table_counts_what_was_left_out(run):
    p = np.load("p.npy")
    p[:4] = np.nan
    np.save("p.npy", p)
    text, err = run("evaluate", *MSE, "--table", "--nan-policy", "omit")
    assert text.split()[:5] == ["loss", "sum_over_batch_size", "sum", "count", "omitted"]
    assert re.search(r"mean_squared_error .* 6 +4 *$", text, re.MULTILINE)
    assert err.startswith("streamloss: warning: mean_squared_error: 4 rows whose loss is NaN were left out")
    assert len(err.splitlines()) == 1


def test_a_piped_table_keeps_its_lines_whole(run):
    name = "n" * 120
    text, _ = run("evaluate", "--loss", f"mse:name={name}", *MSE[2:], "--table")
    assert re.search(rf"{name} .* {N} *$", text, re.MULTILINE)


def test_progress_is_on_stderr_and_quiet_is_silent(run, monkeypatch):
    """Lines of the same code as in Python; nothing of a run that is over before the first."""
    assert run("evaluate", *MSE)[1] == ""
    entered = []

    def enter(display):
        entered.append(type(display))
        return display

    monkeypatch.setattr(progress.Display, "__enter__", enter)
    monkeypatch.setattr(progress.Display, "__exit__", lambda *_: None)
    run("evaluate", *MSE)
    assert entered == [progress.Lines]
    run("evaluate", *MSE, "--quiet")
    assert len(entered) == 1
    terminal(monkeypatch, "stderr")
    monkeypatch.setenv("TERM", "xterm")
    result, _ = run("evaluate", *MSE)
    assert result["rows"] == N, "stdout has the result alone"
    assert entered == [progress.Lines, progress.TerminalBar]


def test_errors_on_a_terminal_are_wrapped_between_words(run, monkeypatch):
    terminal(monkeypatch, "stderr")
    _, err = run("evaluate", "--loss", "sparse", *MSE[2:], "-q", code=2)
    assert err.startswith("streamloss: unknown loss 'sparse'.")
    assert all(len(line) <= 80 for line in err.splitlines())
    assert len(err.splitlines()) > 1


# The other commands


def test_plan_as_text_and_json_reads_nothing(run, monkeypatch, place):
    for chunk in (place / "data.zarr/probabilities/c").rglob("0"):
        if chunk.is_file():
            chunk.write_bytes(b"garbage")
    made, err = run("plan", *SPARSE, "--workers", "1", "--rows", "4:")
    assert (made["rows"], made["workers"], made["shape"], err) == (6, 1, [6], "")
    assert made["losses"] == {SCCE: {"loss": SCCE, "dtype": "float32"}}
    assert made["arrays"]["y_pred"]["where"] == "data.zarr/probabilities"
    assert made["baseline_bytes"] + made["block_bytes"] < made["projected_bytes"]
    assert made["projected_bytes"] <= 2**30
    text, _ = run("plan", *SPARSE, "--table")
    for part in (SCCE, "data.zarr/labels", "(10, 3) float32", "rows", "blocks", "at most"):
        assert part in text
    terminal(monkeypatch, "stdout")
    text, _ = run("plan", *SPARSE)
    assert all(len(line) <= 80 for line in text.splitlines())


def test_plan_refuses_what_evaluate_would(run):
    for arguments, code in ((["--memory", "1MB"], 2), (["--rows", "5:50"], 2), (["--y-true", "nowhere.npy"], 3)):
        planned = run("plan", *MSE, *arguments, code=code)[1]
        evaluated = run("evaluate", *MSE, *arguments, code=code)[1]
        assert re.sub(r"\d+", "#", planned) == re.sub(r"\d+", "#", evaluated)


def test_losses_lists_every_loss(run, monkeypatch):
    text, _ = run("losses")
    described, _ = run("losses", "--json")
    assert [d["name"] for d in described] == [d.name for d in declarations()]
    for declaration, description in zip(declarations(), described, strict=True):
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {declaration.class_name} ")]
        assert min((declaration.name, *declaration.aliases), key=len) in line.split()
        assert line.endswith(f"  {declaration.brief}"), "what it is for"
        assert 10 < len(declaration.brief) <= 42, "a few words, which are whole in a line of 80"
        assert set(description) == {"class_name", "name", "aliases", "brief", "parameters", "doc"}
        assert description["parameters"].keys() == declaration.parameters.keys()
    assert not set(show.KINDS) - {show.kind_of(declaration) for declaration in declarations()}, "every kind has losses"
    assert not {show.kind_of(declaration) for declaration in declarations()} - set(show.KINDS), "every kind has a title"
    terminal(monkeypatch, "stdout")
    text, _ = run("losses")
    assert len(text.splitlines()) < 65
    assert "…" not in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert all(declaration.class_name in text.split() for declaration in declarations())


@pytest.mark.parametrize("name", ["bce", "binary_crossentropy", "BinaryCrossentropy"])
def test_losses_describes_one_by_any_name(name, run, monkeypatch):
    terminal(monkeypatch, "stdout")
    text, _ = run("losses", name)
    parts = ["BinaryCrossentropy", "bce", "from_logits", "label_smoothing", "[epsilon, 1 -", "Keras 3", ">>> loss = sl"]
    for part in parts:
        assert part in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert run("losses", name, "--json")[0]["class_name"] == "BinaryCrossentropy"


def test_every_description_fits_80_columns_and_its_example_runs(run, monkeypatch):
    terminal(monkeypatch, "stdout")
    for declaration in declarations():
        text, _ = run("losses", declaration.name)
        assert all(len(line) <= 80 for line in text.splitlines()), declaration.name
        examples = doctest.DocTestParser().get_examples(text.partition(" parameter ")[0] + "\n")
        assert examples
        names = {}
        for example in examples:
            exec(compile(example.source, declaration.name, "single"), names)


def test_losses_suggests_a_name(run):
    assert "Did you mean 'binary_crossentropy'?" in run("losses", "binary_crossentrop", code=2)[1]
    assert "From probabilities it is 'binary_crossentropy'" in run("losses", "binary_cross_entropy", code=2)[1]


def test_info_has_what_a_bug_report_needs(run):
    text, err = run("info")
    for part in (
        streamloss.__version__,
        "python ",
        "processors",
        "numba ",
        "numpy ",
        "zarr ",
        "x86_64",
    ):
        assert part in text
    assert np.__version__ in text
    assert err == ""
    starts = {re.match(r"\S+ +", line).end() for line in text.splitlines() if line}
    assert len(starts) == 1, "aligned"


def test_info_is_aligned_in_a_terminal_of_80_columns(run, monkeypatch):
    terminal(monkeypatch, "stdout")
    monkeypatch.setattr(about, "_version", lambda name: about.MISSING if name in ("obstore", "xarray") else "1.2.3")
    lines = run("info")[0].splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert len({re.match(r"\S+ +", line).end() for line in lines if line and line[0] != " "}) == 1


def test_info_says_how_to_get_what_is_not_installed(run, monkeypatch):
    monkeypatch.setitem(about.OPTIONAL, "nowhere", ("some", "reading"))
    shown = run("info")[0]
    assert re.search(r"^nowhere +not installed +reading: pip install 'streamloss\[some\]'$", shown, re.MULTILINE)
    assert re.search(rf"^numpy +{re.escape(np.__version__)}$", shown, re.MULTILINE)
    assert re.search(r"^GPU +\S", shown, re.MULTILINE)


def test_info_knows_every_package_of_the_project():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", text)[0] for text in project["dependencies"]}
    assert names <= set(about.REQUIRED)
    extras = {extra: texts for extra, texts in project["optional-dependencies"].items() if extra != "demo"}
    optional = {
        (re.match(r"[\w-]+", text)[0].replace("_", "-"), extra) for extra, texts in extras.items() for text in texts
    }
    assert optional - {("numpy", "cuda")} == {(name, extra) for name, (extra, _) in about.OPTIONAL.items()}


def test_weights_of_classes(run):
    weighted = run("evaluate", *SPARSE, "--class-weight", "1,2,0.5")[0]["losses"][SCCE]
    made = streamloss.evaluate(
        SCCE, "data.zarr/labels", "data.zarr/probabilities", class_weight={0: 1.0, 1: 2.0, 2: 0.5}
    )
    assert weighted["sum"] == made[SCCE].sum
    listed = streamloss.evaluate(SCCE, "data.zarr/labels", "data.zarr/probabilities", class_weight=[1, 2, 0.5])
    assert listed[SCCE].state == made[SCCE].state
    _, err = run("evaluate", *SPARSE, "--class-weight", "1;2", code=2)
    assert "class_weight (--class-weight): expected weights in the order of the labels" in err


def test_parameters_of_pytorch_are_named_with_ours(run):
    _, err = run("evaluate", "--loss", f"{SCCE}:ignore_index=-100", *SPARSE[2:], code=2)
    assert "ignore_class=-100" in err
    _, err = run("evaluate", "--loss", f"{SCCE}:weight=2", *SPARSE[2:], code=2)
    assert "class_weight=[...] of streamloss.evaluate (--class-weight)" in err


def test_no_command_is_usage(run):
    assert "Usage: streamloss" in run(code=2)[1]


def test_wrong_options_are_told_in_lines_of_whole_words(run, monkeypatch):
    terminal(monkeypatch, "stderr")
    _, err = run("evaluate", "--los", "mse", code=2)
    assert all(len(line) <= 80 for line in err.splitlines())
    assert "'--loss', '--rows'?)" in " ".join(err.split())


@pytest.mark.parametrize("name", ["evalute", "evaluates", "eval"])
def test_unknown_commands_suggest_the_nearest(name, run):
    _, err = run(name, code=2)
    known = "compare, compile, evaluate, info, init, losses, merge, plan, report"
    assert f"unknown command '{name}'. Did you mean 'evaluate'? Known: {known}." in err


def test_unknown_options_suggest_the_nearest(run):
    _, err = run("evaluate", "--memry", "1GB", code=2)
    assert "--memry" in err
    assert "--memory" in err


def test_help(run):
    text, err = run("--help")
    assert err == ""
    assert "..." not in text[text.index("Commands:") :], "what commands do is said in whole"
    for code in (0, 1, 2, 3, 4, 5, 75, 130):
        assert re.search(rf"\b{code} +\w", text[text.index("Exit codes") :])
    for name, command in cli.cli.commands.items():
        assert f"\n  {name} " in text
        shown, _ = run(name, "--help")
        assert shown.startswith(f"Usage: streamloss {name}")
        assert all(len(line) <= 80 for line in shown.splitlines())
        words = " ".join(shown.split())
        for option in command.params:
            assert " ".join((getattr(option, "help", None) or "").split()) in words, "no word is broken"
    text, _ = run("evaluate", "--help")
    for option in (
        "--loss",
        "--y-true",
        "--y-pred",
        "--sample-weight",
        "--out",
        "--overwrite",
        "--fail-if",
        "--memory",
    ):
        assert option in text


def test_the_codes_in_the_help_are_the_errors():
    for kind, code in (
        (errors.UsageError, 2),
        (errors.DataError, 3),
        (errors.MachineError, 5),
        (errors.StoppedError, 75),
    ):
        assert kind.exit_code == code


def test_version(run):
    assert run("--version")[0] == f"streamloss, version {streamloss.__version__}\n"


def test_running_twice_in_one_process(run):
    """Commands import their modules on first use; these must not take the place of names already there."""
    for _ in range(2):
        run("evaluate", *MSE)
        with pytest.raises(SystemExit) as ended:
            cli.main(["losses"])
        assert ended.value.code == 0
    assert callable(cli.run)


def test_interrupts_are_one_line(run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "evaluate", interrupt)
    out, err = run("evaluate", *MSE, code=130)
    assert (out, len(err.strip().splitlines())) == ("", 1)
    assert "interrupted" in err


def test_the_end_of_a_file_is_no_interrupt(capsys, monkeypatch):
    def torn(*_, **__):
        raise EOFError("a defect")

    monkeypatch.setattr(commands, "evaluate", torn)
    assert cli.run(["evaluate", *MSE]) == 70
    assert "EOFError: a defect" in capsys.readouterr().err


def test_summary_says_no_speed_of_a_moment_and_who_did_it():
    result = streamloss.evaluate("mse", np.zeros(2, np.float32), np.zeros(2, np.float32))
    assert "rows/s" not in summary(type(result)(result.losses, 2, 9.0, 0, 0, "inline", 1, {}))
    assert "1 rows/s" in summary(type(result)(result.losses, 9, 9.0, 0, 0, "inline", 1, {}))
    assert "merged from 3 states, " in summary(type(result)(result.losses, 9, 9.0, 0, 0, "merge", 3, {}))


# In a process of its own


def streamloss_process(*arguments):
    command = [sys.executable, "-m", "streamloss", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["evaluate", "--help"], ["--version"], ["nonsense"]])
def test_asking_for_help_loads_nothing_heavy(arguments):
    script = (
        f"import sys\nfrom streamloss import cli\ncli.run({arguments!r})\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_module_and_exit_codes_of_the_process():
    done = streamloss_process("losses", "hubbard")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("streamloss: unknown loss 'hubbard'.")
    done = streamloss_process("evaluate", *MSE, "--fail-if", ">0", "--quiet")
    assert done.returncode == 1
    assert json.loads(done.stdout)["rows"] == N
    assert done.stderr.startswith("streamloss: the gate '>0' failed: mean_squared_error is 0.")
    assert streamloss_process("evaluate", *MSE[:4], "--y-pred", "nowhere.npy").returncode == 3


def test_an_interrupted_run_ends_with_130_and_keeps_whole_chunks(place):
    for name in ("y.zarr", "p.zarr"):
        zarr.create_array(name, shape=(60, 3), chunks=(4, 3), dtype="f4")[:] = 0.5
    command = ["evaluate", "--loss", "mse", "--y-true", "y.zarr", "--y-pred", "p.zarr", "--out", "out.zarr"]
    with started([sys.executable, SUPPORT / "interruptible.py", "merged", *command]) as process:
        wait_until((place / "merged").exists, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=HANG)
    assert process.returncode == 130, err
    assert out == ""
    assert "streamloss: interrupted" in err
    assert "Traceback" not in err
    written = zarr.open_array("out.zarr/mean_squared_error", mode="r")
    done = [int(path.name) for path in (place / "out.zarr/mean_squared_error/c").iterdir() if path.name.isdigit()]
    assert 3 <= len(done) < written.nchunks == 15
    for chunk in done:
        assert (written[4 * chunk : 4 * chunk + 4] == 0.0).all()
