"""MQTT v5 PUBLISH packets (3.3): how large one will be, and what is in one that came.

paho decodes them as well, but takes a copy of the rest of the packet for every property, and of all user properties for
every further one: ten properties before a page of 1 MiB cost milliseconds, and a packet of 100,000 of them takes half a
minute, in which the connection is dead (and the message comes again on the next one).
"""

import re
from typing import NamedTuple

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


def packet_bytes(message: Message) -> int:
    """Return the size of ``message`` as an MQTT v5 PUBLISH packet; ``ValueError`` if it can't be one.

    A broker ends the connection over a malformed packet, so everything is looked at before anything is sent.
    """
    properties = _properties_bytes(message)
    body = 2 + check_topic(message.topic) + (2 if message.qos else 0) + len(message.payload)
    body += _varint_bytes(properties) + properties
    return 1 + _varint_bytes(body) + body


def _properties_bytes(message: Message) -> int:
    size = 5 if message.expiry_s is not None else 0
    if message.expiry_s is not None and not 0 <= message.expiry_s <= 0xFFFFFFFF:
        raise ValueError("expiry_s is outside 0 to 4,294,967,295")
    if message.response_topic is not None:
        size += 3 + check_topic(message.response_topic, "response topic")
    if message.correlation is not None:
        if len(message.correlation) > 0xFFFF:
            raise ValueError("correlation is longer than 65,535 bytes")
        size += 3 + len(message.correlation)
    if message.content_type is not None:
        size += 3 + check_text(message.content_type, "content type")
    for name, value in message.properties:
        size += 5 + check_text(name, "property name") + check_text(value, "property value")
    return size


def _varint_bytes(number: int) -> int:
    return 1 if number < 128 else 2 if number < 16_384 else 3 if number < 2_097_152 else 4


class Publish(NamedTuple):
    """A PUBLISH that came. ``message`` is None when it can't be decoded, and then ``fault`` says why."""

    mid: int
    qos: int
    message: Message | None
    fault: str = ""


def decode_publish(command: int, packet: bytes | bytearray) -> Publish:
    """Decode the PUBLISH with the first byte ``command`` and all behind the length in ``packet``.

    Raises ``ValueError`` only when not even its packet identifier can be found.
    """
    qos = command >> 1 & 3
    end = 2 + int.from_bytes(packet[:2], "big")
    mid = int.from_bytes(packet[end : end + 2], "big") if qos else 0
    if qos > 2 or len(packet) < end + (2 if qos else 0):
        raise ValueError("a PUBLISH that is malformed")
    try:
        message = _decode_message(packet, end, qos, retain=bool(command & 1))
    except (ValueError, IndexError) as error:
        return Publish(mid, qos, None, f"{type(error).__name__} in {len(packet)} bytes")
    return Publish(mid, qos, message)


def _decode_message(packet: bytes | bytearray, topic_end: int, qos: int, *, retain: bool) -> Message:
    length, start = _decode_varint(packet, topic_end + (2 if qos else 0))
    end = start + length
    if end > len(packet):
        raise ValueError("properties longer than the packet")
    found, user = _decode_properties(packet, start, end)
    expiry = found.get(_EXPIRY)
    return Message(
        topic=packet[2:topic_end].decode(),
        payload=bytes(memoryview(packet)[end:]),
        qos=qos,
        retain=retain,
        response_topic=_decode_text(found.get(_RESPONSE_TOPIC)),
        correlation=found.get(_CORRELATION),
        content_type=_decode_text(found.get(_CONTENT_TYPE)),
        properties=tuple(user),
        expiry_s=None if expiry is None else int.from_bytes(expiry, "big"),
    )


def _decode_properties(packet: bytes | bytearray, at: int, end: int) -> tuple[dict[int, bytes], list[tuple[str, str]]]:
    """Return (identifier -> octets) of all but the user properties, and those."""
    found: dict[int, bytes] = {}
    user: list[tuple[str, str]] = []
    while at < end:
        kind, at = packet[at], at + 1
        if kind == _USER:
            middle = at + 2 + (packet[at] << 8 | packet[at + 1])
            after = middle + 2 + (packet[middle] << 8 | packet[middle + 1])
            if len(user) < MOST_PROPERTIES:
                user.append((packet[at + 2 : middle].decode(), packet[middle + 2 : after].decode()))
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


def _decode_varint(packet: bytes | bytearray, at: int) -> tuple[int, int]:
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
