"""tests/conftest.py: all tests of a loss run in one process, and a session must leave nothing in the root."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from left_behind import untracked
from processes import SUPPORT, environment

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TEST = """
import os, pathlib, pytest
@pytest.mark.parametrize("name", ["huber", "mean_squared_error", "poisson", "no loss", "hinge", "pinball"])
def test_something(name):
    with pathlib.Path("ran.txt").open("a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], name if name != "no loss" else __name__, file=file)
"""


def run_pytest(folder, *options):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", *options]
    settings = {"cwd": folder, "env": environment(SUPPORT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, **settings)


def test_a_loss_is_tested_in_one_process(tmp_path):
    shutil.copy(CONFTEST, tmp_path)
    for file in ("test_one.py", "test_other.py", "test_third.py"):
        (tmp_path / file).write_text(TEST)
    done = run_pytest(tmp_path, "--numprocesses=2")
    assert done.returncode == 0, done.stdout + done.stderr
    ran = [line.split(" ", 1) for line in (tmp_path / "ran.txt").read_text().splitlines()]
    assert len(ran) == 18
    assert len({worker for worker, _ in ran}) == 2, "both were at work"
    for group in {group for _, group in ran}:
        assert len({worker for worker, of in ran if of == group}) == 1, (group, ran)


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "tests").mkdir()
    shutil.copy(CONFTEST, tmp_path / "tests")
    shutil.copy(CONFTEST.parents[1] / ".gitignore", tmp_path)
    for command in (["init", "-q"], ["add", ".gitignore", "tests"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_what_is_left_in_the_root_is_told_from_caches_and_data(repository):
    left = "states.txt", "losses/one.txt", "v2/a.zarr/c", "out.zarr/c/0"
    ignored = "data/flights.zarr/c", ".some_cache/one", "__pycache__/one.pyc", ".hypothesis/one"
    elsewhere = "tests/new.py", "tests/data/a.state"
    for path in (*left, *ignored, *elsewhere):
        (repository / path).parent.mkdir(exist_ok=True, parents=True)
        (repository / path).touch()
    assert untracked(repository) == {"states.txt", "losses/", "v2/", "out.zarr/"}


@pytest.mark.parametrize("options", [[], ["--numprocesses=2"]], ids=["one process", "two"])
def test_a_session_that_leaves_something_in_the_root_fails(options, repository):
    (repository / "before.txt").touch()
    (repository / "tests/test_one.py").write_text("def test_one():\n    open('left.txt', 'w').close()\n")
    done = run_pytest(repository, *options)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    said = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
    assert said == [f"ERROR: the tests left left.txt in {repository}"]
