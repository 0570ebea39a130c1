"""Where a database is: the URL that a user writes, read strictly, and told again without its password.

The forms are those of SQLAlchemy, so the seed's ``localurl`` (``mysql://user@host/db``) is one of them; which driver is
used is our matter, and a driver in the URL (``mysql+oursql://``) is passed over.
"""

from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ..errors import ConfigError

Dialect = Literal["sqlite", "mysql", "postgresql"]

CONNECT_TIMEOUT_S = 10
_DIALECTS: dict[str, Dialect] = {
    "sqlite": "sqlite",
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgresql": "postgresql",
    "postgres": "postgresql",
}
_DRIVERS = {"sqlite": "sqlite+pysqlite", "mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg"}
_OPTIONS: dict[Dialect, frozenset[str]] = {
    "sqlite": frozenset(),
    "mysql": frozenset({"connect_timeout", "charset", "unix_socket", "ssl_ca", "ssl_cert", "ssl_key"}),
    "postgresql": frozenset({"connect_timeout", "host", "sslmode", "sslrootcert", "sslcert", "sslkey"}),
}
_NUMBERED = {"connect_timeout": CONNECT_TIMEOUT_S}
_OURS = {"charset"}  # old addresses ask for utf8; we ask for all of Unicode, whatever they say
_FORMS = "sqlite:////path/to/file.db, mysql://user@host/database or postgresql://user@host/database"


@dataclass(frozen=True, slots=True)
class Address:
    """A database's place: the dialect, SQLAlchemy's URL with our driver, and what the driver is told besides."""

    dialect: Dialect
    url: URL = field(repr=False)
    options: dict[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        """The address for people and logs, without password and options."""
        plain = URL.create(
            self.dialect,
            username=self.url.username,
            host=self.url.host,
            port=self.url.port,
            database=self.url.database,
        )
        return plain.render_as_string()

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine: nobody listens on the way there."""
        return self.url.host in (None, "", "localhost", "127.0.0.1", "::1")


def read_address(url: str, *, password: str = "") -> Address:
    """The address that ``url`` gives, with ``password`` in place of its own when there is one.

    Raises `ConfigError`, never quoting the password, for what names no database that we know.
    """
    try:
        given = make_url(url.strip())
    except (ArgumentError, ValueError):
        raise ConfigError("The address of the database isn't a URL", hint=f"Write {_FORMS}.") from None
    dialect = _DIALECTS.get(given.drivername.partition("+")[0].lower())
    if dialect is None:
        raise ConfigError(f"{given.drivername} is no database that can be pushed", hint=f"Write {_FORMS}.")
    if not given.database or given.database == ":memory:":
        raise ConfigError(f"The address of the {dialect} database names no database", hint=f"Write {_FORMS}.")
    if dialect == "sqlite" and given.host:
        raise ConfigError("The address of the SQLite database needs a third slash", hint=f"Write {_FORMS}.")
    ours = given.set(drivername=_DRIVERS[dialect], query={})
    if password and dialect != "sqlite":  # a file has none; what was left of a server's does no harm
        ours = ours.set(password=password)
    return Address(dialect, ours, _read_options(given, dialect))


def describe_url(url: str) -> str:
    """``url`` for people and logs, without its password; never raises."""
    try:
        return str(read_address(url))
    except ConfigError:
        return "(not a database's address)"


def _read_options(given: URL, dialect: Dialect) -> dict[str, str | int]:
    options: dict[str, str | int] = {}
    for name, value in given.query.items():
        if name not in _OPTIONS[dialect] or not isinstance(value, str):
            known = ", ".join(sorted(_OPTIONS[dialect])) or "none"
            raise ConfigError(f"The address of the {dialect} database has the option {name}", hint=f"Known: {known}.")
        if name in _NUMBERED:
            options[name] = _read_seconds(name, value)
        elif name not in _OURS:
            options[name] = value
    return options


def _read_seconds(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 3600:
        raise ConfigError(f"{name} in the address of the database must be a number of seconds from 1 to 3600")
    return int(text)
