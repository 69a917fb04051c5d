"""Losses of rows (the reduction NONE) as a folder of Parquet files, as Spark writes it: a file for each block.

Files are named by the order of their rows, and each is written once, and atomically, so any number of threads and
processes can write at a time. A file ``_streamloss.json``, which readers of Parquet leave alone, says whose the folder
is.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.blocks import Block
from ...errors import MissingExtraError, OutputExistsError, UnwritableOutputError, UsageError
from ..uris import Address, address_of, local_path
from .base import StoredSink
from .claims import Claim

MARK = "_streamloss.json"
"""The file that says whose a folder is."""
SUFFIX = ".parquet"


def is_parquet_target(uri: str) -> bool:
    """Return whether a target is a folder of Parquet files: by its name."""
    return address_of(uri).place.rstrip("/").lower().endswith(SUFFIX)


class ParquetFolder:
    """The folder that the losses of one evaluation share, each as a column."""

    def __init__(
        self, place: str, columns: Sequence[str], num_blocks: int, about: Any, overwrite: bool, keys: Sequence[str]
    ) -> None:
        """`about` says for JSON what the losses are. Raises OutputExistsError, UnwritableOutputError and
        MissingExtraError before anything is changed.
        """
        _parquet()
        self.place = place
        self._columns, self._digits = tuple(columns), max(5, len(str(num_blocks - 1)))
        self._folder = check_parquet_target(place, overwrite, keys).absolute()
        self._identity = keys[-1] if keys else uuid.uuid4().hex
        self._claim: Claim | None = None
        self._prepare()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._claim = Claim(self._folder, place, shared=bool(keys))
            found = _identity_of(self._folder)
            self.joined = found in keys and not overwrite
            if self.joined:
                self._identity = str(found)
            else:
                for path in self._folder.iterdir():
                    path.unlink()
                content = {"evaluation": self._identity, "columns": list(columns), "losses": about}
                _replace(self._folder / MARK, lambda path: path.write_text(json.dumps(content)))
            if keys:
                self._claim.share()
        except OSError as error:
            self.close()
            raise UnwritableOutputError(f"out: cannot write {place!r}: {error.strerror or error}.") from error
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        self._lock = threading.Lock()
        self._begun: dict[int, dict[str, np.ndarray[Any, Any]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the claim, and what is begun, to this process: workers write whole blocks."""
        left = ("_lock", "_begun")
        return {**{name: value for name, value in self.__dict__.items() if name not in left}, "_claim": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def write(self, column: str, block: Block, losses: np.ndarray[Any, Any]) -> None:
        """Write a block when the losses of all columns are there; they come one after the other from one thread."""
        with self._lock:
            begun = self._begun.setdefault(block.index, {})
            begun[column] = np.array(losses)
            if len(begun) < len(self._columns):
                return
            del self._begun[block.index]
        pa, parquet = _parquet()
        table = pa.table({name: begun[name] for name in self._columns})
        try:
            _replace(self.file_of(block), lambda path: parquet.write_table(table, path))
        except OSError as error:
            raise UnwritableOutputError(
                f"out: cannot write {self.place!r}: {error.strerror or error}. The files already written are valid."
            ) from error

    def file_of(self, block: Block) -> Path:
        """Return the file of a block's losses."""
        return self._folder / f"part-{block.index:0{self._digits}d}{SUFFIX}"

    def check(self, blocks: Iterable[Block]) -> None:
        """Raise UnwritableOutputError where the folder is another run's by now, or a block's file is gone."""
        if _identity_of(self._folder) != self._identity:
            raise UnwritableOutputError(
                f"out: {self.place!r} is no longer the folder that this run writes to: it was removed, or another run "
                "replaced it. What is there is not to be trusted; evaluate again, to a path of its own."
            )
        for block in blocks:
            if not (path := self.file_of(block)).exists():
                rows = f"{block.start[0]:,} to {block.stop[0] - 1:,}"
                raise UnwritableOutputError(
                    f"out: the losses of rows {rows} were written to {str(path)!r}, which is no longer there; nothing "
                    "else may remove files there. Remove the folder, and the checkpoint if there is one, and evaluate "
                    "again."
                )

    def close(self) -> None:
        if self._claim is not None:
            self._claim.close()


class ParquetSink:
    """One column of a folder of Parquet files."""

    def __init__(self, folder: ParquetFolder, column: str) -> None:
        self.where = f"{folder.place}::{column}"
        self._folder, self._column, self.joined = folder, column, folder.joined

    def memory(self, block: Block) -> None:
        """Return None: the losses go to files."""

    def write(self, block: Block, losses: np.ndarray[Any, Any]) -> None:
        self._folder.write(self._column, block, losses)

    def sync(self, blocks: Iterable[Block]) -> None:
        """Do nothing: each file is on the disk before it has its name."""
        self._folder.check(())

    def check(self, blocks: Iterable[Block]) -> None:
        self._folder.check(blocks)

    def close(self) -> None:
        self._folder.close()


def check_parquet_target(place: str, overwrite: bool, keys: Sequence[str] = ()) -> Path:
    """Return the folder that a target may be; nothing is changed. Raises OutputExistsError and UsageError."""
    folder = local_path(place)
    if folder is None:
        raise UsageError(
            f"out: {place!r}: Parquet is written to local folders. Write it there and copy it, or write Zarr."
        )
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return folder
    if not folder.is_dir() or not (folder / MARK).exists():
        what = "and holds what streamloss did not write, so it is not overwritten" if overwrite else "already"
        raise OutputExistsError(f"out: {place!r} exists {what}. Remove it, or pass another path.")
    if not overwrite and _identity_of(folder) not in keys:
        raise OutputExistsError(
            f"out: {place!r} exists. Pass overwrite=True (--overwrite) to replace it, or another path."
        )
    return folder


def folder_of(
    targets: Mapping[str, Address], num_blocks: int, about: Any, overwrite: bool, keys: Sequence[str]
) -> dict[str, StoredSink]:
    """Return the sinks of losses that share one folder, by the loss' name: each is a column of the member's name."""
    place = next(iter(targets.values())).place
    columns = [address.member for address in targets.values()]
    folder = ParquetFolder(place, columns, num_blocks, about, overwrite, keys)
    return {name: ParquetSink(folder, address.member) for name, address in targets.items()}


def _identity_of(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / MARK).read_text())["evaluation"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _replace(path: Path, write: Any) -> None:
    """Write a file and give it its name when it is on the disk."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _parquet() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("writing Parquet files", "parquet") from error
    return pyarrow, pyarrow.parquet
