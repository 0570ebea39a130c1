"""What a responder publishes by itself: each new record, and the daily summaries that it changes.

Secondary bindings come first, each read from its database, main last (seed). When more records wait than can be
published one by one, they are left to the pages, which carry thousands for the work of a few.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..core.columns import encode_tables
from ..core.status import Counters
from ..link.message import Message
from .answering import Answering
from .archive import Archive
from .compression import compress
from .days import DAY_S, start_of_archive_day
from .messages import SummaryMessage, encode_record, encode_summary
from .responder import STREAM_CHUNK
from .serve_settings import ServedBinding, ServeSettings
from .served_databases import ServedDatabases
from .signatures import Purpose

SUMMARY_INTERVAL_S = 0.5
MOST_LIVE_WAITING = 1000
MOST_WAITING_FOR_ROOTS = 10
"""More live records than this waiting: none takes the time to be told with the root of all."""


class LivePublishing:
    """Belongs to the responder's thread. ``publish`` says whether there was room; ``waiting`` how many events wait."""

    def __init__(
        self,
        settings: ServeSettings,
        bindings: Mapping[str, ServedBinding],
        databases: ServedDatabases,
        answering: Mapping[str, Answering],
        *,
        publish: Callable[[Message, Purpose], bool],
        waiting: Callable[[], int],
        clock: Callable[[], float],
        timer: Callable[[], float],
    ) -> None:
        self.sent = Counters()
        self._settings, self._bindings = settings, bindings
        self._databases, self._answering = databases, answering
        self._publish, self._waiting = publish, waiting
        self._clock, self._timer = clock, timer
        self._tails: dict[str, tuple[object, int]] = {}
        self._published: dict[str, int] = {}
        self._dirty_days: dict[str, int] = {}
        self._summary_due = 0.0
        self._behind = False

    def newest(self, stream: str) -> int | None:
        """Time of the record published last; from any thread."""
        return self._published.get(stream)

    def next_time(self) -> float:
        """When `publish_summaries` has something to do, by the timer."""
        return self._summary_due if self._dirty_days else float("inf")

    def on_record(self, record: Mapping[str, Any]) -> None:
        """Publish a record that the station has just archived."""
        timestamp = int(record["dateTime"])
        if self._has_fallen_behind():
            for stream in self._bindings:
                self._leave_to_pages(stream, timestamp)
            self.sent.add("left to pages")
            return
        for stream, binding in self._bindings.items():
            if not binding.main:
                with self._databases.guarded(stream):
                    nearest = self._databases.archive(stream).read_nearest(timestamp, delta_s=binding.delta_s)
                    if nearest and nearest["dateTime"] != self._published.get(stream):
                        self._publish_record(stream, nearest)
        for stream, binding in self._bindings.items():
            if binding.main:
                with self._databases.guarded(stream):
                    self._publish_record(stream, record)

    def tell_again(self, stream: str) -> None:
        """Publish the newest record once more, with the root of all as it is now: somebody has changed older ones."""
        archive = self._databases.archive(stream)
        record = archive.read_record(archive.read_position(self._clock()))
        if record is not None:
            self._publish_record(stream, record)

    def publish_summaries(self) -> None:
        """Publish the daily summary rows of the days that live records have touched since the last time."""
        if self._timer() < self.next_time():
            return
        dirty, self._dirty_days = self._dirty_days, {}
        for stream, day in dirty.items():
            with self._databases.guarded(stream):
                archive = self._databases.archive(stream)
                if archive.read_summary_kinds():
                    self._publish(self._make_summary(stream, archive, day), "summary")

    def tail(self) -> None:
        """Publish what has come into the databases since the last look."""
        for stream in sorted(self._bindings, key=lambda name: self._bindings[name].main):
            with self._databases.guarded(stream):
                self._tail_stream(stream, self._databases.archive(stream))

    def _has_fallen_behind(self) -> bool:
        """Whether a live record is left out: until none waits any more. The next one then shows followers the gap."""
        self._behind = self._waiting() > (0 if self._behind else MOST_LIVE_WAITING)
        return self._behind

    def _leave_to_pages(self, stream: str, timestamp: int) -> None:
        if timestamp < self._published.get(stream, 0):  # no page will bring it, but a check will
            with self._databases.guarded(stream):
                self._answering[stream].on_record(self._databases.archive(stream), timestamp)
        self._note_day(stream, timestamp)

    def _publish_record(self, stream: str, record: Mapping[str, Any]) -> None:
        timestamp = int(record["dateTime"])
        archive, answering = self._databases.archive(stream), self._answering[stream]
        answering.on_record(archive, timestamp)
        message = encode_record(
            self._settings.archive_topic,
            stream,
            record,
            qos=self._settings.publish_qos,
            previous=archive.read_previous(timestamp),
            origin=self._databases.origin(stream),
            root=answering.live_root(archive) if self._waiting() < MOST_WAITING_FOR_ROOTS else None,
        )
        # Without room the record is left to the pages: a follower sees the gap at the next one.
        self.sent.add("live" if self._publish(message, "record") else "unsent")
        self._published[stream] = timestamp
        self._databases.note_success(stream)
        self._note_day(stream, timestamp)

    def _note_day(self, stream: str, timestamp: int) -> None:
        """The daily summary of this record's day has changed, and is to be published."""
        if not self._dirty_days:
            self._summary_due = self._timer() + (SUMMARY_INTERVAL_S if self._waiting() else 0.0)
        day = start_of_archive_day(timestamp)
        self._dirty_days[stream] = min(day, self._dirty_days.get(stream, day))

    def _make_summary(self, stream: str, archive: Archive, day: int) -> Message:
        with archive.reading():
            through = archive.read_position(self._clock())
            # In a day's first hours yesterday's rows come along: their last message may have been lost.
            from_day = start_of_archive_day(day - DAY_S // 2) if through - day < DAY_S // 12 else day
            table = archive.read_summaries(from_day, start_of_archive_day(through))
        body = compress(encode_tables([table]))
        summary = SummaryMessage(stream, through, self._databases.origin(stream), body)
        return encode_summary(f"{self._settings.archive_topic}/summary", summary, qos=self._settings.publish_qos)

    def _tail_stream(self, stream: str, archive: Archive) -> None:
        mark, last = self._tails.get(stream, (None, -1))
        seen = archive.read_change_mark()
        if seen == mark:
            return
        newest = archive.read_position(self._clock())
        records = archive.read_records(last, STREAM_CHUNK, until=newest) if last >= 0 else []
        for record in records:
            self._publish_record(stream, record)
        reached = records[-1]["dateTime"] if records else newest
        self._tails[stream] = (seen if len(records) < STREAM_CHUNK else None, reached)
