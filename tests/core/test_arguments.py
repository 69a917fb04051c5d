"""Arguments as machine words, beside the structures by which Numba passes them."""

from typing import NamedTuple

import numpy as np
import pytest

from streamloss.core.arguments import ArrayKind, Flattened, TupleKind, append_words, text_of
from streamloss.core.loop import loop


class Record(NamedTuple):
    factor: float
    rows: np.ndarray


@loop
def total(record, flag, pair, matrix, nothing, out):
    value = 0.0
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            value += matrix[i, j] * record.rows[i]
    out[0] = value * record.factor + pair[0] - pair[1]
    return 1 if flag else 2


def test_a_loop_sees_its_arguments():
    matrix, rows = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 10], np.int64)
    out = np.empty(1)
    expected = (matrix * rows[:, np.newaxis]).sum() * 0.5 + 7 - 2.5
    for flag, returned in ((True, 1), (False, 2), (np.True_, 1)):
        out[0] = np.nan
        assert total(Record(0.5, rows), flag, (7, 2.5), matrix, (), out) == returned
        assert out[0] == expected
    frozen = matrix.view()
    frozen.flags.writeable = False
    shared = Flattened(Record(np.float64(0.5), rows))
    assert total(shared, True, (np.int8(7), 2.5), frozen, (), out) == 1
    assert out[0] == expected


def test_kinds_differ_where_machine_code_does():
    def kind(value):
        return append_words(value, [])

    array = np.zeros((2, 3), np.float32)
    values = [array, array[0], array.astype(np.float64), array.astype(np.uint32), 1, 1.0, True, (1,), (1, 1), ((1,),)]
    values += [Record(1.0, array), (1.0, array), Record(1, array)]
    texts = [text_of(kind(value)) for value in values]
    assert len(set(texts)) == len(values)
    assert kind(array) == ArrayKind(np.dtype(np.float32), 2)
    assert kind((1, 2.0)) == TupleKind(None, ("int64", "float64"))


def test_records_of_other_fields_have_other_texts():
    def made(fields):
        return NamedTuple("Record", fields)

    texts = {
        text_of(append_words(made(fields)(1, 2), [])) for fields in ([("a", int), ("b", int)], [("b", int), ("a", int)])
    }
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("argument", "received"),
    [
        (np.zeros((3, 4))[:, 1:], "strides"),
        (np.zeros((3, 4)).T, "strides"),
        (np.zeros(33, np.uint8)[1:].view(np.float64), "aligned"),
        (np.zeros(3, ">f8"), "native byte order"),
        (np.zeros(3, [("a", "i8"), ("b", "i8")]), "arrays of numbers"),
        ([1.0], "list"),
        (None, "NoneType"),
        (np.float32(1), "float32"),
    ],
)
def test_arguments_that_kernels_do_not_take_are_refused(argument, received):
    @loop
    def first(values):
        return 0

    with pytest.raises(TypeError, match=received):
        first(argument)


def test_integers_beyond_64_bits_are_refused():
    with pytest.raises(OverflowError, match="64 bits"):
        append_words(1 << 63, [])


def test_a_kernel_that_raises_gives_no_result():
    """As with NUMBA_BOUNDSCHECK=1 one would that left its arrays."""

    @loop
    def refusing(values):
        if values[0] > 0:
            raise ValueError("positive")
        return 7

    assert refusing(np.zeros(1)) == 7
    with pytest.raises(RuntimeError, match="stopped before its end"):
        refusing(np.ones(1))
