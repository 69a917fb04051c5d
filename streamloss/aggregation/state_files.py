"""Files of states: their places are checked, a name that is free or a state, and they are replaced as a whole."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ..errors import OutputExistsError, UnwritableOutputError, UsageError
from ..storage.uris import overlap


def refuse_state_target(path: Path, inputs: Mapping[str, str]) -> None:
    """Raise OutputExistsError where a file is no state, and UsageError at, above and below what is read.

    `inputs` are the places that are read, by what they are.
    """
    for use, place in inputs.items():
        if overlap(str(path), place):
            raise UsageError(
                f"the state {str(path)!r} is {use}, or above or below it ({place}), which is read; name another file."
            )
    if path.exists() and not _is_state(path):
        kind = "directory" if path.is_dir() else "file that is no state"
        raise OutputExistsError(
            f"the state {str(path)!r} exists as a {kind}, so it is not replaced; name another file, such as all.state."
        )


def try_state_target(path: Path, inputs: Mapping[str, str]) -> None:
    """Raise as :func:`refuse_state_target`, and UnwritableOutputError where no file can be made beside the state's."""
    refuse_state_target(path, inputs)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        trial = unique_beside(path)
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise UnwritableOutputError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error


def unique_beside(path: Path) -> Path:
    """Return a name beside a file's that nobody else uses, for what is renamed to it when it is whole."""
    return path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file by a new one that is on disk by then: a reader sees the old file or the new one, at any time."""
    temporary = unique_beside(path)
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_state(path: Path) -> bool:
    """Return whether a file is a state, of any version; a damaged one is not, as nobody knows what it was."""
    if not path.is_file():
        return False
    try:
        with open(path, "rb") as file:
            return file.read(1) == b"{" and str(json.loads(b"{" + file.read())["format"]).startswith("streamloss.")
    except (OSError, ValueError, KeyError, TypeError):
        return False
