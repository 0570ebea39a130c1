"""The question by which a site compares a table with its centre, and the answer, as both travel.

``POST /sync/v1/digests/Reading`` with ``{"from": 1700000000, "to": 1700600000, "by": "day", "months": [202311]}`` is
answered with ``{"groups": [[19675, 2880, "9f86…"], …]}``: key, number of rows, digest. What has no rows isn't told. The
key of everything is 0, that of a month 202311, that of a day its number since 1970, that of a group ``[19675, 69]``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ..core.strict import HIGHEST_INTEGER, LATEST_TIME, LOWEST_INTEGER, Reason, Refused
from .digests import DIGEST_BYTES, GroupDigest, Key, day_of, month_of

WHOLE = 0
"""The key of the one digest of everything."""
MOST_WITHIN = 1000
"""So many months or days at most in one question."""
MOST_GROUPS = 1_000_000
"""So many digests at most in one answer."""


class By(StrEnum):
    """How finely digests are asked for."""

    ALL = "all"
    MONTH = "month"
    DAY = "day"
    GROUP = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestQuestion:
    """Digests of the rows with ``from_s`` <= time < ``to_s``, in Unix seconds; None of these asks for more."""

    from_s: int
    to_s: int
    by: By
    within: tuple[int, ...] = ()
    """Of these months alone, by MONTH or DAY; of these days alone, by GROUP; of all of them when empty."""
    deep: bool = False
    """Whether to read every row anew, and to believe no digest that was kept."""

    def as_dict(self) -> dict[str, object]:
        """The question as `from_dict` takes it back."""
        within = {_WITHIN[self.by]: list(self.within)} if self.within else {}
        deep = {"deep": True} if self.deep else {}
        return {"from": self.from_s, "to": self.to_s, "by": str(self.by), **within, **deep}

    @classmethod
    def from_dict(cls, document: object) -> "DigestQuestion":
        """The question in a JSON document; raises `Refused` for everything else."""
        if not isinstance(document, dict):
            raise Refused(Reason.SHAPE, "a question for digests must be a JSON object")
        if unknown := set(document) - {"from", "to", "by", "months", "days", "deep"}:
            raise Refused(Reason.SHAPE, f"a question for digests has {len(unknown)} fields that mean nothing there")
        by, deep = document.get("by"), document.get("deep", False)
        if not isinstance(by, str) or by not in set(By):
            raise Refused(Reason.SHAPE, "by must be all, month, day or group")
        if type(deep) is not bool:
            raise Refused(Reason.TYPE, "deep must be true or false")
        from_s, to_s = (_check_integer(document.get(name), name, -LATEST_TIME, LATEST_TIME) for name in ("from", "to"))
        return cls(from_s=from_s, to_s=to_s, by=By(by), within=_read_within(document, By(by)), deep=deep)


def months_between(from_s: int, to_s: int) -> list[int]:
    """The months that have a second from ``from_s`` up to, but not with, ``to_s``."""
    return sorted({month_of(day) for day in range(day_of(from_s), day_of(to_s - 1) + 1)})


class Digests(Protocol):
    """One end, when one table is compared: the site's database, or the centre behind a link."""

    def read_digests(self, question: DigestQuestion) -> Mapping[Key, GroupDigest]:
        """The digests asked for; what has no rows is left out."""


def encode_digests(digests: Mapping[Key, GroupDigest]) -> dict[str, object]:
    """Return the answer that `decode_digests` takes back."""
    return {"groups": [[key, each.count, each.digest.hex()] for key, each in digests.items() if each.count]}


def decode_digests(document: object, question: DigestQuestion) -> dict[Key, GroupDigest]:
    """Return the digests in the answer to ``question``; raises `Refused` for what is no answer to it."""
    entries = document.get("groups") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise Refused(Reason.SHAPE, "an answer with digests must be a JSON object with a list of groups")
    if len(entries) > MOST_GROUPS:
        raise Refused(Reason.SIZE, f"the answer has {len(entries)} digests, more than {MOST_GROUPS}")
    is_asked = _make_check(question)
    digests = dict(_read_entry(entry, is_asked) for entry in entries)
    if len(digests) != len(entries):
        raise Refused(Reason.DUPKEY, "the answer has two digests of one group")
    return digests


def _make_check(question: DigestQuestion) -> Callable[[Key], bool]:
    """Whether a digest of a key can be in the answer to ``question``."""
    within = frozenset(question.within)
    first, last = day_of(question.from_s), day_of(question.to_s - 1)

    def is_asked(key: Key) -> bool:
        match question.by, key:
            case By.ALL, int():
                return key == WHOLE
            case By.MONTH, int():
                return month_of(first) <= key <= month_of(last) and (not within or key in within)
            case By.DAY, int():
                return first <= key <= last and (not within or month_of(key) in within)
            case By.GROUP, (day, _):
                return first <= day <= last and (not within or day in within)
        return False

    return is_asked


def _read_entry(entry: object, is_asked: Callable[[Key], bool]) -> tuple[Key, GroupDigest]:
    if not isinstance(entry, list) or len(entry) != 3:
        raise Refused(Reason.SHAPE, "a digest must be a list of key, count and digest")
    key, count, digest = entry
    made = _read_key(key)
    if not is_asked(made):
        raise Refused(Reason.UNINVITED, "the answer has a digest that wasn't asked for")
    return made, GroupDigest(_check_integer(count, "a count", 1), _read_digest(digest))


def _read_key(key: object) -> Key:
    match key:
        case [day, second]:
            return _check_integer(day, "a day"), _check_integer(second, "a group's second part")
    return _check_integer(key, "the key of a digest")


def _read_digest(text: object) -> bytes:
    try:
        digest = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise Refused(Reason.DIGEST, f"a digest must be {2 * DIGEST_BYTES} hexadecimal digits")
    return digest


def _read_within(document: Mapping[str, object], by: By) -> tuple[int, ...]:
    name = _WITHIN[by]
    stray = next((other for other in ("months", "days") if other in document and other != name), None)
    if stray:
        raise Refused(Reason.SHAPE, f"{stray} means nothing by {by}")
    values = document.get(name, [])
    if not isinstance(values, list) or len(values) > MOST_WITHIN:
        raise Refused(Reason.SHAPE, f"{name} must be a list of at most {MOST_WITHIN} numbers")
    if name == "days":
        return tuple(_check_integer(value, "a day", -_LAST_DAY, _LAST_DAY) for value in values)
    return tuple(_check_month(value) for value in values)


def _check_month(value: object) -> int:
    month = _check_integer(value, "a month", 1600_00, 2300_00)
    if not 1 <= month % 100 <= 12:
        raise Refused(Reason.RANGE, "a month is spelled as 202611 is, which is November 2026")
    return month


def _check_integer(value: object, name: str, low: int = LOWEST_INTEGER, high: int = HIGHEST_INTEGER) -> int:
    if type(value) is not int:
        raise Refused(Reason.TYPE, f"{name} must be an integer")
    if not low <= value <= high:
        raise Refused(Reason.RANGE, f"{name} must be between {low} and {high}")
    return value


_WITHIN = {By.ALL: "", By.MONTH: "months", By.DAY: "months", By.GROUP: "days"}
_LAST_DAY = day_of(LATEST_TIME)
