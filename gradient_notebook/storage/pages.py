"""The rows on the pages of an SQLite file, each page for itself: for files in which the way to them is broken.

The format is https://www.sqlite.org/fileformat.html, sections 1.6 (pages), 2.1 (records). Tables without a row id are
index b-trees: their rows stand on leaf pages and on the pages above.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LEAF, _INTERIOR = 0x0A, 0x02
_HEADER = {_LEAF: 8, _INTERIOR: 12}
_MOST_BYTES = 4 * 1024 * 1024
"""The most that a row may have: a prompt and a small picture are far below."""
_FIXED = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Yield the values of all rows of tables without a row id, and of indices; what is deleted is left out where known."""
    data = path.read_bytes()
    size = int.from_bytes(data[16:18], "big") if data[:15] == b"SQLite format 3" else 4096
    size = 65536 if size == 1 else size
    if size < 512 or size & (size - 1):
        return
    free = set(_free_pages(data, size))
    for number in range(2, len(data) // size + 1):
        if number not in free:
            yield from _rows_of(data, size, number)


def _free_pages(data: bytes, size: int) -> Iterator[int]:
    """Yield the numbers of the pages that are not in use: they may hold what somebody has deleted."""
    (trunk,) = struct.unpack_from(">I", data, 32)
    for _ in range(len(data) // size):
        if not 1 < trunk <= len(data) // size:
            return
        yield trunk
        start = (trunk - 1) * size
        trunk, count = struct.unpack_from(">II", data, start)
        for at in range(min(count, size // 4 - 2)):
            yield struct.unpack_from(">I", data, start + 8 + 4 * at)[0]


def _rows_of(data: bytes, size: int, number: int) -> Iterator[tuple[Any, ...]]:
    page = data[(number - 1) * size : number * size]
    header = _HEADER.get(page[0])
    if header is None:
        return
    (count,) = struct.unpack_from(">H", page, 3)
    for at in range(min(count, (size - header) // 2)):
        try:
            (cell,) = struct.unpack_from(">H", page, header + 2 * at)
            yield _values(_payload(data, size, page, cell + (4 if page[0] == _INTERIOR else 0)))
        except (ValueError, IndexError, struct.error):
            continue  # a broken row takes no other along


def _payload(data: bytes, size: int, page: bytes, at: int) -> bytes:
    length, at = _varint(page, at)
    if length > _MOST_BYTES:
        raise ValueError
    most, least = (size - 12) * 64 // 255 - 23, (size - 12) * 32 // 255 - 23
    local = length
    if length > most:
        local = least + (length - least) % (size - 4)
        local = local if local <= most else least
    payload = page[at : at + local]
    following = int.from_bytes(page[at + local : at + local + 4], "big") if local < length else 0
    while len(payload) < length:
        if not 1 < following <= len(data) // size:
            raise ValueError
        start = (following - 1) * size
        following = int.from_bytes(data[start : start + 4], "big")
        payload += data[start + 4 : min(start + size, start + 4 + length - len(payload))]
    return payload


def _values(payload: bytes) -> tuple[Any, ...]:
    header, at = _varint(payload, 0)
    kinds = []
    while at < header:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values = []
    for kind in kinds:
        value, at = _value(payload, kind, at)
        values.append(value)
    return tuple(values)


def _value(payload: bytes, kind: int, at: int) -> tuple[Any, int]:
    if kind in (0, 8, 9):
        return (None, 0, 1)[(0, 8, 9).index(kind)], at
    if kind in (10, 11):
        raise ValueError
    length = _FIXED.get(kind) or (8 if kind == 7 else (kind - 12) // 2)
    piece = payload[at : at + length]
    if len(piece) < length:
        raise ValueError
    if kind == 7:
        return struct.unpack(">d", piece)[0], at + 8
    if kind < 7:
        return int.from_bytes(piece, "big", signed=True), at + length
    return (piece.decode("utf-8", "replace") if kind % 2 else piece), at + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(9):
        byte = data[at + count]
        if count == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count + 1
    raise ValueError
