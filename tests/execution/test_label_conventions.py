"""What all labels decide (the hinge family's convention) is decided by the rows that count, wherever it is asked."""

import dask.array as da
import numpy as np
import pytest
import zarr

import streamloss as sl

pytestmark = pytest.mark.filterwarnings("ignore::streamloss.errors.StreamlossWarning")

LABELS = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
PREDICTIONS = np.array([0.2, 0.7, -0.3, 0.1, 0.5, -0.4])


def binary_losses():
    return np.maximum(0, 1 - (2 * LABELS - 1) * PREDICTIONS)


def with_a_row(label, prediction):
    """Return labels and predictions with one more row, in the middle."""
    return np.insert(LABELS, 3, label), np.insert(PREDICTIONS, 3, prediction)


NO_SAY = {
    "masked": (with_a_row(-1.0, 0.3), {"mask": np.insert(np.ones(6, bool), 3, False)}),
    "weight of 0": (with_a_row(-1.0, 0.3), {"sample_weight": np.insert(np.ones(6), 3, 0.0)}),
    "label omitted": (with_a_row(np.nan, 0.3), {"nan_policy": "omit"}),
    "prediction omitted": (with_a_row(-1.0, np.nan), {"nan_policy": "omit"}),
}


@pytest.mark.parametrize("case", NO_SAY)
@pytest.mark.parametrize("kind", ["memory", "dask", "shards"])
def test_rows_that_do_not_count_have_no_say(case, kind, tmp_path):
    (y, p), options = NO_SAY[case]
    out = str(tmp_path / "out.zarr")
    if kind == "dask":
        arrays = {name: da.from_array(a, chunks=3) for name, a in options.items() if isinstance(a, np.ndarray)}
        options = {**options, **arrays}
        result = sl.evaluate("hinge", da.from_array(y, chunks=3), da.from_array(p, chunks=3), out=out, **options)
    elif kind == "shards":
        parts = [sl.evaluate("hinge", y, p, out=out, shard=(i, 2), **options) for i in range(2)]
        result = sl.merge(parts)
    else:
        result = sl.evaluate("hinge", y, p, out=out, **options)
    expected = binary_losses()
    assert result["hinge"].sum == pytest.approx(expected.sum(), rel=1e-15)
    np.testing.assert_allclose(np.delete(zarr.open_array(f"{out}/hinge")[:], 3), expected, rtol=1e-15)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "categorical_hinge"])
@pytest.mark.parametrize("label", [0.0, -1.0])
def test_only_rows_that_are_evaluated_have_a_say(loss, label, tmp_path):
    if loss == "categorical_hinge":
        y, p = np.eye(2)[[0, 1, 1, 0, 1]], np.linspace(-1, 1, 10).reshape(5, 2)
        beyond = np.full((1, 2), label)
    else:
        y, p, beyond = LABELS[:5], PREDICTIONS[:5], np.array([label])
    whole = np.concatenate([y, beyond]), np.concatenate([p, p[:1]])
    expected = sl.evaluate(loss, y, p, out=str(tmp_path / "a.zarr"))[loss]
    result = sl.evaluate(loss, *whole, rows=slice(0, 5), out=str(tmp_path / "b.zarr"))[loss]
    assert result.sum == expected.sum
    written = [zarr.open_array(tmp_path / f"{name}.zarr/{loss}")[:] for name in "ab"]
    np.testing.assert_array_equal(written[0], written[1])
    assert written[1].sum() == pytest.approx(result.sum, rel=1e-15), "one convention for both"


def test_a_label_of_a_row_that_counts_decides_for_all(tmp_path):
    y, p = with_a_row(-1.0, 0.3)
    result = sl.evaluate("hinge", y, p, out=str(tmp_path / "out.zarr"), sample_weight=np.full(7, 0.5))
    as_they_are = np.maximum(0, 1 - y * p)
    np.testing.assert_allclose(zarr.open_array(tmp_path / "out.zarr/hinge")[:], as_they_are * 0.5, rtol=1e-15)
    assert result["hinge"].sum == pytest.approx(as_they_are.sum() / 2, rel=1e-15)
