"""Files that survive a crash: named arrays in one file, and files that appear whole or not at all.

An array file is `magic, uint32 header length, uint32 CRC-32 of the header, header (JSON), arrays`; FORMAT.md has the
details. Arrays are read through a memory map: opening costs no copy and no read.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from index.errors import HelperStopped, IndexCorrupt
from index.stopping import Stop, never

Arrays = Mapping[str, npt.NDArray[Any]]

_MAGIC = b"PNKARR01"
_PREFIX = struct.Struct("<8sII")
_ALIGNMENT = 64
_DTYPES = frozenset({"|b1", "|i1", "|u1", "<i4", "<i8", "<u8", "<f4"})


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Writes and fsyncs a new array file. The name is not durable until the directory is synced."""
    table: list[dict[str, Any]] = []
    offset = 0
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, array in contiguous.items():
        offset = _aligned(offset)
        table.append(
            {
                "name": name,
                "dtype": array.dtype.str,
                "shape": list(array.shape),
                "offset": offset,
            }
        )
        offset += array.nbytes
    header = json.dumps(table, separators=(",", ":")).encode()
    start = _aligned(_PREFIX.size + len(header))
    with path.open("xb") as file:
        file.write(_PREFIX.pack(_MAGIC, len(header), zlib.crc32(header)) + header)
        for entry, array in zip(table, contiguous.values(), strict=True):
            file.write(bytes(start + entry["offset"] - file.tell()))
            file.write(array.data if array.size else b"")
        file.flush()
        os.fsync(file.fileno())


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Maps an array file; the arrays are read-only and keep the map alive.

    Raises IndexCorrupt for a file that is missing or damaged; OSError for one that cannot be opened now, which says
    nothing of what is in it (permissions, too many open files).
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise IndexCorrupt(path, "missing") from error
    except ValueError as error:
        raise IndexCorrupt(path, str(error)) from error
    table, start = _read_table(path, data)
    arrays = {}
    for entry in table:
        try:
            arrays[entry["name"]] = _mapped(data, start, entry)
        except (KeyError, TypeError, ValueError) as error:
            raise IndexCorrupt(path, f"bad array table: {error}") from error
    return arrays


def _read_table(path: Path, data: mmap.mmap) -> tuple[list[dict[str, Any]], int]:
    if len(data) < _PREFIX.size:
        raise IndexCorrupt(path, "truncated")
    magic, header_bytes, checksum = _PREFIX.unpack_from(data)
    header = data[_PREFIX.size : _PREFIX.size + header_bytes]
    if magic != _MAGIC or zlib.crc32(header) != checksum:
        raise IndexCorrupt(path, "not an array file, or its header is damaged")
    return json.loads(header), _aligned(_PREFIX.size + header_bytes)


def _mapped(data: mmap.mmap, start: int, entry: Mapping[str, Any]) -> npt.NDArray[Any]:
    if entry["dtype"] not in _DTYPES:
        raise ValueError(f"dtype {entry['dtype']}")
    dtype = np.dtype(entry["dtype"])
    shape = tuple(entry["shape"])
    size = int(np.prod(shape, dtype=np.int64))
    if size == 0:
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype, size, start + entry["offset"]).reshape(shape)


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def replace_file(path: Path, content: bytes) -> None:
    """Puts `content` in the place of `path`, durably: a crash leaves the old file or the new one."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def replace_json(path: Path, fields: Mapping[str, Any]) -> None:
    """Puts a JSON object, behind its checksum, in the place of `path`, as `replace_file` does."""
    body = json.dumps(fields, indent=1, sort_keys=True).encode()
    replace_file(path, b"%08x\n%b" % (zlib.crc32(body), body))


def read_json(path: Path) -> dict[str, Any] | None:
    """What `replace_json` wrote; None if there is no such file. Raises IndexCorrupt, OSError."""
    try:
        checksum, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    if checksum != b"%08x" % zlib.crc32(body):
        raise IndexCorrupt(path, "checksum differs")
    fields: dict[str, Any] = json.loads(body)
    return fields


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def file_checksum(path: Path, stop: Stop = never) -> int:
    """CRC-32 of a whole file. Raises HelperStopped."""
    checksum = 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            if stop():
                raise HelperStopped
            checksum = zlib.crc32(part, checksum)
    return checksum
