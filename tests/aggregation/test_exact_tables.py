"""Tables of exact sums by key: sums are those of fractions, and any tree of merges gives the same arrays."""

import json
from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streamloss.aggregation.exact_sum import ExactSum
from streamloss.aggregation.statistics import accumulation_of
from streamloss.aggregation.statistics.histogram import bins_of, edges_of
from streamloss.aggregation.tables.cuts import Cut
from streamloss.aggregation.tables.exact_table import ExactTable, merge_tables
from streamloss.aggregation.tables.keys import KeyColumn, number_rows
from streamloss.aggregation.tables.numbering import number_values
from streamloss.aggregation.tables.rows_by_key import SPILLS, tabulate
from tabled import exact, rows_by_key

ACCUMULATION = accumulation_of(("stderr",))
FLOATS = st.floats(width=64, allow_nan=False, allow_infinity=False).map(lambda x: x if abs(x) < 1e150 else x / 1e200)
"""Floats whose squares are finite, of all other magnitudes."""
KEYS = st.one_of(
    hnp.arrays(np.int64, st.shared(st.integers(1, 40), key="rows"), elements=st.integers(-3, 3)),
    hnp.arrays(np.int64, st.shared(st.integers(1, 40), key="rows"), elements=st.integers(-(2**63), 2**63 - 1)),
    hnp.arrays(np.uint64, st.shared(st.integers(1, 40), key="rows"), elements=st.integers(2**64 - 3, 2**64 - 1)),
    hnp.arrays("U2", st.shared(st.integers(1, 40), key="rows"), elements=st.sampled_from(["", "a", "é", "ab"])),
    hnp.arrays("S2", st.shared(st.integers(1, 40), key="rows"), elements=st.sampled_from([b"", b"a", b"ab"])),
    hnp.arrays(np.bool_, st.shared(st.integers(1, 40), key="rows")),
    hnp.arrays(
        np.int64, st.shared(st.integers(1, 40), key="rows"), elements=st.sampled_from([-(2**63), 0, 19000, 19001])
    ).map(lambda days: days.view("datetime64[D]")),
)


def drawn(data):
    first, second = data.draw(KEYS), data.draw(KEYS)
    rows = len(first)
    missing = data.draw(st.none() | hnp.arrays(np.bool_, rows))
    losses = data.draw(
        hnp.arrays(
            data.draw(st.sampled_from([np.float32, np.float64])),
            rows,
            elements=FLOATS.map(lambda x: float(np.float32(x)) if abs(x) < 1e18 else 0.0),
        )
        if data.draw(st.booleans())
        else hnp.arrays(np.float64, rows, elements=FLOATS)
    )
    weights = data.draw(st.none() | hnp.arrays(np.float64, rows, elements=st.floats(0, 1e6)))
    outcomes = data.draw(st.none() | hnp.arrays(np.int8, rows, elements=st.sampled_from([0, 2])))
    return [KeyColumn.of(first), KeyColumn.of(second, missing)], losses, weights, outcomes


def cut(columns, losses, weights, outcomes, part):
    take = [None if array is None else array[part] for array in (losses, weights, outcomes)]
    return tabulate([column.take(part) for column in columns], ACCUMULATION, *take)


@given(data=st.data())
def test_sums_and_counts_of_keys_are_those_of_fractions(data):
    columns, losses, weights, outcomes = drawn(data)
    table = tabulate(columns, ACCUMULATION, losses, weights, outcomes)
    expected = rows_by_key(*(column.objects() for column in columns))
    keys = list(zip(*(column.objects() for column in table.keys), strict=True))
    assert sorted(map(repr, keys)) == sorted(map(repr, expected)), "each key once"
    sums = {window.name: table.sums(window.name) for window in table.windows}
    for row, key in enumerate(keys):
        rows = np.array(expected[key])
        kept = rows if outcomes is None else rows[outcomes[rows] == 0]
        values = losses[kept].astype(np.float64)
        assert table.count("count")[row] == len(kept)
        assert table.count("ignored")[row] == len(rows) - len(kept)
        assert sums["loss"][row].exactly() == exact(values)
        squares = [v * v + Fraction(0) for v in map(Fraction, values.tolist())]
        if all(v == 0 or abs(v) > 1e-140 for v in values):
            assert sums["loss_squared"][row].exactly() == sum(squares, Fraction(0))
        if weights is not None:
            assert sums["weight"][row].exactly() == exact(weights[kept])
            assert table.count("nonzero_weights")[row] == np.count_nonzero(weights[kept])


@given(data=st.data())
def test_any_tree_of_merges_gives_the_same_table(data):
    columns, *rest = drawn(data)
    whole = tabulate(columns, ACCUMULATION, *rest)
    order = np.array(data.draw(st.permutations(range(len(rest[0])))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
    parts = [cut(columns, *rest, order[a:b]) for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    assert merge_tables(parts) == whole
    while len(parts) > 1:
        i, j = data.draw(st.permutations(range(len(parts))))[:2]
        parts = [part for k, part in enumerate(parts) if k not in (i, j)] + [parts[i].merge(parts[j])]
    assert parts[0] == whole
    assert ExactTable.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


@given(data=st.data())
def test_the_fast_loop_adds_what_the_other_one_adds(data):
    """Float32 losses without weights, of which some lie outside of what two integers hold."""
    rows = data.draw(st.integers(0, 60))
    wild = st.floats(width=32) | st.sampled_from([2.0**-30, 2.0**-31, 8191.5, 8192.0, -0.0, 1e-40])
    losses = data.draw(hnp.arrays(np.float32, rows, elements=st.floats(0, 9, width=32) | wild))
    keys = data.draw(hnp.arrays(np.int16, rows, elements=st.integers(-4, 4)))
    omit = data.draw(st.booleans())
    fast = tabulate([KeyColumn.of(keys)], accumulation_of(), losses, None, None, omit)
    slow = tabulate([KeyColumn.of(keys)], accumulation_of(), losses.astype(np.float64), None, None, omit)
    assert fast == slow
    for key, total in zip(fast.keys[0].objects(), fast.sums("loss"), strict=True):
        finite = losses[(keys == key) & np.isfinite(losses)]
        assert total.exactly() == exact(finite)


def test_infinities_and_nan_are_counted_by_key():
    losses = np.array([1.0, np.inf, -np.inf, np.nan, 2.0, np.inf])
    table = tabulate([KeyColumn.of(np.array([0, 1, 1, 2, 2, 3]))], accumulation_of(), losses, None, None)
    assert table.sums("loss") == [
        ExactSum.of_value(1.0),
        ExactSum(positive_infinity=1, negative_infinity=1),
        ExactSum.of_value(2.0) + ExactSum(nan=1),
        ExactSum(positive_infinity=1),
    ]
    omitted = tabulate([KeyColumn.of(np.zeros(6, int))], accumulation_of(), losses, None, None, omit_nan=True)
    assert omitted.counts.tolist() == [[5, 1, 0]]


def test_more_values_outside_the_window_than_are_noted_at_once():
    values = np.full(3 * SPILLS + 5, 1e-300)
    keys = np.arange(len(values)) % 7
    table = tabulate([KeyColumn.of(keys)], accumulation_of(), values, None, None)
    for key, total in enumerate(table.sums("loss")):
        assert total.exactly() == Fraction(1e-300) * int((keys == key).sum())
    assert len(table.spilled_at) == 7
    assert table.merge(tabulate([KeyColumn.of(keys)], accumulation_of(), -values, None, None)).spilled_at.size == 0


@given(hnp.arrays(st.sampled_from(["i8", "u1", "U3", "S5", "f8"]).map(np.dtype), st.integers(0, 60)))
def test_values_are_numbered_as_they_first_occur(values):
    codes, found = number_values(values)
    assert found[codes].tobytes() == values.tobytes()
    assert len({value.tobytes() for value in found}) == len(found)
    first = [int(np.argmax(codes == code)) for code in range(len(found))]
    assert first == sorted(first)


def test_text_that_is_not_aligned_is_numbered():
    stored = np.zeros(4 * 8 + 4, np.uint8)[4:].view("U2")
    stored[:] = ["a", "b", "a", ""]
    codes, found = number_values(stored)
    assert (codes.tolist(), found.tolist()) == ([0, 1, 0, 2], ["a", "b", ""])


def test_keys_far_apart_take_no_more_codes_than_there_are():
    assert number_rows([KeyColumn.of(np.array([0, 2**62, 0]))]).size == 2


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(allow_nan=False)))
def test_bins_of_the_histogram_hold_their_values_in_order(values):
    bins = bins_of(values)
    low, high = edges_of(bins)
    assert ((low <= values) & (values <= high)).all()
    near, far = np.minimum(abs(low), abs(high)), np.maximum(abs(low), abs(high))
    normal = np.isfinite(far) & (near > 1e-300)
    assert (far[normal] - near[normal] <= near[normal] / 256).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()


def test_text_times_and_bins_become_keys():
    months = Cut("m", unit="M").column(np.array(["2024-01-31", "2024-02-01", "NaT"], "datetime64[s]"))
    assert months.objects() == [np.datetime64("2024-01"), np.datetime64("2024-02"), None]
    days = np.datetime64("2024-02-01", "h") + np.arange(0, 24 * 400, 7)
    weeks = [key.item() for key in Cut("w", unit="W").column(days).objects()]
    assert weeks == [(d - timedelta(d.weekday())) for d in (day.astype("M8[D]").item() for day in days)]
    bins = Cut("b", bins=(0.0, 10.0))
    assert [bins.label(key) for key in bins.column(np.array([-1.0, 0.0, 9.9, 10.0, np.nan])).objects()] == [
        "< 0",
        "[0, 10)",
        "[0, 10)",
        ">= 10",
        None,
    ]
    assert Cut("f").column(np.array([1.0, np.nan])).objects() == [1, None]
    with pytest.raises(ValueError, match="no whole number"):
        Cut("f").column(np.array([0.5]))
    with pytest.raises(ValueError, match="dates and times"):
        Cut("f", unit="D").column(np.array([1]))


@pytest.mark.parametrize("change", [{"counts": [[-1]]}, {"spilled_at": [5]}, {"limbs": "AAAA"}, {"keys": []}])
def test_damaged_tables_are_refused(change):
    content = tabulate([KeyColumn.of(np.zeros(1, int))], accumulation_of(), np.ones(1), None, None).to_dict()
    with pytest.raises((ValueError, IndexError, TypeError)):
        ExactTable.from_dict(content | change)
