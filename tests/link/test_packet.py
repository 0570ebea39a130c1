"""What may go over a link, the packet that is made of it, and what is made of a packet that came."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5, PacketTypes, Properties

from samesky.link.message import Message
from samesky.link.packet import MOST_PROPERTIES, Publish, Receipt, decode_publish, encode_publish, packet_bytes


def encode_with_paho(message: Message) -> bytes:
    """The packet that paho sends for ``message``."""
    sent: list[bytes] = []
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client._sock = object()  # type: ignore[assignment]
    client._packet_queue = lambda command, packet, *rest: sent.append(bytes(packet))  # type: ignore[method-assign,assignment,return-value]
    properties = Properties(PacketTypes.PUBLISH)
    values = {
        "ResponseTopic": message.response_topic,
        "CorrelationData": message.correlation,
        "ContentType": message.content_type,
        "MessageExpiryInterval": message.expiry_s,
        "UserProperty": list(message.properties) or None,
    }
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    topic, payload = message.topic.encode(), message.payload
    client._send_publish(7, topic, payload, message.qos, message.retain, False, None, properties)
    client._sock = None
    return sent[0]


def encode(message: Message) -> bytes:
    """The packet that we send for ``message``."""
    parcel = encode_publish(message)
    return parcel.start(7) + parcel.payload


def decode(packet: bytes) -> Publish:
    """Decode a whole packet: without the length, as ``decode_publish`` wants it."""
    start = next(at for at in range(1, 5) if packet[at] < 128) + 1
    return decode_publish(packet[0], bytearray(packet[start:]))


@pytest.mark.parametrize("size_bytes", [0, 1, 20, 100, 127, 16_000, 16_383, 2_097_100, 3_000_000])
@pytest.mark.parametrize("count", [1, 4, 1000])
def test_the_size_of_a_packet_is_known_to_the_byte(size_bytes: int, count: int) -> None:
    message = Message(
        "räplicate/a",
        b"x" * size_bytes,
        response_topic="r/c",
        correlation=b"12345",
        content_type="t/ü",
        expiry_s=5,
        properties=(("name", "wert €"),) * count,
    )
    assert packet_bytes(message) == len(encode_with_paho(message))


@pytest.mark.parametrize(
    "message",
    [
        Message("", b""),
        Message("a/+", b""),
        Message("a/#", b""),
        Message("a\0b", b""),
        Message("a\nb", b""),
        Message("a\ud800", b""),
        Message("a\uffff", b""),
        Message("a\U0001fffe", b""),
        Message("a\x85", b""),
        Message("a" * 65_536, b""),
        Message("€" * 22_000, b""),
        Message("a", b"", response_topic="a/+"),
        Message("a", b"", response_topic=""),
        Message("a", b"", correlation=b"x" * 65_536),
        Message("a", b"", content_type="a\tb"),
        Message("a", b"", properties=(("a", "b\0"),)),
        Message("a", b"", properties=(("a" * 65_536, ""),)),
        Message("a", b"", expiry_s=-1),
        Message("a", b"", expiry_s=1 << 32),
    ],
)
def test_what_a_broker_would_hang_up_on_is_refused_before_it_is_sent(message: Message) -> None:
    with pytest.raises(ValueError, match=r"topic|correlation|content type|property|expiry"):
        packet_bytes(message)


@pytest.mark.parametrize("text", ["plain", "mit Umlauten äöü €", "𝒳 and 🌦", ""])
def test_ordinary_text_passes_as_a_property(text: str) -> None:
    assert packet_bytes(Message("a", b"", properties=((text, text),))) > 0


def test_a_message_does_not_show_its_payload_or_receipt_in_a_log() -> None:
    assert "secret" not in repr(Message("a", b"secret", receipt="secret"))


TEXT = some.text(some.characters(exclude_categories=["C"]), max_size=20)
TOPIC = TEXT.filter(lambda text: text and "+" not in text and "#" not in text)
MESSAGES = some.builds(
    Message,
    topic=TOPIC,
    payload=some.binary(max_size=300),
    qos=some.sampled_from([0, 1]),
    retain=some.booleans(),
    response_topic=some.none() | TOPIC,
    correlation=some.none() | some.binary(max_size=20),
    content_type=some.none() | TEXT,
    properties=some.lists(some.tuples(TEXT, TEXT), max_size=8).map(tuple),
    expiry_s=some.none() | some.integers(0, 0xFFFFFFFF),
)


@given(MESSAGES)
def test_what_paho_encodes_is_decoded_as_it_was(message: Message) -> None:
    packet = encode_with_paho(message)
    assert decode(packet) == Publish(7 if message.qos else 0, message.qos, message)
    assert packet_bytes(message) == len(packet)


@given(MESSAGES)
def test_what_is_encoded_is_to_the_byte_what_paho_encodes(message: Message) -> None:
    assert encode(message) == encode_with_paho(message)


def test_what_is_asked_for_with_qos_2_goes_with_qos_1() -> None:
    assert encode(Message("a", b"1", qos=2)) == encode(Message("a", b"1", qos=1))


def test_a_payload_that_may_still_change_is_copied_and_text_is_refused_where_it_comes_from() -> None:
    payload = bytearray(b"12")
    parcel = encode_publish(Message("a", payload))  # type: ignore[arg-type]
    payload += b"3"
    assert parcel.payload == b"12"
    with pytest.raises(TypeError):
        encode_publish(Message("a", "text"))  # type: ignore[arg-type]


@given(MESSAGES)
def test_what_is_in_a_view_is_decoded_alike_and_qos_1_has_a_receipt(message: Message) -> None:
    body = encode(message)[len(encode_publish(message).head) - 2 - len(message.topic.encode()) :]
    came = decode_publish(encode(message)[0], memoryview(body), 5)
    assert came == Publish(7 if message.qos else 0, message.qos, message)
    assert came.message
    assert came.message.receipt == (Receipt(5, 7) if message.qos else None)


@pytest.mark.slow
@settings(max_examples=500)
@given(MESSAGES, some.data())
def test_a_damaged_packet_is_a_fault_or_a_value_error_and_nothing_else(message: Message, data: some.DataObject) -> None:
    packet = bytearray(encode_with_paho(message))
    for _ in range(data.draw(some.integers(1, 4))):
        packet[data.draw(some.integers(0, len(packet) - 1))] = data.draw(some.integers(0, 255))
    cut = packet[2 : data.draw(some.integers(2, len(packet)))]
    try:
        came = decode_publish(packet[0], cut)
    except ValueError:
        return
    assert (came.message is None) == bool(came.fault)


def test_all_other_properties_of_a_publish_are_passed_over() -> None:
    others = b"\x01\x01" + b"\x23\x00\x05" + b"\x0b\x80\x01"
    packet = b"\x00\x01t" + bytes([len(others) + 5]) + others + b"\x03\x00\x02ab" + b"payload"
    assert decode_publish(0x30, packet).message == Message("t", b"payload", qos=0, content_type="ab")


def test_a_packet_full_of_properties_takes_no_time_and_keeps_its_correlation() -> None:
    count = 400_000
    properties = b"\x26\x00\x00\x00\x00" * count + b"\x09\x00\x01c"
    length = len(properties)
    varint = bytes([length & 127 | 128, length >> 7 & 127 | 128, length >> 14])
    began = time.process_time()
    message = decode_publish(0x32, bytearray(b"\x00\x01t\x00\x07" + varint + properties)).message
    assert time.process_time() - began < 2
    assert message
    assert len(message.properties) == MOST_PROPERTIES
    assert message.correlation == b"c"
