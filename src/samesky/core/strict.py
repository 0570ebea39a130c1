"""Strict decoding of what comes from outside: sizes, depths, types, ranges and names, before anything else looks at it.

Every function here returns a value that is proven, or raises ``Refused`` with a reason that is counted; nothing else
comes out, whatever the bytes are. The rules are the table "48 bad inputs" of the design's reliability page.
"""

import json
import math
import re
import zlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal, NoReturn, cast

from ..errors import DataError

MAX_PAYLOAD_BYTES = 1 << 20
MAX_DEPTH = 16
MAX_PROPERTIES = 32
MAX_PROPERTY_LENGTH = 4096
MAX_TOPIC_LEVEL_LENGTH = 128
FUTURE_LIMIT_S = 3600
EARLIEST_TIME = 31_536_000  # 1971-01-01: imported history may be that old, and a clock that was never set says 1970
LATEST_TIME = 1 << 33  # 2242; seconds stay below, milliseconds are far above
LOWEST_INTEGER = -(1 << 63)  # what SQLite's INTEGER and MariaDB's BIGINT can hold
HIGHEST_INTEGER = (1 << 63) - 1
Packing = Literal["zlib", "gzip"]
"""How a payload is packed: RFC 1950, or RFC 1952."""


class Reason(StrEnum):
    """Why an input was refused: the name it is counted under."""

    EMPTY = "empty"
    ENCODING = "encoding"
    JSON = "json"
    SHAPE = "shape"
    DEPTH = "depth"
    NONFINITE = "nonfinite"
    DUPKEY = "dupkey"
    RANGE = "range"
    SIZE = "size"
    BOMB = "bomb"
    VERSION = "version"
    COLUMN = "column"
    NAME = "name"
    TYPE = "type"
    REQUIRED = "required"
    FUTURE = "future"
    PAST = "past"
    SIG = "sig"
    REPLAY = "replay"
    SCOPE = "scope"
    REPLYTO = "replyto"
    PROPS = "props"
    DIGEST = "digest"
    ORIGIN = "origin"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    UNCORRELATED = "uncorrelated"
    UNINVITED = "uninvited"
    PATH = "path"
    RESERVED = "reserved"
    CONFLICT = "conflict"
    URL = "url"
    CHECKSUM = "checksum"
    INLINE = "inline"
    OLDER = "older"
    PARENT = "parent"
    AMBIGUOUS = "ambiguous"
    SHARED = "shared"


class Refused(DataError):
    """One input from outside was refused: ``reason`` is how it is counted, ``str()`` never quotes the payload."""

    code = "refused"

    def __init__(self, reason: Reason, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


def decode_json(payload: bytes, *, max_bytes: int = MAX_PAYLOAD_BYTES, max_depth: int = MAX_DEPTH) -> object:
    """Return the JSON document in ``payload``: finite floats, integers of 64 bits, no repeated key, no lone surrogate.

    ``max_depth`` counts containers inside one another. Raises ``Refused`` and nothing else (rows 1 to 9 of the table).
    """
    document = _parse(payload, max_bytes, _STRICT_DECODER)
    _check_values(document, max_depth)
    if b"\\" in payload:  # raw UTF-8 has no lone surrogates, escapes may
        check_text(json.dumps(document, ensure_ascii=False))
    return document


def decode_json_object(
    payload: bytes, *, max_bytes: int = MAX_PAYLOAD_BYTES, max_depth: int = MAX_DEPTH
) -> dict[str, object]:
    """Return the JSON object in ``payload`` under the rules of ``decode_json``; any other document is a wrong SHAPE."""
    document = decode_json(payload, max_bytes=max_bytes, max_depth=max_depth)
    if not isinstance(document, dict):
        raise Refused(Reason.SHAPE, f"a JSON object was expected, not a {type(document).__name__}")
    return document


def parse_json(payload: bytes, *, max_bytes: int) -> object:
    """Return the JSON document in ``payload`` with size, encoding, syntax and repeated keys checked, and no more.

    For callers that prove every value themselves: an overflowing float (1e999) arrives as infinity here, integers may
    have up to 4,300 digits, strings may hold lone surrogates, and nesting goes as deep as Python's recursion limit.
    """
    return _parse(payload, max_bytes, _PLAIN_DECODER)


def decode_decimal(payload: bytes, *, low: int, high: int, reason: Reason = Reason.BAD_REQUEST) -> int:
    """Return the integer that ``payload`` spells in ASCII digits alone, ``low`` to ``high``; else ``Refused(reason)``.

    No sign, space, underscore or foreign digit (``int()`` takes them all), and at most 20 digits, checked first.
    """
    if len(payload) > 20 or not payload.isdigit():
        raise Refused(reason, "a number of decimal digits was expected")
    number = int(payload)
    if not low <= number <= high:
        raise Refused(reason, f"the number isn't between {low} and {high}")
    return number


def check_identifier(text: object) -> str:
    """Return ``text`` when it can be the name of a table or column as it stands; else ``Refused`` (NAME)."""
    if not isinstance(text, str) or not _IDENTIFIER.fullmatch(text):
        raise Refused(Reason.NAME, "a table or column name must be 1 to 64 ASCII letters, digits and underscores")
    return text


def check_topic_level(text: object) -> str:
    """Return ``text`` when it can be one level of an MQTT topic (MQTT 5, 4.7), at most 128 characters; else NAME.

    No ``/``, wildcard, control character or lone surrogate anywhere, no ``$`` in front.
    """
    if not isinstance(text, str) or not _TOPIC_LEVEL.fullmatch(text):
        raise Refused(Reason.NAME, "a name in a topic has 1 to 128 characters, without / + # $ or controls")
    return text


def check_properties(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return MQTT user properties as a dict, the first of equal names; too many or too long is ``Refused`` (PROPS)."""
    if len(pairs) > MAX_PROPERTIES:
        raise Refused(Reason.PROPS, f"the message has {len(pairs)} user properties, more than {MAX_PROPERTIES}")
    properties: dict[str, str] = {}
    for name, value in pairs:
        if len(name) > MAX_PROPERTY_LENGTH or len(value) > MAX_PROPERTY_LENGTH:
            raise Refused(Reason.PROPS, f"a user property is longer than {MAX_PROPERTY_LENGTH} characters")
        properties.setdefault(name, value)
    return properties


def check_number(value: object, *, integer: bool = False) -> int | float:
    """Return ``value`` when it is a finite number that a database column holds; ``integer`` allows no float.

    Raises ``Refused``: TYPE (a bool is no number), NONFINITE, RANGE (more than 64 bits).
    """
    if type(value) is int:
        if not LOWEST_INTEGER <= value <= HIGHEST_INTEGER:
            raise Refused(Reason.RANGE, "an integer has more than 64 bits")
        return value
    if type(value) is float and not integer:
        if not math.isfinite(value):
            raise Refused(Reason.NONFINITE, "a number is infinite or not a number")
        return value
    wanted = "an integer" if integer else "a number"
    raise Refused(Reason.TYPE, f"{wanted} was expected, not a {type(value).__name__}")


def check_numbers(values: Sequence[object], kinds: set[type]) -> None:
    """Refuse what ``check_number`` refuses among the numbers in ``values``; ``kinds`` are the types of all ``values``.

    Values of other types are passed over. Costs some 10 ns a float: the sum is finite only when every float is.
    """
    if kinds.isdisjoint(_NUMBERS):
        return
    if not kinds <= _NUMBERS_AND_NULL:
        values = [value for value in values if type(value) in _NUMBERS]
    numbers = cast(list[float], values)
    if int not in kinds:
        if math.isfinite(sum(filter(None, numbers))):
            return
    elif float not in kinds:
        lowest, highest = min(filter(None, numbers), default=0), max(filter(None, numbers), default=0)
        if lowest >= LOWEST_INTEGER and highest <= HIGHEST_INTEGER:
            return
    for number in filter(None, numbers):
        check_number(number)


def check_time(value: object, *, now: float) -> int:
    """Return ``value``, a time in Unix seconds from 1971 to an hour after ``now``; whole floats become integers.

    Raises ``Refused``: REQUIRED (None), TYPE, NONFINITE, RANGE, PAST, FUTURE (milliseconds are far in the future).
    """
    if value is None:
        raise Refused(Reason.REQUIRED, "the time is missing")
    time = check_number(value)
    if time != int(time):
        raise Refused(Reason.TYPE, "a time must be a whole number of seconds")
    if time > min(now + FUTURE_LIMIT_S, LATEST_TIME):
        raise Refused(Reason.FUTURE, f"the time is more than {FUTURE_LIMIT_S} s in the future")
    if time < EARLIEST_TIME:
        raise Refused(Reason.PAST, "the time is before 1971")
    return int(time)


def check_text(text: str) -> str:
    """Return ``text`` when it can be stored as UTF-8, thus has no lone surrogate; else ``Refused`` (ENCODING)."""
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise Refused(Reason.ENCODING, "a text has half a surrogate pair") from None
    return text


def inflate(payload: bytes, *, max_bytes: int, packing: Packing = "zlib") -> bytes:
    """Return what the one complete stream of ``packing`` in ``payload`` expands to, at most ``max_bytes``.

    Raises ``Refused``: BOMB as soon as there is more, EMPTY, ENCODING (damaged, cut short, or followed by anything).
    """
    if not payload:
        raise Refused(Reason.EMPTY, "the payload is empty")
    stream = zlib.decompressobj(wbits=_WINDOW_BITS[packing])
    try:
        expanded = stream.decompress(payload, max_bytes + 1)
    except zlib.error:
        raise Refused(Reason.ENCODING, f"the payload isn't a sound {packing} stream") from None
    if len(expanded) > max_bytes:
        raise Refused(Reason.BOMB, f"the payload expands to more than {max_bytes} bytes")
    if not stream.eof or stream.unused_data:
        raise Refused(Reason.ENCODING, f"the {packing} stream is cut short, or something follows it")
    return expanded


def _parse(payload: bytes, max_bytes: int, decoder: json.JSONDecoder) -> object:
    if not payload:
        raise Refused(Reason.EMPTY, "the payload is empty")
    if len(payload) > max_bytes:
        raise Refused(Reason.SIZE, f"the payload has {len(payload)} bytes, more than {max_bytes}")
    if b"\0" in payload:  # never legal in JSON, and how UTF-16 without a byte order mark shows
        raise Refused(Reason.ENCODING, "the payload isn't UTF-8 text: it has NUL bytes")
    try:
        return decoder.decode(payload.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused(Reason.ENCODING, "the payload isn't UTF-8 text") from None
    except json.JSONDecodeError as mistake:
        raise Refused(Reason.JSON, f"the payload isn't JSON: mistake at character {mistake.pos}") from None
    except RecursionError:
        raise Refused(Reason.DEPTH, "the JSON payload is nested too deeply") from None
    except ValueError:  # int() of more digits than Python converts
        raise Refused(Reason.RANGE, "the payload has an integer of thousands of digits") from None


def _check_values(document: object, max_depth: int) -> None:
    """Refuse a document with a number out of range or more than ``max_depth`` containers inside one another."""
    layer = [document]
    for _ in range(max_depth + 1):  # layer by layer: in C over many values at once, and no document is too deep for us
        kinds = set(map(type, layer))
        if float in kinds:
            check_numbers(layer, kinds - {int})  # the parser proved the integers
        if kinds.isdisjoint(_CONTAINERS):
            return
        deeper: list[object] = []
        for value in layer:
            if isinstance(value, dict):
                deeper.extend(value.values())
            elif isinstance(value, list):
                deeper.extend(value)
        layer = deeper
    raise Refused(Reason.DEPTH, f"the JSON payload is nested more than {max_depth} deep")


def _make_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Refused(Reason.DUPKEY, "a JSON object has the same key twice")
    return made


def _make_integer(digits: str) -> int:
    if len(digits) > 20 or not LOWEST_INTEGER <= (number := int(digits)) <= HIGHEST_INTEGER:
        raise Refused(Reason.RANGE, "an integer in the payload has more than 64 bits")
    return number


def _refuse_constant(_name: str) -> NoReturn:
    raise Refused(Reason.NONFINITE, "NaN and Infinity are no JSON numbers")


_WINDOW_BITS: Final = {"zlib": 15, "gzip": 31}
_PLAIN_DECODER = json.JSONDecoder(object_pairs_hook=_make_object, parse_constant=_refuse_constant)
_STRICT_DECODER = json.JSONDecoder(
    object_pairs_hook=_make_object, parse_constant=_refuse_constant, parse_int=_make_integer
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# MQTT v5 (1.5.4) lets a receiver end the connection over controls and over what Unicode calls no character.
_NO_CHARACTERS = "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
_TOPIC_LEVEL = re.compile(
    rf"(?!\$)[^/+#\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NO_CHARACTERS}]{{1,{MAX_TOPIC_LEVEL_LENGTH}}}"
)
_CONTAINERS = frozenset({dict, list})
_NUMBERS = frozenset({int, float})
_NUMBERS_AND_NULL = _NUMBERS | {type(None)}
