"""What tests of archives share: a place for a database of each kind, and a zone whose days are those of the tests."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from samesky.station.location import MysqlLocation, SqliteLocation

if TYPE_CHECKING:
    from stands.mariadb import MariadbServer


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """WeeWX's days are the machine's; tests of other zones set them."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.slow)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteLocation | MysqlLocation:
    """A place for a database, SQLite and MariaDB in turn, in which there is none yet."""
    if request.param == "sqlite":
        return SqliteLocation(tmp_path / "weewx.sdb")
    server: MariadbServer = request.getfixturevalue("mariadb")
    database = server.create_database()
    return MysqlLocation(
        database.name, host=database.host, port=database.port, user=database.user, password=database.password
    )
