"""Packets out of a stream of octets: the same ones in whatever pieces it comes."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5

from samesky.link.frames import (
    BUFFER_BYTES,
    FrameReader,
    decode_puback,
    encode_frame,
    encode_length,
    encode_puback,
)

Frame = tuple[int, bytes]


def read(reader: FrameReader, pieces: Iterable[bytes]) -> list[Frame]:
    """What ``reader`` makes of ``pieces``, each of which it is given as the room allows."""
    frames = []
    for piece in pieces:
        rest = piece
        while rest:
            room = reader.room
            assert len(room)
            count = min(len(rest), len(room))
            room[:count] = rest[:count]
            rest = rest[count:]
            frames += [(command, bytes(body)) for command, body in reader.take(count)]
    return frames


def cut(octets: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place % (len(octets) + 1) for place in places} | {0, len(octets)})
    return [octets[start:end] for start, end in pairwise(ends)]


SIZES = some.sampled_from([0, 1, 2, 126, 127, 128, 400, 16_383, 16_384]) | some.integers(0, 300)
LARGE = some.sampled_from([BUFFER_BYTES + more for more in (-5, -4, -3, 0, 1)]) | some.integers(60_000, 200_000)
FRAMES = some.lists(some.tuples(some.integers(0, 255), (SIZES | LARGE).map(lambda size: bytes([size % 251]) * size)))


@given(FRAMES, some.lists(some.integers(0, 1 << 20), max_size=30))
def test_the_pieces_that_they_come_in_make_no_difference(frames: list[Frame], places: list[int]) -> None:
    octets = b"".join(encode_frame(*frame) for frame in frames)
    reader = FrameReader(1 << 20)
    assert read(reader, cut(octets, places)) == frames
    assert read(reader, [encode_frame(0xD0, b"")]) == [(0xD0, b"")]


@given(some.lists(some.tuples(some.integers(0, 255), some.binary(max_size=200)), max_size=5))
def test_octet_by_octet_is_no_different_either(frames: list[Frame]) -> None:
    octets = b"".join(encode_frame(*frame) for frame in frames)
    assert read(FrameReader(1000), (bytes([octet]) for octet in octets)) == frames


@given(some.integers(0, 268_435_455))
def test_a_length_is_what_paho_makes_of_it(length: int) -> None:
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    assert encode_length(length) == client._pack_remaining_length(bytearray(), length)


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff\x7f"])
def test_a_length_of_more_than_four_octets_is_refused_behind_what_came_before_it(length: bytes) -> None:
    reader = FrameReader(1000)
    good = encode_frame(0x20, b"abc")
    octets = good + b"\x30" + length
    reader.room[: len(octets)] = octets
    frames = reader.take(len(octets))
    assert next(frames) == (0x20, b"abc")
    with pytest.raises(ValueError, match="more than four bytes"):
        next(frames)


def test_a_packet_larger_than_we_take_is_refused_as_soon_as_its_length_is_known() -> None:
    assert read(FrameReader(1000), [encode_frame(0x30, b"x" * 997)]) == [(0x30, b"x" * 997)]
    with pytest.raises(ValueError, match="a packet of 1001 bytes came, and we take 1000"):
        read(FrameReader(1000), [encode_frame(0x30, b"x" * 998)[:3]])


def test_room_is_small_again_behind_a_large_packet() -> None:
    """Else a flood of small packets would be read by the megabyte, and its answers wait that long."""
    reader = FrameReader(1 << 20)
    read(reader, [encode_frame(0x30, bytes(1_000_000))])
    assert len(reader.room) == BUFFER_BYTES


def test_an_acknowledgement_is_read_with_and_without_a_reason() -> None:
    assert decode_puback(encode_puback(0x1234)[2:]) == (0x1234, 0)
    assert decode_puback(b"\x00\x07\x87") == (7, 0x87)
    assert decode_puback(b"\x00\x07\x10\x00") == (7, 0x10)
    with pytest.raises(ValueError, match="PUBACK"):
        decode_puback(b"\x00")
