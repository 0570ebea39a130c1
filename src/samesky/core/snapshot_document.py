"""A snapshot that another process wrote, or another machine sent, taken strictly: `decode_snapshot`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Final, Literal, get_args

from .status import (
    MOST_DETAILS,
    MOST_NAME,
    MOST_REASONS,
    MOST_WORDS,
    Detail,
    Role,
    Snapshot,
    State,
    System,
)
from .strict import Reason, Refused

Kind = Literal["count", "whole", "number", "words", "flag"]
_COUNTS: Final = ("behind", "stored", "duplicates", "proven_count", "repaired")
_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(_COUNTS, "count"),
    **dict.fromkeys(("position", "newest", "proven_through"), "whole"),
    **dict.fromkeys(("proven_at", "since", "lag_s", "rate_per_s", "silent_after_s"), "number"),
    **dict.fromkeys(("proven_digest", "last_error", "hint", "unit"), "words"),
    "different": "flag",
}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "role": get_args(Role),
    "state": get_args(State),
    "system": get_args(System),
}
_OPTIONAL: Final = frozenset(each.name for each in fields(Snapshot) if "None" in str(each.type))
_MOST: Final = 1 << 62


def decode_snapshot(document: object) -> Snapshot:
    """Return the snapshot in a JSON document as `Snapshot.as_dict` makes it; raises `Refused` for anything else.

    Fields that aren't known are a later samesky's, and left out. Numbers are those that ``core.strict`` lets through:
    finite, and of 64 bits.
    """
    if not isinstance(document, Mapping):
        raise Refused(Reason.SHAPE, "a snapshot must be a JSON object")
    known: dict[str, object] = {}
    for each in fields(Snapshot):
        if each.name in document:
            known[each.name] = _take(each.name, document[each.name])
    if missing := {"stream", "role", "state"} - known.keys():
        raise Refused(Reason.REQUIRED, f"a snapshot lacks {', '.join(sorted(missing))}")
    return Snapshot(**known)  # type: ignore[arg-type]


def _take(name: str, value: object) -> object:
    if name == "stream":
        return _check_words(name, value, MOST_NAME)
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise Refused(Reason.RANGE, f"{name} of a snapshot should be one of {', '.join(_CHOICES[name])}")
        return value
    if name == "refused":
        return _check_counts(value)
    if name == "details":
        return _check_details(value)
    return None if value is None and name in _OPTIONAL else _check(name, value)


def _check(name: str, value: object) -> object:
    match _KINDS[name], value:
        case "flag", bool():
            return value
        case _, bool():
            pass
        case "words", str():
            return _check_words(name, value, MOST_WORDS)
        case "count", int() if 0 <= value < _MOST:
            return value
        case "whole", int() if abs(value) < _MOST:
            return value
        case "number", int() | float() if abs(value) < _MOST:  # and so no NaN
            return float(value)
    raise Refused(Reason.TYPE, f"{name} of a snapshot has the wrong type, or is out of range")


def _check_words(name: str, value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or not all(map(str.isprintable, value)):
        raise Refused(Reason.TYPE, f"{name} of a snapshot should be at most {most} printable characters")
    return value


def _check_counts(value: object) -> dict[str, int]:
    if not isinstance(value, Mapping) or len(value) > MOST_REASONS:
        raise Refused(Reason.SHAPE, f"refused of a snapshot should be at most {MOST_REASONS} counts by reason")
    for reason, count in value.items():
        _check_words("a reason", reason, MOST_NAME)
        if type(count) is not int or not 0 <= count < _MOST:
            raise Refused(Reason.TYPE, "a count of a snapshot should be a whole number")
    return dict(value)


def _check_details(value: object) -> dict[str, Detail]:
    if not isinstance(value, Mapping) or len(value) > MOST_DETAILS:
        raise Refused(Reason.SHAPE, f"details of a snapshot should be at most {MOST_DETAILS} values by name")
    for name, each in value.items():
        _check_words("a detail's name", name, MOST_NAME)
        match each:
            case str():
                _check_words("a detail", each, MOST_WORDS)
            case None | bool():
                pass
            case int() | float() if abs(each) < _MOST:
                pass
            case _:
                raise Refused(Reason.TYPE, f"the detail {name} of a snapshot should be a number or words")
    return dict(value)
