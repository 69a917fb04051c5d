"""Laws 2 and 3 at the level of sums and states."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exact import exact_sum, rounded
from streamloss.aggregation.accumulator import MOST_AT_ONCE, SIZE, add, add_rounded_within, add_within
from streamloss.aggregation.exact_sum import ExactSum
from streamloss.aggregation.identity import StateIdentity
from streamloss.aggregation.state import State
from streamloss.errors import StateError

doubles = hnp.arrays(np.float64, st.integers(0, 80), elements=st.floats(allow_nan=False, allow_infinity=False))
singles = hnp.arrays(
    np.float32, st.integers(0, 80), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)
window = hnp.arrays(np.float64, st.integers(0, 80), elements=st.floats(-9000, 9000))


def accumulate(values: np.ndarray) -> ExactSum:
    limbs = np.zeros(SIZE, np.int64)
    add(limbs, values)
    return ExactSum.of_limbs(limbs)


@given(st.one_of(doubles, singles, window))
def test_sum_is_the_exact_sum(values):
    assert accumulate(values).exactly() == exact_sum(values)


@given(st.one_of(singles, window))
def test_sum_is_fsum(values):
    assert accumulate(values).rounded() == math.fsum(values)


@given(st.one_of(doubles, window), st.randoms(use_true_random=False))
def test_order_and_cuts_do_not_matter(values, random):
    shuffled = np.array(random.sample(list(values), len(values)), values.dtype)
    cut = random.randint(0, len(values))
    assert accumulate(shuffled[:cut]) + accumulate(shuffled[cut:]) == accumulate(values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_the_window_and_of_the_format(dtype):
    info = np.finfo(dtype)
    edges = [2.0**13, 2.0**-30, 2.0**-59, info.max, info.tiny, info.smallest_subnormal, 0.0, 1.0]
    with np.errstate(over="ignore", under="ignore"):
        values = [sign * np.nextafter(dtype(e), dtype(to)) for e in edges for to in (0, e, np.inf) for sign in (1, -1)]
    values = np.array([v for v in values if np.isfinite(v)], dtype)
    for single in values:
        assert accumulate(np.full(3, single, dtype)).exactly() == 3 * Fraction(float(single))
    assert accumulate(values).exactly() == exact_sum(values)


def test_a_million_values_do_not_overflow_a_limb():
    values = np.full(1_000_000, np.nextafter(8192.0, 0.0))
    assert accumulate(values).exactly() == 1_000_000 * Fraction(values[0])
    assert accumulate(-values).exactly() == -1_000_000 * Fraction(values[0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([math.inf, 1.0], math.inf),
        ([-math.inf, 1e308, 1e308], -math.inf),
        ([math.inf, -math.inf], math.nan),
        ([math.nan, math.inf], math.nan),
        ([1e308, 1e308], math.inf),
        ([-1e308, -1e308], -math.inf),
        ([1e308, 1e308, -1e308], 1e308),
        ([], 0.0),
    ],
)
def test_special_values(values, expected):
    assert np.array_equal(accumulate(np.array(values)).rounded(), expected, equal_nan=True)


@given(doubles, st.integers(1, 10**12))
def test_means_round_the_exact_quotient_once(values, divisor):
    assert accumulate(values).over(Fraction(divisor)) == rounded(exact_sum(values) / divisor)


def test_a_divisor_of_zero_gives_zero_as_in_keras():
    assert accumulate(np.ones(3)).over(Fraction(0)) == 0.0


MSE, BCE = (StateIdentity(name, {"axis": -1}, "float32", weighted=False) for name in ("mse", "bce"))

states = st.builds(
    lambda a, b, n: State.empty(MSE).merge(State(MSE, {"loss": accumulate(a), "weight": accumulate(b)}, {"count": n})),
    hnp.arrays(np.float64, st.integers(0, 6), elements=st.floats()),
    window,
    st.integers(0, 2**70),
)


@given(states, states, states)
def test_states_are_a_commutative_monoid(a, b, c):
    before = [s.to_bytes() for s in (a, b, c)]
    neutral = State.empty(MSE)
    assert a.merge(b).to_bytes() == b.merge(a).to_bytes()
    assert a.merge(b).merge(c).to_bytes() == a.merge(b.merge(c)).to_bytes()
    assert neutral.merge(a).to_bytes() == a.merge(neutral).to_bytes() == a.to_bytes()
    assert [s.to_bytes() for s in (a, b, c)] == before, "merging changed its inputs"


@given(states)
def test_bytes_round_trip(state):
    again = State.from_bytes(state.to_bytes())
    assert again.to_bytes() == state.to_bytes()
    assert again.merge(state).to_bytes() == state.merge(state).to_bytes()
    assert len(state.to_bytes()) < 2000


def test_states_of_different_losses_do_not_merge():
    with pytest.raises(StateError, match=r'"loss":"mse".*"loss":"bce"'):
        State.empty(MSE).merge(State.empty(BCE))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a saved state"),
        (b"{}", "not a saved state"),
        (b"[1]", "not a saved state"),
        (b"\x80\x81" * 999, r"^these 1,998 bytes are not a saved state: UnicodeDecodeError: .{,90}$"),
        (b'{"format":"streamloss.state","version":2,"of":{},"sums":{},"counts":{}}', "of version 1; .* of version 2"),
        (b'{"format":"other","version":1,"of":{},"sums":{},"counts":{}}', "received other"),
    ],
)
def test_bytes_that_are_no_state_are_refused(content, message):
    with pytest.raises(StateError, match=message):
        State.from_bytes(content)


def test_a_person_can_read_a_saved_state():
    state = State.empty(MSE).merge(State(MSE, {"loss": accumulate(np.ones(2))}, {"count": 2}))
    content = json.loads(state.to_bytes())
    assert (content["format"], content["version"], content["counts"]) == ("streamloss.state", 1, {"count": 2})


def test_an_identity_is_its_canonical_json():
    identity = StateIdentity("mse", {"axis": -1}, "float32", weighted=False)
    assert str(identity) == '{"dtype":"float32","loss":"mse","parameters":{"axis":-1},"weighted":false}'
    assert identity == StateIdentity.from_dict(json.loads(str(identity)))
    assert hash(identity) == hash(StateIdentity.from_dict(identity.to_dict()))
    assert identity != StateIdentity("mse", {"axis": -1.0}, "float32", weighted=False), "as text, not as numbers"
    ratios = StateIdentity("dice", {"axis": (0,)}, "float32", True, "float16", {"1": 2.0}, (3,), 0.5, ("moments",))
    assert StateIdentity.from_dict(json.loads(str(ratios))) == ratios
    assert ratios.to_dict()["cells"] == (3,)


def test_keys_of_an_identity_that_another_version_wrote_stay():
    written = State.empty(StateIdentity("mse", {}, "float32", False, unknown={"later": [1, 2]})).to_bytes()
    read = State.from_bytes(written)
    assert read.to_bytes() == written
    with pytest.raises(StateError, match='"later"'):
        read.merge(State.empty(StateIdentity("mse", {}, "float32", False)))


EDGES = [
    0.0,
    -0.0,
    1.0,
    2.0**-22,
    2.0**-23,
    2.0**-73,
    2.0**-74,
    2.0**29,
    -(2.0**29),
    2.0**29 - 1,
    2.0**30,
    2.0**31,
    1e300,
]
EDGES += [
    math.nextafter(2.0**29, math.inf),
    math.nextafter(-(2.0**29), -math.inf),
    5e-324,
    math.nan,
    math.inf,
    -math.inf,
]


@given(
    st.lists(st.sampled_from(EDGES) | st.floats(width=32) | st.floats(-1.0, 1.0), min_size=1, max_size=40),
    st.booleans(),
)
def test_two_parts_add_exactly_or_nothing(values, rounds):
    array, limbs = np.array(values), np.zeros(SIZE, np.int64)
    with np.errstate(over="ignore"):
        kept = array.astype(np.float32).astype(np.float64) if rounds else array.copy()
    if (add_rounded_within if rounds else add_within)(limbs, array):
        assert ExactSum.of_limbs(limbs).exactly() == sum(map(Fraction, kept.tolist()), Fraction(0))
    else:
        assert not limbs.any()
        held = [math.isfinite(v) and abs(v) < 2.0**29 and (v * 2.0**73).is_integer() for v in kept.tolist()]
        fine = [
            one and not (v == 0.0 and math.copysign(1.0, v) < 0.0) for one, v in zip(held, kept.tolist(), strict=True)
        ]
        assert not all(fine), "two parts would have held all of them, but for -0.0, whose sign is a bit that they lack"
    assert array.tobytes() == kept.tobytes()


@pytest.mark.parametrize("value", [2.0**29 - 2.0**-22, -(2.0**29 - 2.0**-22), 2.0**-73, 1 / 3])
def test_two_parts_of_many_values_do_not_overflow(value):
    value = float(np.float32(value)) if abs(value) < 1 else value
    for n, added in ((MOST_AT_ONCE, True), (MOST_AT_ONCE + 1, False)):
        limbs = np.zeros(SIZE, np.int64)
        assert add_within(limbs, np.full(n, value)) == added
        assert ExactSum.of_limbs(limbs).exactly() == (n * Fraction(value) if added else 0)
