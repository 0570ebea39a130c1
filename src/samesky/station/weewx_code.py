"""What only WeeWX can do for a copy: converting units, rebuilding daily summaries, making a database by its schema."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import weedb
import weeutil.weeutil
import weewx.accum
import weewx.manager
import weewx.units

import weewx

from ..errors import DataError, Unreachable
from .engine_queue import Record


class BindingCode:
    """WeeWX's code, applied to one binding of ``config`` (`copying.WeewxCode`)."""

    def __init__(self, config: Mapping[str, Any], binding: str) -> None:
        self._config = config
        self._binding = binding

    def convert(self, record: Record, unit_system: int) -> Record:
        """The record in another unit system."""
        return dict(weewx.units.to_std_system(record, unit_system))

    def rebuild_summaries(self) -> None:
        """Bring the daily summaries up to the newest record: WeeWX's backfill, from the day of ``lastUpdate`` on."""
        with _worded(self._binding), weewx.manager.open_manager_with_config(self._config, self._binding) as manager:
            if hasattr(manager, "backfill_day_summary"):
                manager.backfill_day_summary(progress_fn=None)

    def summarize_day(self, day: int, records: Sequence[Record]) -> list[tuple[Any, ...]]:
        """The daily summary rows (observation, ``day``, statistics…) that WeeWX makes of a day's archive records."""
        accumulator = weewx.accum.Accum(weeutil.weeutil.archiveDaySpan(day + 1))
        try:
            for record in records:
                if record["interval"] > 0:  # WeeWX leaves the others out as well
                    accumulator.addRecord(record, weight=60.0 * record["interval"])
            return [(obs, day, *statistics.getStatsTuple()) for obs, statistics in accumulator.items()]
        except (ValueError, TypeError) as error:
            raise DataError(
                f"binding {self._binding}: the day that begins at {day} can't be summarised: {error}"
            ) from error

    def ensure_database(self) -> None:
        """Create the binding's database and tables by its schema, where they are missing."""
        with _worded(self._binding):
            weewx.manager.open_manager_with_config(self._config, self._binding, initialize=True).close()


def target_unit_system(config: Mapping[str, Any]) -> int | None:
    """The unit system this WeeWX archives in, by [StdConvert]; None when it takes what it is given."""
    name = str(config.get("StdConvert", {}).get("target_unit", "")).upper()
    unit_system = weewx.units.unit_constants.get(name)
    return None if unit_system is None else int(unit_system)


@contextmanager
def _worded(binding: str) -> Iterator[None]:
    try:
        yield
    except weedb.DatabaseError as error:
        raise Unreachable(f"binding {binding}: {error}", hint="It is tried again.") from error
