"""The little of MQTT v5 that the benchmarks say and hear themselves, without a client library's cost a message."""

import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"
WINDOW = 500
"""Messages that the broker may not have acknowledged yet; its ``max_inflight_messages`` has to allow them."""
READ_BYTES = 1 << 18
PUBLISH, PUBACK, CONNACK, SUBACK = 3, 4, 2, 9


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that came."""

    topic: str
    payload: bytes
    packet_bytes: int
    """All of it: fixed header, topic, properties and payload."""


class Wire:
    """One connection to the broker at ``port``. A context manager; not for two threads at once."""

    def __init__(self, port: int, client_id: str) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._packet_id = 0
        # Version 5, clean start, a day of keep-alive, no properties.
        body = _text("MQTT") + b"\x05\x02" + (0xFFFF).to_bytes(2) + b"\x00" + _text(client_id)
        self._socket.sendall(b"\x10" + _varint(len(body)) + body)
        answer = self._await(CONNACK)
        if answer[1]:
            raise RuntimeError(f"the broker refused the connection with {answer[1]:#x}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def subscribe(self, topic: str) -> None:
        """Take what is published there, at QoS 1: a broker may drop the rest when we don't read for a while."""
        body = b"\x00\x01\x00" + _text(topic) + b"\x01"
        self._socket.sendall(b"\x82" + _varint(len(body)) + body)
        if self._await(SUBACK)[-1] >= 0x80:
            raise RuntimeError(f"the broker refused the subscription to {topic}")

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish at QoS 1, as fast as the broker acknowledges; returns when it has all."""
        packets = deque(
            encode_publish(topic, payload, number % 65535 + 1) for number, (topic, payload) in enumerate(messages)
        )
        under_way = 0
        while packets or under_way:
            count = min(WINDOW - under_way, len(packets))
            if count:
                self._socket.sendall(b"".join(packets.popleft() for _ in range(count)))
            acknowledged = sum(kind >> 4 == PUBACK for kind, _ in self._read())
            under_way += count - acknowledged

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish one message at QoS 1, without waiting; `listen` now and then, so that acknowledgements are read."""
        self._packet_id = self._packet_id % 65535 + 1
        self._socket.sendall(encode_publish(topic, payload, self._packet_id))

    def listen(self, timeout_s: float) -> list[Heard]:
        """The messages that are there already, or else the next that come within ``timeout_s``."""
        end = time.monotonic() + timeout_s
        while select.select([self._socket], [], [], max(0.0, end - time.monotonic()))[0]:
            published = [(kind, body) for kind, body in self._read() if kind >> 4 == PUBLISH]
            if published:
                heard, packet_ids = zip(*(_heard(kind, body) for kind, body in published), strict=True)
                self._socket.sendall(b"".join(b"\x40\x02" + packet_id for packet_id in packet_ids if packet_id))
                return list(heard)
        return []

    def _await(self, wanted: int) -> bytes:
        """The body of the first packet of this kind."""
        while True:
            for kind, body in self._read():
                if kind >> 4 == wanted:
                    return body

    def _read(self) -> list[tuple[int, bytes]]:
        """(first byte, body) of the whole packets that one read of the socket completes."""
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the broker closed the connection")
        buffer, position, packets = self._buffer + data, 0, []
        while (found := _packet_at(buffer, position)) is not None:
            kind, start, position = found
            packets.append((kind, buffer[start:position]))
        self._buffer = buffer[position:]
        return packets


def encode_publish(topic: str, payload: bytes, packet_id: int) -> bytes:
    """A PUBLISH packet of QoS 1."""
    body = _text(topic) + packet_id.to_bytes(2) + _properties() + payload
    return b"\x32" + _varint(len(body)) + body


def _heard(kind: int, body: bytes) -> tuple[Heard, bytes]:
    """What a PUBLISH packet says, and its packet id, which QoS 0 has none of."""
    topic_end = 2 + int.from_bytes(body[:2])
    end = topic_end + 2 if kind & 6 else topic_end
    length, position = _read_varint(body, end)
    packet_bytes = 1 + len(_varint(len(body))) + len(body)
    return Heard(body[2:topic_end].decode(), body[position + length :], packet_bytes), body[topic_end:end]


def _properties() -> bytes:
    content_type = b"\x03" + _text("application/json")
    return _varint(len(content_type)) + content_type


def _packet_at(buffer: bytes, position: int) -> tuple[int, int, int] | None:
    """(first byte, start and end of the body) of the packet there; None while it isn't whole."""
    for length_bytes in range(1, 5):
        last = position + length_bytes
        if last >= len(buffer):
            return None
        if buffer[last] < 0x80:
            length, start = _read_varint(buffer, position + 1)
            return (buffer[position], start, start + length) if start + length <= len(buffer) else None
    raise RuntimeError("a packet's length is wrong")


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _varint(value: int) -> bytes:
    digits = bytearray()
    while True:
        value, digit = divmod(value, 128)
        digits.append(digit | 0x80 if value else digit)
        if not value:
            return bytes(digits)


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2) + data
