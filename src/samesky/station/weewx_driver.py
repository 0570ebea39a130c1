"""The requester inside WeeWX: a driver that feeds the copy.

    [Station]
        station_type = MQTTReplicate
    [MQTTReplicate]
        driver = user.samesky.station.weewx_driver

Bulk is written directly before StdArchive starts; the newest records go through the engine, so that services which
listen to NEW_ARCHIVE_RECORD see them. After the engine has dealt with a record, the stored row is made equal to the
primary's, for services at the copy may have changed it.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import weewx.drivers
from weewx.engine import StdEngine

import weewx

from ..config import Findings
from ..errors import ConfigError, SameskyError
from .archive import Archive, open_archive
from .checks import CheckSettings
from .databases import read_weewx_location, state_directory
from .days import start_of_archive_day
from .engine_queue import EngineQueue, Record
from .following import Following
from .rebuilding import rebuild_days
from .standing_in import make_stand_ins
from .stanza import RequesterConfig, read_requester, read_stanza
from .state import State
from .status_publishing import StatusPublishing
from .tree_store import TreeStore
from .weewx_code import BindingCode, target_unit_system

_log = logging.getLogger(__name__)

DRIVER_NAME = "MQTTReplicate"
DRIVER_VERSION = "0.1.0"
LOOP_FRESH_S = 60.0
STEP_S = 0.5


def loader(config_dict: Mapping[str, Any], engine: StdEngine) -> "MQTTReplicateDriver":
    """The driver, as WeeWX asks for it; what keeps it from working is logged line by line before WeeWX gives up."""
    try:
        return MQTTReplicateDriver(config_dict, engine)
    except ConfigError as error:
        for problem in error.problems:
            _log.error("configuration %s", problem)
        raise
    except SameskyError as error:
        _log.error("driver_off error=%r what_to_do=%r", str(error), error.hint)
        raise


class MQTTReplicateDriver(weewx.drivers.AbstractDevice):
    """Feeds WeeWX with a primary's records.

    Raises `ConfigError` for a configuration that can't work, and nothing else: without a broker, a primary or a
    database it waits.
    """

    def __init__(self, config_dict: Mapping[str, Any], engine: StdEngine) -> None:
        self._config = _read_config(config_dict)
        self._queue = EngineQueue() if self._config.main == "engine" else None
        self._main = next(each for each in self._config.follow.copies if each.main)
        self._archive: Archive | None = None
        self._inexact: dict[int, set[str]] = {}
        """Day -> columns in which the engine had changed records of it."""
        self._closing = False
        self._last_packet_time = 0
        self._handed_out = 0
        self._units = target_unit_system(config_dict) or weewx.US
        code = {stream: BindingCode(config_dict, binding) for stream, binding in self._config.bindings.items()}
        self._code = code[self._main.stream]
        self._ensure_databases(code)
        directory = self._config.state_dir or state_directory(config_dict)
        self._state, self._sums = State(directory), TreeStore(directory)
        mqtt = self._config.mqtt
        status = StatusPublishing(self._config.status, mqtt.client_id, state=self._state)
        self._following = Following(
            self._config.follow,
            status.link_to(mqtt),
            state=self._state,
            status=status,
            engine=self._queue,
            weewx_code=code,
            checks=CheckSettings(
                self._sums,
                directory,
                interval_s=self._config.check_interval_s,
                track_changes=self._config.track_changes,
            ),
        )
        self._stand_ins = (
            make_stand_ins(self._config.follow, mqtt, self._following, state=self._state, sums=self._sums)
            if self._config.answer
            else []
        )
        self._following.start()
        self._wait_for_bulk()
        for stand_in in self._stand_ins:
            stand_in.start()

    @property
    def hardware_name(self) -> str:
        """The driver's name."""
        return DRIVER_NAME

    @property
    def archive_interval(self) -> int:
        """Archive interval in seconds, as configured."""
        return self._config.archive_interval_s

    def genStartupRecords(self, _lastgood_ts: int | None) -> Iterator[Record]:
        """The main binding's newest records that are waiting."""
        return self._records()

    def genArchiveRecords(self, _lastgood_ts: int | None) -> Iterator[Record]:
        """The main binding's records that have come, waiting as long as is configured for the one that is due.

        Without that, a record that came late once would be found waiting at the next archive period, and the copy
        would stay one period behind for ever.
        """
        interval_s = self._config.archive_interval_s
        return self._records(due=int(time.time()) // interval_s * interval_s, patience_s=self._config.archive_wait_s)

    def genLoopPackets(self) -> Iterator[Record]:
        """The primary's LOOP packets while they are fresh, else empty ones, so that the engine turns."""
        while not self._closing:
            packet = self._following.take_loop_packet(self._config.loop_interval_s)
            now = time.time()
            if packet is None or not self._is_fresh(packet, now):
                packet = {"dateTime": max(int(now + 0.5), self._last_packet_time), "usUnits": self._units}
            self._last_packet_time, self._units = packet["dateTime"], packet["usUnits"]
            yield packet

    def _is_fresh(self, packet: Record, now: float) -> bool:
        """Whether the packet belongs to this moment and doesn't go back in time: WeeWX's accumulators bear neither."""
        timestamp = int(packet["dateTime"])
        return abs(timestamp - now) <= LOOP_FRESH_S and timestamp >= self._last_packet_time

    def closePort(self) -> None:
        """Stop following."""
        self._closing = True
        for stand_in in self._stand_ins:
            stand_in.close()
        self._following.close()
        self._state.close()
        self._sums.close()
        if self._archive is not None:
            self._archive.close()

    # ------------------------------------------------------------------ start

    def _ensure_databases(self, code: Mapping[str, BindingCode]) -> None:
        """Make the main database, and those to initialize, by WeeWX's own schema before anything is written."""
        for copy in self._config.follow.copies:
            if copy.main or copy.create:
                try:
                    code[copy.stream].ensure_database()
                except SameskyError as error:
                    _log.error("database_not_made stream=%s error=%r", copy.stream, str(error))

    def _wait_for_bulk(self) -> None:
        """Let the bulk be written before StdArchive starts; goes on without when nothing moves for a while."""
        started = time.monotonic()
        done = self._following.wait_caught_up(self._config.startup_wait_s)
        for snapshot in self._following.snapshots():
            _log.info("%s", snapshot.describe())
        _log.info("started caught_up=%s seconds=%.1f", done, time.monotonic() - started)

    # ------------------------------------------------------------------ records for the engine

    def _records(self, *, due: int = 0, patience_s: float = 0.0) -> Iterator[Record]:
        """What is in the queue; until a record of time ``due`` has been handed out, waits for more."""
        if self._queue is None:
            return
        deadline = time.monotonic() + patience_s
        while not self._closing:
            left_s = max(0.0, deadline - time.monotonic()) if self._handed_out < due else 0.0
            record = self._queue.take(min(STEP_S, left_s))
            if record is not None:
                self._handed_out = max(self._handed_out, int(record["dateTime"]))
                # The engine's services may alter the record they are given; ours stays as it came.
                yield dict(record)
                self._make_exact(record)
                self._queue.done()
            elif not left_s:
                self._rebuild_inexact()
                return

    def _make_exact(self, record: Record) -> None:
        """After the engine: the stored row has to be the primary's, even if the engine dropped or changed it."""
        if not self._main.exact:
            return
        try:
            if self._archive is None:
                self._archive = open_archive(self._main.location)
            names = self._following.column_names(self._main.stream)
            if changed := self._archive.ensure_record(record, names):
                self._sums.mark(self._main.stream, "archive", [record["dateTime"]])
                self._inexact.setdefault(start_of_archive_day(record["dateTime"]), set()).update(changed)
        except SameskyError as error:
            _log.warning("not_made_exact time=%s error=%r", record["dateTime"], str(error))
            self._forget_archive()

    def _rebuild_inexact(self) -> None:
        """What the engine made of records is in the summaries too; where these are the primary's, its own come."""
        inexact, self._inexact = self._inexact, {}
        if not inexact or not self._following.makes_summaries(self._main.stream):
            return
        try:
            if self._archive is None:
                self._archive = open_archive(self._main.location)
            for day, names in inexact.items():
                of_wind = {"wind"} if any(name.startswith("wind") for name in names) else set()
                rebuild_days(self._archive, [day], self._code.summarize_day, only=names | of_wind)
        except SameskyError as error:
            self._inexact = inexact
            _log.warning("summaries_not_rebuilt error=%r", str(error))
            self._forget_archive()

    def _forget_archive(self) -> None:
        if self._archive is not None:
            self._archive.close()
        self._archive = None


def _read_config(config: Mapping[str, Any]) -> RequesterConfig:
    """The stanza's settings; raises `ConfigError` with every mistake in it."""
    findings = Findings()
    archive = config.get("StdArchive", {})
    if str(archive.get("record_generation", "hardware")).lower() == "software":
        findings.error(
            "[StdArchive]",
            "record_generation = software would make records of this copy's own: write record_generation = hardware",
        )
    section = read_stanza(config, findings).section("Requester")
    if section is None:
        findings.error("[MQTTReplicate]", "the section [[Requester]] is missing")
    settings = (
        None
        if section is None
        else read_requester(
            section,
            lambda binding, _: read_weewx_location(config, binding, findings),
            own_days=True,
            unit_system=target_unit_system(config),
        )
    )
    archive_binding = str(archive.get("data_binding", "wx_binding"))
    if settings is not None and settings.main_binding != archive_binding:
        findings.error(
            "[MQTTReplicate] [[Requester]]",
            f"the binding of type = main is {settings.main_binding}, but [StdArchive] archives into {archive_binding}",
        )
    findings.raise_errors("weewx.conf")
    for finding in findings.found:
        _log.warning("configuration %s", finding)
    if settings is None:
        raise ConfigError("weewx.conf: [MQTTReplicate] [[Requester]] can't be used")
    return settings


class MQTTReplicateConfEditor(weewx.drivers.AbstractConfEditor):
    """What ``weectl station reconfigure`` shows and asks."""

    @property
    def default_stanza(self) -> str:
        """The stanza of a copy."""
        return (Path(__file__).parent / "extension" / "stanza.conf").read_text(encoding="utf-8")


def confeditor_loader() -> MQTTReplicateConfEditor:
    """The configuration editor, as WeeWX asks for it."""
    return MQTTReplicateConfEditor()
