"""Where an archive is: a SQLite file, or a database of a MariaDB or MySQL server."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SqliteLocation:
    """A SQLite file and the archive table in it."""

    path: Path
    table: str = "archive"

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class MysqlLocation:
    """A MariaDB or MySQL database and the archive table in it."""

    database: str
    host: str = "localhost"
    port: int = 3306
    user: str = ""
    password: str = field(default="", repr=False)
    table: str = "archive"

    def __str__(self) -> str:
        return f"{self.database} on {self.host}:{self.port}"


Location = SqliteLocation | MysqlLocation
