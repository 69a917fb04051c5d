"""Regular files: opening a named pipe waits for its writer, perhaps for ever, and a device has no end."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class SpecialFileError(OSError):
    """A place that is no regular file, such as a named pipe."""


def special_kind(path: str | os.PathLike[str]) -> str | None:
    """Return what a place is that is neither file nor directory, such as "a named pipe"; None for others."""
    try:
        return _KINDS.get(stat.S_IFMT(os.stat(path).st_mode))
    except (OSError, ValueError):  # what opens it says why
        return None


def open_regular(path: str | os.PathLike[str]) -> io.FileIO:
    """Open a file for reading, without a buffer. Raises SpecialFileError for what is none, and OSError as `open`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if (kind := _KINDS.get(mode)) is not None:
            raise SpecialFileError(errno.EINVAL, f"it is {kind}, which has no bytes to go back to; write a file of it")
        return io.FileIO(descriptor)  # which refuses a directory
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file. Raises as :func:`open_regular` does."""
    try:
        file = open_regular(path)
    except IsADirectoryError as error:
        raise IsADirectoryError(error.errno, error.strerror, str(Path(path))) from None
    with file:
        return file.readall()
