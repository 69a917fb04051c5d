"""Losses of rows in a bucket: written once, continued by shards, refused and retried as they should be."""

import json

import numpy as np
import obstore
import pytest
import zarr

import streamloss as sl
from buckets import HTTP, config_of, options_for, served

SECRET = "very-secret-4711"
RNG = np.random.default_rng(1)
Y, P = (RNG.random(300) < 0.5).astype(np.int32), RNG.random(300)


@pytest.fixture(scope="module")
def proxy():
    with served("out", SECRET) as between:
        yield between


@pytest.fixture
def options(proxy):
    proxy.fault = lambda path, count: None
    return options_for(proxy, SECRET)


@pytest.fixture
def arrays(tmp_path):
    zarr.create_array(tmp_path / "y.zarr", data=Y, chunks=(50,))
    zarr.create_array(tmp_path / "p.zarr", data=P, chunks=(50,))
    return str(tmp_path / "y.zarr"), str(tmp_path / "p.zarr")


def evaluate(arrays, options, out, losses="bce", **others):
    return sl.evaluate(losses, *arrays, out=out, storage_options=options, **others)


def stored(options, uri):
    place, _, name = uri.rpartition(".zarr/")
    store = obstore.store.from_url(f"{place}.zarr", config=config_of(options), client_options=HTTP)
    return zarr.open_array(zarr.storage.ObjectStore(store, read_only=True), path=name)[:]


EXPECTED = sl.losses.BinaryCrossentropy(reduction="none")(Y, P)


@pytest.mark.parametrize("way", [{"executor": "inline"}, {"executor": "threads"}, {"scheduler": "threads"}])
def test_losses_of_rows_are_in_the_bucket(arrays, options, way, small_blocks):
    place = f"s3://out/{'-'.join([*way, *way.values()])}.zarr"
    result = evaluate(arrays, options, place, ["bce", "mse"], **way)
    assert result["bce"].out == f"{place}/binary_crossentropy"
    assert stored(options, result["bce"].out).tolist() == EXPECTED.tolist()
    again = sl.evaluate(None, None, result["bce"].out, storage_options=options)["recorded"]
    assert again.sum == result["bce"].sum
    assert SECRET not in result.to_json()


def test_options_may_be_those_of_the_target_alone(arrays, options):
    result = evaluate(arrays, {"out": options}, "s3://out/alone.zarr")
    assert stored(options, result["bce"].out).tolist() == EXPECTED.tolist()
    with pytest.raises(sl.errors.UsageError, match=r"'endpont'.*Did you mean 'endpoint'"):
        evaluate(arrays, {"out": {"endpont": "x"}}, "s3://out/never.zarr")


def test_shards_and_checkpoints_go_on_with_one_array(arrays, options, tmp_path, small_blocks):
    for shard in (1, 0, 2):
        result = evaluate(arrays, options, "s3://out/shards.zarr", shard=(shard, 3))
    assert stored(options, result["bce"].out).tolist() == EXPECTED.tolist()
    result.save(tmp_path / "2.state")
    assert SECRET not in (tmp_path / "2.state").read_text()

    def stop(progress):
        if progress.rows > 100:
            raise KeyboardInterrupt

    arguments = {"checkpoint": tmp_path / "saved", "executor": "inline"}
    with pytest.raises(KeyboardInterrupt):
        evaluate(arrays, options, "s3://out/saved.zarr", progress=stop, **arguments)
    result = evaluate(arrays, options, "s3://out/saved.zarr", **arguments)
    assert stored(options, result["bce"].out).tolist() == EXPECTED.tolist()


def test_what_is_there_is_not_replaced_unasked(arrays, options):
    evaluate(arrays, options, "s3://out/there.zarr")
    with pytest.raises(sl.errors.OutputExistsError, match="overwrite=True"):
        evaluate(arrays, options, "s3://out/there.zarr")
    result = sl.evaluate("bce", arrays[0], 1 - P, out="s3://out/there.zarr", overwrite=True, storage_options=options)
    assert stored(options, result["bce"].out).tolist() != EXPECTED.tolist()
    with pytest.raises(sl.errors.OutputExistsError, match="not a Zarr array"):
        evaluate(arrays, options, {"bce": "s3://out/there.zarr"}, overwrite=True)


def test_faults_that_pass_are_tried_again_and_others_are_one_error(arrays, options, proxy, small_blocks):
    proxy.fault = lambda path, count: 503 if "/c/" in path and count == 1 else None
    result = evaluate(arrays, options, "s3://out/retried.zarr")
    proxy.fault = lambda path, count: None
    assert stored(options, result["bce"].out).tolist() == EXPECTED.tolist()
    proxy.fault = lambda path, count: 403 if "refused.zarr" in path and "/c/" in path else None
    with pytest.raises(
        sl.errors.UnwritableOutputError, match=r"s3://out/refused.zarr.*already written are valid"
    ) as caught:
        evaluate(arrays, options, "s3://out/refused.zarr")
    assert SECRET not in str(caught.value)


def test_an_array_that_another_run_replaced_is_noticed(arrays, options, small_blocks):
    def replace(progress):
        if progress.rows == 300:
            evaluate(arrays, options, "s3://out/raced.zarr", overwrite=True)

    with pytest.raises(sl.errors.UnwritableOutputError, match="another run replaced it"):
        evaluate(arrays, options, "s3://out/raced.zarr", progress=replace, executor="inline")


def test_places_that_cannot_be_written(arrays, options):
    for uri, message in (
        ("https://host/a.zarr", "not written to"),
        ("s3://out/a.zarr?region=x", "storage_options="),
        ("ftp://host/a.zarr", "not written to"),
    ):
        with pytest.raises(sl.errors.UsageError, match=message):
            sl.evaluate("bce", *arrays, out=uri)
    with pytest.raises(sl.errors.UnwritableOutputError, match="bucket"):
        evaluate(arrays, options, "s3://no-such-bucket/a.zarr")


def test_the_metadata_says_what_the_losses_are(arrays, options):
    evaluate(arrays, options, "s3://out/described.zarr")
    store = obstore.store.from_url("s3://out/described.zarr", config=config_of(options), client_options=HTTP)
    content = json.loads(bytes(obstore.get(store, "binary_crossentropy/zarr.json").bytes()))
    assert content["attributes"]["loss"]["class_name"] == "BinaryCrossentropy"
