"""Publication times: ``20190120T045018.314854383`` as v03 has them, ``2019-01-20T04:50:18.3Z`` as WIS2 does.

Inside they are nanoseconds since 1970. A time is set where a file enters the mesh and never changed on the way, so
what is written again has the digits it came with.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

from ..core.strict import EARLIEST_TIME, FUTURE_LIMIT_S, Reason, Refused

SECOND_NS = 1_000_000_000

# Sarracenia makes a fraction by cutting the 0 off 0.5; of one below 0.0001, which is 9e-05, it leaves "e-05".
_COMPACT = re.compile(r"([0-9]{8})T?([0-9]{6})(?:\.([0-9]{1,20}))?(e-[0-9]{2})?Z?")
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,20}))?(?:Z|[+-]00:00)"
)


def decode_compact(text: object, *, now_ns: int) -> tuple[int, str]:
    """Return the time that ``text`` tells, and what `encode_compact` needs to write it with the same digits.

    The latter is empty for times as they are usually written, and lacks a Z, which kills some readers, but not the T.
    Raises ``Refused``: REQUIRED (None), TYPE, RANGE (no such time), PAST (before 1971), FUTURE (more than an hour after
    ``now_ns``: it would win over every true version of its file to come).
    """
    match = _COMPACT.fullmatch(_check_text(text))
    if match is None:
        raise Refused(Reason.RANGE, "a publication time isn't YYYYMMDDTHHMMSS with a fraction")
    date, time, fraction, exponent = match.groups()
    if exponent:
        fraction = "000000"
    pub_time = _check(_seconds_of(date + time), fraction, now_ns)
    if match.start(2) == 9 and match.end(3) == 22:  # the usual: a T, and six digits
        return pub_time, ""
    tidy = f"{date}T{time}.{fraction}" if fraction else f"{date}T{time}"
    return pub_time, "" if tidy == encode_compact(pub_time) else tidy


def encode_compact(pub_time: int, digits: object = None) -> str:
    """Return the text of ``pub_time``, with six digits behind the point as the seed has, or more where needed.

    ``digits`` is what `decode_compact` told of the text it came in; it is used if it is the text of this time.
    """
    seconds, rest = divmod(pub_time, SECOND_NS)
    whole = _spell_second(seconds)
    if type(digits) is str and digits[:15] == whole and _nanoseconds_of(digits[16:]) == rest:
        return digits
    return f"{whole}.{rest // 1000:06d}" if rest % 1000 == 0 else f"{whole}.{rest:09d}".rstrip("0")


def decode_rfc3339(text: object, *, now_ns: int) -> int:
    """Return the time that ``text`` tells, in UTC, as WIS2 wants it; raises ``Refused`` as `decode_compact` does."""
    *parts, fraction = _divide_rfc3339(_check_text(text))
    return _check(_seconds_of("".join(parts)), fraction, now_ns)


def check_rfc3339(text: str) -> None:
    """Refuse (RANGE) a ``text`` that is no time as WIS2 writes them, be it of past or future."""
    _seconds_of("".join(_divide_rfc3339(text)[:-1]))


def encode_rfc3339(pub_time: int) -> str:
    """Return the text of ``pub_time``, with a fraction where there is one."""
    seconds, rest = divmod(pub_time, SECOND_NS)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _check_text(text: object) -> str:
    if text is None:
        raise Refused(Reason.REQUIRED, "the publication time is missing")
    if type(text) is not str:
        raise Refused(Reason.TYPE, "a publication time must be a text")
    return text


def _divide_rfc3339(text: str) -> tuple[str, ...]:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise Refused(Reason.RANGE, "a time isn't YYYY-MM-DDTHH:MM:SSZ with a fraction, in UTC")
    return match.groups()


def _check(seconds: int, fraction: str | None, now_ns: int) -> int:
    pub_time = seconds * SECOND_NS + _nanoseconds_of(fraction or "")
    if pub_time > now_ns + FUTURE_LIMIT_S * SECOND_NS:
        raise Refused(Reason.FUTURE, f"the publication time is more than {FUTURE_LIMIT_S} s in the future")
    if seconds < EARLIEST_TIME:
        raise Refused(Reason.PAST, "the publication time is before 1971")
    return pub_time


def _nanoseconds_of(fraction: str) -> int:
    """Return a fraction's nanoseconds; digits beyond are dropped, by every peer alike."""
    return int(fraction[:9].ljust(9, "0")) if fraction[:9].isdecimal() else 0


@lru_cache(maxsize=1024)
def _seconds_of(digits: str) -> int:
    """Return seconds since 1970 of ``YYYYMMDDHHMMSS``; remembered, because many announcements are of one second."""
    year, month, day, hour, minute, second = (int(digits[at : at + size]) for at, size in _PARTS)
    try:
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError:
        raise Refused(Reason.RANGE, "there is no such time") from None


@lru_cache(maxsize=1024)
def _spell_second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%S}"


_PARTS = ((0, 4), (4, 2), (6, 2), (8, 2), (10, 2), (12, 2))
