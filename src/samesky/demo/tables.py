"""WeeWX's table definitions, as WeeWX 5 creates them in SQLite (weewx.schemas, weewx.manager.DaySummaryManager)."""

import sqlite3
from collections.abc import Iterable

Columns = tuple[tuple[str, str], ...]

KEYS: Columns = (
    ("dateTime", "INTEGER NOT NULL PRIMARY KEY"),
    ("usUnits", "INTEGER NOT NULL"),
    ("interval", "INTEGER NOT NULL"),
)
KEY_NAMES = frozenset(name for name, _ in KEYS)

_SMALL = """
    altimeter barometer dewpoint ET heatindex inHumidity inTemp outHumidity outTemp pressure radiation rain rainRate
    rxCheckPercent UV windchill windDir windGust windGustDir windSpeed
"""
# `name:4` stands for name1 to name4.
_EXTENDED = """
    altimeter appTemp appTemp1 barometer batteryStatus:8 cloudbase co co2 consBatteryVoltage dewpoint dewpoint1 ET
    extraHumid:8 extraTemp:8 forecast hail hailBatteryStatus hailRate heatindex heatindex1 heatingTemp heatingVoltage
    humidex humidex1 illuminance inDewpoint inHumidity inTemp inTempBatteryStatus leafTemp:2 leafWet:2
    lightning_distance lightning_disturber_count lightning_energy lightning_noise_count lightning_strike_count
    luminosity maxSolarRad nh3 no2 noise o3 outHumidity outTemp outTempBatteryStatus pb pm10_0 pm1_0 pm2_5 pressure
    radiation rain rainBatteryStatus rainRate referenceVoltage rxCheckPercent signal:8 snow snowBatteryStatus snowDepth
    snowMoisture snowRate so2 soilMoist:4 soilTemp:4 supplyVoltage txBatteryStatus UV uvBatteryStatus windBatteryStatus
    windchill windDir windGust windGustDir windrun windSpeed
"""

_SCALAR: Columns = (
    ("dateTime", "INTEGER NOT NULL PRIMARY KEY"),
    ("min", "REAL"),
    ("mintime", "INTEGER"),
    ("max", "REAL"),
    ("maxtime", "INTEGER"),
    ("sum", "REAL"),
    ("count", "INTEGER"),
    ("wsum", "REAL"),
    ("sumtime", "INTEGER"),
)
SUMMARY_COLUMNS: dict[str, Columns] = {
    "scalar": _SCALAR,
    "vector": (
        *_SCALAR,
        ("max_dir", "REAL"),
        ("xsum", "REAL"),
        ("ysum", "REAL"),
        ("dirsumtime", "INTEGER"),
        ("squaresum", "REAL"),
        ("wsquaresum", "REAL"),
    ),
}
_METADATA: Columns = (("name", "CHAR(20) NOT NULL PRIMARY KEY"), ("value", "TEXT"))


def columns_of(schema: str | Columns) -> Columns:
    """The archive columns of ``wview_extended`` or ``wview_small``, or ``schema`` itself when it is a tuple of pairs.

    Raises ValueError for another name.
    """
    if not isinstance(schema, str):
        return schema
    names = {"wview_extended": _EXTENDED, "wview_small": _SMALL}
    if schema not in names:
        raise ValueError(f"schema must be one of {', '.join(names)} or a tuple of (name, type) pairs, not {schema!r}")
    return (*KEYS, *((name, "REAL") for word in names[schema].split() for name in _numbered(word)))


def summaries_of(columns: Columns) -> dict[str, str]:
    """Observation -> ``scalar`` or ``vector`` for the daily summaries WeeWX keeps of such a table."""
    kinds = {name: "scalar" for name, _ in columns if name not in KEY_NAMES}
    return {**kinds, "wind": "vector"} if "windSpeed" in kinds else kinds


def create_tables(connection: sqlite3.Connection, table: str, columns: Columns, *, summaries: bool) -> None:
    """Create the archive table and, with ``summaries``, the daily summary and metadata tables, in WeeWX's own words."""
    _create(connection, table, columns)
    if summaries:
        for obs, kind in summaries_of(columns).items():
            _create(connection, f"{table}_day_{obs}", SUMMARY_COLUMNS[kind])
        _create(connection, f"{table}_day__metadata", _METADATA)
        connection.execute(f"INSERT INTO {table}_day__metadata VALUES ('Version', '4.0')")


def _create(connection: sqlite3.Connection, table: str, columns: Columns) -> None:
    connection.execute(f"CREATE TABLE {table} ({', '.join(f'{name} {sql_type}' for name, sql_type in columns)})")


def _numbered(word: str) -> Iterable[str]:
    name, colon, most = word.partition(":")
    return (f"{name}{number}" for number in range(1, int(most) + 1)) if colon else (name,)
