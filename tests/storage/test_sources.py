"""Reading arrays wherever they are kept: the values are NumPy's, and what is not there never becomes a number."""

from __future__ import annotations

import itertools
import os
import pathlib
import shutil
import sys
import tempfile

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import streamloss as sl
from streamloss.errors import CorruptChunkError, MissingChunkError, SourceError, StreamlossWarning, UsageError
from streamloss.storage.sources import MISSING_CHUNKS, open_source
from streamloss.storage.sources.zarr_local import local_chunks

RNG = np.random.default_rng(20130101)
PREDICTIONS = RNG.uniform(0.01, 1, (60, 6)).astype(np.float32)
LABELS = RNG.integers(0, 6, 60)
SPARSE = "sparse_categorical_crossentropy"


def open_(array, role="y_pred", missing_chunks="error"):
    return open_source(array, role, missing_chunks)


def everything(source):
    return source.read(tuple(slice(0, n) for n in source.shape))


def store_array(where, data, chunks, *, name=None, **options):
    array = zarr.create_array(where, name=name, shape=data.shape, chunks=chunks, dtype=data.dtype, **options)
    array[...] = data
    return array


def sparse_loss(y_true, y_pred, **options):
    return sl.evaluate(SPARSE, y_true, y_pred, **options)[SPARSE]


def squared_loss(y_true, y_pred, **options):
    return sl.evaluate("mse", y_true, y_pred, **options)["mean_squared_error"]


@st.composite
def selections(draw, shape):
    """A rectangle inside `shape`, each side at least 1 long."""
    starts = [draw(st.integers(0, n - 1)) for n in shape]
    return tuple(slice(a, draw(st.integers(a + 1, n))) for a, n in zip(starts, shape, strict=True))


@st.composite
def zarr_options(draw, shape):
    """How an array of this shape may be stored."""
    chunks = tuple(draw(st.integers(1, n)) for n in shape)
    kind = draw(st.sampled_from(["v2", "v3", "sharded"]))
    if kind == "v2":
        separator = draw(st.sampled_from([".", "/"]))
        return {"chunks": chunks, "zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": separator}}
    if kind == "v3":
        serializer = zarr.codecs.BytesCodec(endian=draw(st.sampled_from(["little", "big"])))
        return {"chunks": chunks, "zarr_format": 3, "serializer": serializer}
    shards = {
        "shape": tuple(c * draw(st.integers(1, 3)) for c in chunks),
        "index_location": draw(st.sampled_from(["start", "end"])),
    }
    return {"chunks": chunks, "zarr_format": 3, "shards": shards}


STORED_DTYPES = ["<f4", ">f4", "<f8", "<f2", "i1", "<u8", ">i4", "bool"]


def numbers(dtype, shape):
    """Distinct values, none of which is a fill value."""
    values = np.arange(1, int(np.prod(shape)) + 1).reshape(shape)
    return (values % 2 == 1 if dtype == "bool" else values % 120 + 1).astype(dtype)


CODECS = ["zstd", "blosc", "gzip", "crc32c"]


@given(st.data())
def test_reading_zarr_gives_the_slice_numpy_gives(data):
    reads_what_numpy_reads(data, zarr.storage.MemoryStore(), None)


@given(st.data())
def test_reading_local_zarr_gives_the_slice_numpy_gives(data):
    codec = data.draw(st.sampled_from([None, *CODECS]))
    with tempfile.TemporaryDirectory() as folder:
        reads_what_numpy_reads(data, pathlib.Path(folder) / "a.zarr", codec)


def reads_what_numpy_reads(data, store, codec):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=7))
    expected = numbers(data.draw(st.sampled_from(STORED_DTYPES)), shape)
    options = data.draw(zarr_options(shape))
    if codec is not None and options["zarr_format"] == 3:
        options |= COMPRESSORS[codec]
    elif codec is not None:
        options["compressors"] = numcodecs.get_codec({"id": "zstd" if codec == "crc32c" else codec})
    config = {"write_empty_chunks": True}
    array = store_array(store, expected, config=config, **{"compressors": None} | options)
    source = open_(array)
    assert (source.shape, source.dtype.newbyteorder("=")) == (shape, expected.dtype.newbyteorder("="))
    for _ in range(3):
        selection = data.draw(selections(shape))
        np.testing.assert_array_equal(source.read(selection), expected[selection])
    np.testing.assert_array_equal(everything(source), expected)


@given(st.data())
def test_reading_an_array_in_memory_gives_the_slice_numpy_gives(data):
    array = data.draw(hnp.arrays(np.float32, hnp.array_shapes(max_dims=4), elements=st.floats(-9, 9, width=32)))
    selection = data.draw(selections(array.shape))
    np.testing.assert_array_equal(open_(array).read(selection), array[selection])
    np.testing.assert_array_equal(everything(open_(array.tolist())), array.astype(np.float64))


@given(st.data())
def test_reading_any_view_of_a_memmap_gives_the_slice_numpy_gives(mapped_file, data):
    order, mode = data.draw(st.sampled_from("CF")), data.draw(st.sampled_from(["r", "r+", "c"]))
    offset = data.draw(st.sampled_from([0, 4, 8192]))
    memmap = np.memmap(mapped_file, np.float32, mode, offset, shape=(20, 3, 40))
    memmap = memmap if order == "C" else memmap.T
    cuts = st.sampled_from([slice(None), slice(None, None, -2), slice(1, -1)])
    view = memmap[data.draw(st.tuples(cuts, cuts, cuts))]
    expected = np.array(view)
    for array in (view, np.asarray(view)):
        source = open_(array)
        selection = data.draw(selections(view.shape))
        np.testing.assert_array_equal(source.read(selection), expected[selection])
        np.testing.assert_array_equal(everything(source), expected)
        assert not source.in_memory


@pytest.fixture(scope="module")
def mapped_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("mapped") / "numbers.raw"
    RNG.random(20 * 3 * 40 + 4096, dtype=np.float32).tofile(path)
    return path


@pytest.mark.parametrize("kind", ["npy", "fortran npy", "uri", "uri with a space", "PathLike", "str"])
def test_npy_files_are_opened_by_path_and_uri(tmp_path, kind):
    path = tmp_path / ("my predictions.npy" if "space" in kind else "p.npy")
    np.save(path, np.asfortranarray(PREDICTIONS) if "fortran" in kind else PREDICTIONS)
    uri = {"uri": path.as_uri(), "uri with a space": path.as_uri(), "str": str(path)}.get(kind, path)
    source = open_(uri)
    assert source.where == str(path)
    np.testing.assert_array_equal(source.read((slice(7, 31), slice(0, 6))), PREDICTIONS[7:31])
    assert squared_loss(PREDICTIONS * 2, uri).sum == squared_loss(PREDICTIONS * 2, PREDICTIONS).sum


@pytest.mark.parametrize("shape", [(0, 3), ()])
def test_npy_files_without_rows_or_axes_are_readable(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.ones(shape, np.float32))
    assert everything(open_(tmp_path / "a.npy")).shape == shape


PLACES = {
    "the store's root": ("p.zarr", None),
    "a group": ("runs.zarr", "models/resnet/p"),
    "a store in a directory named like a store": ("outer.zarr/inner.zarr", "p"),
    "a store without a suffix": ("predictions", None),
    "a group of a store without a suffix": ("predictions", "models/p"),
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("place", PLACES)
def test_zarr_arrays_are_opened_by_path_and_uri(tmp_path, place, zarr_format):
    store, name = PLACES[place]
    store_array(tmp_path / store, PREDICTIONS, (7, 4), name=name, zarr_format=zarr_format)
    path = tmp_path / store / (name or "")
    for uri in (str(path), path, path.as_uri(), f"{path}/"):
        np.testing.assert_array_equal(everything(open_(uri)), PREDICTIONS)
    assert open_(path).chunk_shape == (7, 4)


def test_an_opened_array_is_read_whatever_its_store(tmp_path):
    memory = store_array(zarr.storage.MemoryStore(), PREDICTIONS, (7, 6), name="models/p")
    local = store_array(tmp_path / "p.zarr", PREDICTIONS, (7, 6))
    wrapped = zarr.open_array(zarr.storage.LoggingStore(zarr.storage.LocalStore(tmp_path / "p.zarr")), mode="r")
    zipped = zarr.storage.ZipStore(tmp_path / "p.zip", mode="w")
    in_zip = store_array(zipped, PREDICTIONS, (7, 6))
    for array in (memory, local, wrapped, in_zip):
        np.testing.assert_array_equal(everything(open_(array)), PREDICTIONS)
    zipped.close()


def test_shards_are_the_grain_of_a_sharded_array():
    array = store_array(zarr.storage.MemoryStore(), PREDICTIONS, (5, 6), shards=(20, 6))
    assert open_(array).chunk_shape == (20, 6)


def test_a_class_axis_cut_into_chunks_gives_the_losses_of_whole_rows():
    array = store_array(zarr.storage.MemoryStore(), PREDICTIONS, (9, 4))
    assert sparse_loss(LABELS, array).sum == sparse_loss(LABELS, PREDICTIONS).sum


@pytest.mark.parametrize("dtype", ["i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", ">i4", ">u8", "<f4", "<f8"])
def test_labels_of_every_dtype_mean_the_same(dtype):
    labels = LABELS.astype(dtype)
    expected = sparse_loss(LABELS, PREDICTIONS).sum
    assert sparse_loss(labels, PREDICTIONS).sum == expected
    assert sparse_loss(store_array(zarr.storage.MemoryStore(), labels, (13,)), PREDICTIONS).sum == expected


def test_boolean_labels_mean_0_and_1():
    binary = LABELS > 2
    expected = sparse_loss(binary.astype(np.int64), PREDICTIONS).sum
    for labels in (binary, store_array(zarr.storage.MemoryStore(), binary, (13,)), binary.tolist()):
        assert sparse_loss(labels, PREDICTIONS).sum == expected


@pytest.mark.parametrize("dtype", ["<f2", ">f4", ">f2", "i1", "bool"])
def test_predictions_of_every_dtype_mean_their_values(tmp_path, dtype):
    stored = (PREDICTIONS * 3).astype(dtype)
    np.save(tmp_path / "p.npy", stored)
    expected = squared_loss(PREDICTIONS, stored.astype(np.float32)).sum
    for array in (stored, store_array(zarr.storage.MemoryStore(), stored, (9, 4)), tmp_path / "p.npy"):
        assert squared_loss(PREDICTIONS, array).sum == expected


# What cannot be opened


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nowhere://bucket/p.zarr", "nowhere:// is not supported"),
        ("nowhere.npy", r"y_true: there is no file '\S*nowhere.npy'"),
        ("nowhere.zarr/p", r"y_true: there is no '\S*nowhere.zarr'"),
        ("runs.zarr/models/logistc", r"Did you mean 'models/logistic'\? Arrays: models/logistic, models/prior, y"),
        ("runs.zarr/logistic", "Did you mean 'models/logistic'"),
        ("runs.zarr/models", "is a Zarr group; name one of its arrays: logistic, prior"),
        ("runs.zarr", "is a Zarr group; name one of its arrays: models/logistic, models/prior, y"),
        ("empty", "it has no Zarr metadata"),
        (
            "table.csv",
            r"is a table in text, .*pandas\.read_csv\('\S*table.csv'\)\['name'\]\.to_numpy\(\) as y_true",
        ),
        ("torn.zarr", "its metadata cannot be read"),
        ("odd.zarr", "its metadata cannot be read"),
        ("nothing.npy", "not a readable .npy file"),
        ("text.npy", "not a readable .npy file"),
        ("directory.npy", "not a readable .npy file"),
        ("pickle.npy", "not a readable .npy file"),
        ("complex.npy", "expected numbers; received dtype complex128"),
        ("strings.npy", r"expected numbers; received dtype <U1 .\S*strings\.npy"),
        ("records.npy", "expected numbers; received dtype"),
        ("times.npy", "expected numbers; received dtype datetime64"),
    ],
)
def test_what_cannot_be_opened_is_named_with_what_is_there(directory_of_odds, uri, message):
    where = uri if "://" in uri else str(directory_of_odds / uri)
    with pytest.raises(SourceError, match=message):
        open_(where, "y_true")


@pytest.fixture(scope="module")
def directory_of_odds(tmp_path_factory):
    root = tmp_path_factory.mktemp("odds")
    for name in ("models/logistic", "models/prior", "y"):
        store_array(root / "runs.zarr", PREDICTIONS, (7, 6), name=name)
    zarr.open_group(root / "runs.zarr", mode="a")
    zarr.open_group(root / "runs.zarr/models", mode="a")
    (root / "empty").mkdir()
    (root / "directory.npy").mkdir()
    (root / "table.csv").write_text("0.1,0.9")
    (root / "nothing.npy").touch()
    (root / "text.npy").write_text("0.1,0.9")
    for name, text in (("torn.zarr", '{"zarr_for'), ("odd.zarr", "[]")):
        (root / name).mkdir()
        (root / name / "zarr.json").write_text(text)
    np.save(root / "pickle.npy", np.array([{}]), allow_pickle=True)
    np.save(root / "complex.npy", np.ones(3, complex))
    np.save(root / "strings.npy", np.array(["a"]))
    np.save(root / "records.npy", np.zeros(3, [("p", np.float32)]))
    np.save(root / "times.npy", np.zeros(3, "datetime64[s]"))
    return root


@pytest.mark.parametrize(
    "array",
    [np.ones(3, complex), ["a", "b"], [object()], None, {}, [[1, 2], [3]], np.zeros(2, "timedelta64[s]"), [2**70]],
    ids=["complex", "strings", "objects", "None", "dict", "ragged", "timedelta", "huge integers"],
)
def test_what_is_no_array_of_numbers_is_refused(array):
    with pytest.raises(SourceError, match="y_pred: "):
        open_(array)


def test_zarr_objects_that_are_no_array_of_numbers_are_refused():
    group = zarr.create_group(zarr.storage.MemoryStore())
    group.create_array("models/p", shape=(3,), dtype="f4")
    with pytest.raises(SourceError, match=r"received a Group with the arrays models/p"):
        open_(group)
    with pytest.raises(SourceError, match="received dtype complex64"):
        open_(zarr.create_array(zarr.storage.MemoryStore(), shape=(3,), dtype="c8"))
    with pytest.raises(SourceError, match="received dtype datetime64"):
        open_(zarr.create_array(zarr.storage.MemoryStore(), shape=(3,), dtype="M8[s]", zarr_format=2))


def test_masked_elements_are_not_read_as_what_lies_under_the_mask():
    masked = np.ma.masked_less(PREDICTIONS, 0.1)
    with pytest.raises(SourceError, match=f"y_pred: .* has {int(masked.mask.sum())} masked element"):
        open_(masked)
    np.testing.assert_array_equal(everything(open_(np.ma.masked_array(PREDICTIONS))), PREDICTIONS)


@pytest.mark.parametrize("attributes", [{"scale_factor": 0.1}, {"add_offset": 3}, {"_FillValue": -1}])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_packed_integers_are_refused_not_read_as_their_codes(attributes, zarr_format):
    store = zarr.storage.MemoryStore()
    array = store_array(store, LABELS, (13,), attributes=attributes, zarr_format=zarr_format)
    with pytest.raises(SourceError, match=next(iter(attributes))):
        open_(array, "y_true")


def test_other_attributes_are_no_obstacle():
    attributes = {"_FillValue": "AAAAAAAA+H8=", "units": "1", "long_name": "probabilities"}
    array = store_array(zarr.storage.MemoryStore(), PREDICTIONS, (13, 6), attributes=attributes)
    np.testing.assert_array_equal(everything(open_(array)), PREDICTIONS)


def test_an_unknown_policy_is_refused():
    with pytest.raises(UsageError, match="error, warn, fill; received 'ignore'"):
        open_(PREDICTIONS, missing_chunks="ignore")


# Chunks that were never written


@given(st.data())
def test_a_read_is_refused_exactly_where_it_touches_a_missing_chunk(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=9))
    expected = numbers("<f4", shape)
    options = data.draw(zarr_options(shape))
    chunks, shards = options["chunks"], options.get("shards", {}).get("shape", options["chunks"])
    array = zarr.create_array(zarr.storage.MemoryStore(), shape=shape, dtype="<f4", fill_value=-7, **options)
    grid = list(itertools.product(*(range(-(-n // c)) for n, c in zip(shape, chunks, strict=True))))
    written = data.draw(st.sets(st.sampled_from(grid), min_size=1))
    for position in written:
        box = box_of(position, chunks)
        array[box] = expected[box]
    for position in set(grid) - written:
        expected[box_of(position, chunks)] = -7

    def touched(selection):
        return set(
            itertools.product(*(range(s.start // c, -(-s.stop // c)) for s, c in zip(selection, chunks, strict=True)))
        )

    def shard_of(position):
        return tuple(i * c // s for i, c, s in zip(position, chunks, shards, strict=True))

    existing_shards = {shard_of(position) for position in written}
    strict, lenient, silent = (open_(array, missing_chunks=policy) for policy in MISSING_CHUNKS)
    pieces = set()
    for _ in range(4):
        selection = data.draw(selections(shape))
        missing = touched(selection) - written
        pieces |= {p if shard_of(p) in existing_shards else ("shard", shard_of(p)) for p in missing}
        if missing:
            with pytest.raises(MissingChunkError, match=r"y_pred: chunk \S+ .*of .* does not exist"):
                strict.read(selection)
        else:
            np.testing.assert_array_equal(strict.read(selection), expected[selection])
        np.testing.assert_array_equal(lenient.read(selection), expected[selection])
        np.testing.assert_array_equal(silent.read(selection), expected[selection])
    assert lenient.filled == len(pieces)
    assert silent.filled == 0


def box_of(position, chunks):
    return tuple(slice(i * c, (i + 1) * c) for i, c in zip(position, chunks, strict=True))


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"zarr_format": 2}, "2.0"),
        ({"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}, "2/0"),
        ({"zarr_format": 3}, "c/2/0"),
    ],
)
def test_the_message_names_role_chunk_and_store(tmp_path, options, key):
    path = tmp_path / "runs.zarr"
    store_array(path, PREDICTIONS, (10, 6), name="models/p", **options)
    (path / "models/p" / key).unlink()
    with pytest.raises(MissingChunkError) as error:
        squared_loss(PREDICTIONS, path / "models/p")
    assert str(error.value).startswith(f"y_pred: chunk models/p/{key} of {path}/models/p does not exist")
    assert "fill value 0.0" in str(error.value)
    assert error.value.exit_code == 3


def read_in_pieces(source, rows):
    for start in range(0, source.shape[0], rows):
        source.read((slice(start, start + rows), *(slice(0, n) for n in source.shape[1:])))


@pytest.mark.parametrize("index_location", ["start", "end"])
@pytest.mark.parametrize("rows_read", [60, 3], ids=["whole shards", "parts of shards"])
def test_inner_chunks_missing_from_a_shard_are_missing(index_location, rows_read):
    shards = {"shape": (30, 6), "index_location": index_location}
    array = zarr.create_array(zarr.storage.MemoryStore(), shape=(60, 6), chunks=(3, 6), shards=shards, dtype="f4")
    array[:33] = PREDICTIONS[:33]
    array[36:] = PREDICTIONS[36:]
    source = open_(array)
    with pytest.raises(MissingChunkError, match=r"y_pred: chunk c/1/0 \(inner chunk \(1, 0\)\) of "):
        read_in_pieces(source, rows_read)
    np.testing.assert_array_equal(source.read((slice(36, 60), slice(0, 6))), PREDICTIONS[36:])


def test_a_whole_missing_shard_is_missing(tmp_path):
    store_array(tmp_path / "p.zarr", PREDICTIONS, (3, 6), shards=(30, 6))
    (tmp_path / "p.zarr/c/1/0").unlink()
    with pytest.raises(MissingChunkError, match="y_pred: chunk c/1/0 of "):
        squared_loss(PREDICTIONS, tmp_path / "p.zarr")
    assert squared_loss(PREDICTIONS, tmp_path / "p.zarr", rows=slice(0, 30)).count == 30


def test_a_shard_index_that_cannot_be_watched_is_refused():
    codec = zarr.codecs.ShardingCodec(chunk_shape=(3, 6), index_codecs=[zarr.codecs.BytesCodec(endian="big")])
    array = zarr.create(store=zarr.storage.MemoryStore(), shape=(60, 6), chunks=(30, 6), codecs=[codec], dtype="f4")
    with pytest.raises(SourceError, match=r"missing chunks cannot be told.*missing_chunks=\{'y_pred': 'fill'\}"):
        open_(array)
    assert open_(array, missing_chunks="fill").shape == (60, 6)


def test_chunks_that_hold_only_the_fill_value_exist_when_they_were_written():
    array = zarr.create_array(
        zarr.storage.MemoryStore(), shape=(60, 6), chunks=(10, 6), dtype="f4", config={"write_empty_chunks": True}
    )
    array[...] = 0
    assert everything(open_(array)).max() == 0


def without_chunk(path, data, key="c/2/0", **options):
    store_array(path, data, (10, 6)[: data.ndim], **options)
    (path / key).unlink()
    return path


def test_a_missing_chunk_outside_of_the_rows_asked_for_is_no_error(tmp_path):
    path = without_chunk(tmp_path / "p.zarr", PREDICTIONS)
    for rows in (slice(0, 20), slice(30, 60), slice(5, 19), slice(33, None)):
        assert squared_loss(PREDICTIONS, path, rows=rows).sum == squared_loss(PREDICTIONS, PREDICTIONS, rows=rows).sum
    with pytest.raises(MissingChunkError):
        squared_loss(PREDICTIONS, path, rows=slice(0, 21))


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_under_warn_the_result_counts_each_missing_chunk_once(tmp_path, executor):
    path = without_chunk(tmp_path / "p.zarr", PREDICTIONS)
    (path / "c/4/0").unlink()
    with pytest.warns(StreamlossWarning, match="y_pred: 2 chunks of .* do not exist; their fill value was read"):
        result = sl.evaluate("mse", PREDICTIONS, path, missing_chunks="warn", executor=executor)
    assert [w for w in result.warnings if w.startswith("y_pred: 2 chunks")] == list(result.warnings)
    filled = PREDICTIONS.copy()
    filled[20:30] = filled[40:50] = 0
    assert result["mean_squared_error"].sum == squared_loss(PREDICTIONS, filled).sum


def test_under_warn_a_chunk_read_for_several_blocks_counts_once():
    array = zarr.create_array(zarr.storage.MemoryStore(), shape=(60, 6), chunks=(30, 6), dtype="f4")
    array[30:] = 1
    source = open_(array, missing_chunks="warn")
    read_in_pieces(source, 10)
    assert source.filled == 1


@pytest.mark.parametrize("dtype", ["f4", "i4", "bool"])
def test_an_array_of_format_2_without_a_fill_value_has_zeros_where_chunks_are_missing(tmp_path, dtype):
    array = zarr.create_array(
        tmp_path / "y.zarr", shape=(10,), chunks=(4,), dtype=dtype, zarr_format=2, fill_value=None
    )
    array[:4] = 1
    np.testing.assert_array_equal(everything(open_(array, missing_chunks="fill")), array[:])


def test_under_fill_missing_chunks_are_read_without_a_word(tmp_path):
    path = without_chunk(tmp_path / "p.zarr", PREDICTIONS)
    assert sl.evaluate("mse", PREDICTIONS, path, missing_chunks="fill").warnings == ()


def test_by_default_missing_labels_warn_and_missing_predictions_are_refused(tmp_path):
    path = without_chunk(tmp_path / "y.zarr", LABELS.astype(np.uint8), "c/2")
    with pytest.warns(StreamlossWarning, match="y_true: 1 chunk of "):
        sparse_loss(path, PREDICTIONS)
    with pytest.raises(MissingChunkError, match="y_true"):
        sparse_loss(path, PREDICTIONS, missing_chunks="error")


# Chunks that cannot be decoded


COMPRESSORS = {
    "raw": {"compressors": None},
    "zstd": {"compressors": zarr.codecs.ZstdCodec()},
    "blosc": {"compressors": zarr.codecs.BloscCodec()},
    "gzip": {"compressors": zarr.codecs.GzipCodec()},
    "crc32c": {"compressors": zarr.codecs.Crc32cCodec()},
    "raw v2": {"compressors": None, "zarr_format": 2},
    "compressed v2": {"zarr_format": 2},
}


@pytest.mark.parametrize("left", [0.5, 0.0], ids=["half", "empty"])
@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_a_truncated_chunk_is_corrupt_not_a_number(tmp_path, compressor, left):
    path = tmp_path / "p.zarr"
    store_array(path, PREDICTIONS, (10, 6), **COMPRESSORS[compressor])
    key = "2.0" if "v2" in compressor else "c/2/0"
    os.truncate(path / key, int((path / key).stat().st_size * left))
    with pytest.raises(CorruptChunkError, match=f"y_pred: chunk {key} of {path} cannot be decoded"):
        squared_loss(PREDICTIONS, path)
    assert squared_loss(PREDICTIONS, path, rows=slice(0, 20)).count == 20


@pytest.mark.parametrize("rows", [5, 15], ids=["shorter", "longer"])
@pytest.mark.parametrize("compressor", ["raw", "zstd", "blosc", "gzip"])
def test_a_chunk_of_another_length_is_corrupt_not_a_number(tmp_path, compressor, rows):
    """Whole in itself, so that its codec has nothing to say."""
    path, other = tmp_path / "p.zarr", tmp_path / "other.zarr"
    store_array(path, PREDICTIONS, (10, 6), **COMPRESSORS[compressor])
    store_array(other, PREDICTIONS[:rows], (rows, 6), **COMPRESSORS[compressor])
    shutil.copy(other / "c/0/0", path / "c/2/0")
    with pytest.raises(CorruptChunkError, match=f"y_pred: chunk c/2/0 of {path} cannot be decoded"):
        squared_loss(PREDICTIONS, path)


@pytest.mark.parametrize("options", [{"serializer": zarr.codecs.BytesCodec(endian="big")}, {"filters": "transpose"}])
def test_plain_local_chunks_bypass_zarr_and_others_do_not(tmp_path, options):
    plain = store_array(tmp_path / "a.zarr", PREDICTIONS, (10, 6))
    if options.get("filters"):
        options = {"filters": [zarr.codecs.TransposeCodec(order=(1, 0))]}
    other = store_array(tmp_path / "b.zarr", PREDICTIONS, (10, 6), **options)
    assert local_chunks(plain) is not None
    assert local_chunks(other) is None
    assert squared_loss(PREDICTIONS, other).sum == squared_loss(PREDICTIONS, plain).sum


@pytest.mark.parametrize("compressor", ["crc32c", "gzip"])
def test_a_flipped_bit_is_corrupt_where_the_codec_can_tell(tmp_path, compressor):
    path = tmp_path / "p.zarr"
    store_array(path, PREDICTIONS, (10, 6), **COMPRESSORS[compressor])
    flip(path / "c/3/0", -3)
    with pytest.raises(CorruptChunkError, match="chunk c/3/0"):
        squared_loss(PREDICTIONS, path)


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["truncated", "index", "empty"])
@pytest.mark.parametrize("rows", [slice(None), slice(50, 54)], ids=["whole shards", "part of a shard"])
@pytest.mark.parametrize("index_location", ["start", "end"])
@pytest.mark.parametrize("compressor", ["raw", "blosc"])
def test_a_damaged_shard_is_corrupt(tmp_path, damage, rows, index_location, compressor):
    path = tmp_path / "p.zarr"
    shards = {"shape": (30, 6), "index_location": index_location}
    store_array(path, PREDICTIONS, (3, 6), shards=shards, **COMPRESSORS[compressor])
    shard = path / "c/1/0"
    if damage == "index":
        flip(shard, -20 if index_location == "end" else 20)
    else:
        os.truncate(shard, shard.stat().st_size // 2 if damage == "truncated" else 0)
    with pytest.raises(CorruptChunkError, match=f"y_pred: chunk c/1/0 of {path} cannot be decoded"):
        squared_loss(PREDICTIONS, path, rows=rows)


def test_a_value_without_a_loss_is_named_with_the_chunk_that_holds_it():
    labels = LABELS.copy()
    labels[37] = 9
    array = store_array(zarr.storage.MemoryStore(), labels, (10,), name="y")
    with pytest.raises(sl.errors.ValueRangeError, match=r"y_true\[37\] is 9 \(chunk y/c/3"):
        sparse_loss(array, PREDICTIONS)


# Memory-mapped files


MAPPED_BYTES = 400 << 20


def mapped_resident_bytes():
    """Resident pages of files, those on a tmpfs included."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    kib = [int(line.split()[1]) for line in lines if line.startswith(("RssFile", "RssShmem"))]
    return sum(kib) << 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("view", ["npy", "r+", "as an ndarray", "a slice"])
def test_reading_a_memmap_leaves_none_of_its_pages_resident(tmp_path, view):
    path, shape = tmp_path / "p.npy", (MAPPED_BYTES // 400, 100)
    np.lib.format.open_memmap(path, "w+", np.float32, shape)
    memmap = np.load(path, mmap_mode="r+" if view == "r+" else "r")
    source = open_({"npy": path, "as an ndarray": np.asarray(memmap), "a slice": memmap[5:-5]}.get(view, memmap))
    before = mapped_resident_bytes()
    step = (8 << 20) // 400
    for start in range(0, source.shape[0], step):
        source.read((slice(start, min(start + step, source.shape[0])), slice(0, 100)))
        assert mapped_resident_bytes() - before < 16 << 20
    del source, memmap
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_changes_made_to_a_memmap_are_read_each_time(tmp_path, mode):
    PREDICTIONS.tofile(tmp_path / "p.raw")
    memmap = np.memmap(tmp_path / "p.raw", np.float32, mode, shape=PREDICTIONS.shape)
    memmap[10:20] = 5
    source = open_(memmap)
    for _ in range(2):
        np.testing.assert_array_equal(source.read((slice(10, 20), slice(0, 6))), 5)
    np.testing.assert_array_equal(memmap[10:20], 5)
    changed = PREDICTIONS.copy()
    changed[10:20] = 5
    assert squared_loss(PREDICTIONS, memmap).sum == squared_loss(PREDICTIONS, changed).sum


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_memory_of_reading_a_memmap_covers_its_copy_and_its_pages(tmp_path, order):
    memmap = np.memmap(tmp_path / "p.raw", np.float32, "w+", shape=(5000, 200), order=order)
    source = open_(memmap)
    rows = (100, 200)
    pages = -(-400 // 4096) + 1 if order == "F" else -(-100 * 800 // 4096) + 1
    runs = 200 if order == "F" else 1
    assert source.read_bytes(rows) >= 100 * 800 + min(runs * pages * 4096, memmap.nbytes)
    assert source.read_bytes(rows) <= source.read_bytes((200, 200)) <= 2 * memmap.nbytes + (1 << 20)
