"""Run Python in another process with a kernel cache of its own."""

import json
import os
import subprocess
import sys

MSE = """
import json, sys
import numpy as np
import streamloss as sl
from streamloss.core.kernel_cache import counts
value = sl.losses.MeanSquaredError()(np.zeros(3, np.float32), np.array([1, 2, 4], np.float32))
print(json.dumps([float(value), counts.compiled > 0, "numba" in sys.modules]))
"""
COMPILED, FOUND = [7.0, True, True], [7.0, False, False]
"""The output of MSE where its kernel is compiled, and where it is in the cache: then Numba is not imported."""


def environment(folder, **variables):
    """Return this process' environment with a folder as kernel cache. A variable that is None is removed."""
    without = {key: value for key, value in os.environ.items() if key != "STREAMLOSS_CACHE"}
    changed = {**without, "STREAMLOSS_CACHE_DIR": str(folder), **variables}
    return {key: str(value) for key, value in changed.items() if value is not None}


def run(code, folder, **variables):
    """Return the JSON that a process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(folder, **variables), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "no message"
    return json.loads(done.stdout)
