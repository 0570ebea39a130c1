"""The two ends of a comparison in memory: rows of readings, their digests, and a centre that keeps what it is sent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from samesky.core.columns import Table
from samesky.push.building import BUILDING
from samesky.push.comparison import Window, compare
from samesky.push.digest_question import WHOLE, By, DigestQuestion, decode_digests, encode_digests
from samesky.push.digests import (
    Group,
    GroupDigest,
    Key,
    combine,
    combine_days,
    combine_months,
    day_of,
    digest_groups,
    month_of,
)
from samesky.push.explanations import Explanation
from samesky.push.proof import Proof
from samesky.push.settling import Resent

READING = BUILDING.table("Reading")


class ReadingKey(NamedTuple):
    """The primary key of a reading."""

    time: int
    node: int
    type: int = 1


Readings = dict[ReadingKey, float | None]


def table_of(rows: Mapping[ReadingKey, float | None]) -> Table:
    """The readings as columns."""
    made = [(key.time, key.node, key.type, None, value) for key, value in rows.items()]
    return Table.from_rows("Reading", READING.wire, made)


def group_of(key: ReadingKey) -> Group:
    """The day and the node."""
    return day_of(key.time), key.node


@dataclass
class MemoryEnd:
    """One end: its rows, and the digests of them."""

    rows: Readings = field(default_factory=dict)
    questions: list[DigestQuestion] = field(default_factory=list)
    before_answer: Callable[[], None] = lambda: None

    def read_digests(self, question: DigestQuestion) -> Mapping[Key, GroupDigest]:
        """The digests, as they come out of an answer."""
        self.questions.append(question)
        self.before_answer()
        return decode_digests(encode_digests(self._digest(question)), question)

    def chosen(self, window: Window, groups: Iterable[Group] | None = None) -> Readings:
        """The rows in the window, of these groups alone."""
        wanted = None if groups is None else set(groups)
        return {
            key: value
            for key, value in self.rows.items()
            if window.from_s <= key.time < window.to_s and (wanted is None or group_of(key) in wanted)
        }

    def _digest(self, question: DigestQuestion) -> Mapping[Key, GroupDigest]:
        groups = digest_groups(READING, table_of(self.chosen(Window(question.from_s, question.to_s))))
        days = combine_days(groups)
        within = question.within
        match question.by:
            case By.ALL:
                return {WHOLE: combine(combine_months(days))}
            case By.MONTH:
                return {key: each for key, each in combine_months(days).items() if not within or key in within}
            case By.DAY:
                return {key: each for key, each in days.items() if not within or month_of(key) in within}
        return {key: each for key, each in groups.items() if not within or key[0] in within}


class MemoryExplained:
    """What is remembered, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[By, Key], Explanation] = {}

    def read(self, by: By, key: Key) -> Explanation | None:
        """As `Explained.read`."""
        return self.kept.get((by, key))

    def write(self, by: By, key: Key, explanation: Explanation) -> None:
        """As `Explained.write`."""
        self.kept[by, key] = explanation


@dataclass
class Pair:
    """A site and its centre, which are compared; what is sent goes through ``store``."""

    site: MemoryEnd = field(default_factory=MemoryEnd)
    centre: MemoryEnd = field(default_factory=MemoryEnd)
    explained: MemoryExplained = field(default_factory=MemoryExplained)
    refuses: Callable[[ReadingKey], bool] = lambda _: False
    alters: Callable[[float | None], float | None] = lambda value: value
    sent: list[list[Group]] = field(default_factory=list)

    def compare(self, *, now: float = 0.0, repair: bool = True, deep: bool = False, retry: bool = False) -> Proof:
        """Compare all that the site has; also forgets which questions were asked and which groups were sent before."""
        times = [key.time for key in self.site.rows]
        window = Window(min(times), max(times) + 1) if times else None
        self.sent.clear()
        self.centre.questions.clear()
        return compare(
            "Reading",
            window,
            site=self.site,
            centre=self.centre,
            explained=self.explained,
            now=now,
            resend=self._resend if repair else None,
            deep=deep,
            retry=retry,
        )

    def _resend(self, groups: Sequence[Group]) -> Resent:
        self.sent.append(list(groups))
        rows = self.site.chosen(Window(-(1 << 40), 1 << 40), groups)
        refused: dict[Group, int] = {}
        written = 0
        for key, value in rows.items():
            if self.refuses(key):
                refused[group_of(key)] = refused.get(group_of(key), 0) + 1
            elif self.store(key, value):
                written += 1
        return Resent(len(rows), written, refused)

    def store(self, key: ReadingKey, value: float | None) -> bool:
        """Upsert a row at the centre; whether that changed anything, as the centre compares it."""
        if key in self.centre.rows and self.centre.rows[key] == value:
            return False
        self.centre.rows[key] = self.alters(value)
        return True
