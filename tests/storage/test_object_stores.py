"""Arrays in object stores: what is read, what is refused, which faults are survived, and what is printed."""

from __future__ import annotations

import functools
import pickle
import threading
import warnings
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import obstore
import pytest
import zarr

import streamloss as sl
from buckets import HTTP, config_of, options_for, served
from streamloss.cli.config import load
from streamloss.errors import (
    ConfigError,
    CorruptChunkError,
    MissingChunkError,
    SourceError,
    StreamlossError,
    UsageError,
)
from streamloss.storage.sources import open_source
from streamloss.storage.stores import scrubbed
from streamloss.storage.uris import StorageOptions, address_of, redacted

DATA = np.random.default_rng(3).uniform(0.1, 1, (600, 8)).astype(np.float32)
SECRET = "very-secret-0815"


@pytest.fixture(scope="module")
def proxy():
    with served("bucket", SECRET) as between:
        yield between


@pytest.fixture(scope="module")
def filled(proxy):
    """A bucket with arrays of both formats, one with shards, one that only its group's metadata has."""
    options = options_for(proxy, SECRET)
    store = zarr.storage.ObjectStore(
        obstore.store.from_url("s3://bucket/a.zarr", config=config_of(options), client_options=HTTP)
    )
    root = zarr.create_group(store)
    root.create_array("three", data=DATA, chunks=(100, 8))
    root.create_array("shards", data=DATA, chunks=(50, 8), shards=(200, 8))
    holed = root.create_array("holed", shape=DATA.shape, dtype=DATA.dtype, chunks=(100, 8))
    holed[:200] = DATA[:200]
    root.create_array("consolidated", data=DATA, chunks=(100, 8))
    with warnings.catch_warnings(action="ignore"):  # zarr's own, about other libraries
        zarr.consolidate_metadata(store)
    obstore.delete(store.store, "consolidated/zarr.json")
    old = zarr.storage.ObjectStore(
        obstore.store.from_url("s3://bucket/old.zarr", config=config_of(options), client_options=HTTP)
    )
    zarr.create_group(old, zarr_format=2).create_array("two", data=DATA, chunks=(100, 8))
    return options


@pytest.fixture
def options(proxy, filled):
    proxy.fault = lambda path, count: None
    proxy.requests.clear()
    yield filled
    proxy.fault = lambda path, count: None


def opened(uri, options, missing_chunks="error"):
    return open_source(address_of(uri)._replace(options=StorageOptions(options)), "y_pred", missing_chunks)


def all_of(source):
    return source.read(tuple(slice(0, n) for n in source.shape))


def chunks_only(fault):
    """Apply a fault to chunks, not to metadata."""
    return lambda path, count: fault(count) if "/c/" in path else None


@pytest.mark.parametrize(
    "name", ["a.zarr/three", "a.zarr::three", "a.zarr/shards", "a.zarr/consolidated", "old.zarr/two"]
)
def test_arrays_of_every_layout_are_read(options, name):
    source = opened(f"s3://bucket/{name}", options)
    assert source.remote
    np.testing.assert_array_equal(all_of(source), DATA)


def test_an_evaluation_is_the_one_of_memory_and_keeps_no_secret(options):
    place = "s3://bucket/a.zarr/three"
    result = sl.evaluate("mse", np.zeros_like(DATA), place, storage_options=options)
    assert result["mean_squared_error"].mean == sl.evaluate("mse", np.zeros_like(DATA), DATA)["mean_squared_error"].mean
    by_role = sl.evaluate("mse", np.zeros_like(DATA), place, storage_options={"y_pred": options})
    source = opened(place, options)
    address = address_of(place)._replace(options=StorageOptions(options))
    printed = [repr(result), result.to_dict(), by_role.to_dict(), source._opened, source.where, source.fingerprint()]
    assert SECRET not in "".join(map(repr, [*printed, address]))


def test_another_process_opens_the_array_itself(options):
    source = pickle.loads(pickle.dumps(opened("s3://bucket/a.zarr/three", options)))
    np.testing.assert_array_equal(all_of(source), DATA)


@pytest.mark.parametrize(("name", "chunks"), [("three", 6), ("shards", 3)])
def test_each_chunk_or_shard_is_asked_for_once(proxy, options, name, chunks):
    source = opened(f"s3://bucket/a.zarr/{name}", options)
    metadata = proxy.requests.total()
    all_of(source)
    assert metadata <= 12
    assert proxy.requests.total() - metadata == chunks


@pytest.mark.parametrize("fault", [503, 500, "reset", "truncate"])
def test_faults_that_pass_are_survived(proxy, options, fault):
    proxy.fault = lambda path, count: fault if count == 1 else None
    np.testing.assert_array_equal(all_of(opened("s3://bucket/a.zarr/three", options)), DATA)


STAYING = [(503, "503"), ("reset", "s3://bucket"), ("truncate", "s3://bucket"), (403, "403"), (401, "401")]


@pytest.mark.parametrize(("fault", "says"), STAYING)
@pytest.mark.parametrize("policy", ["error", "fill"])
def test_faults_that_stay_name_the_object_and_are_never_fill_values(proxy, options, fault, says, policy):
    source = opened("s3://bucket/a.zarr/three", options, policy)
    proxy.fault = chunks_only(lambda count: fault)
    with pytest.raises(CorruptChunkError, match=says) as caught:
        all_of(source)
    assert "s3://bucket/a.zarr/three/c/" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert max(proxy.requests.values()) <= 4 * 4 + 4


def test_a_chunk_that_is_not_there_follows_the_policy(proxy, options):
    with pytest.raises(MissingChunkError, match="holed/c/2/0"):
        all_of(opened("s3://bucket/a.zarr/holed", options))
    filled = all_of(opened("s3://bucket/a.zarr/holed", options, "fill"))
    np.testing.assert_array_equal(filled[:200], DATA[:200])
    assert not filled[200:].any()


def test_a_credential_on_the_command_line_is_refused():
    loaded = load(None, {}, ["storage_options.endpoint=http://x"], PLACES)
    assert loaded.storage_options == {"endpoint": "http://x"}
    with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY") as caught:
        load(None, {}, [f"storage_options.secret_access_key={SECRET}"], PLACES)
    assert SECRET not in str(caught.value)


PLACES = {"losses": ["mse"], "y_true": "s3://b/y.zarr", "y_pred": "s3://b/p.zarr"}


def test_nothing_needs_to_be_listed(proxy, options):
    """S3 answers 403 for what is absent where listing is refused; metadata of the other format is then absent."""
    proxy.fault = lambda path, count: 403 if path.endswith(("old.zarr/two/zarr.json", "/.zgroup", "/bucket")) else None
    np.testing.assert_array_equal(all_of(opened("s3://bucket/old.zarr/two", options)), DATA)


def test_refused_attributes_do_not_pass_for_none(proxy, options):
    proxy.fault = lambda path, count: 403 if path.endswith(".zattrs") else None
    with pytest.raises(SourceError, match="403"):
        opened("s3://bucket/old.zarr/two", options)


@pytest.mark.parametrize(
    ("uri", "changed", "says"),
    [
        ("s3://bucket/a.zarr/nothing", {}, "not a Zarr array"),
        ("s3://bucket/a.zarr", {}, "is a Zarr group"),
        ("s3://no-such-bucket/a.zarr/three", {}, "the bucket does not exist"),
        ("s3://bucket/a.zarr/three", {"endpoint": "http://127.0.0.1:9"}, "s3://bucket/a.zarr"),
    ],
)
def test_a_wrong_place_gives_one_error(options, uri, changed, says):
    with pytest.raises(SourceError, match=says) as caught:
        opened(uri, options | changed)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "given", "says"),
    [
        ("s3://bucket/a.zarr/three", {"endpont": "x"}, "'endpont'.*Did you mean 'endpoint'.*Known: access_key_id"),
        ("s3://bucket/a.zarr/three", {"max_retries": "many"}, "a number"),
        ("s3://bucket/a.zarr?region=x", {}, "storage_options="),
        ("https://host/a.zarr?X-Signature=very-secret-0815", {}, "signs one object"),
        ("s3://bucket/a.zarr/three", {"y_pred": {}, "region": "x"}, "beside roles"),
        ("local.zarr", {"region": "x"}, "no array is the URI"),
    ],
)
def test_wrong_options_are_refused_by_name(uri, given, says):
    with pytest.raises(UsageError, match=says) as caught:
        sl.evaluate("mse", np.zeros(3), uri, storage_options=given)
    assert SECRET not in str(caught.value)


def test_urls_are_named_without_what_signs_them():
    assert redacted(f"https://me:{SECRET}@host/a.zarr?X={SECRET}::p") == "https://host/a.zarr::p"
    assert SECRET not in scrubbed(f"error for url (https://me:{SECRET}@host/a?sig={SECRET}) failed")


@pytest.mark.parametrize("password", ["", f"me:{SECRET}@"])
def test_arrays_are_read_from_a_web_server(tmp_path, password):
    zarr.create_array(tmp_path / "a.zarr", name="p", data=DATA, chunks=(100, 8))
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        source = opened(f"http://{password}127.0.0.1:{server.server_address[1]}/a.zarr/p", {})
        np.testing.assert_array_equal(all_of(source), DATA)
        assert SECRET not in f"{source.where} {source.fingerprint()} {source._opened!r}"
    finally:
        server.shutdown()
        server.server_close()


def test_other_schemes_are_read_through_fsspec():
    zarr.create_array("memory://some/a.zarr", name="p", data=DATA, chunks=(100, 8))
    np.testing.assert_array_equal(all_of(opened("memory://some/a.zarr/p", {})), DATA)
    with pytest.raises(StreamlossError, match="nothing:// is not supported"):
        opened("nothing://some/a.zarr/p", {})


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass
