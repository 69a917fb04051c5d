"""Parquet in object stores: folders as Spark writes them, patterns, faults, and how often the store is asked."""

import pickle
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamloss as sl
from buckets import HTTP, config_of, options_for, served
from streamloss.errors import CorruptChunkError, SourceError, UsageError
from streamloss.storage.sources import open_source
from streamloss.storage.uris import StorageOptions, address_of

SECRET = "very-secret-4711"
ROWS = 3000
RNG = np.random.default_rng(8)
LABELS, CHANCES = RNG.integers(0, 2, ROWS), RNG.random(ROWS).astype(np.float32)
FILES = ("run/part-0.parquet", "run/part-1.parquet", "run/part-2.parquet")


def content(first, stop):
    sink = pa.BufferOutputStream()
    table = pa.table({"y": LABELS[first:stop], "p": CHANCES[first:stop], "q": 1 - CHANCES[first:stop]})
    pq.write_table(table, sink, row_group_size=500)
    return sink.getvalue().to_pybytes()


@pytest.fixture(scope="module")
def proxy():
    with served("bucket", SECRET) as between:
        yield between


@pytest.fixture(scope="module")
def store(proxy):
    config = config_of(options_for(proxy, SECRET))
    found = obstore.store.from_url("s3://bucket", config=config, client_options=HTTP)
    for name, first in zip(FILES, range(0, ROWS, 1000), strict=True):
        obstore.put(found, name, content(first, first + 1000))
    obstore.put(found, "run/_SUCCESS", b"")
    obstore.put(found, "run/_temporary/part-9.parquet", b"torn")
    for month in (1, 2, 3):
        obstore.put(found, f"months/month={month}/a.parquet", content(1000 * (month - 1), 1000 * month))
    return found


@pytest.fixture
def options(proxy, store):
    proxy.fault = lambda path, count: None
    proxy.requests.clear()
    yield options_for(proxy, SECRET)
    proxy.fault = lambda path, count: None


def opened(uri, options):
    return open_source(address_of(uri)._replace(options=StorageOptions(options)), "y_pred", "error")


def all_of(source):
    return source.read(tuple(slice(0, n) for n in source.shape))


@pytest.mark.parametrize("place", ["run/", "run/*.parquet", "run/part-[012].parquet", "months/", "**/a.parquet"])
def test_folders_and_patterns_are_all_their_files_in_order(options, place):
    source = opened(f"s3://bucket/{place}::p", options)
    assert source.remote
    np.testing.assert_array_equal(all_of(source), CHANCES)


def test_an_evaluation_is_the_one_of_memory_and_keeps_no_secret(options):
    places = "s3://bucket/run/::y", "s3://bucket/run/::[q,p]"
    result = sl.evaluate("scce", *places, storage_options=options)
    shares = np.stack([1 - CHANCES, CHANCES], axis=1)
    assert result["scce"].sum == sl.evaluate("scce", LABELS, shares)["scce"].sum
    source = opened(places[1], options)
    assert SECRET not in "".join(map(repr, [result, result.to_dict(), source.fingerprint(), source.where]))
    np.testing.assert_array_equal(all_of(pickle.loads(pickle.dumps(source))), shares)


def test_a_row_group_is_asked_for_once_for_each_column_and_footers_once(proxy, options):
    y, p = opened("s3://bucket/run/*.parquet::y", options), opened("s3://bucket/run/*.parquet::p", options)
    assert proxy.requests.total() <= 2 + 3 * len(FILES)  # two lists; for a footer its length and itself
    proxy.requests.clear()
    all_of(y), all_of(p)
    assert proxy.requests.total() == 2 * 2 * len(FILES)


@pytest.mark.parametrize("fault", [503, "reset", "truncate"])
def test_faults_that_pass_are_survived(proxy, options, fault):
    source = opened("s3://bucket/run/::p", options)
    proxy.requests.clear()
    proxy.fault = lambda path, count: fault if count == 2 else None
    np.testing.assert_array_equal(all_of(source), CHANCES)


@pytest.mark.parametrize(("fault", "says"), [(403, "refused"), (404, "not found|404"), (503, "503")])
def test_faults_that_stay_name_the_object(proxy, options, fault, says):
    source = opened("s3://bucket/run/::p", options)
    proxy.fault = lambda path, count: fault if "part-1" in path else None
    with pytest.raises(CorruptChunkError, match=rf"(?is)y_pred: row group 0 of part-1\.parquet.*({says})"):
        all_of(source)


def test_an_object_that_was_written_anew_is_refused(store, options):
    obstore.put(store, "new/a.parquet", content(0, 1000))
    source = opened("s3://bucket/new/a.parquet::p", options)
    obstore.put(store, "new/a.parquet", content(1000, 2000))
    with pytest.raises(CorruptChunkError, match="changed since it was opened"):
        all_of(source)


@pytest.mark.parametrize(
    ("uri", "error", "says"),
    [
        ("s3://bucket/run/::r", SourceError, r"no column 'r'.*p \(float\)"),
        ("s3://bucket/gone.parquet::p", SourceError, "there is no 's3://bucket/gone.parquet'"),
        ("s3://bucket/run::p", SourceError, "A folder of Parquet files ends with a slash: s3://bucket/run/::p"),
        ("s3://bucket/gone/::p", SourceError, "has no Parquet files"),
        ("s3://bucket/run/*.parquet?x=1::p", UsageError, "query"),
        ("s3://nowhere/run/::p", SourceError, "NoSuchBucket|does not exist|not found"),
    ],
)
def test_what_is_not_there_is_named(options, uri, error, says):
    with pytest.raises(error, match=rf"(?s)y_pred: .*({says})"):
        opened(uri, options)


def test_a_file_behind_a_url_is_read(tmp_path):
    (tmp_path / "a.parquet").write_bytes(content(0, 1000))

    class Ranges(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_GET(self):
            body = (tmp_path / self.path.strip("/")).read_bytes()
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            part = body[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
            self.send_header("Content-Length", str(len(part)))
            self.send_header("Last-Modified", self.date_time_string(0))
            self.end_headers()
            self.wfile.write(part)

    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Ranges(*given, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        uri = f"http://127.0.0.1:{server.server_port}/a.parquet::p"
        np.testing.assert_array_equal(all_of(opened(uri, {})), CHANCES[:1000])
    finally:
        server.shutdown()
        server.server_close()


class TestFsspec:
    """Schemes that obstore has not are opened by fsspec's file systems."""

    ROOT = "memory://parquet-by-fsspec"

    @pytest.fixture(autouse=True)
    def files(self):
        import fsspec

        found = fsspec.filesystem("memory")
        for name, first in zip(FILES, range(0, ROWS, 1000), strict=True):
            found.pipe(f"/parquet-by-fsspec/{name}", content(first, first + 1000))
        found.pipe("/parquet-by-fsspec/run/_SUCCESS", b"")
        yield found
        found.rm("/parquet-by-fsspec", recursive=True)

    @pytest.mark.parametrize("place", ["run/", "run/*.parquet", "run/part-[012].parquet", "**/*.parquet"])
    def test_a_folder_or_a_pattern_is_read_as_the_columns_are_in_memory(self, place):
        found = sl.evaluate("bce", f"{self.ROOT}/{place}::y", f"{self.ROOT}/{place}::p")
        assert found.to_dict()["losses"] == sl.evaluate("bce", LABELS, CHANCES).to_dict()["losses"]

    def test_rows_of_one_object(self):
        uri = f"{self.ROOT}/{FILES[1]}"
        found = opened(f"{uri}::p", {})
        np.testing.assert_array_equal(found.read((slice(100, 900),)), CHANCES[1100:1900])

    def test_an_object_that_is_not_there_is_named(self):
        with pytest.raises(SourceError, match=r"run/part-9\.parquet"):
            opened(f"{self.ROOT}/run/part-9.parquet::p", {})

    def test_an_object_that_is_replaced_under_the_run_is_an_error(self, files):
        found = opened(f"{self.ROOT}/{FILES[0]}::p", {})
        files.pipe(f"/parquet-by-fsspec/{FILES[0]}", content(0, 10))
        with pytest.raises((SourceError, CorruptChunkError), match=r"changed|again"):
            found.read((slice(0, 500),))

    def test_a_scheme_that_nobody_has_is_an_error(self):
        with pytest.raises(SourceError, match="nosuch"):
            opened("nosuch://bucket/a.parquet::p", {})
