"""The parts in which `make test` runs the tests are all of them, each once."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
FILES = ("test_layering.py", "test_registry.py", "test_grid.py", "test_accuracy.py")


def collected(*options):
    """Names of tests, in order."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options, *FILES]
    run = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return [line for line in run.stdout.splitlines() if "::" in line]


def test_parts_are_disjoint_and_together_everything_with_a_loss_in_one_of_them():
    everything = collected()
    parts = [collected(f"--part={index}/3") for index in range(3)]
    assert all(parts)
    assert sorted(name for part in parts for name in part) == sorted(set(everything))
    of_one_loss = {name for name in everything if "gamma_deviance" in name}
    assert len({name.partition("::")[0] for name in of_one_loss}) > 1, "two files have tests of it"
    assert sum(of_one_loss <= set(part) for part in parts) == 1
