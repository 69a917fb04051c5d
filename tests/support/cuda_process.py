"""Run a script of this folder in a process of its own: numba-cuda decides at its import whether it simulates a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent


def run(script, lines="", **environment):
    command = [sys.executable, SUPPORT / script]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
