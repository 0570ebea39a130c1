"""Messages that no library would make, and RabbitMQ passes on all the same, must not end our connection.

pamqp raises on a timestamp that no calendar has (a peer that writes microseconds is enough), on names that aren't UTF-8
and on tables nested very deeply; aiormq then drops the connection, and the next such message drops the next one.
"""

import struct

import pamqp.frame
from pamqp.commands import Basic
from pamqp.constants import FRAME_HEADER, FRAME_METHOD
from pamqp.frame import FrameTypes
from pamqp.header import ContentHeader

UNREADABLE = "samesky-unreadable"
"""The header that stands for properties that can't be read."""
NO_TEXT = "\ufffd"
"""What stands in a key for bytes that are no text."""

_DELIVER = struct.pack(">HH", Basic.frame_id, Basic.Deliver.frame_id)
_read_strictly = pamqp.frame.unmarshal


def ensure_tolerance() -> None:
    """Have pamqp, for this whole process, mark messages that it can't read instead of raising; harmless twice."""
    pamqp.frame.unmarshal = _read_frame


def _read_frame(data_in: bytes) -> tuple[int, int, FrameTypes]:
    try:
        return _read_strictly(data_in)
    except Exception:  # what it raises depends on what is wrong: even RecursionError
        frame = _make_stand_in(data_in)
        if frame is None:
            raise
        return len(data_in), struct.unpack_from(">H", data_in, 1)[0], frame


def _make_stand_in(data: bytes) -> FrameTypes | None:
    """What says of an unreadable message that it came; None when it isn't the message's own fault (2.3.5 of AMQP)."""
    payload = data[7:-1]
    try:
        if data[0] == FRAME_HEADER:
            (body_size,) = struct.unpack_from(">Q", payload, 4)
            return ContentHeader(body_size=body_size, properties=Basic.Properties(headers={UNREADABLE: True}))
        if data[0] == FRAME_METHOD and payload.startswith(_DELIVER):
            tag, after = _read_short(payload, 4)
            number, again = struct.unpack_from(">Q?", payload, after)
            exchange, after = _read_short(payload, after + 9)
            key, _ = _read_short(payload, after)
            return Basic.Deliver(tag, number, again, exchange, key)
    except (struct.error, IndexError):
        pass
    return None


def _read_short(payload: bytes, start: int) -> tuple[str, int]:
    """The short string at ``start``, whatever its bytes are, and where it ends."""
    end = start + 1 + payload[start]
    return payload[start + 1 : end].decode("utf-8", "replace"), end
