"""Tensors that ``torch.save`` wrote, by ``file.pt`` or ``file.pt::key``: memory-mapped, without running code of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import MissingExtraError, SourceError, nearest
from ..uris import Address
from . import fingerprints
from .base import Allocate, Selection, Source
from .foreign_files import explain_stand_in
from .numpy import open_array
from .wrapped import Wrapped


class TensorFile(Wrapped):
    """A tensor of a file, which other processes open again."""

    def __init__(self, inner: Source, address: Address) -> None:
        super().__init__(inner, inner.dtype)
        self._address = address
        self.in_memory = False

    def __reduce__(self) -> Any:
        return open_torch_file, (self._address, self.role)

    def read(self, selection: Selection, allocate: Allocate = np.empty) -> Any:
        return self._inner.read(selection, allocate)

    def read_bytes(self, selection_shape: tuple[int, ...]) -> int:
        return self._inner.read_bytes(selection_shape)

    def fingerprint(self) -> fingerprints.Fingerprint:
        path = self._address.path
        assert path is not None
        return fingerprints.of_file(path) | {"columns": [self._address.member]}


def open_torch_file(address: Address, role: str, missing_chunks: str = "error") -> Source:
    """Open a tensor of a local file of ``torch.save``; no chunk can be missing, so `missing_chunks` has no effect.

    Raises SourceError for a file that holds no tensor of the name, and MissingExtraError without torch.
    """
    path = address.path
    assert path is not None
    content = _loaded(path, role)
    tensors = {str(k): v for k, v in content.items() if _is_tensor(v)} if isinstance(content, dict) else {}
    if _is_tensor(content) and not address.member:
        tensor = content
    elif address.member in tensors or (len(tensors) == 1 and not address.member):
        tensor = tensors[address.member or next(iter(tensors))]
    else:
        raise SourceError(f"{role}: {_not_there(path, address.member, content, tensors)}")
    where = f"{path}::{address.member}" if address.member else str(path)
    return TensorFile(open_array(tensor, role, missing_chunks, where), address)


def _loaded(path: Path, role: str) -> Any:
    try:
        import torch  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise MissingExtraError(f"{role}: reading {path.name}", "torch") from None
    try:
        return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except FileNotFoundError:
        raise SourceError(f"{role}: there is no file {str(path)!r}.") from None
    except Exception as error:  # of the unpickler, the zip file, the old format that cannot be mapped
        other = explain_stand_in(path, role)
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SourceError(
            other
            or f"{role}: {str(path)!r} cannot be read as tensors that torch.save wrote: {first[:200]} Save the "
            "tensor, or a dictionary of tensors, by torch.save."
        ) from None


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "untyped_storage")


def _not_there(path: Path, name: str, content: Any, tensors: dict[str, Any]) -> str:
    shown = ", ".join(f"{key} {tuple(value.shape)} {value.dtype}" for key, value in list(tensors.items())[:20])
    if _is_tensor(content):
        return f"{str(path)!r} holds one tensor without a name; expected {str(path)!r} alone."
    if not isinstance(content, dict):
        return f"{str(path)!r} holds a {type(content).__name__}; expected a tensor, or a dictionary of tensors."
    if not name:
        return f"{str(path)!r} holds {len(tensors):,} tensors; name one: {path}::name. It has: {shown or 'none'}."
    near = nearest(name, tensors)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"{str(path)!r} has no tensor {name!r}.{guess} It has: {shown or 'none'}."
