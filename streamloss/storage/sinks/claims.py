"""Claims of directories: one run at a time writes to a target, or several parts of one evaluation."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from ...errors import UnwritableOutputError

_PATIENCE = 5.0  # seconds for another part to create the array
_PAUSE = 0.05


class Claim:
    """A lock on a directory, of the operating system, so that it ends with the process. No file is left behind.

    Where a file system has no locks, there is none; what another run replaces is then noticed when it is looked at.
    """

    def __init__(self, directory: Path, uri: str, *, shared: bool) -> None:
        """Raises UnwritableOutputError where another run has the directory; with `shared`, parts of one evaluation may
        have it, too.
        """
        self._descriptor = os.open(directory, os.O_RDONLY)
        self.alone = True
        """Whether no other process has the directory; then it may be changed."""
        end = time.monotonic() + (_PATIENCE if shared else 0.0)
        try:
            while not self._try(fcntl.LOCK_EX):
                if shared and self._try(fcntl.LOCK_SH):
                    self.alone = False
                    return
                if time.monotonic() >= end:
                    raise UnwritableOutputError(
                        f"out: another run is writing to {uri!r}; expected one at a time. Wait for it, or pass "
                        "another path."
                    )
                time.sleep(_PAUSE)
        except BaseException:
            self.close()
            raise

    def share(self) -> None:
        """Let other parts of the evaluation have the directory, too."""
        self._try(fcntl.LOCK_SH)

    def close(self) -> None:
        """Give the directory back."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True
