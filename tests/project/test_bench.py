"""The benchmarks run, so that they cannot rot; what they measure on so little data means nothing."""

import sys
from pathlib import Path

import pytest

from small_blocks import small_blocks

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(autouse=True)
def bench(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.chdir(tmp_path)
    yield
    for name in [name for name, module in sys.modules.items() if str(BENCH) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def test_losses_in_memory(capsys):
    import in_memory

    rows = in_memory.run(1 << 12, 1, classes=(10,))
    assert all(rate > 0 for row in rows for rate in row["rates"].values())
    assert "sparse cross-entropy from logits, 10 classes" in {row["case"] for row in rows}


def test_kernels(capsys, monkeypatch):
    import kernels

    monkeypatch.setattr(kernels, "SECONDS", 0.0)
    monkeypatch.setattr(kernels, "CLASSES", (10,))
    kernels.main(["mean_squared_error", "binary_crossentropy from", "sparse"])
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_reading_zarr(capsys, tmp_path):
    import reading

    rows = reading.run(tmp_path, 1000, 1)
    assert len(rows) == 4
    assert all({"streamloss", "only zarr"} <= set(row["rates"]) for row in rows)


def test_the_shares_of_reading_and_computing(capsys, tmp_path):
    import reading

    rows = reading.shares(tmp_path, 100_000, 1)
    assert len(rows) == 9
    assert all({"streamloss", "only bytes and codec", "only computing"} <= set(row["rates"]) for row in rows)
    assert not list(tmp_path.iterdir())


def test_a_billion_rows_less_a_few(capsys):
    import billion

    result = billion.main(30_000, parts=(3,))
    ours = result["runs"]["streamloss"]
    assert 0.4 < ours["value"] < 0.6  # of calibrated chances it is 1/2
    assert ours["peak_memory"] < 600 << 20
    assert [run["rows"] for run in result["scaling"]] == [10_000]


def test_start_up(capsys, monkeypatch):
    import startup

    monkeypatch.setattr(startup, "LOSSES", {"mean squared error": startup.LOSSES["mean squared error"]})
    seconds = startup.main(rounds=1)
    assert {"mean squared error, streamloss, cold", "streamloss evaluate, process, streamloss, cold"} <= seconds.keys()
    cold, warm = (seconds[f"mean squared error, streamloss, {how}"] for how in ("cold", "kernels in the cache"))
    assert warm < cold


@pytest.mark.slow
def test_files_as_they_are_found(capsys, tmp_path):
    import argparse

    import doors

    sizes = argparse.Namespace(rows=20_000, hours=3, documents=1, rounds=1, folder=tmp_path)
    measured = doors.main(["parquet", "zarr", "hdf5"], sizes)
    assert set(measured["doors"]["parquet"]["runs"]) == {"streamloss", "DuckDB", "pandas"}
    assert all(run["peak_memory"] for door in measured["doors"].values() for run in door["runs"].values())


def test_the_costs_of_scheduling(capsys):
    import cluster

    with small_blocks():  # restores what the benchmark sets
        cluster.main(70)
    printed = capsys.readouterr().out
    assert printed.count("70 blocks: ") == 2
    assert "a Dask array of 70 chunks" in printed
    assert printed.count("1e+12 rows of 40 bytes") == 2


def test_table_and_picture_of_the_readme_are_of_the_results():
    import picture
    import tables

    written = "write them anew: python bench/tables.py"
    assert picture.PICTURE.read_text(encoding="utf-8") == picture.draw(picture.results()), written
    speed = tables.load(min(picture.RESULTS.glob("*/speed.json")).parent, "speed")
    assert tables.short(speed) in (BENCH.parent / "README.md").read_text(encoding="utf-8"), written
    for found in picture.RESULTS.glob("*/speed.json"):
        of_processor = {name: tables.load(found.parent, name) for name in tables.SECTIONS}
        assert tables.long(of_processor) in (BENCH.parent / "docs/speed.md").read_text(encoding="utf-8"), written


def test_tables_hold_every_row_and_the_ratio(tmp_path):
    import tables

    (tmp_path / "page.md").write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n", encoding="utf-8")
    rows = [{"case": "a", "unit": "GB/s", "rates": {"streamloss": 3.0, "torch": 2.0, "fast": 6.0}}]
    tables.replace(tmp_path / "page.md", "\n".join(tables.comparison(rows)))
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| a | GB/s | 3 | torch 2 (**1.50×**), fast 6 (**0.50×**) |" in text
    assert "old" not in text
    assert text.startswith("before")
    assert text.endswith("after\n")


def test_results_are_kept_by_processor(tmp_path, monkeypatch):
    import timing

    monkeypatch.setattr(timing, "RESULTS", tmp_path)
    first = timing.save("speed", {"rows": []})
    monkeypatch.setattr(timing, "_processor", lambda: "Another (R) Model/5, AVX2")
    second = timing.save("speed", {"rows": []})
    assert second == tmp_path / "another-r-model-5-avx2" / "speed.json"
    assert {path.parent for path in tmp_path.glob("*/speed.json")} == {first.parent, second.parent}
