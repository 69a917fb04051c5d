"""Random Zarr arrays are read as zarr reads them, byte for byte; damaged ones too, or they are errors of ours."""

import shutil

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

from soak import cases
from streamloss.errors import StreamlossError
from streamloss.storage.sources import open_source

pytestmark = pytest.mark.soak
DTYPES = ("f4", "f8", "f2", "i1", "i2", "i8", "u1", "u4", "?")
CODECS = {
    "none": (None, None),
    "zstd": (ZstdCodec(level=1), numcodecs.Zstd(level=1)),
    "zstd with a checksum": (ZstdCodec(level=3, checksum=True), numcodecs.Zstd(level=3, checksum=True)),
    "gzip": (GzipCodec(level=1), numcodecs.GZip(level=1)),
    "blosc": (BloscCodec(cname="lz4", shuffle="shuffle"), numcodecs.Blosc("lz4", 1, numcodecs.Blosc.SHUFFLE)),
    "blosc, zstd": (BloscCodec(cname="zstd", shuffle="bitshuffle"), numcodecs.Blosc("zstd", 1, 2)),
    "crc32c": (Crc32cCodec(), None),
    "zstd, crc32c": ((ZstdCodec(), Crc32cCodec()), numcodecs.Zstd()),
}


def written(rng, place):
    """Write an array, perhaps in part, and return it."""
    shutil.rmtree(place, ignore_errors=True)
    axes = rng.randrange(1, 4)
    shape = tuple(rng.randrange(1, (40, 12, 6)[axes - 1] * 2) for _ in range(axes))
    chunks = tuple(rng.randrange(1, n + 1) for n in shape)
    dtype, codec = np.dtype(rng.choice(DTYPES)), rng.choice(list(CODECS))
    fill = rng.choice((0, 1, np.nan if dtype.kind == "f" else 0))
    settings = {"shape": shape, "chunks": chunks, "fill_value": dtype.type(fill), "dtype": dtype}
    if rng.random() < 0.4:
        made = zarr.create_array(
            place, zarr_format=2, compressors=CODECS[codec][1], order=rng.choice("CF"),
            chunk_key_encoding={"name": "v2", "separator": rng.choice("./")},
            filters=[numcodecs.Delta(dtype)] if dtype.kind in "iu" and rng.random() < 0.2 else None,
            **(settings | {"dtype": dtype.newbyteorder(rng.choice("<>")) if dtype.itemsize > 1 else dtype}),
        )  # fmt: skip
    else:
        if rng.random() < 0.5:
            settings["shards"] = tuple(c * rng.randrange(1, 4) for c in chunks)
        made = zarr.create_array(
            place, zarr_format=3, compressors=CODECS[codec][0],
            filters=[TransposeCodec(order=tuple(reversed(range(axes))))] if rng.random() < 0.2 else None,
            serializer=BytesCodec(endian=rng.choice(("little", "big")) if dtype.itemsize > 1 else None),
            config={"write_empty_chunks": rng.random() < 0.5},
            **settings,
        )  # fmt: skip
    values = np.frombuffer(rng.randbytes(made.size * 8), "u8").reshape(shape) % 200
    values = (values.astype("i8") - (100 if dtype.kind in "fi" else 0)).astype(dtype)
    stop = rng.randrange(1, shape[0] + 1) if rng.random() < 0.3 else shape[0]
    made[:stop] = values[:stop]
    return made


def selections(rng, shape):
    yield tuple(slice(0, n) for n in shape)
    for _ in range(3):
        begin = [rng.randrange(n) for n in shape]
        yield tuple(slice(b, rng.randrange(b, n) + 1) for b, n in zip(begin, shape, strict=True))


def test_arrays_are_read_as_zarr_reads_them(tmp_path):
    for rng in cases(150, seed=11):
        array = written(rng, tmp_path / "a.zarr")
        source = open_source(str(tmp_path / "a.zarr"), "y_pred", "fill")
        for selection in selections(rng, array.shape):
            expected, found = np.asarray(array[selection]), source.read(selection)
            assert found.shape == expected.shape, array.info
            assert found.tobytes() == expected.astype(found.dtype).tobytes(), (selection, array.info)


def test_damaged_chunks_are_errors_or_what_zarr_reads(tmp_path):
    for rng in cases(150, seed=12):
        array = written(rng, tmp_path / "a.zarr")
        files = [
            file
            for file in sorted((tmp_path / "a.zarr").rglob("*"))
            if file.is_file() and file.name not in ("zarr.json", ".zarray", ".zattrs")
        ]
        if not files:
            continue
        file = rng.choice(files)
        content = bytearray(file.read_bytes())
        kind = rng.randrange(3)
        if kind == 0:
            content = content[: rng.randrange(len(content))]
        elif kind == 1:
            content += rng.randbytes(rng.randrange(1, 20))
        else:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
        whole = tuple(slice(0, n) for n in array.shape)
        try:
            found = open_source(str(tmp_path / "a.zarr"), "y_pred", "fill").read(whole)
        except StreamlossError as error:
            assert "y_pred" in str(error)  # noqa: PT017
            continue
        expected = np.asarray(zarr.open_array(tmp_path / "a.zarr", mode="r")[whole])
        assert found.tobytes() == expected.astype(found.dtype).tobytes(), array.info
