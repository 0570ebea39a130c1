"""MQTT v5 PUBLISH packets (3.3): made of a message, and what is in one that came.

paho does both as well, but takes 50 µs for each, and when decoding a copy of the rest of the packet for every property,
and of all user properties for every further one: ten properties before a page of 1 MiB cost milliseconds, and a packet
of 100,000 of them takes half a minute, in which the connection is dead (and the message comes again on the next one).
"""

import re
from typing import NamedTuple

from .frames import PUBLISH, encode_length
from .message import Message

MOST_PROPERTIES = 256
"""User properties that are handed on; the rest is skipped. More than a few dozen is refused above anyway."""

_EXPIRY, _CONTENT_TYPE, _RESPONSE_TOPIC, _CORRELATION, _SUBSCRIPTION, _USER = 0x02, 0x03, 0x08, 0x09, 0x0B, 0x26
_FIXED_BYTES = {0x01: 1, _EXPIRY: 4, 0x23: 2}

# Brokers end the connection when a text holds one of these (MQTT v5, 1.5.4: "SHOULD NOT", and mosquitto doesn't).
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
)


def check_text(text: str, what: str, *, least_bytes: int = 0) -> int:
    """Return the UTF-8 length of ``text`` in bytes; ``ValueError`` naming ``what`` if MQTT or a broker refuses it."""
    if not (text.isascii() and text.isprintable()) and _FORBIDDEN.search(text):
        raise ValueError(f"{what} holds a control character or something else that isn't text")
    size_bytes = len(text) if text.isascii() else len(text.encode())
    if not least_bytes <= size_bytes <= 0xFFFF:
        raise ValueError(f"{what} is {size_bytes} bytes long; MQTT takes {least_bytes} to 65,535")
    return size_bytes


def check_topic(topic: str, what: str = "topic") -> int:
    """Return the length in bytes of a topic to publish on; ``ValueError`` if it isn't one (wildcards, empty, long)."""
    size_bytes = check_text(topic, what, least_bytes=1)
    if "+" in topic or "#" in topic:
        raise ValueError(f"{what} holds a wildcard")
    return size_bytes


class Parcel(NamedTuple):
    """A message, and the PUBLISH made of it: what is before its packet identifier, and what is behind it."""

    message: Message
    head: bytes
    properties: bytes
    payload: bytes

    @property
    def size_bytes(self) -> int:
        """The size of the packet."""
        return len(self.head) + (2 if self.message.qos else 0) + len(self.properties) + len(self.payload)

    def start(self, mid: int) -> bytes:
        """Return the packet with the identifier ``mid`` (which has no place at QoS 0), up to the payload."""
        return b"".join((self.head, mid.to_bytes(2, "big") if self.message.qos else b"", self.properties))


def encode_publish(message: Message) -> Parcel:
    """Return ``message`` as an MQTT v5 PUBLISH packet, at QoS 1 at most; ``ValueError`` if it can't be one.

    A broker ends the connection over a malformed packet, so everything is looked at before anything is sent.
    """
    properties, payload = _encode_properties(message), bytes(message.payload)
    length = check_topic(message.topic)
    body = 2 + length + (2 if message.qos else 0) + len(properties) + len(payload)
    command = PUBLISH << 4 | (2 if message.qos else 0) | (1 if message.retain else 0)
    head = b"%c%b%b%b" % (command, encode_length(body), length.to_bytes(2, "big"), message.topic.encode())
    return Parcel(message, head, properties, payload)


def packet_bytes(message: Message) -> int:
    """Return the size of ``message`` as an MQTT v5 PUBLISH packet; ``ValueError`` if it can't be one."""
    return encode_publish(message).size_bytes


def _encode_properties(message: Message) -> bytes:
    octets = bytearray()
    if message.expiry_s is not None:
        if not 0 <= message.expiry_s <= 0xFFFFFFFF:
            raise ValueError("expiry_s is outside 0 to 4,294,967,295")
        octets += b"%c%b" % (_EXPIRY, message.expiry_s.to_bytes(4, "big"))
    if message.content_type is not None:
        octets += b"%c%b" % (_CONTENT_TYPE, _encode_text(message.content_type, "content type"))
    if message.response_topic is not None:
        check_topic(message.response_topic, "response topic")
        octets += b"%c%b" % (_RESPONSE_TOPIC, _encode_text(message.response_topic, "response topic"))
    if message.correlation is not None:
        if len(message.correlation) > 0xFFFF:
            raise ValueError("correlation is longer than 65,535 bytes")
        octets += b"%c%b%b" % (_CORRELATION, len(message.correlation).to_bytes(2, "big"), message.correlation)
    for name, value in message.properties:
        octets += b"%c%b%b" % (_USER, _encode_text(name, "property name"), _encode_text(value, "property value"))
    return encode_length(len(octets)) + octets


def _encode_text(text: str, what: str) -> bytes:
    return check_text(text, what).to_bytes(2, "big") + text.encode()


class Receipt(NamedTuple):
    """Which message of which connection is to be acknowledged."""

    generation: int
    mid: int


class Publish(NamedTuple):
    """A PUBLISH that came. ``message`` is None when it can't be decoded, and then ``fault`` says why."""

    mid: int
    qos: int
    message: Message | None
    fault: str = ""


def decode_publish(command: int, packet: bytes | bytearray | memoryview, generation: int = 0) -> Publish:
    """Decode the PUBLISH with the first byte ``command`` and all behind the length in ``packet``.

    At QoS 1 the message has the receipt of ``generation``. (A ``dataclasses.replace`` for that took 8 µs.)

    Raises ``ValueError`` only when not even its packet identifier can be found.
    """
    qos = command >> 1 & 3
    end = 2 + int.from_bytes(packet[:2], "big")
    mid = int.from_bytes(packet[end : end + 2], "big") if qos else 0
    if qos > 2 or len(packet) < end + (2 if qos else 0):
        raise ValueError("a PUBLISH that is malformed")
    try:
        receipt = Receipt(generation, mid) if qos == 1 else None
        message = _decode_message(packet, end, qos, retain=bool(command & 1), receipt=receipt)
    except (ValueError, IndexError) as error:
        return Publish(mid, qos, None, f"{type(error).__name__} in {len(packet)} bytes")
    return Publish(mid, qos, message)


def _decode_message(
    packet: bytes | bytearray | memoryview, topic_end: int, qos: int, *, retain: bool, receipt: Receipt | None
) -> Message:
    length, start = _decode_varint(packet, topic_end + (2 if qos else 0))
    end = start + length
    if end > len(packet):
        raise ValueError("properties longer than the packet")
    found, user = _decode_properties(packet, start, end)
    expiry = found.get(_EXPIRY)
    return Message(
        topic=str(packet[2:topic_end], "utf-8"),
        payload=bytes(memoryview(packet)[end:]),
        qos=qos,
        retain=retain,
        response_topic=_decode_text(found.get(_RESPONSE_TOPIC)),
        correlation=found.get(_CORRELATION),
        content_type=_decode_text(found.get(_CONTENT_TYPE)),
        properties=tuple(user),
        expiry_s=None if expiry is None else int.from_bytes(expiry, "big"),
        receipt=receipt,
    )


def _decode_properties(
    packet: bytes | bytearray | memoryview, at: int, end: int
) -> tuple[dict[int, bytes], list[tuple[str, str]]]:
    """Return (identifier -> octets) of all but the user properties, and those."""
    found: dict[int, bytes] = {}
    user: list[tuple[str, str]] = []
    while at < end:
        kind, at = packet[at], at + 1
        if kind == _USER:
            middle = at + 2 + (packet[at] << 8 | packet[at + 1])
            after = middle + 2 + (packet[middle] << 8 | packet[middle + 1])
            if len(user) < MOST_PROPERTIES:
                user.append((str(packet[at + 2 : middle], "utf-8"), str(packet[middle + 2 : after], "utf-8")))
        elif kind in (_CONTENT_TYPE, _RESPONSE_TOPIC, _CORRELATION):
            after = at + 2 + (packet[at] << 8 | packet[at + 1])
            found[kind] = bytes(packet[at + 2 : after])
        elif kind == _SUBSCRIPTION:
            _, after = _decode_varint(packet, at)
        elif kind in _FIXED_BYTES:
            after = at + _FIXED_BYTES[kind]
            found[kind] = bytes(packet[at:after])
        else:
            raise ValueError(f"unknown property {kind}")
        at = after
    if at > end:
        raise ValueError("a property longer than all properties")
    return found, user


def _decode_varint(packet: bytes | bytearray | memoryview, at: int) -> tuple[int, int]:
    """Return the variable byte integer at ``at`` (1.5.5) and where it ends."""
    number = 0
    for position in range(4):
        octet = packet[at + position]
        number |= (octet & 127) << 7 * position
        if octet < 128:
            return number, at + position + 1
    raise ValueError("a length of more than four bytes")


def _decode_text(octets: bytes | None) -> str | None:
    return None if octets is None else octets.decode()
