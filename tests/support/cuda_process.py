"""Run a script of this folder in a process of its own: numba-cuda decides at its import whether it simulates a GPU."""

import json
import subprocess
import sys

from processes import SUPPORT, environment


def run(script, lines="", **variables):
    """Return what the script prints, a value of JSON for each line."""
    settings = {"input": lines, "env": environment(**variables)}
    done = subprocess.run([sys.executable, SUPPORT / script], capture_output=True, text=True, check=False, **settings)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
