"""From an announcement to work: what comes is decoded and decided upon, and what is to be done is begun.

Belongs to the loop's thread. An announcement's row is written before its message is acknowledged, the file is fetched
meanwhile. What there is no memory for waits in the tree's queue (`waiting`) as it came, and is looked at later.
"""

import logging
from collections.abc import Iterable, Sequence
from time import time_ns
from typing import NamedTuple

from ..core.strict import Refused
from ..errors import SameskyError
from ..link.message import Message
from .announcement import Announcement, Entry, integrity_of
from .dialects import decode
from .fetching import Fetched, Fetching
from .followed import Followed, all_together
from .index import Index
from .journal import Work
from .peer import Peer, Remove, Skip, Take, Touch
from .peer_settings import PeerSettings
from .v03 import CONTENT_TYPE, encode_v03
from .waiting import WaitingRow
from .wis2 import is_not_to_be_cached
from .working import Working

_log = logging.getLogger(__name__)

MOST_WORKS = 3000
"""Announcements that are dealt with at once; more wait in the queue, on the disk."""
LATE_PRIORITY = 1000
"""By how much an announcement that comes late is less urgent."""


class Told(NamedTuple):
    """An announcement, and how it came."""

    followed: Followed
    announcement: Announcement
    row: WaitingRow
    message: Message | None = None
    """To be acknowledged; None when it came from the queue, or from a comparison."""


class Taking:
    """Takes the announcements of neighbours, and hands what is to be done to ``working``."""

    def __init__(self, settings: PeerSettings, working: Working, *, index: Index, fetching: Fetching) -> None:
        self._settings, self._working = settings, working
        self._index, self._fetching = index, fetching
        self._peer = Peer(settings.rules)
        self._is_cache = settings.posting is not None and settings.posting.format == "wis2"

    def on_messages(self, arrived: Sequence[tuple[Followed, Message]]) -> None:
        """Announcements came; each is acknowledged when nothing is lost any more if we end."""
        told: list[Told] = []
        room = MOST_WORKS - len(self._working)
        for followed, message in arrived:
            followed.received += 1
            row = _row_of(followed, message.topic, message.payload, message.content_type or "")
            if len(told) >= room:
                self._working.keep(row, message, followed)
            elif announcement := self._decode(followed, row, message):
                told.append(Told(followed, announcement, row, message))
        self._take_all(told)

    def on_lacking(self, followed: Followed, announcements: Iterable[Announcement]) -> None:
        """A comparison has found files that a neighbour has and we lack."""
        told: list[Told] = []
        room = MOST_WORKS - len(self._working)
        for announcement in announcements:
            row = _row_of(followed, "", encode_v03(announcement), CONTENT_TYPE)
            if len(told) >= room:
                self._working.keep(row, None, followed)
            else:
                told.append(Told(followed, announcement, row))
        self._take_all(told)

    def on_rows(self, rows: Sequence[tuple[Followed, WaitingRow]]) -> None:
        """There is room for these, which were in the queue."""
        told = [
            Told(followed, announcement, row)
            for followed, row in rows
            if (announcement := self._decode(followed, row, None))
        ]
        self._take_all(told)

    # ------------------------------------------------------------------ one announcement

    def _decode(self, followed: Followed, row: WaitingRow, message: Message | None) -> Announcement | None:
        try:
            return decode(
                row.topic,
                row.payload,
                row.content_type or None,
                now_ns=time_ns(),
                inline_max_bytes=self._settings.inline_max_bytes,
                properties=message.properties if message is not None else (),
            )
        except Refused as refusal:
            self._refuse(followed, row, message, refusal)
            return None

    def _take_all(self, told: Sequence[Told]) -> None:
        try:
            entries = self._index.read_many({each.announcement.path for each in told})
        except SameskyError as error:
            self._put_back(told, error)
            return
        with all_together({each.followed for each in told}):
            for each in told:
                try:
                    self._take(each, entries.get(each.announcement.path))
                except Refused as refusal:
                    self._refuse(each.followed, each.row, each.message, refusal)
                except Exception as error:  # a fault of ours with one announcement mustn't stop all that come after it
                    self._note_fault(each, error)

    def _note_fault(self, told: Told, error: Exception) -> None:
        if not told.followed.refused["fault"]:
            _log.exception("mesh_announcement_failed neighbour=%s", told.followed.neighbour.name)
        told.followed.last_error = f"a fault of samesky with an announcement: {error!r}"
        told.followed.refused.add("fault")
        self._end(told.followed, told.row, told.message)

    def _put_back(self, told: Sequence[Told], error: SameskyError) -> None:
        """The index can't be read now: all of this goes to the queue, unread, until it can."""
        for each in told:
            each.followed.last_error = str(error)
            if each.row.id:
                self._working.release([each.row.id])
            else:
                self._working.keep(each.row, each.message, each.followed)

    def _take(self, told: Told, entry: Entry | None) -> None:
        """Decide, and begin."""
        followed, announcement, row, message = told
        reason = self._working.join(announcement)
        if reason:
            self._skip(told, reason)
            return
        match self._peer.decide(announcement, entry, now_ns=time_ns()):
            case Skip(reason):
                self._skip(told, reason)
            case Touch(pub_time):
                assert entry is not None
                self._working.journal.touch(entry, pub_time)
                self._skip(told, "same")
            case Take(late):
                priority = followed.neighbour.priority - (LATE_PRIORITY if late else 0)
                if priority != row.priority:
                    row = row._replace(priority=priority)
                work = Work(announcement, followed.number, row, message, row.id, late)
                self._working.begin(work)
                self._start(followed, work)
            case Remove():
                work = Work(announcement, followed.number, row, message, row.id)
                self._working.begin(work)
                self._working.journal.remove(work)

    def _start(self, followed: Followed, work: Work) -> None:
        announcement = work.announcement
        if not self._settings.download or (self._is_cache and is_not_to_be_cached(announcement)):
            self._working.journal.pass_on(work)
        elif announcement.content is not None and _is_whole(announcement, announcement.content):
            self._working.journal.store(work, _inline(announcement, announcement.content))
        elif not announcement.url:
            followed.refused.add("nowhere")
            self._working.finish(work)
        else:
            work.job = self._fetching.add(
                announcement, -work.row.priority, lambda _, outcome: self._working.on_fetched(work, outcome)
            )

    def _skip(self, told: Told, reason: str) -> None:
        told.followed.skipped.add(reason)
        self._end(told.followed, told.row, told.message)

    def _refuse(self, followed: Followed, row: WaitingRow, message: Message | None, refusal: Refused) -> None:
        followed.refused.add(refusal.reason)
        self._working.on_refused(message or Message(row.topic, row.payload, content_type=row.content_type), refusal)
        self._end(followed, row, message)

    def _end(self, followed: Followed, row: WaitingRow, message: Message | None) -> None:
        """Nothing is to be done."""
        followed.acknowledge(message)
        if row.id:
            self._working.journal.done([row.id])


def _row_of(followed: Followed, topic: str, payload: bytes, content_type: str) -> WaitingRow:
    return WaitingRow(topic, payload, content_type, followed.neighbour.name, followed.neighbour.priority, time_ns())


def _is_whole(announcement: Announcement, content: bytes) -> bool:
    """Whether the content that came along is what was announced; else the file is fetched."""
    return announcement.integrity is None or announcement.integrity.matches(content)


def _inline(announcement: Announcement, content: bytes) -> Fetched:
    integrity = announcement.integrity
    sha512 = integrity.digest if integrity and integrity.method == "sha512" else integrity_of(content).digest
    return Fetched(content, "", len(content), sha512, "")
