"""Making a page: which content type, how many records, compressed to fit the wire."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.columns import MAX_TABLES_BYTES, Column, Kind, Table, encode_tables
from ..errors import DataError
from .archive import Archive
from .archive_reader import Span
from .archive_sqlite import SqliteArchive
from .compression import compress
from .messages import PageAnswer
from .page_file import CONTENT_TYPE as FILE_TYPE
from .page_file import MAX_FILE_BYTES, WrongType, is_supported, read_page_file
from .requests import COLUMNS_TYPE, Request

_log = logging.getLogger(__name__)

FEWEST_RECORDS = 1
# The first page is a small one: it shows how large records come out, and a page that is too large is made in vain.
FIRST_RECORDS, MOST_RECORDS = 1000, 10_000


@dataclass(frozen=True, slots=True)
class _Body:
    content_type: str
    span: Span
    raw_bytes: int
    wire: bytes


class Pager:
    """Makes pages of one archive and remembers how large its records come out."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._records_guess = FIRST_RECORDS

    @property
    def accepts(self) -> tuple[str, ...]:
        """Content types this archive can be served in, best first."""
        return (
            (FILE_TYPE, COLUMNS_TYPE)
            if isinstance(self._archive, SqliteArchive) and is_supported()
            else (COLUMNS_TYPE,)
        )

    def make_page(self, request: Request, *, origin: str, max_bytes: int, now: float) -> PageAnswer:
        """The page that answers ``request``, at most ``max_bytes`` on the wire.

        Raises `DataError` when a single record is larger than that, `Unreachable` when the database is.
        """
        body = self._fitting_body(request, max(1, min(max_bytes, request.max_bytes)), now)
        span = body.span
        return PageAnswer(
            stream=request.stream,
            correlation=request.correlation or b"",
            after=span.after,
            count=span.count,
            last=span.last,
            newest=span.newest or 0,
            origin=origin,
            content_type=body.content_type,
            body=body.wire,
        )

    def _fitting_body(self, request: Request, max_bytes: int, now: float) -> _Body:
        records = min(request.max_records, self._records_guess)
        while True:
            body = self._make_body(request, records, now)
            limit = MAX_FILE_BYTES if body.content_type == FILE_TYPE else MAX_TABLES_BYTES
            excess = max(len(body.wire) / max_bytes, body.raw_bytes / limit)
            if excess <= 1:
                self._learn(body.span.count, records, excess)
                return body
            if records <= FEWEST_RECORDS:
                raise DataError(f"one record after {request.after} doesn't fit a page of {max_bytes} bytes")
            records = max(FEWEST_RECORDS, int(min(body.span.count, records) * 0.9 / excess))

    def _learn(self, count: int, asked: int, fullness: float) -> None:
        """Aim the next page at nine tenths of the limit; a short last page teaches nothing."""
        if count == asked:
            self._records_guess = max(FEWEST_RECORDS, min(MOST_RECORDS, int(count * 0.9 / max(fullness, 0.01))))

    def _make_body(self, request: Request, records: int, now: float) -> _Body:
        if isinstance(self._archive, SqliteArchive) and FILE_TYPE in request.accepts and is_supported():
            try:
                span, raw = read_page_file(self._archive, request.after, records, now=now, summaries=request.summaries)
                return _Body(FILE_TYPE, span, len(raw), compress(raw))
            except WrongType:
                pass  # SQLite let a text into a REAL column; as columns, that row alone is left out
        span, tables = self._archive.read_page(request.after, records, now=now, summaries=request.summaries)
        try:
            raw = encode_tables(tables)
        except ValueError as error:
            _log.warning("record_left_out stream=%s error=%r", request.stream, str(error))
            raw = encode_tables([_without_wrong_types(table) for table in tables])
        return _Body(COLUMNS_TYPE, span, len(raw), compress(raw))


def _without_wrong_types(table: Table) -> Table:
    """The table without the rows that hold a value of another type than their column's."""
    rows = [row for row in table.rows() if fits(table.columns, row)]
    return Table.from_rows(table.name, table.columns, rows)


def fits(columns: Sequence[Column], row: Sequence[object]) -> bool:
    """Whether every value is of its column's kind: SQLite lets a text into a REAL column."""
    return all(
        value is None or isinstance(value, str if column.kind is Kind.TEXT else int | float)
        for column, value in zip(columns, row, strict=True)
    )
