"""Groups, statistics and comparisons on the command line."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamloss as sl
from streamloss import cli

ROWS = 400


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty directory with a Parquet file and two models, and a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STREAMLOSS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    rng = np.random.default_rng(1)
    p = rng.random(ROWS)
    table = {
        "y": (rng.random(ROWS) < p).astype(np.int32),
        "w": rng.random(ROWS),
        "carrier": np.array(["AA", "UA"])[rng.integers(0, 2, ROWS)],
        "day": np.datetime64("2024-01-20", "us") + rng.integers(0, 20 * 86400, ROWS).astype("m8[s]"),
        "age": rng.normal(40, 20, ROWS),
    }
    pq.write_table(pa.table(table), "f.parquet")
    np.save("old.npy", p)
    np.save("new.npy", np.clip(p + 0.1 * rng.normal(size=ROWS), 0.01, 0.99))
    return tmp_path


@pytest.fixture
def run(capsys):
    def go(*arguments, code=0):
        capsys.readouterr()
        ended = cli.run(list(arguments))
        out, err = capsys.readouterr()
        assert (ended, "Traceback" in err) == (code, False), err
        return (json.loads(out) if out.startswith("{") else out), err

    return go


DATA = ["--loss", "bce", "--y-true", "f.parquet::y", "--y-pred", "old.npy"]
BY = [
    "--by",
    "carrier=f.parquet::carrier",
    "--by",
    "month=f.parquet::day:unit=M",
    "--by",
    "age=f.parquet::age:bins=18,65",
]


def test_groups_are_those_of_the_library(run):
    out, _ = run("evaluate", *DATA, *BY, "--stats", "stderr", "--cluster", "f.parquet::day:unit=D")
    by = {
        "carrier": "f.parquet::carrier",
        "month": sl.by("f.parquet::day", unit="M"),
        "age": sl.by("f.parquet::age", bins=[18, 65]),
    }
    expected = sl.evaluate("bce", "f.parquet::y", "old.npy", by=by, cluster=sl.by("f.parquet::day", unit="D"))
    assert out["losses"]["binary_crossentropy"]["groups"] == expected.groups.to_dict()
    assert out["schema"] == "streamloss.result/2"


def test_a_file_says_the_same_as_flags(run, place):
    (place / "c.toml").write_text(
        'losses = "bce"\ny_true = "f.parquet::y"\ny_pred = "old.npy"\nkeep = 0\nmax_groups = 500\n'
        'cluster = "f.parquet::day:unit=D"\n'
        "[by]\ncarrier = 'f.parquet::carrier'\nmonth = {array = 'f.parquet::day', unit = 'M'}\n"
        "age = {array = 'f.parquet::age', bins = [18, 65]}\n[stats]\nworst = 3\n"
    )
    from_file, _ = run("evaluate", "c.toml")
    flags = ["--stats", "worst=3", "--keep", "0", "--max-groups", "500", "--cluster", "f.parquet::day:unit=D"]
    from_flags, _ = run("evaluate", *DATA, *BY, *flags)
    assert from_file["losses"] == from_flags["losses"]
    assert len(from_file["losses"]["binary_crossentropy"]["kept"]) == ROWS


def test_tables_fit_a_terminal_of_eighty_columns(run, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    stats = ["--stats", "stderr,quantiles,worst=3,running=4,calibration=4,confusion"]
    out, _ = run("evaluate", *DATA, *BY[:4], "--sample-weight", "f.parquet::w", *stats, "--keep", "0", "--table")
    lines = out.splitlines()[:-1]  # but for the summary
    assert max(map(len, lines)) <= 80
    for title in ("groups", "kept axes", "quantiles", "worst rows", "running loss", "classes: accuracy", "calibration"):
        assert any(line.startswith(title) for line in lines), title
    assert "± " in out
    assert "... and 380 more" in out


def test_compare_reads_labels_once_and_shows_who_differs(run, monkeypatch):
    models = ["--model", "old=old.npy", "--model", "new=new.npy"]
    data = ["--loss", "bce", "--y-true", "f.parquet::y", *models, "--cluster", "f.parquet::day:unit=D", *BY[:2]]
    out, _ = run("compare", *data)
    preds = {"old": "old.npy", "new": "new.npy"}
    cluster, by = sl.by("f.parquet::day", unit="D"), {"carrier": "f.parquet::carrier"}
    expected = sl.compare("bce", "f.parquet::y", preds, cluster=cluster, by=by)
    assert out["comparison"] == expected.table.to_dict()
    assert out["groups"] == expected.groups.to_dict()
    other, _ = run("compare", *data, "--baseline", "new")
    assert other["comparison"][1]["difference"] == -out["comparison"][1]["difference"]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    text, _ = run("compare", *data, "--table")
    assert max(map(len, text.splitlines()[:-1])) <= 80
    assert "p_value" in text
    assert "by group" in text


def test_compare_from_a_file(run, place):
    (place / "c.toml").write_text(
        'losses = "mse"\ny_true = "f.parquet::y"\nbaseline = "new"\n[models]\nold = "old.npy"\nnew = "new.npy"\n'
    )
    out, _ = run("compare", "c.toml")
    assert [row["model"] for row in out["comparison"]] == ["new", "old"]
    _, err = run("evaluate", "c.toml", code=2)
    assert "streamloss compare" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "f.parquet::carrier"], "expected NAME=URI"),
        (["--by", "a=f.parquet::age", "--by", "a=f.parquet::day"], "two keys have one name"),
        (["--by", "a=f.parquet::age"], "bins=0,10,100"),
        (["--by", "a=f.parquet::age:bins=x"], "numbers that ascend"),
        (["--by", "a=f.parquet::day:unit=fortnight"], "unit"),
        (["--by", "a=f.parquet::carier"], "Did you mean 'carrier'"),
        (["--stats", "stdderr"], "Did you mean 'stderr'"),
        (["--max-groups", "1", "--by", "c=f.parquet::carrier"], "--max-groups"),
        (["-s", "by.carrier.uri=x"], "by.carrier"),
    ],
)
def test_mistakes_are_one_block(arguments, message, run):
    _, err = run("evaluate", *DATA, *arguments, code=3 if "bins=0" in message or "carrier'" in message else 2)
    assert message in err


def test_compare_needs_two_models(run):
    for models in ([], ["--model", "old=old.npy"]):
        _, err = run("compare", "--loss", "bce", "--y-true", "f.parquet::y", *models, code=2)
        assert "two models or more" in err or "y_pred: required" in err


def test_a_report_is_written_beside_the_result_of_each_command(run, place):
    _, err = run("evaluate", *DATA, *BY, "--stats", "stderr,histogram", "--report", "new/r.html", "--state", "s.state")
    assert "the report is new/r.html" in err
    page = (place / "new" / "r.html").read_text()
    assert "Groups by carrier, month, age" in page
    run("report", "s.state", "s.html")
    assert (place / "s.html").read_text() == page
    run("merge", "s.state", "--report", "m.html")
    assert "Groups by carrier" in (place / "m.html").read_text()
    out, _ = run("compare", *DATA[:4], "--model", "old=old.npy", "--model", "new=new.npy", "--report", "c.html")
    compared = (place / "c.html").read_text()
    assert "difference to old" in compared
    (place / "c.json").write_text(json.dumps(out))
    run("report", "c.json")
    assert (place / "c.html").read_text() == compared


def test_a_place_that_is_no_reports_is_refused_before_anything_is_read(run, place):
    (place / "mine.html").write_text("mine")
    for target, code in (("old.npy", 2), ("mine.html", 2), ("f.parquet/r.html", 2), ("r.pdf", 2)):
        out, err = run("evaluate", *DATA, "--report", target, code=code)
        assert (out, target in err) == ("", True)
    assert (place / "mine.html").read_text() == "mine"
    _, err = run("evaluate", *DATA, "--report", "r.html", "--shard", "0/2", code=2)
    assert "streamloss merge" in err
    assert not (place / "states").exists()


def test_a_result_that_is_none_is_named(run, place):
    (place / "r.json").write_text('{"a": [')
    for name, said in (("gone.json", "No such file"), ("old.npy", "no JSON"), ("r.json", "no JSON")):
        _, err = run("report", name, "r.html", code=3)
        assert name in err
        assert said in err
    (place / "r.json").write_text('{"schema": "streamloss.result/2"}')
    _, err = run("report", "r.json", code=3)
    assert "r.json" in err
    assert not (place / "r.html").exists()
