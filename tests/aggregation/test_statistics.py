"""Statistics are declared once: kernels, states and merges pick them up."""

import functools
import math
from fractions import Fraction

import numpy as np
import pytest
import zarr

import streamloss as sl
from kernel_calls import key_of, new_totals, settings_of
from streamloss.aggregation.identity import StateIdentity
from streamloss.aggregation.reductions import derived_values
from streamloss.aggregation.state import State
from streamloss.aggregation.statistics import accumulation_of, known, values_of
from streamloss.aggregation.tables.cuts import Cut
from streamloss.api.grouping import Grouping
from streamloss.api.inputs import Inputs
from streamloss.api.interop import loss_requests
from streamloss.api.request import Options, plan_request
from streamloss.api.run import choose_executor, run_plan
from streamloss.formulas._registry import LossSpec
from streamloss.kernels import cpu
from streamloss.kernels.base import Operands, Output

OPTIONAL = tuple(
    sorted(f"{name}=7" if of.parameter else name for name, of in known().items() if name not in ("totals", "paired"))
)
"""All statistics beside the totals."""
KEYED = Grouping(((Cut("third"), np.arange(60) % 3), (Cut("cluster", "cluster"), np.arange(60) // 7)), (0,), OPTIONAL)
"""Keys of each role for 60 rows."""
NO_WEIGHT, NO_MASK = np.empty(0), np.empty(0, np.bool_)


def evaluated(dtype, y, p, weight=NO_WEIGHT, mask=NO_MASK, policy="raise", statistics=("stderr",)):
    """The losses of rows, and the sums and counts of a kernel with some statistics."""
    spec = LossSpec.of("mean_squared_error", {})
    key, settings = key_of(spec, dtype, 1, statistics), settings_of(spec, dtype, 1, policy)
    losses, totals = np.empty(len(p), dtype), new_totals(key)
    bad = cpu.serial(key)(Operands(y, p, weight, mask), settings, Output(True, losses), totals)
    assert bad == -1
    return losses, *key.accumulation.content_of(*totals, weight.size > 0)


def data(rows=1500, seed=5):
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.uniform(-30, 20, (rows, 1)))
    return rng.normal(size=(2, rows, 1)) * scale, rng.random(rows) * 3, rng.random(rows) < 0.7


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_second_moment_is_the_exact_sum_of_squares(dtype, weighted):
    (y, p), weight, mask = data()
    losses, sums, counts = evaluated(dtype, y, p, weight if weighted else NO_WEIGHT, mask)
    kept = losses[mask].astype(np.float64)
    assert sums["loss_squared"].exactly() == sum((Fraction(v) ** 2 for v in kept.tolist()), Fraction(0))
    assert sums["loss"].rounded() == math.fsum(kept)
    assert counts["count"] == mask.sum()
    assert counts["nonzero_weights"] == mask.sum()
    state = State(StateIdentity("mse", {}, "float32", weighted=False), sums, counts)
    mean = sum(map(Fraction, kept.tolist()), Fraction(0)) / len(kept)
    variance = sum((Fraction(v) - mean) ** 2 for v in kept.tolist()) / (len(kept) - 1) / len(kept)
    values = values_of(state, ("stderr",))
    assert values["stderr_of_mean"] == pytest.approx(math.sqrt(variance), rel=1e-15)


def test_rows_that_are_left_out_have_no_square():
    (y, p), weight, _ = data(40)
    p[3] = p[17] = np.nan
    losses, sums, counts = evaluated("float64", y, p, weight, policy="omit")
    left = np.delete(losses, [3, 17]).tolist()
    assert sums["loss_squared"].exactly() == sum((Fraction(v) ** 2 for v in left), Fraction(0))
    assert counts["omitted"] == 2


@pytest.mark.parametrize("largest", [1e200, np.inf])
def test_squares_beyond_the_largest_float_are_infinite(largest):
    p = np.array([[largest], [1.0]])
    _, sums, _ = evaluated("float64", np.zeros((2, 1)), p)
    assert sums["loss_squared"].special == np.inf


def test_every_evaluation_has_the_totals_and_nothing_else():
    totals = known()["totals"]
    assert accumulation_of().sums == totals.sums
    assert accumulation_of() is accumulation_of()
    state = sl.evaluate("mse", np.zeros(3), np.ones(3), np.ones(3))["mean_squared_error"].state
    assert set(state.sums) == {total.name for total in totals.sums}
    assert set(state.counts) == {"count", "omitted", "ignored", *(held.name for held in totals.counts)}


def test_declared_names_are_unique():
    names = [total.name for statistic in known().values() for total in (*statistic.sums, *statistic.counts)]
    assert len(names) == len(set(names))
    assert not {f"{name}_binary" for name in names} & set(names)
    assert not {"count", "omitted", "ignored", "other_labels"} & set(names), "counts that every state has"
    derived = [name for statistic in known().values() for name in statistic.derived]
    assert len(derived) == len(set(derived))


def states_of(loss, y, p, weight, executor, cuts=(None,), grouping=KEYED, **options):
    """The states of parts of the rows that an executor evaluates, with all statistics."""
    (request,) = loss_requests(loss)
    states = []
    for rows in cuts:
        inputs, asked = Inputs(y, p, weight, None, grouping), Options(rows=rows, executor=executor, **options)
        plan = plan_request((request,), inputs, asked)
        states += run_plan(plan, choose_executor(plan, inputs, asked), {}).result.states
    return states


def grouping_for(loss):
    """All statistics that have a meaning for a loss."""
    if loss in ("mse", "hinge"):
        kept = tuple(text for text in OPTIONAL if not text.startswith(("calibration", "confusion")))
        return Grouping(KEYED.keys, KEYED.keep, kept)
    return KEYED


@pytest.mark.parametrize(
    "loss", ["mse", "hinge", "cce", sl.losses.SparseCategoricalCrossentropy(ignore_class=1)], ids=str
)
def test_every_executor_chunking_and_merge_has_the_bytes_of_one_block(loss, small_blocks, tmp_path):
    rng, weight = np.random.default_rng(9), np.random.default_rng(10).random(60)
    p = rng.random((60, 3)).astype(np.float32)
    y = rng.integers(0, 2, 60 if not isinstance(loss, str) else (60, 3)).astype(np.uint8)
    place = tmp_path / "store.zarr"
    for name, array, chunks in (("y", y, (11, 3)), ("p", p, (7, 3)), ("w", weight, (60,))):
        made = zarr.create_array(place, name=name, shape=array.shape, chunks=chunks[: array.ndim], dtype=array.dtype)
        made[...] = array
    stored = [str(place / name) for name in ("y", "p", "w")]
    asked = grouping_for(loss)
    (whole,) = states_of(loss, y, p, weight, "inline", grouping=asked)
    for executor, scheduler in (("inline", None), ("threads", None), ("dask", "threads")):
        (found,) = states_of(loss, *stored, executor, grouping=asked, scheduler=scheduler)
        assert found.to_bytes() == whole.to_bytes(), executor
    parts = states_of(loss, *stored, "threads", (slice(40, 60), slice(0, 11), slice(11, 40)), asked)
    merged = functools.reduce(State.merge, parts)
    assert State.from_bytes(merged.to_bytes()).to_bytes() == whole.to_bytes()
    assert derived_values(merged) == derived_values(whole)
    assert set(derived_values(whole)) == {
        name for text in asked.statistics for name in known()[text.partition("=")[0]].derived
    }
    names = {text.partition("=")[0] for text in asked.statistics} - {"stderr"}
    assert names <= {*whole.parts}, "each statistic that collects rows has a part of its name"


def test_statistics_are_part_of_results_and_of_what_may_be_merged():
    result = sl.evaluate("mse", np.zeros(4), np.array([1.0, 2.0, 3.0, 4.0]), stats="stderr")["mse"]
    assert result.statistics == {"stderr_of_mean": result.stderr, "stderr_of_weighted_mean": result.stderr}
    assert result.to_dict()["statistics"] == result.statistics
    assert result.record()["stderr_of_mean"] == result.stderr
    without = sl.evaluate("mse", np.zeros(4), np.ones(4))["mean_squared_error"]
    assert without.statistics == {}
    assert "statistics" not in without.to_dict()
    with pytest.raises(sl.errors.StateError, match="different evaluations"):
        result.state.merge(without.state)


def bins_and_losses(losses):
    mae = sl.losses.MeanAbsoluteError(dtype="float64")
    return sl.evaluate(mae, losses, np.zeros_like(losses), stats="histogram")["mae"].statistics["histogram"]


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0, 300.0])
def test_bins_that_are_listed_hold_the_losses_between_their_edges(spread):
    rng = np.random.default_rng(7)
    losses = np.abs(rng.normal(size=3000)) * 10.0 ** rng.uniform(-spread, spread, 3000)
    losses[:9] = 0.0
    zeros, *bins = bins_and_losses(losses)
    assert zeros == {"low": 0.0, "high": 0.0, "count": 9}
    assert len(bins) <= 60
    assert sum(of["count"] for of in bins) == 2991
    edges = [of["low"] for of in bins] + [bins[-1]["high"]]
    assert [of["high"] for of in bins] == edges[1:]
    assert edges[0] <= losses[9:].min()
    assert losses.max() <= edges[-1]
    near = np.array([[(losses[9:] >= low * f).sum() for low in edges[1:-1]] for f in (1 + 1 / 256, 1 - 1 / 256)])
    above = np.cumsum([of["count"] for of in bins][::-1])[::-1][1:]
    assert (near[0] <= above).all()
    assert (above <= near[1]).all()


def test_bins_of_losses_of_both_signs_are_of_one_width():
    rng = np.random.default_rng(8)
    y, p = rng.normal(size=(2, 5000, 3))
    bins = sl.evaluate("cosine_similarity", y, p, stats="histogram")["cosine_similarity"].statistics["histogram"]
    assert len({round(of["high"] - of["low"], 12) for of in bins}) == 1
    assert sum(of["count"] for of in bins) == 5000
    assert bins[0]["low"] <= -0.99
    assert bins[-1]["high"] >= 0.99


def test_bins_of_infinite_and_of_the_greatest_losses():
    bins = bins_and_losses(np.array([0.5, np.inf, 1.7e308, 5e-324]))
    assert bins[-1] == {"low": math.inf, "high": math.inf, "count": 1}
    assert sum(of["count"] for of in bins) == 4
    assert all(of["low"] <= of["high"] for of in bins)
