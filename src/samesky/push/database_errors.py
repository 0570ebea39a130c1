"""What three drivers say when something fails, in the words and classes that samesky has for it.

May it pass by itself? `Unreachable`. Is it another one's lock, a deadlock, a snapshot that can't be kept? `Locked`: do
the transaction again. Does somebody have to mend the address, the account or the rights? `ConfigError`. The rest is
`DataError`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import exc

from ..errors import ConfigError, DataError, Locked, SameskyError, SetupError, Unreachable


@dataclass(frozen=True, slots=True)
class _Codes:
    """One database's codes for what isn't a fault of the data."""

    locked: frozenset[int | str]
    refused: frozenset[int | str]
    passing: frozenset[int | str]

    def kind_of(self, code: int | str) -> type[SameskyError]:
        if code in self.locked:
            return Locked
        if code in self.refused:
            return ConfigError
        return Unreachable if code in self.passing else DataError


_MYSQL = _Codes(
    # changed since read, lock wait, deadlock, NOWAIT
    locked=frozenset({1020, 1205, 1213, 3572}),
    # accounts, rights, unknown database
    refused=frozenset({1044, 1045, 1049, 1142, 1143, 1227, 1251, 1698, 2059}),
    # disk full, memory, too many connections, shutting down, network, killed, read-only (a fail-over), over its time
    passing=frozenset(
        {0, 1021, 1037, 1038, 1040, 1041, 1053, 1079, 1114, 1129, 1158, 1159, 1160, 1161, 1203, 1226, 1290, 1317}
        | {1836, 1927, 1969, 3024, 2002, 2003, 2005, 2006, 2012, 2013, 2014, 2055}
    ),
)
_POSTGRESQL = _Codes(  # SQLSTATEs, and their classes (two characters)
    locked=frozenset({"55P03", "55006", "40001", "40P01"}),
    refused=frozenset({"28", "3D", "42501"}),
    passing=frozenset({"08", "53", "57", "58", "25006", "25P03"}),
)
_POSTGRESQL_REFUSALS = ("password authentication failed", "no password supplied", "does not exist", "pg_hba.conf")
_SQLITE = _Codes(
    locked=frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}),
    refused=frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH}),
    passing=frozenset(
        {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT}
        | {sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_PROTOCOL}
    ),
)
_INSTALL = "pip install 'samesky[push]'"
_HINTS: dict[type[SameskyError], str] = {
    Unreachable: "Check that the server runs, that host and port are right, and that there is room on its disk.",
    Locked: "Another program holds the rows or the file; try again.",
    ConfigError: "Check the address, the user, the password and the user's rights.",
}
_FILE_HINTS: dict[type[SameskyError], str] = {
    Unreachable: "Check that its disk is there, that it is a file, and that there is room.",
    ConfigError: "Check that the file is there, and that this user may read it and its folder.",
}


@contextmanager
def worded(name: str) -> Iterator[None]:
    """Around work with the database called ``name``: what a driver or SQLAlchemy raises becomes a `SameskyError`."""
    try:
        yield
    except exc.DBAPIError as error:
        raise _word(name, error.orig or error, lost=error.connection_invalidated) from error
    except exc.TimeoutError as error:
        raise Unreachable(f"Database {name}: all its connections are in use", hint="Try again.") from error
    except exc.NoSuchModuleError as error:
        raise SetupError(f"Database {name}: {error}", hint=_INSTALL) from error
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        raise _word(name, error) from error
    except ModuleNotFoundError as error:
        if error.name not in ("pymysql", "psycopg"):
            raise
        raise SetupError(f"Database {name}: {error.name} isn't installed", hint=_INSTALL) from error
    except RuntimeError as error:  # PyMySQL's way to say so, before MySQL 8's way to log in
        if "cryptography" not in str(error):
            raise
        raise SetupError(f"Database {name}: {error}", hint="pip install cryptography") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("pymysql", "psycopg"):  # drivers, used directly
            raise
        raise _word(name, error) from error


def _word(name: str, error: BaseException, *, lost: bool = False) -> SameskyError:
    kind = Unreachable if lost else _kind_of(error)
    hints = _HINTS | _FILE_HINTS if name.startswith("sqlite:") else _HINTS
    return kind(f"Database {name}: {_text_of(error)}", hint=hints.get(kind, ""))


def _kind_of(error: BaseException) -> type[SameskyError]:
    match type(error).__module__.partition(".")[0]:
        case "sqlite3":
            return _SQLITE.kind_of(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF)
        case "pymysql":
            number = error.args[0] if error.args else None
            return _MYSQL.kind_of(number) if isinstance(number, int) else DataError
        case "psycopg":
            return _kind_of_postgresql(error)
    return DataError


def _kind_of_postgresql(error: BaseException) -> type[SameskyError]:
    state = getattr(error, "sqlstate", None)
    if state is not None:
        exact = _POSTGRESQL.kind_of(state)
        return exact if exact is not DataError else _POSTGRESQL.kind_of(state[:2])
    if type(error).__name__ not in ("OperationalError", "ConnectionTimeout", "InterfaceError", "InternalError"):
        return DataError
    # A connection that was refused has words alone; where they are in another language, waiting does no harm.
    return ConfigError if any(words in str(error) for words in _POSTGRESQL_REFUSALS) else Unreachable


def _text_of(error: BaseException) -> str:
    """The first line of what the driver says; it quotes no statement's values there."""
    text = str(error.args[1]) if len(error.args) > 1 and isinstance(error.args[0], int) else str(error)
    return text.strip().partition("\n")[0] or type(error).__name__
