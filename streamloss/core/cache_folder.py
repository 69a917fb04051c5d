"""The folder of the kernel cache: which one it is, whether it can be trusted, and what is kept in it.

Loading machine code is running it. So a folder and its files are used only if nobody but the user, or root, can have
written them. Files are written apart and renamed, so that readers, on NFS too, see all of a file or none. Nothing here
raises: where there can be no cache there is none.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

SWITCH, PLACE = VARIABLES = "STREAMLOSS_CACHE", "STREAMLOSS_CACHE_DIR"
"""Environment variables: ``STREAMLOSS_CACHE=0`` is no cache; the other names its folder."""
SUFFIX = ".kernel"
LIMIT = 256 << 20
"""Bytes in the folder, beyond which the files that were used least recently are removed."""
_MOST_USES = 1 << 20
_DAY = 86400.0


_WRITTEN_APART = re.compile(r"\.[0-9a-f]+(\.[0-9]+){3}\.part")
"""The names of files that are not yet whole. The folder may be one that holds other files, such as a home: what has
another name is not ours to remove."""
_KEPT = re.compile(r"[0-9a-f]+" + re.escape(SUFFIX))
_USES = "streamloss-uses"
"""The name of the file to which each process appends a byte for a kernel that it found or had to compile."""
_FOUND, _COMPILED = b"+", b"-"


class Usage(NamedTuple):
    """The content of the folder, and its use."""

    files: int
    size: int
    """bytes"""
    found: int
    """The number of times that a process found a kernel here, and"""
    compiled: int
    """that it had to compile one."""


@cache
def folder() -> Path | None:
    """Return the folder, which is made if need be; None where there is no cache."""
    if os.environ.get(SWITCH, "").strip().lower() in ("0", "off", "false", "no"):
        return None
    try:
        path = _place()
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
        return path if _is_trusted(path.stat(), stat.S_IFDIR) else None
    except (OSError, RuntimeError, ValueError):  # RuntimeError: no home; ValueError: NUL
        return None


def _place() -> Path:
    if given := os.environ.get(PLACE):
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # others are to be ignored, says the specification
        return Path(base, "streamloss")
    home = Path.home().absolute()  # a process may go to another folder
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "streamloss"


def _is_trusted(found: os.stat_result, kind: int) -> bool:
    """Return whether something is of a kind and only the user, or root, can have written it."""
    if stat.S_IFMT(found.st_mode) != kind:
        return False
    if not hasattr(os, "geteuid"):
        return True
    return found.st_uid in (os.geteuid(), 0) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _path(key: str) -> Path | None:
    where = folder()
    return None if where is None else where / (key + SUFFIX)


def read(key: str) -> bytes | None:
    """Return the content of a file, or None if there is none that can be trusted."""
    path = _path(key)
    if path is None:
        return None
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(path, flags), "rb") as file:
            found = os.fstat(file.fileno())
            if not _is_trusted(found, stat.S_IFREG) or found.st_size > LIMIT:
                return None
            data = file.read()
    except OSError:
        return None
    if time.time() - found.st_mtime > _DAY:  # the time of the last use, to a day
        with contextlib.suppress(OSError):
            os.utime(path)
    return data


def remove(key: str) -> None:
    """Remove a file that is damaged."""
    path = _path(key)
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink()


def write(key: str, data: bytes) -> None:
    """Keep the content of a file, if there is a place for it."""
    path = _path(key)
    if path is None:
        return
    apart = path.with_name(f".{key}.{os.getpid()}.{threading.get_ident()}.{time.monotonic_ns()}.part")
    try:
        try:
            with open(os.open(apart, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(data)
            os.replace(apart, path)
        except BaseException:
            with contextlib.suppress(OSError):
                apart.unlink()
            raise
        _make_room(path.parent)
    except OSError:
        return


def note_use(found: bool) -> None:
    """Count that a kernel was found, or that it had to be compiled. Bytes that are appended need no lock."""
    where = folder()
    if where is None:
        return
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
        file = os.open(where / _USES, flags, 0o600)
        try:
            if os.fstat(file).st_size > _MOST_USES:  # begin again
                os.ftruncate(file, 0)
            os.write(file, _FOUND if found else _COMPILED)
        finally:
            os.close(file)


def usage() -> Usage:
    """Return how many files there are, how large they are, and how often they were of use."""
    where = folder()
    if where is None:
        return Usage(0, 0, 0, 0)
    files, uses = _files(where), b""
    with contextlib.suppress(OSError):
        uses = (where / _USES).read_bytes()
    return Usage(len(files), sum(file.size for file in files), uses.count(_FOUND), uses.count(_COMPILED))


class _File(NamedTuple):
    used: float
    size: int
    path: str


def _files(where: Path) -> list[_File]:
    found = []
    with contextlib.suppress(OSError), os.scandir(where) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # another process may remove it meanwhile
                facts = entry.stat(follow_symlinks=False)
                if _KEPT.fullmatch(entry.name):
                    found.append(_File(facts.st_mtime, facts.st_size, entry.path))
                elif _WRITTEN_APART.fullmatch(entry.name) and time.time() - facts.st_mtime > _DAY:
                    os.unlink(entry)  # the rest of a writer that was killed
    return found


def _make_room(where: Path) -> None:
    """Remove the files that were used least recently, as long as there are too many bytes."""
    files = _files(where)
    excess = sum(file.size for file in files) - LIMIT
    for file in sorted(files):
        if excess <= 0:
            return
        with contextlib.suppress(OSError):
            os.unlink(file.path)
        excess -= file.size
