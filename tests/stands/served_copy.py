"""A primary that answers over a real broker, and the database of a copy of it, which nobody runs."""

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from samesky.config import Findings, read_toml
from samesky.demo.year import write_year
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.location import Location, SqliteLocation
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Authority, Serving
from samesky.station.signing_keys import SecretKey
from samesky.station.stanza import RequesterConfig, read_toml_requester

from .waiting import wait_for

STREAM = "home/wx_binding"
COUNT = 1000
TOPICS = ("replicate/request/home", "replicate/request")


class ServedCopy:
    """``primary.sdb`` with some days of records, answered for; ``copy.sdb``, equal to it; ``samesky.toml``.

    A context manager. ``mqtt`` are further settings of both ends' links, as in samesky.toml's [broker].
    """

    def __init__(self, folder: Path, port: int, *, count: int = COUNT, serve: bool = True, **mqtt: str) -> None:
        self.folder = folder
        self.primary, self.copy = folder / "primary.sdb", folder / "copy.sdb"
        self.config_path = folder / "samesky.toml"
        self.state_dir = folder
        write_year(self.primary, count=count, end_time=int(time.time()) - 600)
        shutil.copy(self.primary, self.copy)
        lines = [f'{name} = "{value}"' for name, value in mqtt.items()]
        self.write_config(port, lines, f'sqlite = "{self.copy}"')
        self._port = port
        self.serving = make_serving(port, SqliteLocation(self.primary)) if serve else None

    def trust(self, *keys: SecretKey) -> None:
        """Have the copy believe these keys alone."""
        path = self.folder / "trusted-keys"
        path.write_text("".join(f"{key.public.line}\n" for key in keys))
        text = self.config_path.read_text()
        self.config_path.write_text(f'{text}[station.follow]\ntrusted_keys = "{path}"\n')

    def write_config(self, port: int, broker: list[str], database: str) -> None:
        """Write the copy's samesky.toml; ``database`` is a line of the binding's table."""
        text = ["[broker]", 'host = "127.0.0.1"', f"port = {port}", 'client_id = "copy"', *broker]
        text += ["[station.follow.home.wx_binding]", 'type = "main"', database]
        self.config_path.write_text("\n".join(text) + "\n")

    def __enter__(self) -> Self:
        if self.serving is not None:
            self.serving.start()
            wait_for(self._is_ready, 60, what="the primary connected, its sums made")
        return self

    def __exit__(self, *_: object) -> None:
        if self.serving is not None:
            self.serving.close()

    def restart_primary(self) -> None:
        """End the primary and start it again: without a memory, it adds up what its database holds now."""
        assert self.serving is not None
        self.serving.close()
        self.serving = make_serving(self._port, SqliteLocation(self.primary))
        self.__enter__()

    def _is_ready(self) -> bool:
        assert self.serving is not None
        return self.serving.snapshots()[0].state == "live"

    @property
    def config(self) -> RequesterConfig:
        """The copy's settings."""
        findings = Findings()
        settings = read_toml_requester(read_toml(self.config_path), findings)
        findings.raise_errors("samesky.toml")
        assert settings is not None
        return settings

    def change(self, path: Path, *statements: str) -> None:
        """Change a database by hand."""
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def times(self, path: Path | None = None) -> list[int]:
        """Times of all records."""
        return [row[0] for row in self.rows("SELECT dateTime FROM archive ORDER BY dateTime", path)]

    def rows(self, query: str, path: Path | None = None) -> list[tuple[Any, ...]]:
        """What a query finds in the copy, or in another file."""
        with closing(sqlite3.connect(path or self.copy, timeout=20)) as connection:
            return connection.execute(query).fetchall()

    def spoil(self) -> None:
        """At the copy: twelve records missing, three different, one of its own, the first day's summary different."""
        times = self.times()
        self.change(
            self.copy,
            f"DELETE FROM archive WHERE dateTime BETWEEN {times[10]} AND {times[21]}",
            # Of some hours, which depend on when this runs, the year has no temperatures.
            "UPDATE archive SET outTemp = COALESCE(outTemp, 0) + 1 "
            f"WHERE dateTime BETWEEN {times[100]} AND {times[102]}",
            f"INSERT INTO archive (dateTime, usUnits, interval) VALUES ({times[500] + 7}, 1, 5)",
            "UPDATE archive_day_outTemp SET max = max + 1 "
            "WHERE dateTime = (SELECT MIN(dateTime) FROM archive_day_outTemp)",
        )

    def everything(self, path: Path | None = None) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the archive and the daily summaries, by table."""
        names = self.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'archive%'", path)
        return {name: self.rows(f"SELECT * FROM `{name}` ORDER BY 1", path) for (name,) in names}


def make_serving(
    port: int,
    location: Location,
    *,
    shared: bool = False,
    authority: Authority | None = None,
    sign_key: SecretKey | None = None,
    **mqtt: Any,
) -> Serving:
    """A primary of ``home/wx_binding``, or with ``authority`` a copy that answers for it."""
    bindings = (ServedBinding("wx_binding", location),)
    settings = ServeSettings("home", bindings, TOPICS, shared=shared, sign_key=sign_key)
    link = MqttSettings(**{"client_id": "stand-in" if authority else "home", "port": port, **mqtt})
    return Serving(
        settings, lambda subscriptions, on_event: MqttLink(link, subscriptions, on_event), authority=authority
    )
