"""Files of states that version 0.1.0 wrote are read, merge to what it reported, and are written as they were.

But for the digest that files have by now.

`python tests/support/old_files.py tests/aggregation/data/0.1.0` wrote them, run with the code as it was before its
modules were put into folders (`partial.py`, `blocking.py` and `exact/` stood at the top of the package). They are never
written anew: a later version whose files differ gets a folder of its own beside them.
"""

import json
import shutil
from pathlib import Path

import pytest

import old_files
import streamloss as sl
from streamloss.aggregation.identity import canonical_json
from streamloss.aggregation.snapshot import Snapshot
from streamloss.aggregation.state import State
from streamloss.errors import StateError

VERSION = "0.1.0"
FOLDERS = sorted((Path(__file__).parent / "data" / VERSION).iterdir())
FILES = [path for folder in FOLDERS for path in sorted(folder.rglob("*.state"))]

pytestmark = pytest.mark.filterwarnings("ignore::streamloss.errors.StreamlossWarning")


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def reported(folder):
    return (folder / "reported.json").read_text()


def without_digest(data):
    """Return the bytes of a file as they were before files had a digest, and those of results their run."""
    content = json.loads(data)
    content.pop("run", None)
    assert len(content.pop("digest")) == 32
    return canonical_json(content).encode() + b"\n"


def without_seconds(data):
    content = json.loads(data)
    assert content.pop("seconds") > 0
    return content


def test_there_are_files_of_every_evaluation():
    assert {folder.name for folder in FOLDERS} == set(old_files.evaluations())
    assert len(FILES) == 4 * len(FOLDERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_files_are_written_again_as_they_were(path):
    again = Snapshot.from_bytes(path.read_bytes(), str(path)).to_bytes()
    assert without_digest(again) == path.read_bytes()
    assert Snapshot.from_bytes(again, str(path)).to_bytes() == again


def test_shards_merge_to_what_was_reported(folder, tmp_path):
    shards = [folder / f"{i}-of-2.state" for i in (1, 0)]
    result = sl.merge(shards)
    assert old_files.reported(result) == reported(folder)
    result.save(tmp_path / "merged.state")
    written = without_digest((tmp_path / "merged.state").read_bytes())
    assert without_seconds(written) == without_seconds((folder / "merged.state").read_bytes())


def test_merged_states_are_results(folder, tmp_path):
    result = sl.merge(folder / "merged.state")
    assert old_files.reported(result) == reported(folder)
    result.save(tmp_path / "again.state")
    assert without_digest((tmp_path / "again.state").read_bytes()) == (folder / "merged.state").read_bytes()


def test_states_of_single_losses_are_read_and_written_again(folder):
    result = sl.merge(folder / "merged.state")
    assert {path.stem for path in folder.glob("*.bytes")} == set(result)
    for name, loss in result.items():
        data = (folder / f"{name}.bytes").read_bytes()
        assert State.from_bytes(data).to_bytes() == data
        assert State.from_bytes(data) == loss.state


def test_an_interrupted_evaluation_goes_on_from_its_checkpoint(folder, tmp_path):
    """With the same blocks and inputs; and from one of another version it does not, and says so."""
    shutil.copytree(folder / "checkpoint", tmp_path / "checkpoint")
    arguments = old_files.evaluations()[folder.name] | {"checkpoint": tmp_path / "checkpoint", "executor": "inline"}
    rows = []
    with old_files.blocks_of_one_row():
        if sl.__version__ != VERSION:
            with pytest.raises(StateError, match=f"streamloss: {VERSION} there"):
                sl.evaluate(**arguments)
            return
        result = sl.evaluate(**arguments, progress=lambda now: rows.append(now.rows))
    blocks = Snapshot.from_bytes((folder / "merged.state").read_bytes(), "").manifest.grid.num_blocks
    assert len(rows) == blocks - old_files.STOP, "what was done is not done again"
    assert old_files.reported(result) == reported(folder)
