"""What one pass over the data does for all its losses."""

import numpy as np

import streamloss as sl
from streamloss.execution.loss_on_block import LossOnBlock


def test_losses_that_differ_in_name_or_reduction_are_evaluated_once(monkeypatch, tmp_path):
    evaluated, evaluate = [], LossOnBlock.evaluate

    def counted(self, *arguments):
        evaluated.append(self.planned.name)
        return evaluate(self, *arguments)

    monkeypatch.setattr(LossOnBlock, "evaluate", counted)
    MSE = sl.losses.MeanSquaredError
    losses = {
        "mean": MSE(),
        "sum": MSE(reduction="sum"),
        "rows": MSE(reduction="none"),
        "double": MSE(dtype="float64"),
        "whole": MSE(axis=-1, reduction="sum"),  # what axis is by default
        "huber": sl.losses.Huber(),
        "steep": sl.losses.Huber(delta=2.0),
    }
    y, p = np.random.default_rng(4).random((2, 50, 3)).astype(np.float32)
    out = {"rows": str(tmp_path / "rows.zarr")}
    result = sl.evaluate(losses, y, p, out=out, executor="inline")
    assert evaluated == ["rows", "double", "huber", "steep"], "the one whose losses are kept stands for the others"
    for name, loss in losses.items():
        alone = sl.evaluate({name: loss}, y, p, out=out if name in out else None, overwrite=True, executor="inline")
        assert result[name].state == alone[name].state
        assert result[name].value == alone[name].value or name in out
