"""Start processes of the tests' own."""

import contextlib
import os
import subprocess
from pathlib import Path

SUPPORT = Path(__file__).parent


def environment(*folders, **variables):
    """Return this process' environment with folders before those of PYTHONPATH, and with variables set."""
    path = os.pathsep.join(filter(None, [*map(str, folders), os.environ.get("PYTHONPATH")]))
    return os.environ | ({"PYTHONPATH": path} if folders else {}) | variables


@contextlib.contextmanager
def started(command, **options):
    """A process whose output is read as text; it is killed at the end if it still runs."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()
