"""Files that would fill memory, never end, or are no files: each is an error that names it, soon, in little memory."""

import contextlib
import gzip
import os
import shutil
import threading
import tracemalloc
import zlib
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss.errors import CorruptChunkError, SourceError, StreamlossError, UsageError, ValueRangeError
from streamloss.storage.sources import open_source
from streamloss.storage.sources.zarr_decoders import decode_gzip, refuse_zstd

ROWS = 1000
LARGE = 400 << 20
VALUES = np.arange(ROWS, dtype="f4")
BLOCK = 128 << 10


def zstd_of_runs(size):
    """Return a frame that does not state its size: blocks of one repeated byte."""
    count = size // BLOCK
    blocks = [((BLOCK << 3) | (1 << 1) | (i == count - 1)).to_bytes(3, "little") + b"\0" for i in range(count)]
    return b"\x28\xb5\x2f\xfd\0\x70" + b"".join(blocks)


def zstd_that_states(size):
    """Return a frame of one byte that states another size."""
    return b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little") + ((1 << 3) | 1).to_bytes(3, "little") + b"\0"


def gzip_of_zeros(size):
    packer, parts = zlib.compressobj(1, wbits=31), []
    for _ in range(size >> 20):
        parts.append(packer.compress(bytes(1 << 20)))
    return b"".join([*parts, packer.flush()])


ZSTD, GZIP = zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec()
BOMBS = {
    "a stated size": (ZSTD, zstd_that_states(LARGE)),
    "runs": (ZSTD, zstd_of_runs(LARGE)),
    "frames": (ZSTD, zstd_that_states(1) * 20 + zstd_that_states(LARGE)),
    "gzip": (GZIP, gzip_of_zeros(LARGE)),
    "members of gzip": (GZIP, gzip.compress(bytes(100)) + gzip_of_zeros(LARGE)),
}


def local(folder, codec, content):
    zarr.create_array(folder / "a.zarr", shape=(ROWS,), chunks=(ROWS,), dtype="f4", compressors=codec)[:] = VALUES
    (folder / "a.zarr/c/0").write_bytes(content)
    return str(folder / "a.zarr")


def big_endian(folder, codec, content):
    serializer = zarr.codecs.BytesCodec(endian="big")
    zarr.create_array(
        folder / "a.zarr", shape=(ROWS,), chunks=(ROWS,), dtype="f4", compressors=codec, serializer=serializer
    )[:] = VALUES
    (folder / "a.zarr/c/0").write_bytes(content)
    return str(folder / "a.zarr")


def format_2(folder, codec, content):
    compressor = numcodecs.Zstd() if codec is ZSTD else numcodecs.GZip()
    zarr.create_array(
        folder / "a.zarr", shape=(ROWS,), chunks=(ROWS,), dtype="f4", zarr_format=2, compressors=compressor,
        filters=[numcodecs.Delta(dtype="f4")],
    )[:] = VALUES  # fmt: skip
    (folder / "a.zarr/0").write_bytes(content)
    return str(folder / "a.zarr")


def in_zip(folder, codec, content):
    local(folder, codec, content)
    shutil.make_archive(str(folder / "a.zarr"), "zip", folder / "a.zarr")
    return str(folder / "a.zarr.zip")


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("make", [local, big_endian, format_2, in_zip], ids=lambda make: make.__name__)
def test_content_beyond_its_chunk_is_refused_in_little_memory(make, bomb, tmp_path):
    place = make(tmp_path, *BOMBS[bomb])
    tracemalloc.start()
    try:
        with pytest.raises(CorruptChunkError, match=r"y_pred: chunk \S+ of .* cannot be decoded.*content has"):
            sl.evaluate("mse", VALUES, place, executor="inline")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200 << 20


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(VALUES.tobytes()),
        gzip.compress(VALUES[:10].tobytes()) + gzip.compress(VALUES[10:].tobytes()),
        gzip.compress(VALUES.tobytes()) + bytes(17),
    ],
    ids=["one member", "two", "zeros behind"],
)
def test_members_of_gzip_are_one_chunk(content, tmp_path):
    found = open_source(local(tmp_path, GZIP, content), "y_pred", "error")
    np.testing.assert_array_equal(found.read((slice(0, ROWS),)), VALUES)


@pytest.mark.parametrize("cut", [0, 5, 100, -1, -8])
def test_gzip_that_was_cut_off_or_is_damaged_is_refused(cut, tmp_path):
    whole = gzip.compress(VALUES.tobytes())
    for content in (whole[:cut], whole[:60] + bytes([whole[60] ^ 255]) + whole[61:]):
        with pytest.raises(CorruptChunkError, match="cannot be decoded"):
            sl.evaluate("mse", VALUES, local(tmp_path, GZIP, content))
        (tmp_path / "a.zarr/c/0").unlink()
        shutil.rmtree(tmp_path / "a.zarr")


def test_a_short_member_leaves_nothing_of_what_was_there():
    into = np.full(100, 7, np.uint8)
    with pytest.raises(ValueError, match="truncated: 50 bytes of 100"):
        decode_gzip(np.frombuffer(gzip.compress(bytes(50)), np.uint8), into)


def test_frames_of_zstandard_that_do_not_state_their_size_are_read(tmp_path):
    raw = VALUES.tobytes()
    blocks = b"".join(
        ((len(part) << 3) | (at + 1500 >= len(raw))).to_bytes(3, "little") + part
        for at in range(0, len(raw), 1500)
        for part in [raw[at : at + 1500]]
    )
    frame = b"\x28\xb5\x2f\xfd\0\x58" + blocks
    found = open_source(local(tmp_path, ZSTD, frame), "y_pred", "error")
    np.testing.assert_array_equal(found.read((slice(0, ROWS),)), VALUES)


@pytest.mark.parametrize("level", [1, 3, 19])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, 1 << 20, (1 << 20) + 1])
def test_frames_are_as_long_as_zstandard_says(level, size):
    rng = np.random.default_rng(size)
    for content in (bytes(size), rng.bytes(size), rng.integers(0, 3, size).astype(np.uint8).tobytes()):
        frame = np.frombuffer(numcodecs.Zstd(level=level, checksum=level == 3).encode(content), np.uint8)
        refuse_zstd(frame, size)
        refuse_zstd(np.concatenate([frame, frame]), 2 * size)
        if size:
            with pytest.raises(ValueError, match="content has"):
                refuse_zstd(np.concatenate([frame, frame]), 2 * size - 1)


@pytest.mark.parametrize("codec", [None, ZSTD])
def test_an_index_of_a_shard_that_was_damaged_takes_no_memory(codec, tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(ROWS,), shards=(ROWS,), chunks=(100,), dtype="f4", compressors=codec)[
        :
    ] = VALUES
    path = tmp_path / "a.zarr/c/0"
    whole, index = path.read_bytes(), 16 * 10 + 4
    for at in range(0, index - 4, 3):
        for bit in (0, 7):
            damaged = bytearray(whole)
            damaged[len(whole) - index + at] ^= 1 << bit
            checksum = numcodecs.checksum32.CRC32C(location="end")  # the index was damaged before it was checked
            damaged[-index:] = bytes(checksum.encode(np.frombuffer(bytes(damaged[-index:-4]), np.uint8)))
            path.write_bytes(damaged)
            # other bytes that are not compressed are numbers, too
            with contextlib.suppress(StreamlossError) if codec is None else pytest.raises(StreamlossError):
                sl.evaluate("mse", VALUES, str(tmp_path / "a.zarr"), executor="inline")


def soon(function):
    """Call a function in a thread that may never end, and raise what it raises."""
    raised = []

    def call():
        try:
            function()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits"
    raise raised[0]


@pytest.mark.parametrize("name", ["a.npy", "a.h5::x", "a.parquet::x", "a.nc::x", "a.safetensors::x", "a.zarr", "a.pt"])
def test_a_named_pipe_is_no_array(name, tmp_path):
    os.mkfifo(tmp_path / name.partition("::")[0])
    with pytest.raises(SourceError, match=r"y_pred: .*is a named pipe"):
        soon(lambda: sl.evaluate("mse", VALUES, f"{tmp_path}/{name}"))


def test_a_device_is_no_array():
    with pytest.raises(SourceError, match="'/dev/zero' is a device"):
        soon(lambda: sl.evaluate("mse", VALUES, "/dev/zero"))


def test_a_named_pipe_is_no_chunk(tmp_path):
    place = local(tmp_path, ZSTD, b"")
    (tmp_path / "a.zarr/c/0").unlink()
    os.mkfifo(tmp_path / "a.zarr/c/0")
    with pytest.raises(CorruptChunkError, match="it is a named pipe"):
        soon(lambda: sl.evaluate("mse", VALUES, place))


def test_a_named_pipe_is_no_state(tmp_path):
    os.mkfifo(tmp_path / "a.state")
    for read in (sl.load, lambda path: sl.merge([path]), sl.Evaluator("mse").restore):
        with pytest.raises(SourceError, match="named pipe"):
            soon(lambda read=read: read(tmp_path / "a.state"))


def test_what_is_no_place_of_a_file_or_name_of_a_loss():
    with pytest.raises(UsageError, match="NUL"):
        sl.evaluate("mse", "y\0.npy", VALUES)
    with pytest.raises(UsageError, match="received True"):
        sl.evaluate("mse", VALUES, VALUES, out=True)
    with pytest.raises(UsageError, match="received 3"):
        sl.evaluate("mse", VALUES, VALUES, out={"mse": 3})
    with pytest.raises(UsageError, match="two losses have one name: 1, '1'"):
        sl.evaluate({1: "mse", "1": "mae"}, VALUES, VALUES)
    assert not Path("True").exists()


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is float64 here")
@pytest.mark.parametrize("role", ["y_true", "y_pred", "sample_weight"])
def test_digits_that_float64_has_not_are_not_dropped(role):
    arrays = {"y_true": VALUES, "y_pred": VALUES, "sample_weight": VALUES}
    with pytest.raises(SourceError, match=rf"{role}: expected at most 64 bits"):
        sl.evaluate("mse", **(arrays | {role: VALUES.astype(np.longdouble)}))


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_integer_weights_are_exact_or_refused(dtype):
    weights = np.ones(ROWS, dtype)
    weights[7] = 2**53
    assert sl.evaluate("mse", VALUES, VALUES + 1, weights)["mse"].weight_sum == float(2**53 + ROWS - 1)
    weights[7] += 1
    with pytest.raises(ValueRangeError, match=r"9,007,199,254,740,993.*2\*\*53"):
        sl.evaluate("mse", VALUES, VALUES + 1, weights)
