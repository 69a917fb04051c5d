"""Files of states that version 0.1.0 wrote are read, merge to what it reported, and are written as they were.

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


def without_seconds(path):
    content = json.loads(path.read_bytes())
    assert content.pop("seconds") > 0
    return content


def test_there_are_files_of_every_evaluation():
    assert {folder.name for folder in FOLDERS} == set(old_files.evaluations())
    assert len(FILES) == 4 * len(FOLDERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_files_are_written_again_as_they_were(path):
    assert Snapshot.from_bytes(path.read_bytes(), str(path)).to_bytes() == path.read_bytes()


def test_shards_merge_to_what_was_reported(folder, tmp_path):
    shards = [folder / f"{i}-of-2.state" for i in (1, 0)]
    result = sl.merge(shards)
    assert old_files.reported(result) == reported(folder)
    result.save(tmp_path / "merged.state")
    assert without_seconds(tmp_path / "merged.state") == without_seconds(folder / "merged.state")


def test_merged_states_are_results(folder, tmp_path):
    result = sl.merge(folder / "merged.state")
    assert old_files.reported(result) == reported(folder)
    result.save(tmp_path / "again.state")
    assert (tmp_path / "again.state").read_bytes() == (folder / "merged.state").read_bytes()


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
