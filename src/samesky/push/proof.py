"""What a comparison of one table with the centre found: that both are the same, with a time, or what isn't."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from ..core.counts import count_of
from ..core.strict import Reason, Refused
from .digests import DAY_S

MOST_EXAMPLES = 5
MOST_TEXT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One table of a site, compared with what its centre has of it, up to what was pushed."""

    table: str
    same: bool
    """Whether the centre has every row that was compared, equal in every value. It may have more."""
    rows: int
    """Rows of the site that were compared."""
    rows_at_centre: int
    digest: str
    """Of the site's rows, in hexadecimal: ends that tell the same digest have the same rows."""
    at: float
    """When, in Unix seconds."""
    from_s: int | None = None
    """The site's earliest row; what the centre has from before, the site has no more, and it isn't compared."""
    to_s: int | None = None
    """Rows before this time were compared. None: there was nothing to compare."""
    extra_at_centre: int = 0
    """Rows that only the centre has. They are never deleted."""
    refused: int = 0
    """Rows that the centre refused; they are in the quarantine."""
    altered_groups: int = 0
    """Groups (a node's day) that differ whatever is sent: the centre doesn't keep them as they are."""
    different_groups: int = 0
    """Groups that differ, and weren't sent again."""
    missing: int = 0
    """At least so many rows of these aren't at the centre."""
    examples: tuple[str, ...] = ()
    """The first groups that are altered or differ: ``2026-11-21 69`` is the day of node 69."""
    resent_rows: int = 0
    """Rows that were sent again because they differed, and written by the centre."""
    questions: int = 0
    """Requests that the comparison took, without those that sent rows."""
    seconds: float = 0.0

    def describe(self) -> str:
        """One line for a person, without the table's name."""
        if self.to_s is None:
            return "nothing was pushed yet: there is nothing to compare"
        sent = f"{count_of(self.resent_rows, 'row')} sent again; " if self.resent_rows else ""
        more = f"; the centre has {self.extra_at_centre:,} more" if self.extra_at_centre else ""
        if self.same:
            return f"{sent}the same: {count_of(self.rows, 'row')}, digest {self.digest}{more}"
        examples = f" ({', '.join(self.examples)})" if self.examples else ""
        return f"{sent}different: {', '.join(self._differences())}{examples}, of {count_of(self.rows, 'row')}{more}"

    def as_dict(self) -> dict[str, object]:
        """The proof as JSON has it, and `from_dict` takes it back."""
        return asdict(self) | {"examples": list(self.examples)}

    @classmethod
    def from_dict(cls, document: object) -> "Proof":
        """The proof in a JSON document; fields that aren't known are a later samesky's. Raises `Refused`."""
        if not isinstance(document, dict):
            raise Refused(Reason.SHAPE, "a proof must be a JSON object")
        known = {each.name: document[each.name] for each in fields(cls) if each.name in document}
        known["examples"] = _check_examples(known.get("examples", []))
        for each in fields(cls):
            if each.name in known and each.name != "examples":
                known[each.name] = _check_value(known[each.name], each.type, each.name)
        try:
            return cls(**known)
        except TypeError:
            raise Refused(Reason.REQUIRED, "a proof lacks a field") from None

    def _differences(self) -> Iterator[str]:
        if self.different_groups:
            yield f"{self.different_groups:,} {'group differs' if self.different_groups == 1 else 'groups differ'}"
        if self.missing:
            yield f"at least {count_of(self.missing, 'row')} missing at the centre"
        if self.altered_groups:
            yield f"{count_of(self.altered_groups, 'group')} altered by the centre"
        if self.refused:
            yield f"{count_of(self.refused, 'row')} refused by the centre"


def describe_group(day: int, second: object) -> str:
    """``2026-11-21 69``: the day, and the value of the key's second column."""
    return f"{time.strftime('%Y-%m-%d', time.gmtime(day * DAY_S))} {second}"


def moment(time_s: float) -> str:
    """``2026-11-21 14:00 UTC``: times of the databases have no zone, and are taken as UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(time_s))


def _check_examples(values: object) -> tuple[str, ...]:
    if not isinstance(values, list | tuple) or len(values) > MOST_EXAMPLES:
        raise Refused(Reason.SHAPE, f"a proof has a list of at most {MOST_EXAMPLES} examples")
    return tuple(_check_value(value, str, "an example") for value in values)


def _check_value(value: Any, kind: Any, name: str) -> Any:
    """``value`` of the type that the field has; whole numbers are floats too."""
    kinds = get_args(kind) or (kind,)
    if float in kinds and type(value) is int:
        value = float(value)
    if type(value) not in kinds or (isinstance(value, str) and len(value) > MOST_TEXT):
        raise Refused(Reason.TYPE, f"{name} of a proof has the wrong type, or is too long")
    if isinstance(value, int | float) and not -(1 << 63) <= value < 1 << 63:  # and NaN
        raise Refused(Reason.RANGE, f"{name} of a proof is out of range")
    return value
