"""Progress on disk: a run that was killed is gone on with by the next one."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from ..core.blocks import Ranges
from ..errors import CheckpointInUseError, StateError, UnwritableOutputError
from ..storage.regular_files import read_regular
from .block_result import BlockResult
from .manifest import Manifest, differences
from .snapshot import Snapshot
from .state_files import write_whole

SHARE = 1 / 200
"""The largest share of the time that saving takes: the next save waits so many times as long as the last one took."""


class Checkpoint:
    """The progress of one evaluation, or of one of its shards: a file in a directory.

    It is replaced by renaming a new one that is on disk by then, so it is whole at any moment, also after a ``kill -9``
    or a loss of power. One process at a time has it.
    """

    def __init__(self, directory: Path, name: str, manifest: Manifest, copies: bool = False) -> None:
        """`copies` says whether the inputs may be copies of those that the progress is of."""
        self._path = directory / name
        self._due = 0.0
        self.manifest = manifest
        self.snapshot: Snapshot | None = None
        """The snapshot that was saved before, if there was one."""
        if self._path.exists():
            self.snapshot = Snapshot.from_bytes(read_regular(self._path), str(self._path))
            if lines := differences(self.snapshot.manifest, manifest, copies):
                raise StateError(
                    f"{self._path} is the progress of another evaluation: {'; '.join(lines)}. Restore what it was, or "
                    "begin anew: remove the file, or name another checkpoint directory."
                )
            self.manifest = self.snapshot.manifest  # it describes the inputs as they were when the evaluation began

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last save."""
        return time.perf_counter() >= self._due

    @property
    def covered(self) -> Ranges:
        """The blocks that were saved before."""
        return Ranges() if self.snapshot is None else self.snapshot.result.covered

    def save(self, result: BlockResult, all_binary: Mapping[str, bool]) -> None:
        """Replace the file; see :class:`Snapshot` for `all_binary`. Raises UnwritableOutputError."""
        begin = time.perf_counter()
        try:
            write_whole(self._path, Snapshot(self.manifest, result, all_binary).to_bytes())
        except OSError as error:
            raise UnwritableOutputError(
                f"the checkpoint {str(self._path)!r} cannot be written: {error.strerror or error}."
            ) from error
        self.waits_for(time.perf_counter() - begin)

    def waits_for(self, seconds: float) -> None:
        """Make the next save due when one that took so many seconds is a small share of the time."""
        self._due = time.perf_counter() + seconds / SHARE


@contextlib.contextmanager
def open_checkpoint(
    directory: str, shard: tuple[int, int] | None, manifest: Manifest, copies: bool = False
) -> Iterator[Checkpoint]:
    """Open the checkpoint of an evaluation, for this process alone; for `copies` see :func:`differences`.

    Raises StateError where it is of another evaluation, CheckpointInUseError, and UnwritableOutputError.
    """
    name = "all.state" if shard is None else file_name(shard)
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / f".{name}.lock", "w", encoding="ascii")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise UnwritableOutputError(
            f"the checkpoint directory {directory!r} cannot be written: {error.strerror or error}."
        ) from error
    with lock:
        _lock(lock, folder / name)
        for left in folder.glob(f"{name}.*-????????.tmp"):  # of processes that were killed while they saved
            left.unlink(missing_ok=True)
        yield Checkpoint(folder, name, manifest, copies)


def file_name(shard: tuple[int, int]) -> str:
    """Return the name of a shard's file, ``03-of-12.state``: sorted names are in the order of the shards."""
    index, count = shard
    return f"{index:0{len(str(count - 1))}}-of-{count}.state"


def _lock(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CheckpointInUseError(
            f"another process saves its progress to {str(path)!r}; expected one at a time. Wait for it, or name "
            "another checkpoint directory."
        ) from None
    except OSError:  # a network file system without locks
        return
