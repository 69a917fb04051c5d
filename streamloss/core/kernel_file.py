"""The files of the kernel cache: a program as bytes, with a checksum over all of them.

Reading one parses JSON and executes nothing. What is not exactly what was written under a key is no program.
"""

from __future__ import annotations

import hashlib
import json
import zlib

from .machine_code import Module, Program

_FORMAT = b"streamloss kernel 1\n"
_CHECKSUM = 32  # bytes


def to_bytes(program: Program, key: str) -> bytes:
    """Return the content of the file of a program that is found by `key`."""
    modules = [(symbol, len(module.code), module.calls) for symbol, module in program.modules.items()]
    header = {"key": key, "entry": program.entry, "returns": program.returns, "modules": modules}
    code = zlib.compress(b"".join(module.code for module in program.modules.values()), 6)
    content = json.dumps(header).encode() + b"\n" + code
    return _FORMAT + _checksum(content) + content


def from_bytes(data: bytes, key: str) -> Program | None:
    """Return the program of a file, or None if the file is not what :func:`to_bytes` made for this key."""
    start = len(_FORMAT) + _CHECKSUM
    if data[:start] != _FORMAT + _checksum(data[start:]):
        return None
    line, _, compressed = data[start:].partition(b"\n")
    header = json.loads(line)
    if header["key"] != key:
        return None
    code, position, modules = zlib.decompress(compressed), 0, {}
    for symbol, size, calls in header["modules"]:
        modules[symbol] = Module(code[position : position + size], tuple(calls))
        position += size
    return Program(header["entry"], header["returns"], modules)


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECKSUM).digest()
