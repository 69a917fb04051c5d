"""Files of other kinds: recognised by what they begin with and by their suffix, with the way that works for each.

A kind that is read one day loses its line in ``FILES``.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

_HEAD = 512
"""The bytes of a file that are looked at."""

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of files that is not read by its path."""

    what: str
    suffixes: tuple[str, ...]
    begins: tuple[bytes, ...] = ()
    """The bytes such a file may begin with, in any case; none where a kind has no such mark."""
    opened: str = ""
    """The expression that gives an array of it, with {path} and {name}."""
    cure: str = ""
    """The advice where no expression gives one."""


STANDING_IN = (
    FileKind(
        "an HTML or XML page",
        (".html", ".htm"),
        (b"<!DOCTYPE", b"<html", b"<?xml", b"<Error"),
        cure="A server answered with a page (a login, or no such file?) in place of the file: download that.",
    ),
    FileKind(
        "a pointer of git-lfs",
        (),
        (b"version https://git-lfs",),
        cure="It names the file, and is not it: call `git lfs pull`.",
    ),
    FileKind(
        "a pointer of git-annex",
        (),
        (b"/annex/objects/",),
        cure="It names the file, and is not it: call `git annex get`.",
    ),
)
"""The texts that are found in the place of a file that was not fetched."""

ARCHIVE = FileKind(
    "a compressed file or an archive",
    (".gz", ".zst", ".xz", ".bz2", ".tar", ".tgz", ".7z", ".zip"),
    (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh", b"7z\xbc\xaf", _ZIP),
    cure="Unpack it, and pass the array in it.",
)

FILES = (
    FileKind("a NumPy archive", (".npz",), (_ZIP,), "numpy.load({path})[{name}]"),
    FileKind(
        "an Arrow or Feather file",
        (".arrow", ".feather", ".ipc"),
        (b"ARROW1", b"FEA1"),
        "polars.read_ipc({path})[{name}].to_numpy()",
    ),
    FileKind("a table in text", (".csv", ".tsv", ".txt"), (), "pandas.read_csv({path})[{name}].to_numpy()"),
    FileKind("a JSON file", (".json", ".jsonl"), (), "pandas.read_json({path})[{name}].to_numpy()"),
    FileKind("a MATLAB file", (".mat",), (b"MATLAB 5.0 MAT-file",), "scipy.io.loadmat({path})[{name}]"),
    FileKind(
        "a pickle",
        (".pkl", ".pickle", ".joblib"),
        (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
        "pickle.load(open({path}, 'rb'))",
    ),
    FileKind("a file of bare numbers", (".bin", ".dat", ".raw"), (), "numpy.memmap({path}, dtype, 'r', shape=shape)"),
    FileKind(
        "a TFRecord file",
        (".tfrecord", ".tfrecords"),
        cure="Write its records to a .npy file or a Zarr array: dataset.as_numpy_iterator() gives them.",
    ),
    FileKind("a Parquet file of another name", (), (b"PAR1",), cure="Rename it, so that it ends with .parquet."),
    FileKind("a .npy file of another name", (), (_NPY,), cure="Rename it, so that it ends with .npy."),
    *STANDING_IN,
    ARCHIVE,
)
"""The kinds; the first that fits what a file begins with and its suffix, or else only the one or the other."""


def explain_file(path: Path, role: str) -> str | None:
    """Return the message about a file of another kind, or a place inside of one; None where it is of no known kind."""
    file, name = _file_in(path)
    if file is None or (kind := kind_of(file)) is None:
        return None
    begin = f"{role}: {str(file)!r} is {kind.what}"
    if not kind.opened:
        return f"{begin}; expected a .npy file, a Parquet file or a Zarr array. {kind.cure}"
    return (
        f"{begin}, which is not read by its path. In Python pass {_opened(kind, file, name)} as {role}; for the "
        "command line store that as a .npy file (numpy.save) or a Zarr array."
    )


def explain_stand_in(file: Path, role: str) -> str | None:
    """Return the message about what stands in for a file that was not fetched; None where the file is no such text."""
    head = _head(file)
    kinds = (kind for kind in STANDING_IN if any(head.startswith(mark.lower()) for mark in kind.begins))
    return next((f"{role}: {str(file)!r} is {kind.what}. {kind.cure}" for kind in kinds), None)


def kind_of(file: Path) -> FileKind | None:
    """Return the kind of a file, or of a directory by its suffix; None where it is not known."""
    head = _head(file)
    by_suffix = [kind for kind in FILES if file.suffix.lower() in kind.suffixes]
    if head.startswith(_NPY.lower()) and file.suffix == ".npy":  # one that holds no numbers, or is torn
        return None
    by_head = [kind for kind in FILES if any(head.startswith(mark.lower()) for mark in kind.begins)]
    if head.startswith(_ZIP.lower()) and not any(kind in by_suffix for kind in by_head):
        by_head = [_kind_of_zip(file)]
    return next((kind for kind in (*(k for k in by_suffix if k in by_head), *by_head, *by_suffix)), None)


def _opened(kind: FileKind, file: Path, name: str) -> str:
    return kind.opened.format(path=repr(str(file)), name=repr(name or "name"))


def _file_in(path: Path) -> tuple[Path | None, str]:
    """Return the file that a path names or leads into, and the path inside it: ``a.h5/group/name``."""
    for parent in (path, *path.parents):
        if parent.is_file():
            return parent, "" if parent == path else path.relative_to(parent).as_posix()
    return (path, "") if path.is_dir() else (None, "")


def _head(file: Path) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read(_HEAD).lstrip().lower()
    except OSError:  # a directory, or one that cannot be read
        return b""


def _kind_of_zip(file: Path) -> FileKind:
    """Return what a zip file of a suffix that is of no such file is: NumPy's, PyTorch's, or any archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        names = []
    if names and all(name.endswith(".npy") for name in names):
        return FILES[0]
    return FILES[1] if any(name.endswith("data.pkl") for name in names) else ARCHIVE
