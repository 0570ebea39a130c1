"""A block's data on their way: the body is the data alone, as the seed has it, and all else is in headers.

Old peers know nothing of headers and lose nothing without them; a message without any is one of an old peer. Over AMQP
they are headers, over MQTT v5 user properties, all of them texts:

    samesky-origin     ``service.id`` of the block that the data come from, through whatever chain
    samesky-hops       how many blocks they have been written to on their way
    samesky-epoch      a number that is greater each time the primary's service starts
    samesky-sequence   counts the messages of an epoch
    samesky-interval   at least every so many seconds a message comes
    samesky-sent       when it was sent, in Unix seconds
    samesky-state      ``live``, or ``goodbye``: the primary has ended, and these were its last data
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from ..core.strict import HIGHEST_INTEGER, Reason, Refused, check_properties, check_text, check_time, decode_json_object
from .links import LONGEST_S, MAX_KEY_BYTES, check_key

CONTENT_TYPE = "application/json"
MAX_BODY_BYTES = 1 << 20
MAX_HEADERS_HOPS = 1000
State = Literal["live", "goodbye"]
PREFIX = "samesky-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What the headers say."""

    origin: str
    epoch: int
    sequence: int
    hops: int = 0
    interval_s: float | None = None
    sent_s: float | None = None
    state: State = "live"


@dataclass(frozen=True, slots=True)
class BlockMessage:
    """What comes under a key; without ``metadata`` it is from an old peer."""

    key: str
    data: dict[str, object]
    metadata: Metadata | None = None
    retained: bool = False
    """Whether the broker has kept it: nobody knows how old it is."""


def encode_body(data: Mapping[str, object]) -> bytes:
    """Return the body that carries ``data``; raises ``Refused`` (NONFINITE) for what JSON has no word for."""
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        raise Refused(Reason.NONFINITE, "a block's data have a number that is infinite, or none") from None


def encode_headers(metadata: Metadata) -> dict[str, str]:
    """Return the headers that `decode_message` takes back to equal metadata."""
    headers = {
        "origin": metadata.origin,
        "hops": str(metadata.hops),
        "epoch": str(metadata.epoch),
        "sequence": str(metadata.sequence),
        "state": metadata.state,
    }
    if metadata.interval_s is not None:
        headers["interval"] = repr(metadata.interval_s)
    if metadata.sent_s is not None:
        headers["sent"] = repr(metadata.sent_s)
    return {PREFIX + name: value for name, value in headers.items()}


def name_message(headers: Mapping[str, str]) -> str | None:
    """Return what a message with `encode_headers` is called, by none other under its key; None without such headers."""
    epoch, sequence = headers.get(f"{PREFIX}epoch"), headers.get(f"{PREFIX}sequence")
    return f"{epoch}-{sequence}" if epoch and sequence else None


def decode_message(
    key: str, body: bytes, headers: Sequence[tuple[str, object]], *, now: float, retained: bool = False
) -> BlockMessage:
    """Return what a broker delivered under ``key``; ``now`` is in Unix seconds.

    Raises ``Refused``, whatever the bytes are (design, table of bad inputs, column O): of the body EMPTY, ENCODING,
    JSON, DEPTH, SIZE …, SHAPE when it is no object; of the headers PROPS, TYPE, RANGE, REQUIRED, FUTURE, PAST.
    """
    check_key(key)
    if not body:
        raise Refused(Reason.EMPTY, "the message is empty")
    data = decode_json_object(body, max_bytes=MAX_BODY_BYTES)
    return BlockMessage(key, data, _decode_headers(headers, now), retained)


def _decode_headers(headers: Sequence[tuple[str, object]], now: float) -> Metadata | None:
    texts = check_properties([(name, value if isinstance(value, str) else str(value)) for name, value in headers])
    told = {name.removeprefix(PREFIX): value for name, value in texts.items() if name.startswith(PREFIX)}
    if not told:
        return None
    state = told.get("state", "live")
    if state not in get_args(State):
        raise Refused(Reason.VERSION, "samesky-state is neither live nor goodbye")
    sent_s = _take_number(told, "sent")
    if sent_s is not None:
        check_time(math.floor(sent_s), now=now)
    return Metadata(
        origin=_take_origin(told),
        hops=_take_integer(told, "hops", MAX_HEADERS_HOPS, default=0),
        epoch=_take_integer(told, "epoch", HIGHEST_INTEGER),
        sequence=_take_integer(told, "sequence", HIGHEST_INTEGER),
        interval_s=_take_number(told, "interval", most=LONGEST_S),
        sent_s=sent_s,
        state=cast(State, state),
    )


def _take_origin(told: Mapping[str, str]) -> str:
    origin = told.get("origin", "")
    if not origin or len(check_text(origin).encode()) > MAX_KEY_BYTES:
        raise Refused(Reason.REQUIRED if not origin else Reason.NAME, "samesky-origin is missing, or too long")
    return origin


def _take_integer(told: Mapping[str, str], name: str, most: int, *, default: int | None = None) -> int:
    text = told.get(name)
    if text is None:
        if default is None:
            raise Refused(Reason.REQUIRED, f"{PREFIX}{name} is missing")
        return default
    if len(text) > 19 or not (text.isascii() and text.isdigit()) or int(text) > most:
        raise Refused(Reason.RANGE, f"{PREFIX}{name} must be a whole number from 0 to {most}")
    return int(text)


def _take_number(told: Mapping[str, str], name: str, *, most: float = 1e18) -> float | None:
    text = told.get(name)
    if text is None:
        return None
    try:
        number = float(text) if len(text) <= 32 and text.isascii() else math.nan
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise Refused(Reason.RANGE, f"{PREFIX}{name} must be a number from 0 to {most:g}")
    return number
