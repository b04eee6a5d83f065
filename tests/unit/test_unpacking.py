"""Packed bodies: one layer is taken off where there is one, bounded, and whatever the header says."""

from __future__ import annotations

import base64
import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradient_notebook.api.unpacking import Unpacker, UnpackingError

from .examples import of_full


def raw_deflate(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(data) + packing.flush()


def members(data: bytes) -> bytes:
    """Return gzip in several members, and what no member is behind the last one."""
    return b"".join(gzip.compress(data[at : at + 100]) for at in range(0, len(data), 100)) + b"\0\0\0"


WAYS: Mapping[str, tuple[Callable[[bytes], bytes], tuple[str, ...]]] = {
    "plain": (lambda data: data, ("", "identity", "gzip", "x-gzip", "deflate", "br", "gzip, gzip")),
    "gzip": (gzip.compress, ("", "gzip", "GZIP ", "br", "deflate")),
    "deflate": (zlib.compress, ("deflate", " Deflate")),
    "raw deflate": (raw_deflate, ("deflate",)),
}
PACKED = [(way, label) for way, (_, labels) in WAYS.items() for label in labels]


def unpacked(data: bytes, label: str, sizes: list[int]) -> Iterator[bytes]:
    unpacker, at, turns = Unpacker(label), 0, itertools.cycle(sizes)
    while at < len(data):
        size = next(turns)
        yield from unpacker.feed(data[at : at + size])
        at += size
    yield from unpacker.close()


@given(
    begins=st.sampled_from([b'{"data":', b"data: {", b"event: x\n", b": \n", b"\x89PNG\r\n\x1a\n", b"  {", b"<html>"]),
    rest=st.binary(max_size=300),
    how=st.sampled_from(PACKED),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=9),
)
@settings(max_examples=of_full(300))
def test_a_body_is_the_same_however_it_is_packed_labeled_and_cut(
    begins: bytes, rest: bytes, how: tuple[str, str], sizes: list[int]
) -> None:
    """What it begins with decides; a label that lies changes nothing."""
    way, label = how
    data = begins + rest
    assert b"".join(unpacked(WAYS[way][0](data), label, sizes)) == data


@pytest.mark.parametrize("label", ["gzip", "deflate", ""])
def test_an_empty_or_tiny_body_is_itself(label: str) -> None:
    """There is nothing to take off."""
    assert [b"".join(unpacked(data, label, [1])) for data in (b"", b"{", b"{}")] == [b"", b"{", b"{}"]


def test_what_unpacks_to_much_comes_in_pieces() -> None:
    """A gigabyte in a megabyte takes no memory before somebody asks for the next piece."""
    packing = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    bomb = b"".join(packing.compress(bytes(10_000_000)) for _ in range(100)) + packing.flush()
    tracemalloc.start()
    pieces = Unpacker("gzip").feed(bomb)
    assert max(len(piece) for piece in itertools.islice(pieces, 50)) <= 256 * 1024
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_raw_deflate_is_unpacked_whatever_it_begins_with() -> None:
    """Where the longest repetition is of 9 characters its first byte is that of `<`: no page begins like the rest."""
    text = base64.b64encode(Random(1).randbytes(30_000))
    data = b'{"data": [{"b64_json": "' + text[:500] + text[90:99] + text[500:] + b'"}]}'
    packed = raw_deflate(data)
    assert packed.startswith(b"<")
    assert b"".join(unpacked(packed, "deflate", [1000])) == data


@pytest.mark.parametrize("size", [1, 3, 50, 1 << 20])
def test_all_members_of_a_packed_body_are_taken(size: int) -> None:
    """Wherever it is cut between them; what is none behind the last one means nothing."""
    data = bytes(range(256)) * 3
    assert b"".join(unpacked(members(data), "gzip", [size])) == data


def test_one_layer_is_taken_off() -> None:
    """Twice packed is not what anybody asked for: what is inside stays as it is, small."""
    assert b"".join(unpacked(gzip.compress(gzip.compress(b"x" * 99)), "gzip, gzip", [7])) == gzip.compress(b"x" * 99)


def test_what_is_broken_gives_what_came_before() -> None:
    """And then says so."""
    data = gzip.compress(bytes(range(256)) * 400, compresslevel=0)
    broken = data[:60_000] + b"\xff" * 2000 + data[62_000:]
    came: list[bytes] = []
    with pytest.raises(UnpackingError, match="compression is broken"):
        came.extend(unpacked(broken, "gzip", [1000]))
    assert b"".join(came).startswith(bytes(range(256)) * 200)
