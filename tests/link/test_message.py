"""What may go over a link, and how large it is there."""

import pytest
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5, PacketTypes, Properties

from samesky.link.message import Message, packet_bytes


def paho_size(message: Message) -> int:
    """The size of what paho sends for ``message``."""
    sent: list[bytes] = []
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client._sock = object()  # type: ignore[assignment]
    client._packet_queue = lambda command, packet, *rest: sent.append(bytes(packet))  # type: ignore[method-assign,assignment,return-value]
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = message.response_topic
    properties.CorrelationData = message.correlation
    properties.ContentType = message.content_type
    properties.MessageExpiryInterval = message.expiry_s
    properties.UserProperty = list(message.properties)
    client._send_publish(7, message.topic.encode(), message.payload, 1, False, False, None, properties)
    client._sock = None
    return len(sent[0])


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
    assert packet_bytes(message) == paho_size(message)


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
