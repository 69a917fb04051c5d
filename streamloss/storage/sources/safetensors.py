"""Tensors of safetensors files, by ``file.safetensors::name``: memory-mapped, whatever the file's size is.

A file begins with the length of its header, 8 bytes, and the header, JSON, which has each tensor's dtype, shape and
place in what follows (the format's own documentation: github.com/huggingface/safetensors). It is read without the
library, which returns tensors of a framework.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import SourceError, nearest
from ..uris import Address
from .base import Source
from .float8 import Float8
from .foreign_files import explain_stand_in
from .numpy import open_array

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "V2", "F8_E4M3": "u1", "F8_E5M2": "u1", "BOOL": "?",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip
"""NumPy's dtypes of the format's; those that NumPy has not are bits."""
_FLOAT8 = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_MOST_HEADER = 100 << 20
"""The most bytes of a header that the format allows."""


class Tensor(NamedTuple):
    """A tensor's place in a file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """Its first byte in the file."""


def open_safetensors(address: Address, role: str, missing_chunks: str = "error") -> Source:
    """Open a tensor of a local safetensors file; no chunk can be missing, so `missing_chunks` has no effect."""
    path = address.path
    assert path is not None
    tensors = _tensors(path, role)
    name = address.member or (next(iter(tensors)) if len(tensors) == 1 else "")
    if name not in tensors:
        raise SourceError(f"{role}: {_not_there(path, name, tensors)}")
    tensor = tensors[name]
    data: Any = np.empty(tensor.shape, DTYPES[tensor.dtype])
    if data.size:
        data = np.memmap(path, data.dtype, "r", offset=tensor.start, shape=tensor.shape)
    source = open_array(data, role, missing_chunks, f"{path}::{name}")
    return Float8(source, _FLOAT8[tensor.dtype]) if tensor.dtype in _FLOAT8 else source


def _tensors(path: Path, role: str) -> dict[str, Tensor]:
    """Return the tensors of a file by name. Raises SourceError for a file that is not whole, or none of the kind."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= min(_MOST_HEADER, size - 8):
                raise ValueError(f"its header has {length:,} bytes; the file has {size:,}")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header is no mapping")
        return {
            name: _tensor(name, entry, 8 + length, size) for name, entry in header.items() if name != "__metadata__"
        }
    except FileNotFoundError:
        raise SourceError(f"{role}: there is no file {str(path)!r}.") from None
    except OSError as error:
        raise SourceError(f"{role}: cannot open {str(path)!r}: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        other = explain_stand_in(path, role)
        raise SourceError(other or f"{role}: {str(path)!r} is no whole safetensors file: {error}.") from None


def _tensor(name: str, entry: Any, begin: int, size: int) -> Tensor:
    """Return a tensor as a header describes it. Raises ValueError for what cannot be."""
    try:
        dtype, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = all(isinstance(n, int) and n >= 0 for n in (*shape, start, stop))
    except (TypeError, KeyError, ValueError):
        raise ValueError(f"its header does not say where {name!r} is") from None
    if not whole or dtype not in DTYPES:
        raise ValueError(f"{name!r} has the dtype {dtype!r} and the shape {shape}; known dtypes: {', '.join(DTYPES)}")
    expected = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if stop - start != expected or begin + stop > size:
        raise ValueError(
            f"{name!r} lies in bytes {start:,} to {stop:,} of {size - begin:,}; expected {expected:,} bytes of {dtype} "
            f"{shape}"
        )
    return Tensor(dtype, shape, begin + start)


def _not_there(path: Path, name: str, tensors: dict[str, Tensor]) -> str:
    shown = ", ".join(f"{known} {tensor.shape} {tensor.dtype}" for known, tensor in list(tensors.items())[:20])
    if not name:
        return (
            f"{str(path)!r} holds {len(tensors):,} tensors; name one of them: {path}::name. It has: {shown or 'none'}."
        )
    near = nearest(name, tensors)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"{str(path)!r} has no tensor {name!r}.{guess} It has: {shown or 'none'}."
