"""Tables in memory: of Arrow, Polars and DuckDB, and what is refused of them."""

from __future__ import annotations

import pickle
import tracemalloc

import dask.dataframe
import duckdb
import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

import streamloss as sl
from streamloss.errors import SourceError, StreamlossError, UsageError
from streamloss.storage.sources import open_source

P = np.linspace(0.01, 0.99, 1000, dtype=np.float32)
Y = (np.arange(1000) % 3 == 0).astype(np.int8)
FRAME = polars.DataFrame({"y": Y, "p": P, "q": 1 - P})
TABLE = FRAME.to_arrow()
VECTORS = {  # of labels and predictions
    "polars": (FRAME["y"], FRAME["p"]),
    "arrow": (TABLE["y"], TABLE["p"]),
    "arrow, one chunk": (TABLE["y"].combine_chunks(), TABLE["p"].combine_chunks()),
    "arrow, many chunks": (
        pa.chunked_array([Y[:1], Y[1:400], Y[400:]]),
        pa.chunked_array([P[:333], P[333:333], P[333:]]),
    ),
    "pandas of arrow": (
        pandas.Series(Y, dtype=pandas.ArrowDtype(pa.int8())),
        pandas.Series(P, dtype=pandas.ArrowDtype(pa.float32())),
    ),
}
MATRICES = {  # rows of two classes
    "polars": FRAME[["q", "p"]],
    "arrow": TABLE.select(["q", "p"]),
    "batch": TABLE.to_batches()[0].select(["q", "p"]),
    "lists": pa.array(np.stack([1 - P, P], axis=1).tolist(), pa.list_(pa.float32())),
    "fixed lists": pa.FixedSizeListArray.from_arrays(np.stack([1 - P, P], axis=1).reshape(-1), 2),
    "polars arrays": polars.Series(np.stack([1 - P, P], axis=1)),
}


def total(loss, *arrays, **options):
    (found,) = sl.evaluate(loss, *arrays, **options).values()
    return found.sum


@pytest.mark.parametrize("case", VECTORS)
def test_columns_have_the_sum_of_arrays(case):
    y, p = VECTORS[case]
    assert total("mse", y, p) == total("mse", Y, P)
    assert total("mse", y, P, p) == total("mse", Y, P, P)
    assert total("mse", y, p, mask=y) == total("mse", Y, P, mask=Y)


@pytest.mark.parametrize("case", MATRICES)
def test_tables_and_lists_are_rows_of_classes(case):
    expected = total("sparse_categorical_crossentropy", Y, np.stack([1 - P, P], axis=1))
    assert total("sparse_categorical_crossentropy", Y, MATRICES[case]) == expected


def test_a_relation_of_duckdb_is_read_if_it_is_small():
    relation = duckdb.from_arrow(TABLE).project("q, p")
    expected = total("sparse_categorical_crossentropy", Y, np.stack([1 - P, P], axis=1))
    assert total("sparse_categorical_crossentropy", Y, relation) == expected
    with pytest.raises(SourceError, match=r"y_pred: a \S*DuckDBPyRelation of more than 64 MiB .*write_parquet"):
        sl.evaluate("mse", Y, duckdb.sql("SELECT i FROM range(20_000_000) t(i)"))


def test_one_chunk_is_not_copied():
    data = np.ones(4_000_000)
    source = open_source(pa.array(data), "y_pred", "error")
    tracemalloc.start()
    try:
        read = source.read((slice(10, 3_000_000),))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert np.shares_memory(read, data)


def test_a_table_is_sent_to_other_processes():
    source = pickle.loads(pickle.dumps(open_source(MATRICES["arrow"], "y_pred", "error")))
    np.testing.assert_array_equal(source.read((slice(5, 9), slice(0, 2))), np.stack([1 - P, P], axis=1)[5:9])


def test_nulls_are_nan_and_are_named():
    with pytest.raises(StreamlossError, match=r"y_true\[1\] is NaN \(in a polars.Series in memory\)"):
        total("mse", polars.Series([1, None]), np.ones(2))
    with pytest.raises(SourceError, match=r"mask: the column of a polars.Series in memory, row 1, is null"):
        total("mse", np.ones(2), np.ones(2), mask=polars.Series([True, None]))


REFUSED = {
    "text": (polars.Series(["a", "b"]), "For labels that are text"),
    "query": (FRAME.lazy(), r"a polars\.\S*LazyFrame is a query; pass query.collect\(\)"),
    "reader": (TABLE.to_reader(), r"can be read only once.*reader.read_all\(\)"),
    "ragged": (pa.array([[1.0], [1.0, 2.0]]), r"row 1, is a list of 2 numbers; expected 1"),
    "lists beside others": (pa.table({"a": [1.0], "b": [[1.0]]}), "has a column of lists"),
    "no columns": (pa.table({}), "has no columns"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_the_way(case):
    array, message = REFUSED[case]

    def read():
        source = open_source(array, "y_true", "error")
        return source.read(tuple(slice(0, n) for n in source.shape))

    with pytest.raises(SourceError, match=rf"y_true: .*{message}"):
        read()


def test_frames_of_dask_are_to_be_counted():
    frame = dask.dataframe.from_pandas(pandas.DataFrame({"y": Y, "p": P}), npartitions=3)
    with pytest.raises(UsageError, match=r"y_true is a Series of Dask.*to_dask_array\(lengths=True\)"):
        sl.evaluate("mse", frame["y"], frame["p"])
    counted = [frame[name].to_dask_array(lengths=True) for name in ("y", "p")]
    assert total("mse", *counted, scheduler="synchronous") == total("mse", Y, P)
