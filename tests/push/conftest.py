"""What the tests of the push share: an empty database of each kind."""

from pathlib import Path

import pytest

DIALECTS = ("sqlite", "mysql", "postgresql")


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database with a user of its own: a SQLite file, one in MariaDB, one in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database.sdb'}"
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql").create_database().url)
    made = request.getfixturevalue("mariadb").create_database()
    return f"mysql://{made.user}:{made.password}@{made.host}:{made.port}/{made.name}"
