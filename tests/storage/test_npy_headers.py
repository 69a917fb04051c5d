"""Headers of ``.npy`` files that were damaged: numpy parses them as Python, and has many errors for them."""

import numpy as np
import pytest

import streamloss as sl
from soak import cases
from streamloss.errors import StreamlossError

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore::streamloss.errors.StreamlossWarning")]
MSE = sl.losses.MeanSquaredError(dtype="float64")
VALUES = np.arange(20, dtype="f4")
SHAPES = ("10**9", "-1", "1e3", "9" * 20, "True", "()", "None", "20,20", "19", "'a'")
ORDERS = ("False", "3", "None")
DTYPES = ("<f4,", "O", "<U3", "V4", "<f16", "<M8[s]", "(" * 100, "\0", "<f4\n", "<i4")
HEADERS = ("(" * 2000, "{" * 200, "'''", "lambda: 1", "\\\n", "0x", "{'shape': (20,)}", "[]", "{1: 2}")


def damaged(rng, whole):
    content, kind = bytearray(whole), rng.randrange(5)
    if kind == 0:
        for _ in range(rng.randrange(1, 4)):
            content[rng.randrange(128)] = rng.randrange(256)
        return bytes(content)
    if kind == 1:
        return whole[: rng.randrange(len(whole))]
    if kind == 2:
        at = rng.randrange(len(whole))
        return whole[:at] + rng.randbytes(rng.randrange(1, 9)) + whole[at:]
    given = (
        f"{{'descr': {rng.choice(DTYPES)!r}, 'fortran_order': False, 'shape': (20,), }}",
        f"{{'descr': '<f4', 'fortran_order': {rng.choice(ORDERS)}, 'shape': ({rng.choice(SHAPES)},), }}",
        rng.choice(HEADERS),
    )
    header = rng.choice(given).encode("latin1", "replace").ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + (len(header) & 0xFFFF).to_bytes(2, "little") + header + whole[128:]


def test_a_damaged_header_is_an_error_of_ours_or_the_numbers_that_numpy_reads(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, VALUES)
    whole = path.read_bytes()
    for rng in cases(400, seed=5):
        path.write_bytes(damaged(rng, whole))
        try:
            found = sl.evaluate(MSE, np.zeros(20, "f4"), str(path), nan_policy="omit")["mse"]
        except StreamlossError as error:
            assert "a.npy" in str(error) or "y_pred" in str(error)  # noqa: PT017
            continue
        read = np.load(path)
        assert read.shape == (20,)
        with np.errstate(invalid="ignore"):  # of NaN that signal
            expected = np.square(read.astype("f8"))
        assert found.sum == pytest.approx(expected[~np.isnan(expected)].sum(), rel=1e-6)
