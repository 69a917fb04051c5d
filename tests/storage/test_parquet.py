"""Parquet: what is read of it equals what pyarrow, pandas and DuckDB read, and what is damaged gives no number."""

from __future__ import annotations

import datetime
import decimal
import itertools
import pickle
import subprocess
import sys
import threading

import dask.array as da
import duckdb
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import streamloss as sl
from small_blocks import small_blocks
from streamloss.errors import CorruptChunkError, DataError, SourceError, StreamlossWarning, ValueRangeError
from streamloss.storage.sources import open_source
from streamloss.storage.sources.parquet_files import Dataset

RNG = np.random.default_rng(3)


def opened(place, role="y_pred"):
    return open_source(str(place), role, "error")


def whole(source):
    return source.read(tuple(slice(0, n) for n in source.shape))


def mean(*arrays, loss="mse", **options):
    (found,) = sl.evaluate(loss, *map(str, arrays), progress=None, **options).values()
    return found.mean


def spark_folder(folder, sizes, groups, seed=0):
    """Write a folder as Spark does: files of several sizes in partitions, with row groups of several sizes."""
    rng, tables = np.random.default_rng(seed), []
    for i, n in enumerate(sizes):
        place = folder / f"month={i % 2 + 1}"
        place.mkdir(parents=True, exist_ok=True)
        p = rng.random(n, np.float32)
        y, w = (rng.random(n) < p).astype(np.int8), rng.random(n)
        table = pa.table({"y": y, "p": p, "q": 1 - p, "w": w, "text": pa.array(["a"] * n, pa.string())})
        with pq.ParquetWriter(place / f"part-{i:05d}-c000.snappy.parquet", table.schema) as writer:
            first = 0
            for rows in itertools.cycle(groups):
                writer.write_table(table.slice(first, rows))
                first += rows
                if first >= n:
                    break
        tables.append((i % 2, i, table))
    (folder / "_SUCCESS").touch()
    (folder / "._SUCCESS.crc").touch()
    (folder / "_temporary").mkdir()
    (folder / "_temporary/part-9.parquet").write_bytes(b"half")
    (folder / ".part-00000.parquet.crc").write_bytes(b"crc!")
    return pa.concat_tables([table for *_, table in sorted(tables, key=lambda found: found[:2])])


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "scores"
    return folder, spark_folder(folder, [1000, 17, 0, 2500, 1, 333], [100, 7, 650])


def test_a_folder_of_spark_is_read_in_the_order_of_its_paths(spark):
    folder, table = spark
    for name in ("y", "p", "w"):
        source = opened(f"{folder}::{name}")
        np.testing.assert_array_equal(whole(source), table[name].to_numpy())
        assert source.dtype == table[name].to_numpy().dtype
    for pattern in ("month=*::p", "month=*/*.parquet::p", "**/*.parquet::p"):
        np.testing.assert_array_equal(whole(opened(f"{folder}/{pattern}")), table["p"].to_numpy())
    np.testing.assert_array_equal(whole(opened(f"{folder}::[q,p]")), np.stack([table["q"], table["p"]], axis=1))
    one_month = whole(opened(f"{folder}/month=2::p"))
    assert len(one_month) == 17 + 2500 + 333


def test_means_agree_with_duckdb_and_pandas(spark):
    folder, table = spark
    query = f"SELECT avg((y - p::DOUBLE) ** 2), sum(w * (y - p::DOUBLE) ** 2) FROM read_parquet('{folder}/month=*/*')"
    ((expected, weighted),) = duckdb.sql(query).fetchall()
    assert mean(f"{folder}::y", f"{folder}::p") == pytest.approx(expected, rel=1e-7)
    found = sl.evaluate("mse", f"{folder}::y", f"{folder}::p", f"{folder}::w")["mean_squared_error"]
    assert found.sum == pytest.approx(weighted, rel=1e-7)
    frame = table.to_pandas()
    log_loss = -np.log(np.where(frame.y == 1, frame.p, frame.q).astype(float).clip(1e-7)).mean()
    assert mean(f"{folder}::y", f"{folder}::[q,p]", loss="sparse_categorical_crossentropy") == pytest.approx(
        log_loss, rel=1e-5
    )


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    groups=st.lists(st.integers(1, 25), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 240), max_size=8),
    names=st.sampled_from(["p", "y", "[p,q]", "[q,w,p]"]),
    inner=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rectangle_is_what_pyarrow_reads(tmp_path_factory, sizes, groups, cuts, names, inner):
    folder = tmp_path_factory.mktemp("any")
    table = spark_folder(folder, sizes, groups, seed=len(cuts))
    source = opened(f"{folder}::{names}")
    columns = names.strip("[]").split(",")
    expected = np.stack([table[name].to_numpy() for name in columns], axis=1)
    rows = len(table)
    edges = sorted({0, rows, *(cut for cut in cuts if cut < rows)})
    for start, stop in [*itertools.pairwise(edges), (0, rows), (edges[len(edges) // 2], rows)]:
        if names.startswith("["):
            low, high = sorted(min(i, len(columns)) for i in inner)
            found = source.read((slice(start, stop), slice(low, high)))
            np.testing.assert_array_equal(found, expected[start:stop, low:high])
        else:
            np.testing.assert_array_equal(source.read((slice(start, stop),)), expected[start:stop, 0])


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_a_row_group_is_decoded_once_for_each_column(executor, tmp_path, monkeypatch):
    """Blocks and pieces begin and end inside of row groups of any sizes."""
    spark_folder(tmp_path / "a", [700_000, 1_000_000, 300_000], [90_001, 250_000, 4_999])
    read, decoded, lock = Dataset._read, [], threading.Lock()

    def counted(self, group, columns, place):
        with lock:
            decoded.append((group, *columns))
        return read(self, group, columns, place)

    monkeypatch.setattr(Dataset, "_read", counted)
    result = sl.evaluate("mse", f"{tmp_path}/a::y", f"{tmp_path}/a::p", f"{tmp_path}/a::w", executor=executor)
    assert result.plan["blocks"] > 4
    assert len(set(decoded)) == 3 * len({group for group, *_ in decoded})
    stalled = 0 if executor == "inline" else 9  # a thread that falls behind the others by many blocks decodes again
    assert len(decoded) <= len(set(decoded)) + stalled


def test_a_group_is_a_chunk_where_all_have_one_size(tmp_path):
    table = pa.table({"p": np.arange(2500.0)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1000)
    assert opened(tmp_path / "a.parquet").chunk_shape == (1000,)
    pq.write_table(table, tmp_path / "b.parquet", row_group_size=500)
    pq.write_table(table, tmp_path / "c.parquet", row_group_size=400)
    assert opened(tmp_path / "*.parquet").chunk_shape == (1,)


VALUES = {  # what is written, and what is read
    "uint8": (pa.array([0, 255], pa.uint8()), np.array([0, 255], np.uint8)),
    "uint64": (pa.array([0, 2**64 - 1], pa.uint64()), np.array([0, 2**64 - 1], np.uint64)),
    "int64": (pa.array([-5, 2**60]), np.array([-5, 2**60])),
    "float16": (pa.array(np.array([0.5, -2], np.float16)), np.array([0.5, -2], np.float16)),
    "bool": (pa.array([True, False, True]), np.array([True, False, True])),
    "decimal": (pa.array([decimal.Decimal("-0.1"), decimal.Decimal("12.3")]), np.array([-0.1, 12.3])),
    "dictionary": (pa.array([1.5, 2.5, 1.5]).dictionary_encode(), np.array([1.5, 2.5, 1.5])),
    "nulls in floats": (pa.array([1, None, 3], pa.float32()), np.array([1, np.nan, 3], np.float32)),
    "nulls in halves": (pa.array(np.array([1, 2, 3], np.float16), mask=np.array([0, 1, 0], bool)), [1, np.nan, 3]),
    "nulls in integers": (pa.array([1, None, -3], pa.int16()), np.array([1, np.nan, -3])),
    "nulls in booleans": (pa.array([None, True, False]), np.array([np.nan, 1, 0])),
    "nulls in decimals": (pa.array([None, decimal.Decimal("0.3")]), np.array([np.nan, 0.3])),
    "list": (pa.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2], [3, 4]])),
    "large list": (pa.array([[1, 2], [3, 4]], pa.large_list(pa.int32())), np.array([[1, 2], [3, 4]], np.int32)),
    "fixed list": (pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)), np.array([[1, 2], [3, 4]], np.float32)),
    "nulls in lists": (pa.array([[1.0, None], [3.0, 4.0]]), np.array([[1.0, np.nan], [3, 4]])),
}


@pytest.mark.parametrize("case", VALUES)
def test_values_of_every_type(case, tmp_path):
    array, expected = VALUES[case]
    pq.write_table(pa.table({"p": array}), tmp_path / "a.parquet")
    source = opened(tmp_path / "a.parquet")
    np.testing.assert_array_equal(whole(source), expected)
    assert source.dtype == whole(source).dtype
    if isinstance(expected, np.ndarray):
        assert source.dtype == expected.dtype
    tail = pa.concat_arrays([array.slice(1), array])  # bits that begin inside of a byte
    pq.write_table(pa.table({"p": tail}), tmp_path / "a.parquet")
    np.testing.assert_array_equal(whole(opened(tmp_path / "a.parquet")), np.concatenate([expected[1:], expected]))


REFUSED = {  # what is written, and what the error says
    "text": (pa.array(["1", "2"]), r"expected numbers; received Arrow's type string. For labels that are text"),
    "text in a dictionary": (pa.array(["1", "2"]).dictionary_encode(), "For labels that are text"),
    "dates": (pa.array([datetime.date(2020, 1, 1)]), "Store a number in a unit"),
    "times": (pa.array([datetime.datetime(2020, 1, 1)]), "Store a number in a unit"),
    "long decimals": (pa.array([decimal.Decimal("12345678901234567.8")]), "up to 15 digits"),
    "structures": (pa.array([{"a": 1.0}]), "Store its fields as columns: a"),
    "lists of lists": (pa.array([[[1.0]]]), "no list of lists"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_number_is_refused_with_the_way(case, tmp_path):
    array, message = REFUSED[case]
    pq.write_table(pa.table({"p": array}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=rf"y_pred: column 'p' of '\S*a.parquet'.*{message}"):
        opened(tmp_path / "a.parquet")


def test_ragged_lists_are_refused_with_their_row(tmp_path):
    rows = [[1.0, 2.0]] * 70 + [[1.0, 2.0, 3.0]] + [[1.0, 2.0]] * 29
    pq.write_table(pa.table({"p": rows}), tmp_path / "a.parquet", row_group_size=50)
    with pytest.raises(
        SourceError, match=r"row group 1 .*list of 3 numbers; expected 2, .* row 20 of it, row 70 of all"
    ):
        whole(opened(tmp_path / "a.parquet"))
    rows[70] = None
    pq.write_table(pa.table({"p": pa.array(rows, pa.list_(pa.float64()))}), tmp_path / "a.parquet", row_group_size=50)
    with pytest.raises(SourceError, match=r"row group 1 .*is null in row 20 of it, row 70 of all"):
        whole(opened(tmp_path / "a.parquet"))


def test_nulls_of_integers_without_statistics_are_refused_with_their_row(tmp_path):
    table = pa.table({"y": pa.array([0] * 7 + [None])})
    pq.write_table(table, tmp_path / "a.parquet", write_statistics=False)
    with pytest.raises(SourceError, match=r"y_true: row group 0 in .*'y' is null in row 7 of it.*fill_null"):
        whole(opened(tmp_path / "a.parquet", "y_true"))


def test_nulls_fall_under_the_policy_for_nan(tmp_path):
    y, p = pa.array([0, 1, None, 1], pa.int8()), pa.array([0.5, 0.5, 0.25, 0.25])
    pq.write_table(pa.table({"y": y, "p": p, "q": [0.5, 0.5, 0.75, 0.75]}), tmp_path / "a.parquet")
    place = tmp_path / "a.parquet"
    with pytest.raises(ValueRangeError, match=r"y_true\[2\] is NaN \(row group 0 of"):
        mean(f"{place}::y", f"{place}::p")
    with pytest.warns(StreamlossWarning, match="1 row whose loss is NaN was left out"):
        omitted = sl.evaluate("mse", f"{place}::y", f"{place}::p", nan_policy="omit")["mean_squared_error"]
    assert (omitted.count, omitted.omitted, omitted.sum) == (3, 1, 0.25 + 0.25 + 0.5625)
    for policy in ("raise", "omit", "propagate"):  # a class that is not there is none
        with pytest.raises(ValueRangeError, match=r"y_true\[2\] is NaN"):
            mean(f"{place}::y", f"{place}::[p,q]", loss="sparse_categorical_crossentropy", nan_policy=policy)
    pq.write_table(pa.table({"p": p, "m": pa.array([True, None, True, True])}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"mask: row group 0 .*'m' is null in row 1"):
        mean(f"{tmp_path}/b.parquet::p", f"{tmp_path}/b.parquet::p", mask=f"{tmp_path}/b.parquet::m")


def test_large_integers_beside_nulls_are_refused(tmp_path):
    pq.write_table(pa.table({"y": pa.array([2**53 + 1, None])}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"'y' is 9007199254740993, beyond 2\*\*53"):
        whole(opened(tmp_path / "a.parquet"))


def test_columns_are_named_where_none_or_a_wrong_one_was(tmp_path):
    path = tmp_path / "a.parquet"
    pandas.DataFrame({"label": [1], "score": [0.5], "name": ["x"]}).to_parquet(path)
    with pytest.raises(
        SourceError, match=r"y_pred: .* has 3 columns: label \(int64\), score \(double\).*parquet::label"
    ):
        opened(path)
    with pytest.raises(SourceError, match=r"no column 'scores'\. Did you mean 'score'\? It has label \(int64\)"):
        opened(f"{path}::scores")
    with pytest.raises(SourceError, match=r"no column 'scoer'"):
        opened(f"{path}::[label, scoer]")
    with pytest.raises(SourceError, match=r"a column is named after '::'; expected '\S*a.parquet::score'"):
        opened(path / "score")
    with pytest.raises(SourceError, match=r"there is no file '\S*b.parquet'"):
        opened(tmp_path / "b.parquet::score")
    with pytest.raises(SourceError, match=r"no file matches '\S*b\*.parquet'"):
        opened(tmp_path / "b*.parquet::score")


def test_a_file_of_one_column_needs_no_name(tmp_path):
    frame = pandas.DataFrame({"score": [0.5, 0.25]}, index=["a", "b"])
    frame.to_parquet(tmp_path / "a.parquet")  # with the index, as a column of its own
    assert whole(opened(tmp_path / "a.parquet")).tolist() == [0.5, 0.25]
    (tmp_path / "a.parquet").rename(tmp_path / "without-suffix")
    assert whole(opened(tmp_path / "without-suffix")).tolist() == [0.5, 0.25]


def test_files_have_one_schema(tmp_path):
    for name, table in (("0", {"p": [1.0]}), ("1", {"p": [1]}), ("2", {"q": [1.0]})):
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    with pytest.raises(SourceError, match=r"'p' of '\S*1.parquet' has the type int64; expected double, as in '\S*0"):
        opened(tmp_path / "[01].parquet::p")
    with pytest.raises(SourceError, match=r"'p' of '\S*2.parquet' is missing: it has q \(double\)"):
        opened(tmp_path / "[02].parquet::p")


def error_of(call):
    try:
        call()
    except DataError as error:
        return error


@pytest.fixture
def damaged(tmp_path):
    """A file with checksums of pages, and its bytes."""
    table = pa.table({"p": RNG.random(10_000), "q": RNG.random(10_000)})
    path = tmp_path / "part-0.parquet"
    pq.write_table(table, path, row_group_size=1000, write_page_checksum=True, use_dictionary=False)
    return path, path.read_bytes(), table


@pytest.mark.parametrize("size", [0, 3, 4, 100, 80_000, -1, -4, -8, -500])
def test_a_file_that_was_cut_is_refused(size, damaged):
    path, content, _ = damaged
    path.write_bytes(content[:size])
    with pytest.raises(SourceError, match=r"y_pred: '\S*part-0.parquet' is no whole Parquet file"):
        opened(f"{path}::p")


def test_damage_gives_an_error_and_no_other_number(damaged):
    """Any byte may be wrong: of pages with checksums, of their headers, or of the footer."""
    path, content, table = damaged
    expected = table["p"].to_numpy()
    refused, found = 0, []
    for at in RNG.integers(4, len(content), 150):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        if (error := error_of(lambda: found.append(whole(opened(f"{path}::p"))))) is None:
            np.testing.assert_array_equal(found.pop(), expected)
            continue
        assert "part-0.parquet" in str(error)
        assert "y_pred" in str(error)
        refused += 1
    assert refused > 30


def test_a_damaged_page_names_its_file_and_row_group(damaged):
    path, content, _ = damaged
    column = pq.ParquetFile(path).metadata.row_group(3).column(0)
    at = column.data_page_offset + 500
    path.write_bytes(content[:at] + b"\0\0\0\0" + content[at + 4 :])
    with pytest.raises(CorruptChunkError, match=r"y_pred: row group 3 in '\S*part-0.parquet' cannot be decoded: .*CRC"):
        mean(f"{path}::q", f"{path}::p")


def test_a_file_that_changes_or_vanishes_gives_no_number(damaged, monkeypatch):
    path, content, table = damaged
    for change, message in (
        (lambda: pq.write_table(table.slice(1), path), "was changed since"),
        (path.unlink, "has vanished since"),
    ):
        path.write_bytes(content)
        source = opened(f"{path}::p")
        source.read((slice(0, 10),))
        change()
        with pytest.raises(SourceError, match=rf"y_pred: .*part-0.parquet' {message}"):
            source.read((slice(5000, 5010),))
        with pytest.raises(SourceError, match=message):
            source.confirm()
    path.write_bytes(content)
    read, done = Dataset._read, []

    def replaced_after(self, group, columns, place):
        found = read(self, group, columns, place)
        if group == 9 and not done:
            done.append(path.unlink())
        return found

    monkeypatch.setattr(Dataset, "_read", replaced_after)
    with pytest.raises(SourceError, match="has vanished since"):
        mean(f"{path}::p", f"{path}::p", executor="inline")


def test_another_process_refuses_files_that_were_changed(damaged):
    path, _, table = damaged
    pickled = pickle.dumps(opened(f"{path}::p"))
    pq.write_table(table.slice(1), path)
    with pytest.raises(CorruptChunkError, match="were changed since the evaluation began"):
        pickle.loads(pickled)


def test_beside_dask_arrays(spark):
    folder, table = spark
    labels = da.from_array(table["y"].to_numpy(), chunks=1000)
    result = sl.evaluate("mse", labels, f"{folder}::p", scheduler="synchronous")["mean_squared_error"]
    assert result.sum == sl.evaluate("mse", f"{folder}::y", f"{folder}::p")["mean_squared_error"].sum


def test_shards_of_files_merge_to_the_same_result(spark, tmp_path):
    folder, _ = spark
    states = [tmp_path / f"{i}.json" for i in range(3)]
    with small_blocks():
        for i, state in enumerate(states):
            sl.evaluate("mse", f"{folder}::y", f"{folder}::p", shard=(i, 3)).save(state)
    merged = sl.merge(states)["mean_squared_error"]
    assert merged.sum == sl.evaluate("mse", f"{folder}::y", f"{folder}::p")["mean_squared_error"].sum


HIDDEN = """
import sys
sys.modules["pyarrow"] = None
from streamloss.cli import main
main()
"""


def test_the_missing_package_is_named(spark):
    folder, _ = spark
    command = [sys.executable, "-c", HIDDEN, "evaluate", "--loss", "mse"]
    command += ["--y-true", f"{folder}::y", "--y-pred", f"{folder}::p"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "pip install 'streamloss[parquet]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_imports_it_unasked():
    code = "import sys, streamloss.cli.commands, streamloss.api.evaluate; assert 'pyarrow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
