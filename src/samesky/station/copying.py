"""The copy of one binding: what a primary's description means here, and how pages and records are stored.

A copy is a copy: rows are written by column name as the primary has them, daily summaries come as rows. Only where
that can't be, because the copy has another unit system or other day boundaries, are records converted and summaries
rebuilt, by WeeWX's own code (`WeewxCode`).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol, cast

from ..core.columns import MAX_TABLES_BYTES, Kind, Table, decode_tables
from ..core.strict import EARLIEST_TIME, FUTURE_LIMIT_S, Reason, Refused, inflate
from ..errors import SameskyError
from .agreement import Agreement, CopySettings, SummarySource, agree, agree_version_1
from .archive import Applied, Archive, open_archive
from .archive_sqlite import SqliteArchive
from .check_question import TreeName
from .days import LONGEST_DAY_S, start_of_archive_day
from .description import Description
from .engine_queue import EngineQueue, Record
from .messages import PageAnswer, RecordMessage, SummaryMessage
from .page_file import CONTENT_TYPE as FILE_TYPE
from .page_file import MAX_FILE_BYTES, opened_page
from .requests import COLUMNS_TYPE, MAX_RECORDS
from .schema import SUMMARY_COLUMNS
from .waiting_summaries import WaitingSummaries

_log = logging.getLogger(__name__)

END_OF_TIME = 1 << 40


class WeewxCode(Protocol):
    """What only WeeWX can do for a copy; see `weewx_code`."""

    def convert(self, record: Record, unit_system: int) -> Record:
        """The record in another unit system."""

    def rebuild_summaries(self) -> None:
        """Bring the daily summaries up to the archive table's newest record."""

    def summarize_day(self, day: int, records: Sequence[Record]) -> list[tuple[Any, ...]]:
        """The daily summary rows of the day that begins at ``day``, from all its records."""


class Copy:
    """Stores what arrives for one stream. Belongs to the requester's thread.

    Methods raise `Unreachable` or `DataError` when the database fails: call `recover`, then ask the primary again.
    """

    def __init__(
        self, settings: CopySettings, *, engine: EngineQueue | None = None, weewx_code: WeewxCode | None = None
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.kinds: Mapping[str, Kind] = {}
        self.on_changed: Callable[[TreeName, Sequence[int]], None] = lambda tree, times: None
        """Told before and after rows of these times, or summaries of these days, are written that aren't the newest."""
        self._weewx = weewx_code
        self._archive: Archive | None = None
        self._agreement = Agreement(names=())
        self._described = False
        self._said: set[str] = set()
        self._waiting = WaitingSummaries()

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns that are taken from the primary."""
        return self._agreement.names

    @property
    def summaries(self) -> SummarySource:
        """Where the daily summaries come from, as far as the primary has been described."""
        return self._agreement.summaries

    @property
    def observations(self) -> tuple[str, ...]:
        """The daily summaries that are taken from the primary where they are copied, sorted."""
        return self._agreement.observations

    @property
    def agreement(self) -> Agreement:
        """How the primary's records become the copy's, as far as it has been described."""
        return self._agreement

    @property
    def units(self) -> int | None:
        """The copy's unit system; None while it has none."""
        return self._agreement.units

    @property
    def interval_s(self) -> int:
        """The primary's archive interval, as far as it is known."""
        return self._agreement.interval_s

    @property
    def archive(self) -> Archive:
        """The open database."""
        if self._archive is None:
            self._archive = open_archive(self.settings.location, create=self.settings.create)
            self._learn_columns()
        return self._archive

    def _learn_columns(self) -> None:
        self.kinds = {column.name: column.kind for column in self.archive.read_columns()}

    def open(self) -> None:
        """Open the database now rather than at its first use."""
        self._learn_columns()

    def close(self) -> None:
        """Close the database."""
        if self._archive is not None:
            self._archive.close()
        self._archive = None

    def recover(self) -> None:
        """Forget the connection after a failure; the next use opens a new one."""
        with suppress(SameskyError):
            self.close()
        self._archive = None

    def read_position(self, now: float) -> int:
        """Position up to which records are stored or on their way through the engine."""
        stored = self.archive.read_position(now) if self.archive.read_columns() else 0
        return max(stored, self.engine.newest if self.engine else 0)

    @property
    def is_settled(self) -> bool:
        """Whether WeeWX's engine has nothing in hand: while it archives, the machine is left to it."""
        return self.engine is None or not self.engine.pending()

    def read_settled_position(self, now: float) -> int:
        """Position up to which records are stored as they will stay: none of them is in the engine's hands."""
        stored = self.archive.read_position(now) if self.archive.read_columns() else 0
        pending = self.engine.pending() if self.engine else []
        return min(stored, int(pending[0]["dateTime"]) - 1) if pending else stored

    # ------------------------------------------------------------------ prepare

    def prepare(self, description: Description) -> Agreement:
        """Make ready for a primary of that description; raises `ConfigError` when only a person can go on."""
        self._agreement = agree(description, self.archive, self.settings, weewx=self._weewx is not None)
        self._described = True
        self._learn_columns()
        for note in self._agreement.notes:
            if note not in self._said:
                self._said.add(note)
                _log.warning("%s", note)
        return self._agreement

    # ------------------------------------------------------------------ pages

    def store_page(self, page: PageAnswer, now: float) -> Applied:
        """Store a page, durable on return except for the newest records that go through the engine.

        Raises `Refused` for what isn't a page, with nothing written.
        """
        # What isn't within the page's span, or of the future, would hide the hole before it.
        cutoff, until = self._cutoff(page), min(int(now) + FUTURE_LIMIT_S, page.last)
        if page.content_type == FILE_TYPE:
            return self._store_file(page, min(cutoff, until), until, now)
        if page.content_type == COLUMNS_TYPE:
            return self._store_tables(page, min(cutoff, until), until, now)
        raise Refused(Reason.VERSION, "a page of an unknown content type")

    def _cutoff(self, page: PageAnswer) -> int:
        """Records up to this time are written directly; later ones go through the engine."""
        if self.engine is None:
            return END_OF_TIME
        return page.newest - self.settings.newest * self._agreement.interval_s

    def _store_file(self, page: PageAnswer, cutoff: int, until: int, now: float) -> Applied:
        archive = self.archive
        if not isinstance(archive, SqliteArchive) or self._agreement.converts:
            raise Refused(Reason.UNINVITED, "a page of a content type that wasn't asked for")
        body = inflate(page.body, max_bytes=MAX_FILE_BYTES)
        with opened_page(archive, body, self._agreement.page_columns) as file:
            newest = file.read_records(cutoff, until=until) if cutoff < page.last else []
            before_day = self._before_day(page, newest, cutoff)
            if page.count and page.after < cutoff:
                self.flush_engine()
            applied = file.apply(
                self._agreement.names,
                until=cutoff,
                unit_system=self._agreement.units,
                before_day=before_day if self._agreement.summaries == "copied" else None,
            )
            later = file.read_summaries(before_day) if before_day < END_OF_TIME else []
        return applied + self._finish(page, newest, later, now)

    def _store_tables(self, page: PageAnswer, cutoff: int, until: int, now: float) -> Applied:
        tables = {
            table.name: table
            for table in decode_tables(inflate(page.body, max_bytes=MAX_TABLES_BYTES), max_rows=MAX_RECORDS * 64)
        }
        archive_table = tables.get("archive")
        if archive_table is None or archive_table.columns != self._agreement.page_columns:
            raise Refused(Reason.SHAPE, "the page's columns are not those of the description")
        table = archive_table.only(self._believable(archive_table, until))
        direct, newest = _split(table, cutoff)
        before_day = self._before_day(page, newest, cutoff)
        summary = self._summary_rows(tables.get("summary"))
        if direct.count:
            self.flush_engine()
        applied = self._apply_table(direct, then=[row for row in summary if row[1] < before_day])
        refused = archive_table.count - table.count
        later = [row for row in summary if row[1] >= before_day]
        return applied + Applied(refused=refused) + self._finish(page, newest, later, now)

    def _before_day(self, page: PageAnswer, newest: Sequence[Record], cutoff: int) -> int:
        """Summary rows from this day on have to wait until the engine has stored the newest records."""
        if newest:
            return start_of_archive_day(newest[0]["dateTime"])
        return END_OF_TIME if page.last <= cutoff else 0

    def _finish(
        self, page: PageAnswer, newest: Sequence[Record], later: Sequence[Sequence[Any]], now: float
    ) -> Applied:
        if self._agreement.summaries == "rebuilt" and self._weewx and (newest or not page.more):
            self._weewx.rebuild_summaries()
        if newest and self.engine:
            self.engine.put(self.converted(newest))
        if later and self._agreement.summaries == "copied" and self.settings.exact:
            self._waiting.put(page.last, later)
        self.settle(now)
        return Applied(stored=len(newest))

    def _believable(self, table: Table, until: int) -> list[bool]:
        """For each row whether it is neither from the past nor the future and in the primary's unit system."""
        units = self._agreement.source_units
        return [
            isinstance(time, int) and EARLIEST_TIME <= time <= until and unit == units
            for time, unit in zip(table.column("dateTime"), table.column("usUnits"), strict=True)
        ]

    def _summary_rows(self, table: Table | None) -> list[tuple[Any, ...]]:
        if table is None or self._agreement.summaries != "copied":
            return []
        if table.columns != SUMMARY_COLUMNS:
            raise Refused(Reason.SHAPE, "the summary's columns are not those of version 2")
        return list(table.rows())

    # ------------------------------------------------------------------ live records and summaries

    def insert(self, messages: Sequence[RecordMessage], now: float) -> Applied:
        """Insert what is absent: through the engine what continues the position, directly what is late."""
        if not self._described:
            self._agreement = agree_version_1(self.archive, self.settings, weewx=self._weewx is not None)
        units = self._agreement.units
        records = [each.record for each in messages if self._weewx or units in (None, each.record["usUnits"])]
        refused, duplicates = len(messages) - len(records), 0
        fresh: list[Record] = []
        if self.engine is not None:
            # A version 1 stream comes record by record, but its bulk is written directly all the same.
            version_1 = messages[0].previous is None
            reached = max(
                self.read_position(now),
                int(now) - self.settings.newest * self._agreement.interval_s if version_1 else 0,
            )
            fresh = [record for record in records if record["dateTime"] > reached]
            records = [record for record in records if record["dateTime"] <= reached]
            records, duplicates = self._without_pending(records)
        with self._changing("archive", self._late(records, now)):
            applied = self._apply_records(records) + Applied(refused=refused, stored=len(fresh), duplicates=duplicates)
        if self._agreement.summaries == "rebuilt" and self._weewx and records and applied.stored:
            self._weewx.rebuild_summaries()
        if fresh and self.engine:
            self.engine.put(self.converted(fresh))
        self.settle(now)
        return applied

    def _without_pending(self, records: list[Record]) -> tuple[list[Record], int]:
        """The records that the engine isn't about to store anyway, and how many it is; none will overtake its own."""
        pending = {record["dateTime"] for record in self.engine.pending()} if self.engine else set()
        direct = [record for record in records if record["dateTime"] not in pending]
        if direct and pending and max(each["dateTime"] for each in direct) > min(pending):
            self.flush_engine()
        return direct, len(records) - len(direct)

    def put_summary(self, summary: SummaryMessage, now: float) -> None:
        """Take daily summary rows; they are put in place once the newest stored record is the one they include."""
        if self._agreement.summaries != "copied" or not self.settings.exact:
            return
        tables = decode_tables(inflate(summary.body, max_bytes=MAX_TABLES_BYTES), max_rows=MAX_RECORDS)
        self._waiting.put(summary.through, self._summary_rows(tables[0] if len(tables) == 1 else None))
        self.settle(now)

    def settle(self, now: float) -> None:
        """Put waiting summary rows in place, as far as the records they include are stored."""
        if self._waiting:
            position = self.archive.read_position(now)
            rows = self._waiting.take(position)
            if rows:
                over = {int(row[1]) for row in rows if row[1] + LONGEST_DAY_S <= position}
                with self._changing("summary", sorted(over)):
                    self.archive.apply_summaries(Table.from_rows("summary", SUMMARY_COLUMNS, rows))

    def _late(self, records: Sequence[Record], now: float) -> list[int]:
        """The times of those that go in before the newest."""
        position = self.archive.read_position(now) if records else 0
        return [record["dateTime"] for record in records if record["dateTime"] <= position]

    @contextmanager
    def _changing(self, tree: TreeName, times: Sequence[int]) -> Iterator[None]:
        if times:
            self.on_changed(tree, times)
        yield
        if times:
            self.on_changed(tree, times)

    # ------------------------------------------------------------------ writing

    def flush_engine(self) -> None:
        """Before later records are written directly, write what the engine still has: there may be no hole behind."""
        if self.engine is not None:
            pending = self.engine.pending()
            self._apply_records(pending, converted=True)
            self.engine.drop(pending)

    def _apply_table(self, table: Table, *, then: Sequence[Sequence[Any]]) -> Applied:
        if self._agreement.converts:
            return self._apply_records(table.records(), then=then)
        names = self.column_names
        return self._apply_rows(names, list(zip(*map(table.column, names), strict=True)), then=then)

    def _apply_records(
        self, records: Sequence[Record], *, then: Sequence[Sequence[Any]] = (), converted: bool = False
    ) -> Applied:
        names = self.column_names
        rows = [tuple(map(record.get, names)) for record in (records if converted else self.converted(records))]
        return self._apply_rows(names, rows, then=then)

    def _apply_rows(
        self, names: Sequence[str], rows: Sequence[Sequence[Any]], *, then: Sequence[Sequence[Any]]
    ) -> Applied:
        if not rows and not then:
            return Applied()
        archive = self.archive
        mark = self._agreement.summaries == "copied"
        return archive.apply_rows(
            names, rows, mark_update=mark, then=(lambda: _ignore(archive.write_summaries(then))) if then else None
        )

    def converted(self, records: Sequence[Record]) -> Sequence[Record]:
        """The primary's records in the copy's unit system, as far as WeeWX's code is there to convert them."""
        if self._weewx is None or self._agreement.units is None:
            return records
        return [
            record if record["usUnits"] == self._agreement.units else self._weewx.convert(record, self._agreement.units)
            for record in records
        ]

    def summarize_day(self, day: int, records: Sequence[Record]) -> list[tuple[Any, ...]]:
        """The daily summary rows of a day, from all its records; only where `summaries` are ``rebuilt``."""
        assert self._weewx is not None
        return self._weewx.summarize_day(day, records)


def _split(table: Table, cutoff: int) -> tuple[Table, list[Record]]:
    """The rows up to ``cutoff``, and the later ones as records."""
    early = [time <= cutoff for time in cast(list[int], table.column("dateTime"))]
    later = [not each for each in early]
    return table.only(early), table.only(later).records() if any(later) else []


def _ignore(_: object) -> None:
    return None
