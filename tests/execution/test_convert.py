"""Arrays in any memory are given to kernels in the form that they take, with the same bits."""

import numpy as np
import pytest

import streamloss as sl


def unaligned(array):
    """The same values, at an address that is no multiple of their size: as in a message that came over a network."""
    memory = bytearray(array.nbytes + 1)
    moved = np.frombuffer(memory, array.dtype, array.size, offset=1).reshape(array.shape)
    moved[...] = array
    assert not moved.flags.aligned
    return moved


def in_a_record(array):
    """The same values as a field of packed records."""
    records = np.zeros(array.shape, [("before", "u1"), ("value", array.dtype)])
    records["value"] = array
    assert not records["value"].flags.aligned
    return records["value"]


def reversed_bytes(array):
    return array.astype(array.dtype.newbyteorder())


FORMS = [unaligned, in_a_record, reversed_bytes, np.asfortranarray]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("mse", "float32"),
        ("mse", "int64"),
        ("categorical_crossentropy", "float64"),
        ("scce", "int64"),
        ("scce", "int32"),
    ],
)
def test_the_memory_of_an_array_changes_no_bit(loss, labels, dtype, form):
    rng = np.random.default_rng(7)
    y_pred = rng.random((40, 3)).astype(dtype)
    y_true = rng.integers(0, 3, 40) if loss == "scce" else rng.integers(0, 2, (40, 3))
    weight = rng.random(40).astype(dtype)
    arrays = y_true.astype(labels), y_pred, weight
    expected = sl.evaluate(loss, *arrays)
    found = sl.evaluate(loss, *map(form, arrays), mask=unaligned_mask(40))
    (name,) = expected
    assert found[name].state.to_bytes() == expected[name].state.to_bytes()


def unaligned_mask(rows):
    return np.frombuffer(bytearray(rows + 1), np.bool_, rows, offset=1) | True


def test_a_memory_map_may_begin_anywhere(tmp_path):
    values = np.random.default_rng(3).random(100)
    (tmp_path / "values.bin").write_bytes(b"\0" + values.tobytes())
    mapped = np.memmap(tmp_path / "values.bin", np.float64, "r", offset=1)
    loss = sl.losses.MeanSquaredError()
    assert loss(np.zeros(100), mapped) == loss(np.zeros(100), values)
