"""Wait for other processes and threads, on a machine that may be busy with anything else."""

import time

HANG = 20 * 60.0
"""Seconds after which a wait is a hang. Only the time that a defect takes to show depends on it."""


def wait_until(condition, process=None):
    """Return when `condition()` holds. Raises AssertionError when `process` ends before that, or after `HANG`."""
    end = time.monotonic() + HANG
    while not condition():
        if process is not None and process.poll() is not None:
            if condition():  # what it did last
                return
            said = process.stderr.read() if process.stderr else ""
            raise AssertionError(f"the process ended with {process.returncode} before that\n{said}")
        assert time.monotonic() < end, "a hang"
        time.sleep(0.02)


def written(path):
    """Return whether a file is there and has content: who writes one makes it first."""
    return path.exists() and path.stat().st_size > 0
