"""Daily summaries that a copy makes itself, of its archive records, where the primary's can't be taken over."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from .archive import Archive
from .archive_repair import padded, replace_summary_days
from .days import next_archive_day
from .engine_queue import Record
from .schema import summary_parts

_MOST_RECORDS_A_DAY = 100_000

Summarize = Callable[[int, Sequence[Record]], Sequence[Sequence[Any]]]
"""(a day's beginning, its records) -> its summary rows: WeeWX's work (`weewx_code.BindingCode.summarize_day`)."""


def rebuild_days(
    archive: Archive, days: Iterable[int], summarize: Summarize, *, only: Collection[str] | None = None
) -> None:
    """Make the summaries of these days anew, of all observations or ``only`` of some."""
    kinds = archive.read_summary_kinds()
    for day in days:
        records = archive.read_records(day, _MOST_RECORDS_A_DAY, until=next_archive_day(day))
        rows = [
            padded(row)
            for row in (summarize(day, records) if records else ())
            if row[0] in kinds and len(row) == 1 + len(summary_parts(kinds[row[0]]))
        ]
        # What WeeWX makes nothing of, though there are records, isn't made of archive records: it stays.
        observations = {row[0] for row in rows} if records else set(kinds)
        if only is not None:
            # But a value that went was made of one: where no record has the observation, nothing is left to tell.
            observations = {obs for obs in only if obs in kinds}
            rows = [row for row in rows if row[0] in observations]
        replace_summary_days(archive, [day], rows, observations=observations)
