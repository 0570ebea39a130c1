"""The databases of the push: a PostgreSQL server of one's own, and sites alike in three databases."""

from pathlib import Path

import pytest

from samesky.push.databases import Database

from .mariadb import MariadbServer
from .postgresql import PostgresqlServer
from .push_site import DIMENSIONS, make_site

pytestmark = pytest.mark.slow


def test_a_postgresql_that_was_killed_has_what_was_committed(tmp_path: Path) -> None:
    with PostgresqlServer(tmp_path / "server") as server:
        database = server.create_database()
        with database.connect() as connection:
            connection.execute("CREATE TABLE thing (id INTEGER)")
            connection.execute("INSERT INTO thing VALUES (1)")
        first = server.pid
        server.kill()
        assert server.pid is None
        server.start()
        assert server.pid not in (None, first)
        with database.connect() as connection:
            assert connection.execute("SELECT id FROM thing").fetchall() == [(1,)]


def test_sites_are_alike_in_three_databases(
    tmp_path: Path, mariadb: MariadbServer, postgresql: PostgresqlServer
) -> None:
    made = mariadb.create_database()
    urls = (
        f"sqlite:///{tmp_path / 'site.sdb'}",
        f"mysql://{made.user}:{made.password}@{made.host}:{made.port}/{made.name}",
        postgresql.create_database().url,
    )
    tables = []
    for url in urls:
        with make_site(url) as site:
            rows = site.fill(100)
            tables.append({name: site.read(name) for name in DIMENSIONS})
            assert [row[:4] for row in site.read("Reading")] == [row[:4] for row in rows]
        with Database(url, read_only=True) as database, database.reading():
            pass
    assert tables[0] == tables[1] == tables[2]
