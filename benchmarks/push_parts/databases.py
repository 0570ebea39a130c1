"""Database servers that wait for the disk at each commit, as Debian's do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stands.mariadb import MariadbServer
from tests.stands.postgresql import PostgresqlServer

# The stands' servers needn't survive a crash; these have Debian's settings again.
_MARIADB = (
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-doublewrite=1",
    "--innodb-log-file-size=96M",
)
_POSTGRESQL = ("fsync=on", "full_page_writes=on", "synchronous_commit=on", "max_wal_size=1GB")


@contextmanager
def durable_mariadb(folder: Path) -> Iterator[MariadbServer]:
    """A MariaDB whose commits are on the disk."""
    with MariadbServer(folder / "mariadb", options=_MARIADB) as server:
        yield server


@contextmanager
def durable_postgresql(folder: Path) -> Iterator[PostgresqlServer]:
    """A PostgreSQL whose commits are on the disk."""
    with PostgresqlServer(folder / "postgresql", options=_POSTGRESQL) as server:
        yield server
