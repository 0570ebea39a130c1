"""What a newcomer has after the first ten minutes: a broker, a primary, a copy of it, and the page over both.

Every part is a process, started as a user starts it. Commands that the page shows are typed into a shell:

    with Household(tmp_path, broker) as home:
        home.wait_until_same()
        home.change(home.copy, "DELETE FROM archive WHERE …")
        ...
        home.type(command)
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

from samesky.demo.program import HOST, SOURCE, Program, find_ports
from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker

from .waiting import wait_for

STREAM = "home/wx_binding"
INTERVAL_S = 300
COLUMNS = (
    ("dateTime", "INTEGER NOT NULL PRIMARY KEY"),
    ("usUnits", "INTEGER NOT NULL"),
    ("interval", "INTEGER NOT NULL"),
    ("outTemp", "REAL"),
    ("barometer", "REAL"),
)
DAYS = 100
_START_DEADLINE_S = 60
_STOP_TIMEOUT_S = 10


class Household:
    """The three programs below ``folder`` over ``broker``, which runs; a context manager that starts and ends them.

    The primary has ``days`` of records; the copy is empty at first, and in ``copy_folder`` where that is given.
    """

    def __init__(
        self, folder: Path, broker: MosquittoBroker, *, days: int = DAYS, copy_folder: Path | None = None
    ) -> None:
        self.folder, self.broker = folder, broker
        self.homes = {"primary": folder / "primary", "copy": copy_folder or folder / "copy"}
        for home in self.homes.values():
            home.mkdir(exist_ok=True)
        self.primary, self.copy = (home / "weewx.sdb" for home in self.homes.values())
        self._port = find_ports(1)[0]
        self._programs = {
            name: Program(name, log_path=folder / f"{name}.log", system=system, environment=self._environment)
            for name, system in (("primary", "station"), ("copy", "station"), ("page", "web"))
        }
        self._write_configs()
        self._write_shim()
        end = int(time.time()) // INTERVAL_S * INTERVAL_S
        write_year(self.primary, count=days * 86_400 // INTERVAL_S, end_time=end, schema=COLUMNS)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.close)
            self.start("page")
            self.start("primary")
            # A copy that asks before anybody answers asks again seconds later.
            self.wait_for(
                lambda: self._has_said("primary", " connected instance="), _START_DEADLINE_S, what="the primary"
            )
            self.start("copy")
            self.wait_for(self._answers, _START_DEADLINE_S, what="the page's answer")
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all three."""
        for program in self._programs.values():
            program.signal(signal.SIGTERM)
        for program in self._programs.values():
            program.wait_ended(_STOP_TIMEOUT_S)

    # ------------------------------------------------------------------ the programs

    def config(self, name: str) -> Path:
        """The samesky.toml of ``primary`` or ``copy``."""
        return self.homes[name] / "samesky.toml"

    def start(self, name: str) -> None:
        """Start ``primary``, ``copy`` or ``page``, if it doesn't run."""
        match name:
            case "primary":
                self._programs[name].start("serve", "--config", self.config(name))
            case "copy":
                self._programs[name].start("follow", "--config", self.config(name))
            case _:
                configs = [word for each in self.homes for word in ("--config", self.config(each))]
                self._programs[name].start("--listen", f"{HOST}:{self._port}", *configs)

    def stop(self, name: str) -> None:
        """End one of them as systemd does."""
        self._programs[name].end(_STOP_TIMEOUT_S)

    def kill(self, name: str) -> None:
        """End one of them as a power cut does."""
        self._programs[name].kill()

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """One of them does nothing while the ``with`` block runs, as on a machine that is too busy."""
        self._programs[name].signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._programs[name].signal(signal.SIGCONT)

    def type(self, command: str, *, deadline_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Type ``command`` into a shell, and wait until it has ended."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**os.environ, **self._environment, "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )

    # ------------------------------------------------------------------ the page

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{HOST}:{self._port}/"

    def read_json(self, path: str) -> Any:
        """A page's JSON twin."""
        with urlopen(self.url + path, timeout=20) as answer:
            return json.load(answer)

    def streams(self, role: str = "requester") -> list[dict[str, Any]]:
        """What the page tells programs of the streams in this role."""
        return [each for each in self.read_json("?format=json")["streams"] if each["role"] == role]

    def wait_until_same(self, deadline_s: float = 120) -> None:
        """Return when the copy is live, and was proven the same as its primary."""
        self.wait_for(
            lambda: any(each["state"] == "live" and each["different"] is False for each in self.streams()),
            deadline_s,
            what="a copy that is proven the same",
        )

    def wait_for(self, condition: Any, deadline_s: float, *, what: str, every_s: float = 0.1) -> Any:
        """As `stands.waiting.wait_for`; what the programs said explains a failure."""
        return wait_for(condition, deadline_s, what=what, every_s=every_s, explain=self.tails)

    def tails(self) -> str:
        """The last lines that each program wrote."""
        return "\n".join(program.tail() for program in self._programs.values())

    # ------------------------------------------------------------------ the databases

    def change(self, path: Path, *statements: str) -> int:
        """Change a database as with the sqlite3 shell; returns how many rows that concerned."""
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20)) as connection, connection:
            return sum(connection.execute(statement).rowcount for statement in statements)

    def rows(self, path: Path, query: str = "SELECT * FROM archive ORDER BY dateTime") -> list[tuple[Any, ...]]:
        """What a query finds; nothing while there is no such table."""
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'archive'").fetchall():
                return []
            return connection.execute(query).fetchall()

    def is_same(self) -> bool:
        """Whether both have the same records."""
        return self.copy.exists() and self.rows(self.primary) == self.rows(self.copy)

    def newest(self) -> int:
        """Time of the primary's newest record."""
        ((newest,),) = self.rows(self.primary, "SELECT MAX(dateTime) FROM archive")
        return int(newest)

    def record(self) -> int:
        """Have the primary record once more, as its WeeWX does; returns the record's time."""
        time_s = self.newest() + 1
        self.change(self.primary, f"INSERT INTO archive VALUES ({time_s}, 1, 5, 50.5, 29.9)")
        return time_s

    # ------------------------------------------------------------------ parts

    @property
    def _environment(self) -> dict[str, str]:
        return {"SAMESKY_STATUS_DIR": str(self.folder / "status")}

    def _has_said(self, name: str, words: str) -> bool:
        return words in self._programs[name].log_path.read_text()

    def _answers(self) -> bool:
        try:
            return bool(self.read_json("?format=json"))
        except OSError:
            return False

    def _write_configs(self) -> None:
        for name, table, path in (("primary", "serve", self.primary), ("copy", "follow", self.copy)):
            lines = [
                *("[broker]", f'host = "{HOST}"', f"port = {self.broker.port}", f'client_id = "{name}"'),
                *(f"[station.{table}.home.wx_binding]", 'type = "main"', f'sqlite = "{path}"'),
            ]
            self.config(name).write_text("\n".join(lines) + "\n")

    def _write_shim(self) -> None:
        """The program `samesky`, as pip puts it on a user's path."""
        program = self.folder / "bin" / "samesky"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nPYTHONPATH={SOURCE} exec {sys.executable} -P -m samesky "$@"\n')
        program.chmod(0o755)


def fill(path: Path) -> None:
    """Fill the disk that ``path`` is on with this file, to the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue  # smaller pieces may still fit


def commands(texts: Sequence[str]) -> list[str]:
    """Those of ``texts`` that are commands of samesky."""
    return [text for text in texts if text.startswith("samesky ")]
