"""Kernels compiled ahead of time, and found again by evaluations."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import streamloss as sl
from other_process import run
from strategies import every_loss
from streamloss.api.kernels import compile_kernels
from streamloss.core import cache_folder, kernel_cache
from streamloss.errors import MachineError
from streamloss.kernels import cpu

EVALUATE = """
import json, sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import streamloss as sl
from streamloss.core.kernel_cache import counts
rng = np.random.default_rng(0)
labels, p = rng.integers(0, 10, 50), rng.random((50, 10), np.float32)
for y_true, y_pred, losses in [
    (labels, p, ["scce"]),
    (np.eye(10, dtype=np.float32)[labels], p, ["cce", "cosine_similarity"]),
    (np.eye(10, dtype=np.float32)[labels], p, ["dice"]),
    (p[:, 0], p[:, 1], ["mse"]),
    (p[:, 0], p[:, 1:3], ["gaussian_nll"]),
    (np.array([[1, 2]]), rng.random((1, 5, 4), np.float32), ["ctc"]),
]:
    sl.evaluate(losses, y_true, y_pred)
    if losses != ["dice"]:
        weights, mask = np.ones(len(y_true), np.float32), np.ones(len(y_true), bool)
        sl.evaluate(losses, y_true, y_pred, weights, mask=mask, nan_policy="omit", executor="threads")
print(json.dumps([counts.compiled, counts.found > 0, "numba" in sys.modules]))
"""


def test_evaluations_find_what_was_compiled_ahead(tmp_path):
    """One loss of each kind, with weights and without, masks and policies."""
    ahead = """
import json
from streamloss.api.kernels import compile_kernels
losses = ["scce", "cce", "cosine_similarity", "dice", "mse", "gaussian_nll", "ctc"]
made = []
for loss in losses:
    weights = [None] if loss == "dice" else [None, "float32"]
    classes = {"mse": [1], "gaussian_nll": [2]}.get(loss, [10])
    made += compile_kernels(loss, ["float32"], [], weights, classes)
print(json.dumps([[kernel.compiled for kernel in made], sorted({kernel.loss for kernel in made})]))
"""
    compiled, names = run(ahead, tmp_path / "cache")
    assert all(compiled)
    assert len(names) == 7
    assert run(EVALUATE, tmp_path / "cache") == [0, True, False]
    again, _ = run(ahead, tmp_path / "cache")
    assert not any(again)


def test_every_kind_of_loop_is_compiled_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr("streamloss.api.kernels._compiled", lambda request, *about: about)
    monkeypatch.setattr("streamloss.api.kernels.folder", lambda: tmp_path)
    made = list(compile_kernels(["mse", "scce", "gaussian_nll", "ctc"], ["float32", "float64"], [], [None]))
    assert [about[3] for about in made if about[0] == "float32"] == [1, 2, 9, 129, 2, 9, 129, 2, 2]
    labels = ["float64"] * 4 + ["int64"] * 3 + ["float64", "int64"]
    assert [about[1] for about in made if about[0] == "float64"] == labels


def test_without_a_cache_there_is_nothing_to_fill(monkeypatch):
    monkeypatch.setenv(cache_folder.SWITCH, "0")
    cache_folder.folder.cache_clear()
    with pytest.raises(MachineError, match="STREAMLOSS_CACHE_DIR"):
        next(compile_kernels("mse"))
    cache_folder.folder.cache_clear()


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.delenv(cache_folder.SWITCH, raising=False)
    monkeypatch.setenv(cache_folder.PLACE, str(tmp_path / "cache"))
    cache_folder.folder.cache_clear()
    yield
    cache_folder.folder.cache_clear()


@pytest.mark.parametrize("name", every_loss())
def test_a_kernel_from_the_cache_has_the_bits_of_one_that_was_compiled(name, own_cache):
    loss = every_loss()[name]
    formula, rng = loss.spec.formula, np.random.default_rng(5)
    rows, classes = 600, 3
    y_pred = (rng.random((rows, classes)) * 0.9 + 0.05).astype(np.float32)
    y_true = (rng.random((rows, classes)) * 0.9 + 0.05).astype(np.float32)
    if formula.label_layout.name == "SEQUENCE":
        y_true, y_pred = rng.integers(1, classes, (rows, 2)), rng.random((rows, 5, classes), np.float32)
    elif formula.integer_labels:
        y_true = rng.integers(0, classes, rows)
    elif formula.label_layout.name == "PER_ROW":
        y_true, y_pred = y_true[:, 0], y_pred[:, :2]
    counts = kernel_cache.counts

    def evaluated():
        cpu._loops.clear()  # as in a process that begins
        return sl.evaluate(loss, y_true, y_pred)[loss.name].state.to_bytes()

    before = counts.compiled
    compiled = evaluated()
    assert counts.compiled > before
    before, found = counts.compiled, counts.found
    assert evaluated() == compiled
    assert (counts.compiled, counts.found > found) == (before, True)


def test_threads_that_need_a_kernel_at_once_compile_it_once(own_cache):
    cpu._loops.clear()
    before = kernel_cache.counts.compiled
    loss, rows = sl.losses.LogCosh(), np.zeros(100, np.float64)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: float(loss(rows, rows)), range(16))) == {0.0}
    assert kernel_cache.counts.compiled == before + 1
