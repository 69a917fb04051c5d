"""Run a script of this folder in a process of its own: numba-cuda decides at its import whether it simulates a GPU."""

import importlib.metadata
import json
import subprocess
import sys

import numpy as np
import pytest

from processes import SUPPORT, environment

COMPILER = {"numba-cuda", "nvidia-nvvm", "nvidia-cuda-nvrtc", "nvidia-nvjitlink", "nvidia-cuda-nvdisasm"}
_installed = {str(found.metadata["Name"]).lower() for found in importlib.metadata.distributions()}
needs_compiler = pytest.mark.skipif(
    not _installed >= COMPILER or not hasattr(np, "row_stack"),
    reason="needs NVIDIA's compiler and NumPy below 2.5: pip install 'streamloss[cuda]' nvidia-cuda-nvdisasm",
)


def run(script, lines="", **variables):
    """Return what the script prints, a value of JSON for each line."""
    settings = {"input": lines, "env": environment(**variables)}
    done = subprocess.run([sys.executable, SUPPORT / script], capture_output=True, text=True, check=False, **settings)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
