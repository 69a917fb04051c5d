"""States that were edited or damaged: an error of ours, never another one, and never another number."""

import contextlib
import copy
import json

import numpy as np
import pytest

import streamloss as sl
from soak import cases
from streamloss.aggregation.snapshot import digest_of
from streamloss.errors import StateError, StreamlossError

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore::streamloss.errors.StreamlossWarning")]
VALUES = (None, "x", [], {}, -1, 1e400, 10**30, True, [[1]], {"a": 1}, 0.5, "\0", [1, 2, 3], "9" * 50)


@pytest.fixture(scope="module")
def states():
    """Documents of a bare state, as the first versions wrote them, and of a result with groups and statistics."""
    y, p = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.1, 0.2, 0.3, 0.4])
    stats = ["stderr", "histogram", "worst=3", "running", "calibration"]
    whole = sl.evaluate("bce", y, p, shard=(0, 1), by={"k": [1, 2, 1, 2]}, stats=stats)
    bare = sl.evaluate(["bce", "hinge"], y, p, shard=(0, 1))
    return json.loads(bare.partial.to_bytes()), json.loads(whole.partial.to_bytes())


def edited(document, rng):
    """Return a document with one or two values, anywhere in it, left out or replaced."""
    document = copy.deepcopy(document)
    for _ in range(rng.randrange(1, 3)):
        at, parent, key = document, None, None
        while isinstance(at, dict | list) and at and (parent is None or rng.random() < 0.85):
            parent, key = at, rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at))
            at = parent[key]
        if rng.random() < 0.15:
            del parent[key]
        else:
            parent[key] = copy.deepcopy(rng.choice(VALUES))
    return document


@pytest.mark.parametrize("digest", ["none", "of the edited", "kept"])
@pytest.mark.parametrize("which", [0, 1], ids=["bare", "with statistics"])
def test_an_edited_state_is_an_error_of_ours(states, which, digest, tmp_path):
    path = tmp_path / "a.state"
    for rng in cases(400, seed=which):
        document = edited(states[which], rng)
        if digest != "kept":
            document.pop("digest", None)
        if digest == "of the edited":
            with contextlib.suppress(TypeError, ValueError, KeyError):
                document["digest"] = digest_of(document)
        path.write_text(json.dumps(document))
        try:
            found = sl.merge([path])
        except StreamlossError:
            continue
        assert digest != "kept" or "digest" not in document or document == states[which]
        assert isinstance(found, sl.Result)


def test_a_result_without_its_digest_was_edited(states, tmp_path):
    document = {key: value for key, value in states[1].items() if key != "digest"}
    (tmp_path / "a.state").write_text(json.dumps(document))
    with pytest.raises(StateError, match="it has no digest"):
        sl.merge([tmp_path / "a.state"])


def test_bytes_that_are_cut_or_flipped_are_no_state(states, tmp_path):
    path, whole = tmp_path / "a.state", json.dumps(states[1]).encode()
    for rng in cases(300, seed=3):
        content = bytearray(whole)
        if rng.random() < 0.3:
            content = content[: rng.randrange(len(content))]
        else:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        if json_of(content) == states[1]:
            continue  # of white space
        with pytest.raises(StateError, match=r"a\.state"):
            sl.merge([path])


def json_of(content):
    try:
        return json.loads(content)
    except ValueError:
        return None
