"""A damaged file of states is refused: one bit suffices, and without a digest what it says must still make sense."""

import json
from pathlib import Path

import numpy as np
import pytest

from streamloss.aggregation.snapshot import Snapshot
from streamloss.aggregation.state import State
from streamloss.errors import StateError

OLD = Path(__file__).parent / "data" / "0.1.0"
FILES = sorted(OLD.rglob("0-of-2.state"))


@pytest.fixture(params=FILES, ids=lambda path: path.parent.name)
def old(request):
    return request.param.read_bytes()


def test_one_flipped_bit_is_noticed(old):
    """Or the JSON says the same all the same, as with E for e in a number."""
    written = Snapshot.from_bytes(old, "").to_bytes()
    for bit in np.random.default_rng(1).integers(0, 8 * len(written), 1500).tolist():
        damaged = bytearray(written)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            again = Snapshot.from_bytes(bytes(damaged), "a.state").to_bytes()
        except StateError as error:
            assert str(error).startswith("a.state: ")  # noqa: PT017 (most of them)
        else:
            assert again == written, bit


def test_a_digest_of_other_content_is_refused(old):
    content = json.loads(Snapshot.from_bytes(old, "").to_bytes())
    with pytest.raises(StateError, match=r"a\.state: .*the digest is another; it was damaged or edited"):
        Snapshot.from_bytes(json.dumps(content | {"seconds": content["seconds"] + 1}).encode(), "a.state")
    name = {"dugest": content.pop("digest")}
    with pytest.raises(StateError, match="it has a key 'dugest'"):
        Snapshot.from_bytes(json.dumps(content | name).encode(), "a.state")


def renamed(key, other):
    def change(content):
        counts = content["states"][0]["counts"]
        if key in counts:
            counts[other] = counts.pop(key)

    return change


def counted(value):
    def change(content):
        counts = content["states"][0]["counts"]
        counts["count" if "count" in counts else "elements"] = value

    return change


def covering(*pieces):
    return lambda content: content.update(covered=[list(piece) for piece in pieces])


CHANGES = {
    "another name": lambda content: (renamed("count", "bount")(content), renamed("elements", "dlements")(content)),
    "no counts": lambda content: content["states"][0].update(counts={}),
    "negative": counted(-1),
    "a boolean": counted(True),
    "a fraction": counted(4.0),
    "a text": counted("4"),
    "a sum of another name": lambda content: content["states"][0]["sums"].update(
        lots=next(iter(content["states"][0]["sums"].values()))
    ),
    "half an infinity": lambda content: next(iter(content["states"][0]["sums"].values())).update(nan=0.5),
    "nothing covered": covering(),
    "out of order": covering((3, 6), (0, 3)),
    "twice": covering((0, 4), (3, 6)),
    "none": covering((0, 6), (8, 8)),
    "beyond": covering((0, 600)),
    "before": covering((-1, 5)),
    "booleans": covering((False, 6)),
    "blocks of nothing": lambda content: content["evaluation"].update(
        block_shape=[0 for _ in content["evaluation"]["block_shape"]]
    ),
    "filled with less than nothing": lambda content: content.update(filled={"y_true": -1}),
    "a flag that is none": lambda content: content.update(all_binary={"hinge": "yes"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_files_without_a_digest_must_make_sense(old, change):
    content = json.loads(old)
    Snapshot.from_bytes(json.dumps(content).encode(), "")
    change(content)
    with pytest.raises(StateError, match=r"^a\.state: "):
        Snapshot.from_bytes(json.dumps(content).encode(), "a.state")


@pytest.mark.parametrize(
    "counts", [{"count": 5}, {"count": 6, "ignored": 1}, {"count": 6, "omitted": 1}, {"count": 12}]
)
def test_the_rows_that_count_and_those_left_out_are_the_rows_covered(counts):
    content = json.loads((OLD / "dense/0-of-2.state").read_bytes())
    content["states"][0]["counts"].update(counts)
    with pytest.raises(StateError, match=r"mean_squared_error counts \d+ rows, and the blocks it covers hold 6"):
        Snapshot.from_bytes(json.dumps(content).encode(), "a.state")


@pytest.mark.parametrize("count", [-1, True, 1.0, "1", None])
def test_counts_of_a_state_are_whole_numbers(count):
    content = json.loads((OLD / "dense/mean_squared_error.bytes").read_bytes())
    content["counts"]["count"] = count
    with pytest.raises(StateError, match=r"count is .*; expected a whole number from 0"):
        State.from_bytes(json.dumps(content).encode())
