"""Statistics are declared once: kernels, states and merges pick them up."""

import math
from fractions import Fraction

import numpy as np
import pytest

import streamloss as sl
from kernel_calls import key_of, new_totals, settings_of
from streamloss.aggregation.identity import StateIdentity
from streamloss.aggregation.state import State
from streamloss.aggregation.statistics import accumulation_of, derived_values, known
from streamloss.formulas._registry import LossSpec
from streamloss.kernels import cpu
from streamloss.kernels.base import Operands, Output

NO_WEIGHT, NO_MASK = np.empty(0), np.empty(0, np.bool_)


def evaluated(dtype, y, p, weight=NO_WEIGHT, mask=NO_MASK, policy="raise"):
    """The losses of rows, and the sums and counts of a kernel with second moments."""
    spec = LossSpec.of("mean_squared_error", {})
    key, settings = key_of(spec, dtype, 1, ("second_moment",)), settings_of(spec, dtype, 1, policy)
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
    mean_square = float(sum(Fraction(v) ** 2 for v in kept.tolist()) / len(kept))
    assert derived_values(state, ("second_moment",)) == {"mean_square": mean_square}


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
