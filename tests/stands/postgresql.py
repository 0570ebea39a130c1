"""A private PostgreSQL server on a loopback port."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg

from .children import die_with_parent
from .ports import free_port
from .waiting import wait_for

_START_DEADLINE_S = 180
_END_DEADLINE_S = 60
_ROOT = "postgres"
# Nothing here must survive a power cut, and two cores are all there is. What was committed does survive `kill`.
_FAST = ("fsync=off", "full_page_writes=off", "shared_buffers=128MB", "max_wal_size=256MB")
# Debian keeps the programs of each version out of the way.
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A database on a PostgreSQL server, with a user who owns it."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """The address, with the password."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.name}"

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        """An open connection (autocommit); closed at the end."""
        with closing(psycopg.connect(self.url, autocommit=True, connect_timeout=10)) as connection:
            yield connection


class PostgresqlServer:
    """A PostgreSQL server with its own data directory, socket and port. A context manager; ended by its process id.

    ``options`` are settings as postgresql.conf has them; ``fsync=on`` and ``full_page_writes=on`` make it as durable,
    and as slow, as Debian's.
    """

    def __init__(self, folder: Path, *, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = free_port()
        self._options = options
        self._names = itertools.count(1)
        self._data: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._data is not None:
            shutil.rmtree(self._data, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """Process id while the server runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def log_text(self) -> str:
        """What the server has said so far."""
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def start(self) -> None:
        """Make the data directory the first time; start the server; return when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._data is None:
            self._data = self._install()
        wait_for(self._runs, _START_DEADLINE_S, what="PostgreSQL's first answer", explain=lambda: self.log_text[-2000:])

    def stop(self) -> None:
        """End the server in order, and its connections with it; harmless when it doesn't run."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server at once; its children follow when they notice."""
        self._end(signal.SIGKILL)

    def create_database(self) -> PostgresDatabase:
        """A fresh, empty database with a user of its own."""
        name = f"samesky{next(self._names)}"
        database = PostgresDatabase(self.host, self.port, name=name, user=f"{name}_user", password=f"{name}-secret")
        self.execute(
            f"CREATE USER {database.user} PASSWORD '{database.password}'",
            f"CREATE DATABASE {name} OWNER {database.user}",
        )
        return database

    def execute(self, *statements: str, database: str = _ROOT) -> list[tuple[Any, ...]]:
        """Execute as the server's superuser; returns the rows of the last statement, if it has any."""
        with closing(self._connect(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self._data), port=self.port, user=_ROOT, dbname=database, autocommit=True)

    def _install(self) -> Path:
        """Make the data directory. It isn't in the folder: the server's user couldn't reach it below root's own."""
        data = Path(tempfile.mkdtemp(prefix="samesky-postgresql-"))
        if os.geteuid() == 0:
            shutil.chown(data, _ROOT, _ROOT)
        command = [_program("initdb"), f"--pgdata={data}", f"--username={_ROOT}", "--encoding=UTF8", "--locale=C.UTF-8"]
        command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--no-instructions"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=data, **_as_its_user())
        assert done.returncode == 0, done.stdout + done.stderr
        return data

    def _runs(self) -> bool:
        """Whether the server answers; starts it again when it ended, as it does beside the children of a killed one."""
        if self.pid is None:
            self._launch()
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _launch(self) -> None:
        settings = (
            *_FAST,
            f"port={self.port}",
            f"listen_addresses={self.host}",
            f"unix_socket_directories={self._data}",
        )
        command = [_program("postgres"), "-D", str(self._data)]
        for setting in (*settings, *self._options):
            command += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self._data,
                preexec_fn=die_with_parent(),
                **_as_its_user(),
            )

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(_END_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None


def _as_its_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": _ROOT, "group": _ROOT, "extra_groups": []} if os.geteuid() == 0 else {}


def _program(name: str) -> str:
    path = shutil.which(name)
    if path:
        return path
    for folder in sorted(_DEBIAN.glob("*/bin"), key=_version, reverse=True):
        if (folder / name).exists():
            return str(folder / name)
    raise AssertionError(f"{name} isn't installed; `apt-get install postgresql` brings it")


def _version(folder: Path) -> int:
    return int("".join(re.findall(r"\d+", folder.parent.name)) or 0)
