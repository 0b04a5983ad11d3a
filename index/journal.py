"""The operations committed since the head was last sealed: what makes the head durable.

A record is `uint32 bytes of JSON, uint32 bytes of vector, uint32 CRC-32 of both, JSON, vector`. The manifest says how
many bytes count; what a crash left beyond them is overwritten.
"""

from __future__ import annotations

import json
import operator
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import IndexCorrupt
from index.operations import AnalyzedChunk, Attributes, Remove

Record = AnalyzedChunk | Remove

_PREFIX = struct.Struct("<III")
_ATTRIBUTES = tuple(field.name for field in fields(Attributes))
_values = operator.attrgetter(*_ATTRIBUTES)
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(record: Record) -> bytes:
    content: dict[str, Any] = {"position": record.position, "chunk_id": record.chunk_id}
    vector = b""
    if isinstance(record, AnalyzedChunk):
        attributes = dict(zip(_ATTRIBUTES, _values(record.attributes), strict=True))
        content |= {"tokens": record.tokens, "attributes": attributes}
        vector = record.vector.astype("<f4", copy=False).tobytes()
    text = _to_json(content).encode()
    return _PREFIX.pack(len(text), len(vector), zlib.crc32(vector, zlib.crc32(text))) + text + vector


def create(path: Path) -> None:
    """An empty journal, durable once its directory is synced."""
    with path.open("xb") as file:
        os.fsync(file.fileno())


def append(path: Path, committed_bytes: int, records: Iterable[bytes]) -> int:
    """Writes and fsyncs records after the first `committed_bytes`; returns the new length."""
    with path.open("r+b") as file:
        file.seek(committed_bytes)
        file.writelines(records)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def replay(path: Path, committed_bytes: int) -> Iterator[Record]:
    """The records in order. Raises IndexCorrupt, and OSError for a file that is there and cannot be read now."""
    try:
        content = path.read_bytes()[:committed_bytes]
    except FileNotFoundError as error:
        raise IndexCorrupt(path, "missing") from error
    if len(content) < committed_bytes:
        raise IndexCorrupt(path, f"{len(content)} bytes of {committed_bytes}")
    start = 0
    while start < committed_bytes:
        record, start = _decode(path, content, start)
        yield record


def _decode(path: Path, content: bytes, start: int) -> tuple[Record, int]:
    if start + _PREFIX.size > len(content):
        raise IndexCorrupt(path, "a record is cut off")
    text_bytes, vector_bytes, checksum = _PREFIX.unpack_from(content, start)
    middle = start + _PREFIX.size + text_bytes
    end = middle + vector_bytes
    body = memoryview(content)[start + _PREFIX.size : end]
    if end > len(content) or zlib.crc32(body) != checksum:
        raise IndexCorrupt(path, f"the record at byte {start} is damaged")
    record = json.loads(str(body[:text_bytes], "utf-8"))
    if "attributes" not in record:
        return Remove(**record), end
    attributes = record["attributes"]
    attributes |= {key: tuple(attributes[key]) for key in ("groups", "tags")}
    vector = np.frombuffer(body[text_bytes:], "<f4").astype(np.float32)
    return AnalyzedChunk(**{**record, "attributes": Attributes(**attributes)}, vector=vector), end
