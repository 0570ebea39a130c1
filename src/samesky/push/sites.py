"""The field sites of a centre: each has a name that people know it by, and a number that its rows carry."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from ..errors import ConfigError
from .central_tables import CentralTables
from .transactions import Transactions

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ALL = "samesky push site list shows all."


@dataclass(frozen=True, slots=True)
class Site:
    """A field site, as the centre knows it."""

    id: int
    """What its rows have in ``siteId``."""
    name: str
    created_s: int
    """When it was added, in Unix seconds."""


class Sites:
    """The sites of a centre. Raises what `Database.worded` says; ``clock`` gives Unix seconds."""

    def __init__(
        self, transactions: Transactions, tables: CentralTables, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._transactions = transactions
        self._tables = tables
        self._table = tables.site
        self._clock = clock

    def add(self, name: str) -> Site:
        """Make a site; raises `ConfigError` when the name is taken, or is none."""
        _check_name(name)

        def work(connection: Connection) -> Site:
            self._check_free(connection, name)
            last = connection.execute(select(func.coalesce(func.max(self._table.c.id), 0))).scalar_one()
            site = Site(int(last) + 1, name, int(self._clock()))
            values = {"id": site.id, "name": name, "created_s": site.created_s, "run": 0, "map_version": ""}
            connection.execute(insert(self._table).values(values))
            return site

        return self._transactions.write(work)

    def list(self) -> list[Site]:
        """All sites, by name."""
        asked = select(self._table.c.id, self._table.c.name, self._table.c.created_s).order_by(self._table.c.name)
        return self._transactions.read(lambda connection: [Site(*row) for row in connection.execute(asked)])

    def find(self, name: str) -> Site:
        """The site ``name``; raises `ConfigError` when there is none."""
        return self._transactions.read(lambda connection: self._find(connection, name))

    def rename(self, name: str, to: str) -> Site:
        """Give a site another name; its rows and keys stay. Raises `ConfigError` as `add` and `find` do."""
        _check_name(to)

        def work(connection: Connection) -> Site:
            site = self._find(connection, name)
            self._check_free(connection, to)
            connection.execute(update(self._table).where(self._table.c.id == site.id).values(name=to))
            return Site(site.id, to, site.created_s)

        return self._transactions.write(work)

    def _find(self, connection: Connection, name: str) -> Site:
        row = self._read(connection, name)
        if row is None:
            raise ConfigError(f"There is no site {name}", hint=_ALL)
        return Site(row.id, row.name, row.created_s)

    def _check_free(self, connection: Connection, name: str) -> None:
        """Nobody else adds or renames until the transaction ends."""
        connection.execute(select(self._tables.centre.c.id).with_for_update())
        if self._read(connection, name) is not None:
            raise ConfigError(f"There is a site {name} already", hint=_ALL)

    def _read(self, connection: Connection, name: str) -> Row[Any] | None:
        return connection.execute(select(self._table).where(self._table.c.name == name)).first()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "A site's name has 1 to 64 letters, digits, dots, dashes and underscores", hint="Such as hill-farm."
        )
