"""Whatever a message's key and properties hold, reading its frames gives a message, marked when it can't be read."""

import struct

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic, Queue
from pamqp.header import ContentHeader

from samesky.link.amqp_frames import NO_TEXT, UNREADABLE, ensure_tolerance


@pytest.fixture(autouse=True)
def tolerance() -> None:
    ensure_tolerance()
    ensure_tolerance()


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 3, len(payload)) + payload + b"\xce"


@given(st.binary(max_size=200), st.integers(0, 0xFFFE))
def test_a_header_frame_of_any_properties_is_read_or_marked(properties: bytes, flags: int) -> None:
    data = frame(2, struct.pack(">HHQH", 60, 0, 7, flags & 0xFFFE) + properties)
    size, channel, read = pamqp.frame.unmarshal(data)
    assert isinstance(read, ContentHeader)
    assert (size, channel, read.body_size) == (len(data), 3, 7)


@given(st.binary(max_size=255))
def test_a_delivery_by_any_key_is_read(key: bytes) -> None:
    payload = (
        struct.pack(">HH", 60, 60) + b"\3tag" + struct.pack(">Q?", 9, True) + b"\7syncast" + bytes([len(key)]) + key
    )
    _, _, read = pamqp.frame.unmarshal(frame(1, payload))
    assert isinstance(read, Basic.Deliver)
    assert (read.consumer_tag, read.delivery_tag, read.redelivered, read.exchange) == ("tag", 9, True, "syncast")
    assert read.routing_key == key.decode("utf-8", "replace")


def test_tables_nested_beyond_all_reason_are_marked() -> None:
    table = b""
    for _ in range(20_000):
        table = b"\1aF" + struct.pack(">I", len(table)) + table
    payload = struct.pack(">HHQHI", 60, 0, 7, 1 << 13, len(table)) + table
    _, _, read = pamqp.frame.unmarshal(frame(2, payload))
    assert isinstance(read, ContentHeader)
    assert read.properties.headers == {UNREADABLE: True}


@pytest.mark.parametrize("data", [frame(2, b"short"), frame(1, b"\xff\xff\xff\xff"), frame(9, b"what")])
def test_what_is_wrong_beyond_one_message_ends_the_connection_as_before(data: bytes) -> None:
    with pytest.raises(Exception, match=r".*"):
        pamqp.frame.unmarshal(data)


def test_sound_frames_are_read_as_before() -> None:
    sound = Queue.DeclareOk("amq.gen-a", 1, 2)
    _, channel, read = pamqp.frame.unmarshal(pamqp.frame.marshal(sound, 5))
    assert channel == 5
    assert dict(read) == dict(sound)
    assert NO_TEXT not in read.queue
