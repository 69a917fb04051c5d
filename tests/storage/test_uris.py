"""The parts of paths and URIs."""

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.errors import SourceError
from streamloss.storage.uris import address_of


@pytest.mark.parametrize(
    ("uri", "place", "member", "scheme"),
    [
        ("a.npy", "a.npy", "", "file"),
        ("data/*.parquet::p", "data/*.parquet", "p", "file"),
        ("s3://b/run.parquet::[p0,p1]", "s3://b/run.parquet", "[p0,p1]", "s3"),
        ("S3://b/store.zarr", "S3://b/store.zarr", "", "s3"),
        ("simplecache::s3://b/store.zarr", "simplecache::s3://b/store.zarr", "", "simplecache::s3"),
        ("file:///a%20b/run.h5::/group/name", "file:///a%20b/run.h5", "/group/name", "file"),
    ],
)
def test_the_last_two_colons_divide_the_place_from_the_member(uri, place, member, scheme):
    address = address_of(uri)
    assert (address.place, address.member, address.scheme) == (place, member, scheme)


def test_a_file_of_the_whole_name_is_that_file(tmp_path):
    np.save(tmp_path / "a::b.npy", np.ones(3))
    uri = str(tmp_path / "a::b.npy")
    assert sl.evaluate("mean_squared_error", uri, np.zeros(3), reduction="sum")["mean_squared_error"].value == 3


def test_a_member_of_a_zarr_store_is_the_path_inside_it(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", name="group/y", data=np.ones(3))
    uri = f"{tmp_path}/a.zarr::group/y"
    assert sl.evaluate("mean_squared_error", uri, np.zeros(3), reduction="sum")["mean_squared_error"].value == 3


def test_a_npy_file_has_no_members(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(SourceError, match=r"a \.npy file holds one array without a name"):
        sl.evaluate("mse", f"{tmp_path}/a.npy::y", np.zeros(3))
