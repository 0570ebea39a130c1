"""A private MariaDB server on a loopback port, which can also load a SQLite WeeWX database."""

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import pymysql

from .children import die_with_parent
from .databases import MariaDatabase, SqliteDatabase
from .ports import free_port
from .waiting import wait_for

_START_DEADLINE_S = 180
_END_DEADLINE_S = 60
_SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/libexec"
# Nothing here must survive a crash, and two cores are all there is.
_FAST = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=64M",
    "--performance-schema=OFF",
    "--skip-log-bin",
)
# As Debian's server has it; a server without any configuration file would speak latin1.
_DEBIAN = ("--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci")


class MariadbServer:
    """A MariaDB server with its own data directory, socket and port. A context manager; ended by its process id."""

    def __init__(self, folder: Path, *, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = free_port()
        # Not in the folder: a socket's path may have 107 characters, and pytest's folders are deep.
        self.socket = Path(tempfile.gettempdir()) / f"mariadb-{self.port}.sock"
        self._options = options
        self._names = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

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
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        if not (self.folder / "data").exists():
            self._install()
        command = [
            _program("mariadbd", "mysqld"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            f"--bind-address={self.host}",
            "--skip-name-resolve",
            *_user(),
            *_FAST,
            *_DEBIAN,
            *self._options,
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent(),
            )
        wait_for(self._answers, _START_DEADLINE_S, what="MariaDB's first answer", explain=lambda: self.log_text[-2000:])

    def stop(self) -> None:
        """End the server in order; harmless when it doesn't run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a power cut would."""
        self._end(signal.SIGKILL)

    def create_database(self) -> MariaDatabase:
        """A fresh, empty database with a user of its own."""
        name = f"weewx{next(self._names)}"
        database = MariaDatabase(self.host, self.port, name=name, user=f"{name}_user", password=f"{name}-secret")
        self.execute(
            f"CREATE DATABASE {name}",
            f"CREATE USER '{database.user}'@'%' IDENTIFIED BY '{database.password}'",
            f"GRANT ALL ON {name}.* TO '{database.user}'@'%'",
        )
        return database

    def load_sqlite(self, source: SqliteDatabase, target: MariaDatabase) -> None:
        """Copy every table of a SQLite WeeWX database to the empty ``target``, typed as WeeWX would type it there.

        WeeWX hands the same words to both databases (weedb's create_table); MySQL understands REAL as DOUBLE.
        """
        with source.connect() as old:
            tables = old.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
            self.execute(*(statement for (table,) in tables for statement in self._load_table(old, table, target.name)))
        for path in self.folder.glob(f"{target.name}.*"):
            path.unlink()

    def _load_table(self, old: sqlite3.Connection, table: str, database: str) -> tuple[str, str]:
        """Write one table's rows to a file; returns the statements that create the table and load the file."""
        columns = old.execute(f"SELECT name, type, `notnull`, pk FROM pragma_table_info('{table}')").fetchall()
        words = (f"`{n}` {kind}{' NOT NULL' * needed}{' PRIMARY KEY' * key}" for n, kind, needed, key in columns)
        counts = old.execute(f"SELECT {', '.join(f'COUNT(`{c[0]}`)' for c in columns)} FROM `{table}`").fetchone()
        # Most columns of a wide table are NULL in every row; leaving them out makes this four times as fast.
        names = ", ".join(f"`{column[0]}`" for column, count in zip(columns, counts, strict=True) if count)
        path = self.folder / f"{database}.{table}"
        with path.open("w") as lines:
            rows = old.execute(f"SELECT {names} FROM `{table}`") if names else ()
            lines.writelines("\t".join(map(_field, row)) + "\n" for row in rows)
        return (
            f"CREATE TABLE {database}.`{table}` ({', '.join(words)})",
            f"LOAD DATA INFILE '{path}' INTO TABLE {database}.`{table}` CHARACTER SET utf8mb4 ({names})",
        )

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Execute as the server's root; returns the rows of the last statement."""
        connection = pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True, ssl_disabled=True)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    @property
    def _environment(self) -> dict[str, str]:
        """Temporary tables are called after process ids, and several servers may have /tmp in common."""
        return os.environ | {"TMPDIR": str(self.folder / "tmp")}

    def _install(self) -> None:
        command = [
            _program("mariadb-install-db", "mysql_install_db"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            *_user(),
        ]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"MariaDB ended at once: {self.log_text[-2000:]}"
        try:
            self.execute("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True

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
        self.socket.unlink(missing_ok=True)


def _user() -> tuple[str, ...]:
    """MariaDB refuses to run as root unless it is told so."""
    return ("--user=root",) if os.geteuid() == 0 else ()


def _field(value: object) -> str:
    """One value as LOAD DATA reads it; repr() of a float is exact."""
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return repr(value)


def _program(*names: str) -> str:
    for name in names:
        path = shutil.which(name, path=_SEARCH)
        if path:
            return path
    raise AssertionError(f"{names[0]} isn't installed; `apt-get install mariadb-server` brings it")
