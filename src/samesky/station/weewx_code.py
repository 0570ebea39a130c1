"""What only WeeWX can do for a copy: converting units, rebuilding daily summaries, making a database by its schema."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import weedb
import weewx.manager
import weewx.units

import weewx

from ..errors import Unreachable
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
