"""A WeeWX service as extensions have it: an air quality sensor that writes into a binding of its own.

Its record has the time of the archive record that it comes with, so the primary's responder finds it within ``delta``.
"""

import math
from typing import Any

from weewx.engine import StdService

import weewx


class AirSensor(StdService):  # type: ignore[misc]  # WeeWX has no types
    """Stores one record in ``[AirSensor] data_binding`` at every NEW_ARCHIVE_RECORD, before restful services see it."""

    def __init__(self, engine: Any, config: dict[str, Any]) -> None:
        super().__init__(engine, config)
        self._binding = config["AirSensor"]["data_binding"]
        self.bind(weewx.NEW_ARCHIVE_RECORD, self.new_archive_record)

    def new_archive_record(self, event: Any) -> None:
        """Make a record from the event's time and store it."""
        record = event.record
        manager = self.engine.db_binder.get_manager(self._binding, initialize=True)
        values = {name: 10 + 5 * math.sin(record["dateTime"] / 1000 + len(name)) for name in manager.obskeys}
        manager.addRecord({**values, **{name: record[name] for name in ("dateTime", "usUnits", "interval")}})
