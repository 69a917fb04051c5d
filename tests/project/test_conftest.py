"""Tests of one loss run in one process, whichever files they stand in, and those that take long begin first."""

import shutil
import subprocess
import sys
from pathlib import Path

from processes import SUPPORT, environment

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TEST = """
import os, pathlib, pytest
@pytest.mark.parametrize("name", ["huber", "mean_squared_error", "poisson", "no loss", "hinge", "pinball"])
def test_something(name):
    with pathlib.Path("ran.txt").open("a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], name if name != "no loss" else __name__, file=file)
"""


def test_a_loss_is_tested_in_one_process(tmp_path):
    shutil.copy(CONFTEST, tmp_path)
    for file in ("test_one.py", "test_other.py", "test_third.py"):
        (tmp_path / file).write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--numprocesses=2", "--rootdir=."]
    settings = {"cwd": tmp_path, "env": environment(SUPPORT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = [line.split(" ", 1) for line in (tmp_path / "ran.txt").read_text().splitlines()]
    assert len(ran) == 18
    assert len({worker for worker, _ in ran}) == 2, "both were at work"
    for group in {group for _, group in ran}:
        assert len({worker for worker, of in ran if of == group}) == 1, (group, ran)
