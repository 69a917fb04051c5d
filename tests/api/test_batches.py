"""`evaluate` over batches: the result of all rows at once, from loaders, generators and mappings."""

import numpy as np
import pytest

import streamloss as sl

RNG = np.random.default_rng(0)
Y, P, W = (RNG.random(100) < 0.5).astype(int), RNG.random(100), RNG.random(100)
CUTS = [slice(0, 7), slice(7, 64), slice(64, 100)]


class Loader:
    """A loader that knows its length and can be gone through again."""

    def __len__(self):
        return len(CUTS)

    def __iter__(self):
        return ((Y[cut], P[cut], W[cut]) for cut in CUTS)


@pytest.mark.parametrize(
    "batches",
    [
        Loader(),
        [(Y[cut], P[cut], W[cut]) for cut in CUTS],
        ({"y_true": Y[cut], "y_pred": P[cut], "sample_weight": W[cut]} for cut in CUTS),
    ],
    ids=["loader", "list", "generator of mappings"],
)
def test_the_result_is_that_of_all_rows(batches):
    found, seen = None, []
    found = sl.evaluate(["bce", "mse"], batches=batches, progress=seen.append)
    expected = sl.evaluate(["bce", "mse"], Y, P, W)
    for name in expected:
        assert found[name].state.to_bytes() == expected[name].state.to_bytes()
    assert found.rows == 100
    assert [progress.rows for progress in seen] == [7, 64, 100]
    assert seen[-1].total == 100


def test_a_loader_with_a_length_tells_how_much_is_left():
    seen = []
    sl.evaluate("mse", batches=Loader(), progress=seen.append)
    assert [progress.total for progress in seen] == [21, 96, 100]


def test_errors_name_the_batch():
    with pytest.raises(sl.errors.ValueRangeError, match=r"y_pred\[1\] is NaN") as caught:
        sl.evaluate("mse", batches=[(Y, P), (Y[:3], np.array([0.1, np.nan, 0.2]))])
    assert "batch 1" in caught.value.__notes__[0]
    with pytest.raises(sl.errors.UsageError, match="batch 0 is a tuple of 1"):
        sl.evaluate("mse", batches=[(Y,)])
    with pytest.raises(sl.errors.UsageError, match="no batches yet"):
        sl.evaluate("mse", batches=[])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"y_true": Y}, "y_true"),
        ({"by": {"k": Y}}, "by"),
        ({"stats": "stderr"}, "stats"),
        ({"out": "a.zarr"}, "out"),
        ({"shard": (0, 2)}, "shard"),
        ({"executor": "dask"}, "executor"),
        ({"batches": {"y_true": Y}}, "batches is a dict"),
        ({"batches": 5}, "batches is a int"),
    ],
)
def test_arguments_that_need_arrays_are_refused(arguments, named):
    with pytest.raises(sl.errors.UsageError, match=named):
        sl.evaluate("mse", **{"batches": Loader(), **arguments})


def test_a_data_loader_of_torch():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(Y), torch.tensor(P), torch.tensor(W))
    loader = torch.utils.data.DataLoader(data, batch_size=16)
    assert sl.evaluate("bce", batches=loader)["bce"].sum == sl.evaluate("bce", Y, P, W)["bce"].sum
