"""Chunks in object stores that are fetched and decoded without zarr: bits, requests, holes, damage."""

from __future__ import annotations

import threading

import numpy as np
import obstore
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from buckets import HTTP, config_of, options_for, served
from streamloss.errors import CorruptChunkError, MissingChunkError
from streamloss.storage.sources import open_source
from streamloss.storage.uris import StorageOptions, address_of

DATA = np.random.default_rng(4).uniform(0.1, 1, (650, 10)).astype(np.float32)
SECRET = "very-secret-0816"
CODECS = {"none": None, "blosc": BloscCodec(cname="lz4"), "zstd": ZstdCodec(), "gzip": GzipCodec()}


@pytest.fixture(scope="module")
def proxy():
    with served("bucket", SECRET) as between:
        yield between


@pytest.fixture(scope="module")
def filled(proxy):
    options = options_for(proxy, SECRET)
    store = zarr.storage.ObjectStore(
        obstore.store.from_url("s3://bucket/a.zarr", config=config_of(options), client_options=HTTP)
    )
    root = zarr.create_group(store)
    for name, codec in CODECS.items():
        root.create_array(name, data=DATA, chunks=(100, 4), compressors=codec)
        root.create_array(f"{name}-shards", data=DATA, chunks=(50, 4), shards=(200, 8), compressors=codec)
    holed = root.create_array("holed-shards", shape=DATA.shape, dtype=DATA.dtype, chunks=(50, 10), shards=(200, 10))
    holed[:250] = DATA[:250]
    root.create_array("big", data=DATA.astype(">f4"), chunks=(100, 4))
    damaged = root.create_array("damaged", data=DATA, chunks=(100, 10), compressors=CODECS["blosc"])
    for place, keep in (("2/0", 30), ("4/0", 5)):
        key = f"damaged/c/{place}"
        body = bytes(obstore.get(store.store, key).bytes())
        obstore.put(store.store, key, body[: len(body) - keep])
    assert damaged.nchunks == 7
    return options


@pytest.fixture
def options(proxy, filled):
    proxy.fault = lambda path, count: None
    yield filled
    proxy.fault = lambda path, count: None


def opened(name, options, missing_chunks="error"):
    address = address_of(f"s3://bucket/a.zarr/{name}")._replace(options=StorageOptions(options))
    return open_source(address, "y_pred", missing_chunks)


@pytest.fixture
def without_zarr(monkeypatch):
    """Make reading through zarr an error."""

    def refuse(source, selection):
        raise AssertionError(f"{selection} was read through zarr")

    monkeypatch.setattr("streamloss.storage.sources.zarr.ZarrSource._read_by_zarr", refuse)


SELECTIONS = [np.s_[0:650, 0:10], np.s_[200:400, 0:8], np.s_[400:650, 8:10]]


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("name", [*CODECS, *(f"{name}-shards" for name in CODECS)])
def test_chunks_and_whole_shards_are_decoded_here_bit_by_bit(options, without_zarr, name, selection):
    np.testing.assert_array_equal(opened(name, options).read(selection), DATA[selection])


@pytest.mark.parametrize("name", CODECS)
def test_parts_of_chunks_are_decoded_here(options, without_zarr, name):
    np.testing.assert_array_equal(opened(name, options).read(np.s_[37:411, 3:9]), DATA[37:411, 3:9])


@pytest.mark.parametrize("name", ["big", "zstd-shards"])
def test_what_is_not_covered_is_read_through_zarr(options, name):
    np.testing.assert_array_equal(opened(name, options).read(np.s_[37:411, 3:9]), DATA[37:411, 3:9])


def test_eight_objects_are_asked_for_at_a_time(proxy, options):
    """Until eight chunks have been asked for, the server answers none of them."""
    source, together = opened("blosc", options), threading.Barrier(8)
    first = {f"/c/{i // 3}/{i % 3}" for i in range(8)}
    broken = []

    def wait(path, count):
        if any(path.endswith(place) for place in first):
            try:
                together.wait(30)
            except threading.BrokenBarrierError:
                broken.append(path)

    proxy.fault = wait
    np.testing.assert_array_equal(source.read(np.s_[0:650, 0:10]), DATA)
    assert not broken


def test_inner_chunks_that_are_not_there_follow_the_policy(options, without_zarr):
    whole = np.s_[0:650, 0:10]
    with pytest.raises(MissingChunkError, match=r"holed-shards/c/1/0 \(inner chunk \(1, 0\)\)"):
        opened("holed-shards", options).read(whole)
    found = opened("holed-shards", options, "fill").read(whole)
    np.testing.assert_array_equal(found[:250], DATA[:250])
    assert not found[250:].any()
    counted = opened("holed-shards", options, "warn")
    counted.read(whole)
    assert counted.filled == 3 + 2


@pytest.mark.parametrize(("rows", "chunk"), [(np.s_[0:300], "2/0"), (np.s_[300:650], "4/0")])
def test_a_chunk_cut_short_is_named(options, rows, chunk):
    with pytest.raises(CorruptChunkError, match=f"damaged/c/{chunk}"):
        opened("damaged", options, "fill").read((rows, np.s_[0:10]))


@pytest.mark.parametrize("name", ["blosc", "blosc-shards"])
def test_one_refused_object_among_others_is_no_fill_value(proxy, options, name):
    source = opened(name, options, "fill")
    proxy.fault = lambda path, count: 403 if path.endswith("/c/2/1") else None
    with pytest.raises(CorruptChunkError, match=rf"{name}/c/2/1.*403"):
        source.read(np.s_[0:650, 0:10])


@pytest.mark.parametrize("fault", ["stall", "stall in body"])
@pytest.mark.parametrize("name", ["blosc", "blosc-shards"])
def test_a_server_that_stalls_is_given_up_with_the_name_of_the_object(proxy, options, name, fault):
    """Without the timeout the proxy would never answer, so the test would never end."""
    source = opened(name, options | {"timeout": 0.3, "max_retries": 1, "retry_timeout": 2}, "fill")
    proxy.requests.clear()
    proxy.fault = lambda path, count: fault if path.endswith("/c/2/1") else None
    with pytest.raises(CorruptChunkError, match=rf"{name}/c/2/1.*(?i:time|body)"):
        source.read(np.s_[0:650, 0:10])
    assert max(proxy.requests.values()) <= 4


def test_a_server_that_stalls_once_is_asked_again(proxy, options):
    source = opened("blosc", options | {"timeout": 0.3})
    proxy.requests.clear()
    proxy.fault = lambda path, count: "stall" if count == 1 and path.endswith("/c/2/1") else None
    np.testing.assert_array_equal(source.read(np.s_[0:650, 0:10]), DATA)
