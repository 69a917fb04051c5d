"""The exceptions that streamloss raises, as one tree; ``exit_code`` is the exit code of the command line.

::

    StreamlossError
    ├── UsageError (ValueError)               2   an argument, a parameter or a setting
    │   ├── UnknownNameError                      an unknown name, with the nearest known one
    │   │   └── UnknownLossError (KeyError)       a loss that a result has not, with those it has
    │   ├── ConfigError                           a TOML file that does not fit the schema
    │   ├── OutputExistsError                     NONE's target exists and overwriting was not asked for
    │   └── MemoryBudgetError                     no plan fits the memory allowed
    ├── DataError (ValueError)                3   the data
    │   ├── SourceError                           an array that cannot be found, opened or interpreted
    │   ├── ShapeError                            arrays that do not align
    │   ├── ValueRangeError                       a label, prediction or weight that has no loss
    │   ├── MissingChunkError                     a chunk that was never written
    │   ├── CorruptChunkError                     a chunk that cannot be decoded
    │   └── StateError                            saved states that cannot be read or merged
    ├── MachineError (RuntimeError)           5   the machine
    │   ├── MissingExtraError (ImportError)       an optional package; the message names the pip install
    │   ├── NoGpuError                            no GPU that CUDA can use
    │   ├── UnwritableOutputError                 NONE's target cannot be written
    │   ├── CheckpointInUseError                  another process saves its progress there
    │   └── ClusterError                          a scheduler that cannot be reached, workers that die
    └── StoppedError                         75   stopped by a signal; the same command goes on

and :class:`StreamlossWarning` (UserWarning), for values that need an explanation.

Messages say what was wrong, what was expected, what was received, where, and what to do.
"""

from __future__ import annotations

import os
import textwrap
import traceback
from collections.abc import Iterable
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep

FEW = 10
"""The most names that are listed beside a suggestion."""
WIDTH = 100
"""The columns of a message in a notebook."""
MOST_EDITS = 2
"""The most letters by which a suggestion differs from what was typed."""


class StreamlossError(Exception):
    """The base of everything that streamloss raises on purpose."""

    exit_code = 1

    def __reduce__(self) -> Any:
        """Pickle the message instead of the constructor's arguments, so that errors of workers arrive unchanged."""
        return _rebuilt, (type(self), self.args)

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython and notebooks show: the caller's lines and the message, in one block, without
        the frames of this package. ``%debug`` goes through those.
        """
        lines = []
        for frame in traceback.extract_tb(self.__traceback__):
            if frame.filename.startswith(_HERE):
                break
            if f"{os.sep}IPython{os.sep}" not in frame.filename:
                inside = "" if frame.name == "<module>" else f" in {frame.name}"
                lines.append(f"{_place_of(frame.filename)}, line {frame.lineno}{inside}: {frame.line}")
        lines += ["", type(self).__name__]
        for line in str(self).split("\n"):
            lines += textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)
        return lines


def _place_of(filename: str) -> str:
    """Return a name of a file for a message; IPython has one for each cell, which says nothing."""
    is_cell = "ipykernel_" in filename or filename.startswith("<ipython-input")
    return "cell" if is_cell else filename


def _rebuilt(kind: type[StreamlossError], arguments: tuple[Any, ...]) -> StreamlossError:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    return error


class UsageError(StreamlossError, ValueError):
    exit_code = 2


class UnknownNameError(UsageError):
    """An unknown name: ``UnknownNameError("loss", "hubber", known=[...])`` suggests the nearest known name, or the
    only one that begins so, or lists `shown`; `advice` takes the place of both.
    """

    def __init__(
        self,
        what: str,
        name: object,
        known: Iterable[str] = (),
        shown: Iterable[str] | None = None,
        *,
        advice: str | None = None,
    ) -> None:
        names = [str(k) for k in known]
        listed = sorted(names if shown is None else shown)
        begun = [k for k in names if len(str(name)) > 2 and k.lower().startswith(str(name).lower())]
        near = nearest(str(name), names)[:1] or (begun if len(begun) == 1 else [])
        if advice is None and near and len(listed) > FEW:
            advice = f"Did you mean {near[0]!r}?"
        elif advice is None:
            guess = f"Did you mean {near[0]!r}? " if near else ""
            advice = f"{guess}Known: {', '.join(listed)}."
        super().__init__(f"unknown {what} {name!r}. {advice}")


class UnknownLossError(UnknownNameError, KeyError):
    """A name under which a result, or another mapping by loss, has no loss: ``KeyError``, as of any mapping."""

    __str__ = Exception.__str__  # KeyError would show the message's repr


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that are a slip of the keyboard away from `name`, all equally near.

    A slip is another case, or up to two letters that were left out, added, replaced or exchanged; but one in names of
    less than six letters, none in those of less than four: two letters make ``nll`` of ``mae``.
    """
    near: dict[int, list[str]] = {}
    for other in known:
        if abs(len(name) - len(other)) <= MOST_EDITS:
            shorter = min(len(name), len(other))
            allowed = MOST_EDITS if shorter >= 6 else 1 if max(len(name), len(other)) >= 4 else 0
            if (edits := _edits(name.lower(), other.lower())) <= allowed:
                near.setdefault(edits, []).append(other)
    return near[min(near)] if near else []


def _edits(a: str, b: str) -> int:
    """Return how many letters are left out, added, replaced or exchanged with their neighbours between two names."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i in range(1, len(a) + 1):
        row = [i]
        for j in range(1, len(b) + 1):
            edits = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                edits = min(edits, before[j - 2] + 1)
            row.append(edits)
        before, last = last, row
    return last[-1]


class ConfigError(UsageError):
    pass


class OutputExistsError(UsageError):
    pass


class MemoryBudgetError(UsageError):
    pass


class DataError(StreamlossError, ValueError):
    exit_code = 3


class SourceError(DataError):
    pass


class ShapeError(DataError):
    pass


class ValueRangeError(DataError):
    pass


class MissingChunkError(DataError):
    pass


class CorruptChunkError(DataError):
    pass


class StateError(DataError):
    pass


class MachineError(StreamlossError, RuntimeError):
    exit_code = 5


class MissingExtraError(MachineError, ImportError):
    """A missing optional package: ``MissingExtraError("reading s3://", "s3")``."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional package. Install it: pip install 'streamloss[{extra}]'")


class NoGpuError(MachineError):
    pass


class UnwritableOutputError(MachineError):
    pass


class CheckpointInUseError(MachineError):
    pass


class ClusterError(MachineError):
    pass


class StoppedError(StreamlossError):
    exit_code = 75


class StreamlossWarning(UserWarning):
    """A warning about a value that needs an explanation."""
