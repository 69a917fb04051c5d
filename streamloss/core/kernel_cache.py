"""Kernels that are kept on disk between processes, found by all that their machine code depends on.

A key is a digest of the content of a function and of all that it calls, of the kinds of its arguments, of this package,
the compilers and their settings, and of the processor. Nothing is ever found that was made for anything else, so no
file can be out of date. A file that is damaged is removed, and its kernel compiled again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numpy as np

from . import cache_folder, kernel_file
from .machine_code import Program, processor
from .version import __version__

_COMPILERS = (
    "arguments.py",
    "compiler.py",
    "digest.py",
    "jit.py",
    "kernel_file.py",
    "machine_code.py",
    "object_files.py",
)
"""The modules of this folder on which machine code and its form depend."""
_IRRELEVANT = {"NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER", "NUMBA_ENABLE_CUDASIM"}
"""Settings of Numba that change no machine code of ours."""


class Counts:
    """The kernels that this process has looked for."""

    def __init__(self) -> None:
        self.found = 0
        self.compiled = 0
        self.compiling = 0
        """The number of threads that compile a kernel now."""
        self.seconds = 0.0
        """The time in which any thread compiled."""
        self._begin = 0.0
        self._changing = threading.Lock()

    def count_found(self) -> None:
        """Count a kernel that was in the cache."""
        with self._changing:
            self.found += 1
        cache_folder.note_use(found=True)

    @contextlib.contextmanager
    def while_compiling(self) -> Iterator[None]:
        """Count a kernel that is compiled while the context lasts."""
        with self._changing:
            if self.compiling == 0:
                self._begin = time.perf_counter()
            self.compiling += 1
        try:
            yield
        finally:
            with self._changing:
                self.compiling -= 1
                self.compiled += 1
                if self.compiling == 0:
                    self.seconds += time.perf_counter() - self._begin
        cache_folder.note_use(found=False)


counts = Counts()


def key_of(*parts: str) -> str:
    """Return the key of something that is described by `parts`."""
    text = json.dumps([*parts, *_facts()])
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def find(key: str) -> Program | None:
    """Return the program that is kept under a key, or None."""
    data = cache_folder.read(key)
    if data is None:
        return None
    program = kernel_file.from_bytes(data, key)
    if program is None:
        cache_folder.remove(key)
    return program


def keep(key: str, program: Program) -> None:
    """Keep a program that Numba has just compiled for other processes, if there is a cache.

    Programs that Numba compiled with other settings than those in the keys stay in this process.
    """
    if cache_folder.folder() is not None and _settings_of_numba() == _settings():
        cache_folder.write(key, kernel_file.to_bytes(program, key))


@cache
def _facts() -> tuple[Any, ...]:
    """Return what all machine code depends on, beside its function."""
    here, own = Path(__file__).parent, hashlib.blake2b(digest_size=16)
    for name in _COMPILERS:
        own.update((here / name).read_bytes())
    python = importlib.util.MAGIC_NUMBER.hex(), sys.implementation.cache_tag
    versions = __version__, own.hexdigest(), python, _numba_version(), llvmlite.__version__, np.__version__
    return versions, _settings(), sys.platform, platform.machine(), sys.maxsize, processor()


@cache
def _settings() -> list[tuple[str, str]]:
    """Return the settings of Numba that are in all keys: the variables that were there when the first was made."""
    return _relevant(os.environ)


def _relevant(variables: Mapping[str, Any]) -> list[tuple[str, str]]:
    return sorted((k, str(v)) for k, v in variables.items() if k.startswith("NUMBA_") and k not in _IRRELEVANT)


def _settings_of_numba() -> list[tuple[str, str]]:
    """Return the settings that Numba used last: it reads the variables, and a file in the working directory
    (.numba_config.yaml), again for each compilation.
    """
    return _relevant(importlib.import_module("numba.core.config")._env_reloader.old_environ)


def _numba_version() -> str:
    """Return Numba's version without importing it, which takes half a second."""
    found = importlib.util.find_spec("numba")
    try:
        return (Path(found.origin).parent / "_version.py").read_text(encoding="utf-8")  # type: ignore[union-attr, arg-type]
    except (OSError, AttributeError, TypeError):
        return str(importlib.import_module("numba").__version__)
