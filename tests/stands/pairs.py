"""Primaries and copies as a user sets them up: WeeWX stations with samesky's service or driver, and nothing special."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .databases import Database, MariaDatabase, SqliteDatabase
from .mariadb import MariadbServer
from .weewx_station import EXTENDED, Binding, WeewxStation

SERVICE = "samesky.station.weewx_service.MQTTReplicateResponder"
DRIVER = "samesky.station.weewx_driver"
INSTANCE = "home"


def make_primary(
    root: Path,
    bindings: Sequence[Binding],
    *,
    port: int,
    options: Mapping[str, Any] | None = None,
    **station_options: Any,
) -> WeewxStation:
    """A station with the Simulator and our responder; the first binding is the main one. Not started."""
    station = WeewxStation(root, bindings, **station_options)
    responder = {
        "host": "127.0.0.1",
        "port": str(port),
        "client_id": root.name,
        "state_dir": str(root / "state"),
        **(options or {}),
        INSTANCE: {each.name: {"type": "secondary" if number else "main"} for number, each in enumerate(bindings)},
    }
    station.add_service("restful_services", SERVICE, {"MQTTReplicate": {"driver": DRIVER, "Responder": responder}})
    return station


def make_copy(
    root: Path,
    bindings: Sequence[Binding],
    *,
    port: int,
    options: Mapping[str, Any] | None = None,
    follows: Mapping[str, str] | None = None,
    initialize: bool = True,
    archive_interval_s: int = 2,
    **station_options: Any,
) -> WeewxStation:
    """A station with our driver in place of an instrument; the first binding is the main one. Not started.

    ``follows`` names the primary's binding where it isn't called as the copy's is. ``initialize`` lets samesky
    make the databases of secondary bindings. ``archive_interval_s`` is how often the copy's engine asks the driver for
    records: real seconds, also where the primary's clock runs fast.
    """
    station = WeewxStation(root, bindings, archive_interval_s=archive_interval_s, **station_options)
    names = {each.name: (follows or {}).get(each.name, each.name) for each in bindings}
    streams = {
        names[each.name]: {
            "secondary_data_binding": each.name,
            "type": "secondary" if number else "main",
            "initialize": str(initialize),
        }
        for number, each in enumerate(bindings)
    }
    requester = {
        "host": "127.0.0.1",
        "port": str(port),
        "client_id": root.name,
        "state_dir": str(root / "state"),
        "archive_interval": str(archive_interval_s),
        **(options or {}),
        INSTANCE: streams,
    }
    station.use_driver("MQTTReplicate", DRIVER, {"Requester": requester})
    return station


def main_binding(database: Database, schema: str = EXTENDED) -> Binding:
    """WeeWX's usual binding."""
    return Binding("wx_binding", database, schema=schema)


def place_database(
    kind: str, folder: Path, mariadb: MariadbServer | None = None, *, like: SqliteDatabase | None = None
) -> Database:
    """A database of ``kind`` (sqlite, mariadb): with the contents of ``like``, or not there yet (mariadb: empty)."""
    if kind == "sqlite":
        folder.mkdir(parents=True, exist_ok=True)
        database = SqliteDatabase(folder / "weewx.sdb")
        if like:
            database.path.write_bytes(like.path.read_bytes())
        return database
    assert mariadb is not None
    server_database: MariaDatabase = mariadb.create_database()
    if like:
        mariadb.load_sqlite(like, server_database)
    return server_database


def cut_after(database: SqliteDatabase, last: int, day_start: int) -> None:
    """Turn a WeeWX database back to the moment after it archived the record of time ``last``.

    ``day_start`` is the archive day of ``last``; its summary rows are left as a station's own are in the middle of a
    day: different from what they will be. Everything later goes.
    """
    with database.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("DELETE FROM archive WHERE dateTime > ?", (last,))
        tables = connection.execute(
            r"SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'archive\_day\_%' ESCAPE '\'"
        ).fetchall()
        for (table,) in tables:
            if not table.endswith("_day__metadata"):
                connection.execute(f"DELETE FROM {table} WHERE dateTime > ?", (day_start,))
                connection.execute(f"UPDATE {table} SET max = min, sum = sum / 2 WHERE dateTime = ?", (day_start,))
        connection.execute("UPDATE archive_day__metadata SET value = ? WHERE name = 'lastUpdate'", (str(last),))
        connection.execute("COMMIT")
