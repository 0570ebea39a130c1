"""A real WeeWX station: made by `weectl station create`, configured in its weewx.conf, run by weewxd.

A primary:

    binding = Binding("wx_binding", SqliteDatabase(folder / "weewx.sdb"))
    with WeewxStation(folder / "primary", [binding], archive_interval_s=10) as station:
        station.edit(lambda conf: conf["Engine"]["Services"].update(...))
        station.start()
        station.wait_for(lambda: station.newest() or 0, 30, what="the first record")
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import configobj

from .children import die_with_parent
from .databases import Database, SqliteDatabase
from .rows import read_newest
from .waiting import wait_for

TESTS = Path(__file__).parents[1]
SRC = TESTS.parent / "src"
EXTENDED = "weewx.schemas.wview_extended.schema"
SMALL = "weewx.schemas.wview_small.schema"
DAY_SUMMARIES = "weewx.manager.DaySummaryManager"
NO_SUMMARIES = "weewx.manager.Manager"

Answer = TypeVar("Answer")
_END_DEADLINE_S = 60


@dataclass(frozen=True, slots=True)
class Binding:
    """A WeeWX data binding. ``schema`` is a dotted name or a tuple of (column, type) pairs of one's own."""

    name: str
    database: Database
    schema: str | tuple[tuple[str, str], ...] = EXTENDED
    manager: str = DAY_SUMMARIES
    table: str = "archive"


class WeewxStation:
    """A station under ``root``; its first binding is the one it archives into. A context manager that ends weewxd."""

    def __init__(
        self,
        root: Path,
        bindings: Sequence[Binding],
        *,
        archive_interval_s: int = 10,
        loop_interval_s: float = 1.0,
        target_unit: str = "US",
        record_generation: str = "hardware",
        speed: float = 1.0,
        start_time: int | None = None,
        time_zone: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Create the station with WeeWX's Simulator; nothing runs yet.

        ``speed`` other than 1 makes its clock run that many times as fast (`stands.brisk_simulator`), from
        ``start_time`` or from the newest record in its database. ``environment`` is added to weewxd's.
        """
        self.root = root
        self.bindings = {binding.name: binding for binding in bindings}
        self.main = bindings[0]
        self.config_path = root / "weewx.conf"
        self.log_path = root / "weewx.log"
        self.output_path = root / "output"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            **os.environ,
            "PYTHONPATH": f"{SRC}{os.pathsep}{TESTS}",
            **({"TZ": time_zone} if time_zone else {}),
            **(environment or {}),
        }
        self._create()
        self.edit(self._configure_databases)
        self.edit(lambda conf: self._configure_clock(conf, speed, start_time, loop_interval_s))
        self.edit(
            lambda conf: _configure_rest(
                conf,
                log_path=self.log_path,
                target_unit=target_unit,
                archive={
                    "archive_interval": str(archive_interval_s),
                    "archive_delay": "1",
                    "record_generation": record_generation,
                    "data_binding": self.main.name,
                },
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    # ------------------------------------------------------------------ weewx.conf

    def edit(self, change: Callable[[Any], object]) -> None:
        """Read weewx.conf, let ``change`` alter the ConfigObj, write it back."""
        config = configobj.ConfigObj(str(self.config_path), file_error=True, encoding="utf-8", interpolation=False)
        change(config)
        config.write()

    def use_driver(self, name: str, driver: str, options: Mapping[str, Any]) -> None:
        """Make ``driver`` (a dotted module) the station's; ``options`` (nested: subsections) go to ``[name]``."""

        def change(config: Any) -> None:
            config["Station"]["station_type"] = name
            config[name] = {"driver": driver, **options}

        self.edit(change)

    def add_service(self, group: str, service: str, options: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Append ``service`` (a dotted class) to ``group`` of [Engine] [[Services]] and set whole sections."""

        def change(config: Any) -> None:
            services = config["Engine"]["Services"]
            present = services[group] if isinstance(services[group], list) else [services[group]]
            services[group] = [*(name for name in present if name), service]
            config.update(options or {})

        self.edit(change)

    # ------------------------------------------------------------------ weewxd

    @property
    def environment(self) -> dict[str, str]:
        """The environment that weewxd gets, for commands that belong to the station."""
        return dict(self._environment)

    @property
    def pid(self) -> int | None:
        """weewxd's process id while it runs."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether weewxd runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_text(self) -> str:
        """Everything weewxd has logged, over all its runs."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def output_text(self) -> str:
        """What weewxd wrote on stdout and stderr: packets, tracebacks."""
        return self.output_path.read_text(errors="replace") if self.output_path.exists() else ""

    def start(self) -> None:
        """Start weewxd; returns at once. In a session of its own, since weewxd ends its whole process group."""
        assert not self.running, "weewxd runs already"
        with self.output_path.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "weewxd", "--config", str(self.config_path)],
                cwd=self.root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )

    def stop(self) -> None:
        """End weewxd as systemd does; fails when that takes over a minute. Harmless when it doesn't run."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(_END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"weewxd didn't end within {_END_DEADLINE_S} s of SIGTERM.\n{self.tail()}") from None

    def kill(self) -> None:
        """End weewxd and its children as a power cut would. Harmless when it doesn't run."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def tail(self, lines: int = 40) -> str:
        """The last lines of log and output, for a test's failure; without those that tell of a record each."""
        log = [line[:300] for line in self.log_text.splitlines() if "Added record" not in line][-lines:]
        output = [line[:300] for line in self.output_text.splitlines()[-15:]]
        return "\n".join([f"--- {self.root.name}: log", *log, f"--- {self.root.name}: output", *output])

    def wait_for(self, condition: Callable[[], Answer], deadline_s: float, *, what: str) -> Answer:
        """As `stands.waiting.wait_for`, but fails at once when weewxd has ended, and shows the log."""

        def check() -> Answer:
            assert self.running, f"weewxd ended while waiting for {what}.\n{self.tail()}"
            return condition()

        return wait_for(check, deadline_s, what=what, explain=self.tail)

    # ------------------------------------------------------------------ its databases

    def database(self, binding: str | None = None) -> Database:
        """Where a binding's database is; the main one's without a name."""
        return (self.bindings[binding] if binding else self.main).database

    def newest(self, binding: str | None = None) -> int | None:
        """Time of the newest record in a binding's table; None while there is no table or no record."""
        chosen = self.bindings[binding] if binding else self.main
        return read_newest(chosen.database, table=chosen.table)

    def read_additions(self) -> list[tuple[float, int]]:
        """(when it was written, its own time) of each record that WeeWX says it added to the main database."""
        database = self.main.database
        name = database.path.name if isinstance(database, SqliteDatabase) else database.name
        pattern = rf"^([\d.]+) .* Added record .* \((\d+)\) to database '{re.escape(name)}'$"
        return [(float(when), int(time)) for when, time in re.findall(pattern, self.log_text, re.MULTILINE)]

    # ------------------------------------------------------------------ parts

    def _create(self) -> None:
        command = [sys.executable, "-m", "weectl", "station", "create", str(self.root), "--no-prompt"]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment)
        assert done.returncode == 0, done.stdout + done.stderr

    def _configure_databases(self, config: Any) -> None:
        config["DataBindings"] = {}
        config["Databases"] = {}
        for binding in self.bindings.values():
            config["DataBindings"][binding.name] = {
                "database": f"{binding.name}_database",
                "table_name": binding.table,
                "manager": binding.manager,
                "schema": self._schema_name(binding),
            }
            config["Databases"][f"{binding.name}_database"] = binding.database.weewx_options()
            if isinstance(binding.database, SqliteDatabase):
                binding.database.path.parent.mkdir(parents=True, exist_ok=True)

    def _schema_name(self, binding: Binding) -> str:
        """The schema's dotted name; one's own is written to the station's `user` package, where users put theirs."""
        if isinstance(binding.schema, str):
            return binding.schema
        module = self.root / "bin" / "user" / f"{binding.name}_schema.py"
        module.write_text(f"schema = {list(binding.schema)!r}\n")
        return f"user.{binding.name}_schema.schema"

    def _configure_clock(self, config: Any, speed: float, start_time: int | None, loop_interval_s: float) -> None:
        config["Simulator"]["loop_interval"] = str(loop_interval_s)
        if speed != 1.0:
            config["Station"]["station_type"] = "BriskSimulator"
            config["BriskSimulator"] = {
                "driver": "stands.brisk_simulator",
                "speed": str(speed),
                "loop_interval": str(loop_interval_s),
                "start_time": str(start_time or 0),
            }

    def _signal(self, how: signal.Signals) -> None:
        if self.running and self._process:
            try:
                os.killpg(self._process.pid, how)
            except ProcessLookupError:
                pass  # it ended in this moment


def tails(*stations: WeewxStation) -> Callable[[], str]:
    """What explains a failure between stations: the `tail` of each, when it is called."""
    return lambda: "\n".join(station.tail() for station in stations)


def _configure_rest(config: Any, *, log_path: Path, target_unit: str, archive: Mapping[str, str]) -> None:
    """Everything else a test station has: no reports, no uploads, a log file in place of syslog."""
    config["debug"] = "0"
    config["StdArchive"].update(archive)
    config["StdConvert"]["target_unit"] = target_unit
    config["StdCalibrate"]["Corrections"] = {}
    services = config["Engine"]["Services"]
    services["report_services"] = []
    services["restful_services"] = []
    config["Logging"] = {
        "root": {"level": "INFO", "handlers": ["file"]},
        "handlers": {
            "file": {"class": "logging.FileHandler", "filename": str(log_path), "formatter": "stand"},
        },
        "formatters": {
            "stand": {"format": "%(created).3f %(asctime)s %(threadName)s %(levelname)s %(name)s: %(message)s"}
        },
    }
