"""What a verification found, as figures and as sentences."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core.counts import count_of

MOST_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Found:
    """Records, or days, with which something is wrong: how many, the first ones found, between which times."""

    count: int = 0
    examples: tuple[int, ...] = ()
    first: int | None = None
    last: int | None = None

    def plus(self, times: Iterable[int]) -> "Found":
        """These and those."""
        more = sorted(times)
        if not more:
            return self
        return Found(
            self.count + len(more),
            (*self.examples, *more)[:MOST_EXAMPLES],
            more[0] if self.first is None else min(self.first, more[0]),
            more[-1] if self.last is None else max(self.last, more[-1]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether one stream's copy is its primary, up to ``through``."""

    stream: str
    same: bool
    through: int
    """Time of the last record that was compared: the newest one here."""
    here: int
    """Records of the copy up to then."""
    there: int
    """Records of the primary up to then."""
    digest: str = ""
    """Of all records up to then, when they are the same, in hexadecimal: copies that print the same are the same."""
    missing: Found = Found()
    """Records that the copy lacks."""
    different: Found = Found()
    """Records that both have, with another content."""
    extra: Found = Found()
    """Records that the primary lacks."""
    days: Found = Found()
    """Days whose daily summaries differ."""
    notes: tuple[str, ...] = ()
    """What wasn't compared, and why."""
    held: str = ""
    """Why the copy is stopped; empty when it isn't."""
    obstacle: str = ""
    """What a person has to decide before a repair, and what to type then; empty when there is nothing to decide."""
    share: float = 0.0
    """How much was compared row by row, whatever the stored sums say: 1 is all of it."""
    messages: int = 0
    """Questions and answers."""
    size_bytes: int = 0
    """Their payloads and properties."""
    seconds: float = 0.0

    def describe(self) -> str:
        """One line, without the stream's name."""
        spent = f"in {count_of(self.messages, 'message')}, {self.size_bytes:,} bytes, {self.seconds:.1f} s"
        if not self.same:
            return f"different: {self._differences()} ({spent})"
        if not self.through:
            return "the same: no record here, none there"
        how = {0.0: "", 1.0: ", row by row"}.get(self.share, f", {self.share:.0%} of it row by row")
        records = f"{count_of(self.here, 'record')} up to {moment(self.through)}"
        return f"the same{how}: {records}, digest {self.digest}, {spent}"

    def _differences(self) -> str:
        kinds = self._kinds()
        parts = [f"{found.count:,} {what}" for found, what in kinds]
        if kinds:
            first, _, rest = parts[0].partition(" ")
            parts[0] = f"{first} record{'' if kinds[0][0].count == 1 else 's'} {rest}"
            parts = [", ".join(parts), between([found for found, _ in kinds])]
        if self.days.count:
            parts.append(f"summaries of {count_of(self.days.count, 'day')} differ")
            parts += [] if kinds else [between([self.days], "%Y-%m-%d")]
        return "; ".join(parts) or "the sums differ, though no record was found that does"

    def _kinds(self) -> list[tuple[Found, str]]:
        kinds = [(self.missing, "missing here"), (self.different, "different"), (self.extra, "only here")]
        return [(found, what) for found, what in kinds if found.count]


def between(found: Sequence[Found], form: str = "%Y-%m-%d %H:%M") -> str:
    """``between … and …``, or ``at …`` where there is but one moment."""
    first = min(each.first for each in found if each.first is not None)
    last = max(each.last for each in found if each.last is not None)
    if moment(first, form) == moment(last, form):
        return f"at {moment(first, form)}"
    return f"between {moment(first, form)} and {moment(last, form)}"


def moment(timestamp: float, form: str = "%Y-%m-%d %H:%M") -> str:
    """Local time, to the minute."""
    return time.strftime(form, time.localtime(timestamp))
