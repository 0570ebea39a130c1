"""What is being done: from the beginning of a `Work` to its announcement, and what is to be tried again.

Belongs to the loop's thread. What couldn't be fetched goes back to the queue and is tried again, ever more rarely;
when there is room in memory, what waits there is handed to ``on_rows``.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import time, time_ns

from ..core.strict import Reason, Refused
from ..link.message import Message
from .announcement import Announcement, Entry, Integrity
from .announcing import Announcing
from .dialects import decode
from .fetching import Fetched, Fetching, NotFetched
from .followed import Followed, all_together
from .index import Index
from .journal import REFILL, Journal, Work, Written
from .peer_settings import PeerSettings
from .storing import Outcome
from .waiting import WaitingRow

ROOM_FOR_MORE = 1500
"""When fewer works than this are under way, more are taken from the queue."""
FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 3600.0
MOST_TRIES = 24
MOST_TRIES_WITHOUT_HOPE = 4
REFUSED = frozenset({Reason.CHECKSUM, Reason.SIZE, Reason.URL, "protocol", "range", "encoding", "redirect"})
"""Downloads that fail so are counted as refused inputs: it is what the server sent, not the way there."""
SECOND_NS = 1_000_000_000


class Working:
    """Works on what ``followed`` announce. ``on_rows`` takes what waited; ``on_refused`` is told of bad inputs."""

    def __init__(
        self,
        settings: PeerSettings,
        followed: Sequence[Followed],
        *,
        index: Index,
        fetching: Fetching,
        random: Callable[[], float],
        on_refused: Callable[[Message, Refused], None],
    ) -> None:
        self.on_refused = on_refused
        self.on_rows: Callable[[Sequence[tuple[Followed, WaitingRow]]], None] = lambda rows: None
        self.on_removal: Callable[[Followed, Announcement], None] = lambda followed, announcement: None
        self.announcing: Announcing | None = None
        self._settings, self._followed = settings, followed
        self._numbers = {each.neighbour.name: each.number for each in followed}
        self._index, self._fetching, self._random = index, fetching, random
        self._journal: Journal | None = None
        self._works: dict[str, Work] = {}
        self._more_in_queue = True
        self._more_to_announce = True
        self._next_due_ns: int | None = None

    def __len__(self) -> int:
        return len(self._works)

    @property
    def journal(self) -> Journal:
        """What writes."""
        assert self._journal is not None
        return self._journal

    @journal.setter
    def journal(self, journal: Journal) -> None:
        self._journal = journal

    # ------------------------------------------------------------------ beginning

    def join(self, announcement: Announcement) -> str:
        """Why an announcement needs nothing beside what is being done for its path; empty when it does."""
        pending = self._works.get(announcement.path)
        if pending is None:
            return ""
        if announcement.integrity is not None and announcement.integrity == pending.announcement.integrity:
            if pending.job is not None:
                pending.job.add_source(announcement.url)
            if announcement.pub_time > pending.announcement.pub_time:
                self._note_later(pending, announcement)
            return "pending"
        return "older" if announcement.version <= pending.announcement.version else ""

    def _note_later(self, pending: Work, announcement: Announcement) -> None:
        """What is being fetched was announced again meanwhile: the same bytes, with the later time."""
        pending.announcement = replace(pending.announcement, pub_time=announcement.pub_time, extra=announcement.extra)

    def begin(self, work: Work) -> None:
        """Something is to be done; what was being done for the same path is no longer needed."""
        path = work.announcement.path
        if path in self._works:
            self._works[path].superseded = True
        self._works[path] = work
        followed = self._followed[work.neighbour]
        followed.queue += 1
        followed.late += work.late
        if not work.row_id:
            self.journal.add(work)

    def keep(self, row: WaitingRow, message: Message | None, followed: Followed) -> None:
        """There is no room in memory: what it is will be seen when it is taken from the queue."""
        self._more_in_queue = True
        self.journal.keep(row, message, followed.number)

    def finish(self, work: Work) -> None:
        """Nothing is left to be done of this."""
        self._forget(work)
        self.journal.finish(work)

    def release(self, row_ids: list[int]) -> None:
        """Rows that were handed out go back to the queue."""
        self._more_in_queue = True
        self.journal.release(row_ids)

    # ------------------------------------------------------------------ what comes of it

    def on_fetched(self, work: Work, outcome: Fetched | NotFetched) -> None:
        """A download is over."""
        work.job = None
        match outcome:
            case NotFetched():
                self._fail(work, outcome)
            case Fetched() if work.superseded:
                self._fetching.release(outcome)
                self._followed[work.neighbour].skipped.add("superseded")
                self.finish(work)
            case Fetched():
                self.journal.store(work, outcome)

    def on_written(self, written: Written) -> None:
        """A cycle of the journal is over."""
        self._acknowledge(written)
        self._announce_all(written)
        self._forget_trouble(written)
        if written.next_due_ns is not None or written.cycle.refill:
            self._next_due_ns = written.next_due_ns
        if written.has_all_rows:
            self._more_in_queue = False
        if written.cycle.kept:  # perhaps while the rows were read
            self._more_in_queue = True
        if written.rows:
            self.on_rows([(self._followed[self._numbers.get(row.neighbour, 0)], row) for row in written.rows])
        if written.cycle.refill_announcements:
            self._more_to_announce = len(written.to_announce) == written.cycle.refill_announcements
            for row in written.to_announce:
                self._announce_row(row)

    def _forget_trouble(self, written: Written) -> None:
        """What was stored is no trouble any more."""
        for work, _, outcome in written.outcomes:
            if outcome.state == "stored" and not self._followed[work.neighbour].queue:
                self._followed[work.neighbour].last_error = ""

    def _fail(self, work: Work, failure: NotFetched) -> None:
        """Try again later, or give up: a comparison will bring it again if it is anywhere."""
        followed = self._followed[work.neighbour]
        followed.failed += 1
        followed.last_error = f"{work.announcement.path}: {failure.words}"
        tries = work.row.tries + 1
        if failure.reason in REFUSED:
            followed.refused.add(failure.reason)
        most_tries = MOST_TRIES if failure.hopeful else 1 if failure.reason == Reason.URL else MOST_TRIES_WITHOUT_HOPE
        if work.superseded or tries >= most_tries:
            followed.skipped.add("superseded" if work.superseded else "given up")
            self.finish(work)
            return
        self._postpone(work, min(FIRST_RETRY_S * 2 ** (tries - 1), LONGEST_RETRY_S) * (0.75 + 0.5 * self._random()))

    def _acknowledge(self, written: Written) -> None:
        with all_together(self._followed):
            for work in written.cycle.added:
                self._followed[work.neighbour].acknowledge(work.message)
            for _, message, number in written.cycle.kept:
                self._followed[number].acknowledge(message)

    def _announce_all(self, written: Written) -> None:
        """All that this cycle has brought is announced together."""
        if self.announcing is None:
            self._go_on(written)
        else:
            with self.announcing.together():
                self._go_on(written)

    def _go_on(self, written: Written) -> None:
        for work in written.cycle.passed_on:
            self._announce(work, work.announcement, None, as_it_came=True)
        for work, fetched, outcome in written.outcomes:
            if fetched is not None:
                self._fetching.release(fetched)
            self._on_stored(work, fetched, outcome)

    def _on_stored(self, work: Work, fetched: Fetched | None, outcome: Outcome) -> None:
        followed = self._followed[work.neighbour]
        match outcome.state:
            case "stored":
                _note_stored(followed, work, fetched)
                announcement = work.announcement
                if fetched is not None:
                    announcement = verified(announcement, fetched, replaces=outcome.replaced)
                self._announce(work, announcement, fetched.content if fetched is not None else None)
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
        if announcement.operation == "rename" and announcement.target and self._settings.rules.take_removals:
            self.on_removal(followed, Announcement(announcement.target, announcement.pub_time, operation="remove"))

    def _announce(
        self, work: Work, announcement: Announcement, content: bytes | None, *, as_it_came: bool = False
    ) -> None:
        """The file is in its place: tell the next. The row stays until our broker has it."""
        self._forget(work)
        if self.announcing is None:
            self.journal.done([work.row_id])
        elif self.announcing.has_room:
            self.announcing.add(announcement, work.row_id, content, as_it_came=as_it_came)
        else:
            self._more_to_announce = True
            self.journal.release([work.row_id])

    # ------------------------------------------------------------------ the queue

    def refill(self) -> None:
        """Take up what waits in the queue, when there is room."""
        due = self._next_due_ns is not None and self._next_due_ns <= time_ns()
        if len(self._works) < ROOM_FOR_MORE and (self._more_in_queue or due):
            self._next_due_ns = None
            self.journal.refill(REFILL)  # many at once: each time those that are under way are read over
        if self._more_to_announce and self.announcing is not None and not len(self.announcing):
            self.journal.refill_announcements(REFILL)

    def _announce_row(self, row: WaitingRow) -> None:
        """A file was stored before a restart, and perhaps not announced."""
        assert self.announcing is not None
        try:
            announcement = decode(
                row.topic,
                row.payload,
                row.content_type or None,
                now_ns=time_ns(),
                inline_max_bytes=self._settings.inline_max_bytes,
            )
        except Refused:
            self.journal.done([row.id])
            return
        entry = self._index.read(announcement.path)
        if self._settings.download:
            if entry is None or entry.pub_time != announcement.pub_time:
                self.journal.done([row.id])  # something newer is here, and was announced
                return
            announcement = as_entered(announcement, entry)
        self.announcing.add(announcement, row.id, None)

    def _postpone(self, work: Work, delay_s: float) -> None:
        self._forget(work)
        due_ns = time_ns() + int(delay_s * SECOND_NS)
        self._next_due_ns = due_ns if self._next_due_ns is None else min(due_ns, self._next_due_ns)
        self.journal.postpone(work, due_ns)

    def _forget(self, work: Work) -> None:
        followed = self._followed[work.neighbour]
        followed.queue -= 1
        followed.late -= work.late
        if self._works.get(work.announcement.path) is work:
            del self._works[work.announcement.path]


def verified(announcement: Announcement, fetched: Fetched, *, replaces: bool = False) -> Announcement:
    """The announcement with what was found to be true of the file, and without where it came from."""
    integrity = announcement.integrity or Integrity("sha512", fetched.sha512)
    return _as_found(announcement, integrity, fetched.size, replaces=replaces)


def as_entered(announcement: Announcement, entry: Entry) -> Announcement:
    """The announcement with what the index, which knows of the same pub_time, says of the file."""
    return _as_found(announcement, entry.integrity, entry.size, replaces=False)


def _as_found(announcement: Announcement, integrity: Integrity | None, size: int, *, replaces: bool) -> Announcement:
    is_so_already = announcement.integrity is integrity and announcement.size == size
    if is_so_already and not replaces and not announcement.retrieve and announcement.content is None:
        return announcement  # nearly always
    return Announcement(  # by position: by name takes twice as long, and this is done for every file
        announcement.path,
        announcement.pub_time,
        integrity,
        size,
        announcement.base_url,
        "",
        None,
        announcement.operation,
        announcement.target,
        announcement.extra,
        replaces,
    )


def _note_stored(followed: Followed, work: Work, fetched: Fetched | None) -> None:
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
