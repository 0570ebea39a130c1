"""MQTT's outermost layer (MQTT v5, 2.1): packets out of a stream of octets. No I/O.

paho reads a packet in three or more turns, each of which asks the kernel; of what one ``recv`` brought, 64 KiB, this
makes some 150 packets at under a microsecond each.
"""

from collections.abc import Iterator

Body = bytes | bytearray | memoryview

BUFFER_BYTES = 1 << 16
PUBLISH, PUBACK = 3, 4
"""Packet types (2.1.2): the upper half of a packet's first octet."""


def encode_length(number: int) -> bytes:
    """Return ``number`` as a variable byte integer (1.5.5)."""
    if number < 128:
        return bytes((number,))
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def encode_frame(command: int, body: Body) -> bytes:
    """Return the packet with the first octet ``command`` and all behind the length in ``body``."""
    return b"".join((bytes((command,)), encode_length(len(body)), body))


def encode_puback(mid: int) -> bytes:
    """Return the PUBACK that says success (3.4)."""
    return b"\x40\x02" + mid.to_bytes(2, "big")


def decode_puback(body: Body) -> tuple[int, int]:
    """Return (packet identifier, reason code) of a PUBACK; ``ValueError`` if it is too short for one."""
    if len(body) < 2:
        raise ValueError("a PUBACK that is malformed")
    return body[0] << 8 | body[1], body[2] if len(body) > 2 else 0


class FrameReader:
    """Cuts what came into packets, whatever the pieces it came in.

    Fill ``room``, at least in part, and then ``take`` what is complete. The buffer grows to the largest packet there
    was and stays so: memory that is new costs more than all else (at 1 MiB a packet, 2.4 ms against 0.8).
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._buffer = bytearray(BUFFER_BYTES)
        self._filled = 0
        self._end = BUFFER_BYTES

    @property
    def room(self) -> memoryview:
        """Where the next octets are to be put; never empty."""
        return memoryview(self._buffer)[self._filled : self._end]

    def take(self, count: int) -> Iterator[tuple[int, Body]]:
        """Yield (first octet, all behind the length) of each packet that ``count`` new octets complete. Exhaust it.

        What it yields is good until the next. Raises ``ValueError``, behind the packets before it, for a length that
        isn't one or is more than we take.
        """
        self._filled += count
        buffer, at = self._buffer, 0
        while True:
            start, end = self._measure(at)
            if end > self._filled:
                break
            # To look into a view costs more than to copy what is small.
            yield buffer[at], buffer[start:end] if end <= BUFFER_BYTES else memoryview(buffer)[start:end]
            at = end
        self._make_room(at, end - at)

    def _measure(self, at: int) -> tuple[int, int]:
        """Return where the body of the packet at ``at`` begins and ends; as far as is known, the end may be later."""
        length, here = 0, at
        for shift in (0, 7, 14, 21):
            here += 1
            if here >= self._filled:
                return here, here + 1
            octet = self._buffer[here]
            length |= (octet & 127) << shift
            if octet < 128:
                end = here + 1 + length
                if end - at > self._most:
                    raise ValueError(f"a packet of {end - at} bytes came, and we take {self._most}")
                return here + 1, end
        raise ValueError("a packet came with a length of more than four bytes")

    def _make_room(self, at: int, needed: int) -> None:
        """Move what is behind ``at`` to the front of a buffer that is large enough."""
        self._end = max(needed, BUFFER_BYTES)
        if not at and self._end <= len(self._buffer):
            return
        rest = self._buffer[at : self._filled]
        if self._end > len(self._buffer):
            self._buffer = bytearray(self._end)
        self._filled = len(rest)
        self._buffer[: self._filled] = rest
