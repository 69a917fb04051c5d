"""8-bit floats, torch tensors and safetensors files: the numbers are those of their own libraries."""

import json
import pickle

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import streamloss as sl
from streamloss.errors import SourceError
from streamloss.storage.sources import open_source
from streamloss.storage.sources.float8 import KINDS, table_of

EVERY = np.arange(256, dtype=np.uint8)


def all_of(array, role="y_pred"):
    source = open_source(array, role, "error")
    return source.read(tuple(slice(0, n) for n in source.shape))


@pytest.mark.parametrize("kind", KINDS)
def test_8_bit_floats_are_those_of_ml_dtypes(kind):
    expected = EVERY.view(getattr(ml_dtypes, kind)).astype(np.float32)
    np.testing.assert_array_equal(table_of(kind), expected)
    assert np.array_equal(np.signbit(table_of(kind)), np.signbit(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_ml_dtypes_are_widened(kind):
    given = EVERY.reshape(64, 4).view(getattr(ml_dtypes, kind))
    np.testing.assert_array_equal(all_of(given), given.astype(np.float32))
    np.testing.assert_array_equal(all_of(given[::2, 1:3]), given[::2, 1:3].astype(np.float32))
    source = pickle.loads(pickle.dumps(open_source(given, "y_pred", "error")))
    np.testing.assert_array_equal(source.read((slice(3, 9), slice(0, 4))), given[3:9].astype(np.float32))


def test_torch_tensors_are_read_in_place():
    torch = pytest.importorskip("torch")
    values = torch.linspace(-3, 3, 24).reshape(6, 4)
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float8_e4m3fn, torch.float8_e5m2):
        given = values.to(dtype)
        np.testing.assert_array_equal(all_of(given), given.float().numpy())
        np.testing.assert_array_equal(all_of(given.T), given.T.float().numpy())
    wanted = values.clone().requires_grad_()
    np.testing.assert_array_equal(all_of(wanted), values.numpy())
    assert sl.evaluate("mse", values, wanted.to(torch.bfloat16))["mse"].sum > 0


ARRAYS = {
    "f4": np.linspace(-1, 1, 60, dtype=np.float32).reshape(20, 3),
    "f2": np.linspace(-1, 1, 20).astype(np.float16),
    "bf16": np.linspace(-1, 1, 20).astype(ml_dtypes.bfloat16),
    "i8": np.arange(-10, 10),
    "flag": np.arange(20) % 3 == 0,
    "none": np.empty((0, 3), np.float32),
}


@pytest.fixture
def file(tmp_path):
    save_file(ARRAYS, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize("name", ARRAYS)
def test_tensors_of_a_file_are_those_that_were_saved(name, file):
    uri = f"{file}::{name}"
    expected = ARRAYS[name].astype(np.float32) if name == "bf16" else ARRAYS[name]
    np.testing.assert_array_equal(all_of(uri), expected)
    source = pickle.loads(pickle.dumps(open_source(uri, "y_pred", "error")))
    assert (source.shape, source.dtype, source.where) == (expected.shape, expected.dtype, uri)


@pytest.mark.parametrize(("dtype", "kind"), [("F8_E4M3", KINDS[0]), ("F8_E5M2", KINDS[1])])
def test_8_bit_floats_of_a_file_are_widened(dtype, kind, tmp_path):
    header = json.dumps({"a": {"dtype": dtype, "shape": [256], "data_offsets": [0, 256]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + EVERY.tobytes())
    np.testing.assert_array_equal(all_of(tmp_path / "a.safetensors"), table_of(kind))


def test_another_name_is_an_error_that_lists_them(file):
    with pytest.raises(SourceError, match=r"no tensor 'flags'.* Did you mean 'flag'\?.*f4 \(20, 3\) F32"):
        all_of(f"{file}::flags")
    with pytest.raises(SourceError, match=r"holds 6 tensors; name one of them: .*a\.safetensors::name"):
        all_of(file)


def with_entry(**changes):
    def change(content, header):
        entry = json.loads(header)
        entry["f4"] |= changes
        text = json.dumps(entry).encode()
        return len(text).to_bytes(8, "little") + text + content[8 + len(header) :]

    return change


DAMAGE = {
    "empty": (lambda content, header: b"", "its header has 0 bytes"),
    "cut in the header": (lambda content, header: content[:20], "the file has 20"),
    "cut in the data": (lambda content, header: content[: len(content) - 240], "lies in bytes"),
    "no JSON": (
        lambda content, header: content[:8] + b"x" * len(header) + content[8 + len(header) :],
        "Expecting value",
    ),
    "a long header": (lambda content, header: (1 << 60).to_bytes(8, "little") + content[8:], "its header has"),
    "no mapping": (lambda content, header: (2).to_bytes(8, "little") + b"[]", "its header is no mapping"),
    "another shape": (with_entry(shape=[21, 3]), r"expected 252 bytes of F32 \(21, 3\)"),
    "a negative shape": (with_entry(shape=[-20, -3]), r"has the dtype 'F32' and the shape \(-20, -3\)"),
    "an unknown dtype": (with_entry(dtype="F128"), "known dtypes: F64"),
    "no place": (with_entry(data_offsets=None), "does not say where 'f4' is"),
    "places in text": (with_entry(data_offsets=["0", "240"]), "has the dtype"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_named(case, file):
    content = file.read_bytes()
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    change, says = DAMAGE[case]
    file.write_bytes(change(content, header))
    with pytest.raises(SourceError, match=rf"y_pred: .*a\.safetensors' is no whole safetensors file: .*{says}"):
        all_of(f"{file}::f4")
