"""The weewx.conf of the demo's two stations: all that WeeWX needs and nothing else, so that it can be read."""

import importlib.util
from dataclasses import dataclass

INSTANCE = "demo"
MAIN_BINDING = "wx_binding"
AIR_BINDING = "air_binding"
DATABASES = {MAIN_BINDING: "weewx.sdb", AIR_BINDING: "air_quality.sdb"}
ARCHIVE_INTERVAL_S = 10
LOOP_INTERVAL_S = 1.0

AIR_COLUMNS = (
    ("dateTime", "INTEGER NOT NULL PRIMARY KEY"),
    ("usUnits", "INTEGER NOT NULL"),
    ("interval", "INTEGER NOT NULL"),
    ("pm2_5", "REAL"),
    ("pm10_0", "REAL"),
    ("co2", "REAL"),
)


@dataclass(frozen=True, slots=True)
class Role:
    """What the two stations' configurations differ in."""

    station: str
    record_generation: str
    archive_services: str
    restful_services: str
    sections: str


def primary_conf(port: int) -> str:
    """Return weewx.conf of a station with WeeWX's Simulator that answers copies over the broker on ``port``."""
    return _conf(
        Role(
            station="Simulator",
            record_generation="software",
            archive_services="weewx.engine.StdArchive, user.air_quality.AirQuality",
            restful_services="samesky.station.weewx_service.MQTTReplicateResponder",
            sections=_PRIMARY.format(port=port, **_NAMES),
        )
    )


def copy_conf(port: int) -> str:
    """Return weewx.conf of a station that has the primary's records in place of an instrument's."""
    return _conf(
        Role(
            station="MQTTReplicate",
            record_generation="hardware",
            archive_services="weewx.engine.StdArchive",
            restful_services="",
            sections=_COPY.format(port=port, **_NAMES),
        )
    )


def _conf(role: Role) -> str:
    return _COMMON.format(role=role, schemas=_schemas(), **_NAMES, **_FILES)


def _schemas() -> str:
    """Where WeeWX keeps its schemas: in a package of their own before version 5.2."""
    return "schemas" if importlib.util.find_spec("schemas") else "weewx.schemas"


_NAMES = {
    "instance": INSTANCE,
    "main": MAIN_BINDING,
    "air": AIR_BINDING,
    "interval_s": ARCHIVE_INTERVAL_S,
    "loop_s": LOOP_INTERVAL_S,
}
_FILES = {"main_file": DATABASES[MAIN_BINDING], "air_file": DATABASES[AIR_BINDING]}

_COMMON = """\
# Made by `samesky demo`, which writes it anew each time.
debug = 0
log_success = True
log_failure = True

[Station]
    location = samesky demo
    latitude = 47.0
    longitude = 8.0
    altitude = 400, meter
    station_type = {role.station}

{role.sections}
[StdArchive]
    archive_interval = {interval_s}
    archive_delay = 1
    record_generation = {role.record_generation}
    data_binding = {main}

[StdConvert]
    target_unit = US

[DataBindings]
    [[{main}]]
        database = weather
        table_name = archive
        manager = weewx.manager.DaySummaryManager
        schema = {schemas}.wview_extended.schema
    [[{air}]]
        database = air_quality
        table_name = archive
        manager = weewx.manager.DaySummaryManager
        schema = user.air_quality.schema

[Databases]
    [[weather]]
        database_type = SQLite
        database_name = {main_file}
    [[air_quality]]
        database_type = SQLite
        database_name = {air_file}

[DatabaseTypes]
    [[SQLite]]
        driver = weedb.sqlite
        SQLITE_ROOT = archive

[Engine]
    [[Services]]
        prep_services = weewx.engine.StdTimeSynch,
        data_services = ,
        process_services = weewx.engine.StdConvert, weewx.engine.StdQC, weewx.wxservices.StdWXCalculate
        xtype_services = weewx.wxxtypes.StdWXXTypes, weewx.wxxtypes.StdPressureCooker, weewx.wxxtypes.StdRainRater
        archive_services = {role.archive_services},
        restful_services = {role.restful_services},
        report_services = ,

[Logging]
    [[root]]
        level = INFO
        handlers = file,
    [[handlers]]
        [[[file]]]
            class = logging.FileHandler
            filename = weewx.log
            formatter = plain
    [[formatters]]
        [[[plain]]]
            format = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""

_PRIMARY = """\
[Simulator]
    driver = weewx.drivers.simulator
    mode = simulator
    loop_interval = {loop_s}

[MQTTReplicate]
    driver = samesky.station.weewx_driver
    [[Responder]]
        host = 127.0.0.1
        port = {port}
        track_changes = true
        [[[{instance}]]]
            [[[[{main}]]]]
                type = main
            [[[[{air}]]]]
                type = secondary
"""

_COPY = """\
[MQTTReplicate]
    driver = samesky.station.weewx_driver
    [[Requester]]
        host = 127.0.0.1
        port = {port}
        track_changes = true
        archive_interval = {interval_s}
        loop_interval = {loop_s}
        [[[{instance}]]]
            [[[[{main}]]]]
                type = main
            [[[[{air}]]]]
                type = secondary
                initialize = true
"""

AIR_EXTENSION = f'''\
"""An air quality sensor, as an extension of WeeWX has it: it writes into a binding of its own. Made by samesky demo."""

import math
import random

from weewx.engine import StdService

import weewx

schema = {list(AIR_COLUMNS)!r}


class AirQuality(StdService):
    """Stores one record with each archive record."""

    def __init__(self, engine, config):
        super().__init__(engine, config)
        self.bind(weewx.NEW_ARCHIVE_RECORD, self.new_archive_record)

    def new_archive_record(self, event):
        record = {{name: event.record[name] for name in ("dateTime", "usUnits", "interval")}}
        dust = 9 + 4 * math.sin(record["dateTime"] / 7200) + random.gauss(0, 0.5)
        record |= {{"pm2_5": dust, "pm10_0": dust * 1.6, "co2": 420 + random.gauss(0, 3)}}
        self.engine.db_binder.get_manager("{AIR_BINDING}").addRecord(record)
'''
