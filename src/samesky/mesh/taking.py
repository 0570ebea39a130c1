"""From an announcement to a file in its place, and on to the next peer: the course of every `Work`.

Belongs to the loop's thread. An announcement is decided upon (`peer`), its row is written and then its message
acknowledged, the file is fetched meanwhile, stored (`journal`), and announced. What there is no memory for waits in the
tree's queue, and so does what couldn't be fetched: it is tried again, ever more rarely.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import time, time_ns

from ..core.strict import Reason, Refused
from ..link.message import Message
from .announcement import Announcement, Entry, Integrity, integrity_of
from .announcing import Announcing
from .dialects import decode
from .fetching import Fetched, Fetching, NotFetched
from .followed import Followed
from .index import Index
from .journal import REFILL, Journal, Work, Written
from .peer import Peer, Remove, Skip, Take, Touch
from .peer_settings import PeerSettings
from .storing import Outcome
from .v03 import CONTENT_TYPE, encode_v03
from .waiting import WaitingRow

_log = logging.getLogger(__name__)

MOST_WORKS = 4000
"""Announcements that are dealt with at once; more wait in the queue, on the disk."""
LATE_PRIORITY = 1000
"""By how much an announcement that comes late is less urgent."""
FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 3600.0
MOST_TRIES = 24
MOST_TRIES_WITHOUT_HOPE = 4
REFUSED = frozenset({Reason.CHECKSUM, Reason.SIZE, Reason.URL, "protocol", "range", "encoding", "redirect"})
"""Downloads that fail so are counted as refused inputs: it is what the server sent, not the way there."""
SECOND_NS = 1_000_000_000


class Taking:
    """Takes the announcements of ``neighbours`` into the tree."""

    def __init__(
        self,
        settings: PeerSettings,
        neighbours: Sequence[Followed],
        *,
        index: Index,
        fetching: Fetching,
        random: Callable[[], float],
        on_refused: Callable[[Message, Refused], None],
    ) -> None:
        self.settings = settings
        self.journal: Journal | None = None
        self.announcing: Announcing | None = None
        self._peer = Peer(settings.rules)
        self._neighbours = neighbours
        self._numbers = {each.neighbour.name: each.number for each in neighbours}
        self._index, self._fetching = index, fetching
        self._random, self._on_refused = random, on_refused
        self._works: dict[str, Work] = {}
        self._more_in_queue = True
        self._more_to_announce = True
        self.next_due_ns: int | None = None

    @property
    def busy(self) -> int:
        """Announcements that are being dealt with."""
        return len(self._works)

    # ------------------------------------------------------------------ what comes

    def on_message(self, followed: Followed, message: Message) -> None:
        """An announcement came; it is acknowledged when nothing is lost any more if we end."""
        followed.received += 1
        now_ns, priority = time_ns(), followed.neighbour.priority
        content_type = message.content_type or ""
        row = WaitingRow(message.topic, message.payload, content_type, followed.neighbour.name, priority, now_ns)
        if len(self._works) >= MOST_WORKS:
            self._keep(followed, row, message)
            return
        try:
            announcement = decode(message.topic, message.payload, message.content_type, now_ns=now_ns)
        except Refused as refusal:
            self._refuse(followed, message, refusal)
            self._acknowledge(followed, message)
            return
        self._take(followed, announcement, row, message)

    def on_lacking(self, followed: Followed, announcements: Sequence[Announcement]) -> None:
        """A comparison has found files that a neighbour has and we lack."""
        for announcement in announcements:
            name, priority = followed.neighbour.name, followed.neighbour.priority
            row = WaitingRow("", encode_v03(announcement), CONTENT_TYPE, name, priority, time_ns())
            if len(self._works) >= MOST_WORKS:
                self._keep(followed, row, None)
            else:
                self._take(followed, announcement, row, None)

    def _keep(self, followed: Followed, row: WaitingRow, message: Message | None) -> None:
        """There is no room in memory: what it is will be seen when it is taken from the queue."""
        self._more_in_queue = True
        self._writing.keep(row, message, followed.number)

    def _take(
        self, followed: Followed, announcement: Announcement, row: WaitingRow, message: Message | None, row_id: int = 0
    ) -> None:
        """Decide, and begin. ``row_id`` is that of a row which is in the queue already."""
        try:
            reason, work = self._decide(followed, announcement, row, row_id)
        except Refused as refusal:
            self._refuse(followed, message or _message_of(row), refusal)
            work, reason = None, ""
        if work is None:
            if reason:
                followed.skipped.add(reason)
            self._acknowledge(followed, message)
            if row_id:
                self._done([row_id])
            return
        work.message = message
        if not row_id:
            self._writing.add(work)
        followed.queue += 1
        self._start(followed, work)

    def _decide(
        self, followed: Followed, announcement: Announcement, row: WaitingRow, row_id: int
    ) -> tuple[str, Work | None]:
        """Why nothing is to be done, or what is."""
        pending = self._works.get(announcement.path)
        if pending is not None:
            reason = _join(pending, announcement)
            if reason:
                return reason, None
        entry = self._index.read(announcement.path)
        match self._peer.decide(announcement, entry, now_ns=time_ns()):
            case Skip(reason):
                return reason, None
            case Touch(pub_time):
                assert entry is not None
                self._writing.touch(entry, pub_time)
                return "same", None
            case Take(late):
                priority = followed.neighbour.priority - (LATE_PRIORITY if late else 0)
                work = Work(announcement, followed.number, row._replace(priority=priority), entry=entry, row_id=row_id)
            case Remove():
                work = Work(announcement, followed.number, row, entry=entry, row_id=row_id)
        if pending is not None:
            pending.superseded = True
        self._works[announcement.path] = work
        return "", work

    def _start(self, followed: Followed, work: Work) -> None:
        announcement = work.announcement
        if work.row.priority <= followed.neighbour.priority - LATE_PRIORITY:
            followed.late += 1
        if not self.settings.download:
            self._writing.pass_on(work)
        elif announcement.operation == "remove":
            self._writing.remove(work)
        elif announcement.content is not None and _is_whole(announcement):
            self._writing.store(work, _inline(announcement, announcement.content))
        elif reason := self._why_not_fetched(announcement):
            followed.refused.add(reason)
            self._finish(work)
        else:
            work.job = self._fetching.add(
                announcement, -work.row.priority, lambda _, outcome: self._on_fetched(followed, work, outcome)
            )

    def _why_not_fetched(self, announcement: Announcement) -> str:
        """The reason for which its URL is none that we fetch."""
        try:
            self.settings.urls.check_url(announcement.url)
        except Refused as refusal:
            return refusal.reason
        return ""

    # ------------------------------------------------------------------ what comes of it

    def _on_fetched(self, followed: Followed, work: Work, outcome: Fetched | NotFetched) -> None:
        work.job = None
        match outcome:
            case NotFetched():
                self._fail(followed, work, outcome)
            case Fetched() if work.superseded:
                self._fetching.release(outcome)
                followed.skipped.add("superseded")
                self._finish(work)
            case Fetched():
                self._writing.store(work, outcome)

    def _fail(self, followed: Followed, work: Work, failure: NotFetched) -> None:
        """Try again later, or give up: a comparison will bring it again if it is anywhere."""
        followed.failed += 1
        followed.last_error = f"{work.announcement.path}: {failure.words}"
        tries = work.row.tries + 1
        if failure.reason in REFUSED:
            followed.refused.add(failure.reason)
        most_tries = MOST_TRIES if failure.hopeful else 1 if failure.reason == Reason.URL else MOST_TRIES_WITHOUT_HOPE
        if work.superseded or tries >= most_tries:
            followed.skipped.add("superseded" if work.superseded else "given up")
            self._finish(work)
            return
        delay_s = min(FIRST_RETRY_S * 2 ** (tries - 1), LONGEST_RETRY_S) * (0.75 + 0.5 * self._random())
        self._postpone(work, delay_s)

    def on_written(self, written: Written) -> None:
        """A cycle of the journal is over."""
        for work in written.cycle.added:
            self._acknowledge(self._neighbours[work.neighbour], work.message)
        for _, message, number in written.cycle.kept:
            self._acknowledge(self._neighbours[number], message)
        for work in written.cycle.passed_on:
            self._announce(work, work.announcement, None)
        for work, fetched, outcome in written.outcomes:
            if fetched is not None:
                self._fetching.release(fetched)
            self._on_stored(self._neighbours[work.neighbour], work, fetched, outcome)
        if written.next_due_ns is not None or written.cycle.refill:
            self.next_due_ns = written.next_due_ns
        if written.cycle.refill and len(written.rows) < written.cycle.refill:
            self._more_in_queue = False
        for row in written.rows:
            self._take_row(row)
        if written.cycle.refill_announcements:
            self._more_to_announce = len(written.to_announce) == written.cycle.refill_announcements
            for row in written.to_announce:
                self._announce_row(row)

    def _on_stored(self, followed: Followed, work: Work, fetched: Fetched | None, outcome: Outcome) -> None:
        match outcome.state:
            case "stored":
                self._note_stored(followed, work, fetched)
                content = fetched.content if fetched is not None else None
                self._announce(work, _verified(work.announcement, fetched), content)
                self._remove_renamed(followed, work.announcement)
            case "failed":
                followed.last_error = outcome.words
                self._postpone(work, FIRST_RETRY_S)
            case "refused":
                followed.refused.add(outcome.words)
                self._forget(work)
            case _:
                followed.skipped.add(outcome.state)
                self._forget(work)

    def _remove_renamed(self, followed: Followed, announcement: Announcement) -> None:
        """A renamed file is a new one here, and the old one removed."""
        if announcement.operation == "rename" and announcement.target and self.settings.rules.take_removals:
            old = Announcement(announcement.target, announcement.pub_time, operation="remove")
            self.on_lacking(followed, [old])

    def _note_stored(self, followed: Followed, work: Work, fetched: Fetched | None) -> None:
        now = time()
        if fetched is None:
            followed.removed += 1
            return
        if fetched.source:
            followed.fetched += 1
        else:
            followed.inlined += 1
        followed.size_bytes += fetched.size
        followed.lag.add(now - work.announcement.pub_time / SECOND_NS, now)

    def _announce(self, work: Work, announcement: Announcement, content: bytes | None) -> None:
        """The file is in its place: tell the next. The row stays until our broker has it."""
        self._forget(work)
        if self.announcing is None:
            self._done([work.row_id])
        elif self.announcing.has_room:
            self.announcing.add(announcement, work.row_id, content)
        else:
            self._more_to_announce = True
            self._writing.release([work.row_id])

    # ------------------------------------------------------------------ the queue

    def refill(self) -> None:
        """Take up what waits in the queue, when there is room."""
        room = MOST_WORKS // 2 - len(self._works)
        due = self.next_due_ns is not None and self.next_due_ns <= time_ns()
        if room > 0 and (self._more_in_queue or due):
            self.next_due_ns = None
            self._writing.refill(min(room, REFILL))
        if self._more_to_announce and self.announcing is not None and not len(self.announcing):
            self._writing.refill_announcements(REFILL)

    def _take_row(self, row: WaitingRow) -> None:
        followed = self._neighbours[self._numbers.get(row.neighbour, 0)]
        try:
            announcement = decode(row.topic, row.payload, row.content_type or None, now_ns=time_ns())
        except Refused as refusal:
            self._refuse(followed, _message_of(row), refusal)
            self._done([row.id])
            return
        self._take(followed, announcement, row, None, row.id)

    def _announce_row(self, row: WaitingRow) -> None:
        """A file was stored before a restart, and perhaps not announced."""
        assert self.announcing is not None
        try:
            announcement = decode(row.topic, row.payload, row.content_type or None, now_ns=time_ns())
        except Refused:
            self._done([row.id])
            return
        entry = self._index.read(announcement.path)
        if self.settings.download and (entry is None or entry.pub_time != announcement.pub_time):
            self._done([row.id])  # something newer is here, and was announced
            return
        self.announcing.add(announcement if entry is None else _as_entered(announcement, entry), row.id, None)

    def _postpone(self, work: Work, delay_s: float) -> None:
        self._forget(work)
        due_ns = time_ns() + int(delay_s * SECOND_NS)
        self.next_due_ns = due_ns if self.next_due_ns is None else min(due_ns, self.next_due_ns)
        self._writing.postpone(work, due_ns)

    def _finish(self, work: Work) -> None:
        self._forget(work)
        self._writing.finish(work)

    def _forget(self, work: Work) -> None:
        followed = self._neighbours[work.neighbour]
        followed.queue -= 1
        if work.row.priority <= followed.neighbour.priority - LATE_PRIORITY:
            followed.late -= 1
        if self._works.get(work.announcement.path) is work:
            del self._works[work.announcement.path]

    def _done(self, row_ids: list[int]) -> None:
        self._writing.done(row_ids)

    @property
    def _writing(self) -> Journal:
        assert self.journal is not None
        return self.journal

    def _refuse(self, followed: Followed, message: Message, refusal: Refused) -> None:
        followed.refused.add(refusal.reason)
        self._on_refused(message, refusal)

    def _acknowledge(self, followed: Followed, message: Message | None) -> None:
        if message is not None and followed.link is not None:
            followed.link.acknowledge(message)


def _join(pending: Work, announcement: Announcement) -> str:
    """Why an announcement needs nothing beside what is being done for its path; empty when it is newer."""
    if announcement.integrity is not None and announcement.integrity == pending.announcement.integrity:
        if pending.job is not None:
            pending.job.add_source(announcement.url)
        if announcement.pub_time <= pending.announcement.pub_time:
            return "pending"
    return "older" if announcement.version <= pending.announcement.version else ""


def _message_of(row: WaitingRow) -> Message:
    return Message(row.topic, row.payload, content_type=row.content_type)


def _is_whole(announcement: Announcement) -> bool:
    """Whether the content that came along is what was announced; else the file is fetched."""
    content, integrity = announcement.content, announcement.integrity
    return content is not None and (integrity is None or integrity.matches(content))


def _inline(announcement: Announcement, content: bytes) -> Fetched:
    integrity = announcement.integrity
    sha512 = integrity.digest if integrity and integrity.method == "sha512" else integrity_of(content).digest
    return Fetched(content, "", len(content), sha512, "")


def _verified(announcement: Announcement, fetched: Fetched | None) -> Announcement:
    """The announcement with what was found to be true of the file."""
    if fetched is None:
        return announcement
    integrity = announcement.integrity or Integrity("sha512", fetched.sha512)
    return replace(announcement, integrity=integrity, size=fetched.size, content=None, retrieve="")


def _as_entered(announcement: Announcement, entry: Entry) -> Announcement:
    return replace(announcement, integrity=entry.integrity, size=entry.size, content=None, retrieve="")
