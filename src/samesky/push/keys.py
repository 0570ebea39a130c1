"""Who may push, read and rule at a centre: its sites, and their API keys.

A key is ``<prefix>.<secret>``: the prefix finds it, the secret of 256 random bits proves it. Only the SHA-256 of the
secret is stored, which is enough for a secret that nobody chose.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from ..errors import ConfigError
from .central_tables import CentralTables
from .databases import Database

USE_NOTED_EVERY_S = 60
"""How exactly it is known when a key was last used; noting it at each request would cost a write each."""
_PREFIX_BYTES = 6
_SECRET_BYTES = 32
_SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOBODY = "0" * 64  # compared with when there is no such key, so that this takes as long


class Scope(StrEnum):
    """What a key allows."""

    APPEND = "append"  # to push its site's rows, and to see them
    READ = "read"  # to see the rows, and how all sites are doing
    ADMIN = "admin"  # everything, at every site


@dataclass(frozen=True, slots=True)
class Site:
    """A field site, as the centre knows it."""

    id: int
    name: str
    created_s: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key it is, and what it allows."""

    key: str
    """The key's prefix, for logs."""
    site: int | None
    """The site's id; None for a key of the whole centre."""
    site_name: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; ``text`` is never to be seen again."""

    prefix: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """What is known of a key. Times are Unix seconds."""

    prefix: str
    site: str
    """The site's name; empty for a key of the whole centre."""
    scopes: tuple[Scope, ...]
    label: str
    created_s: int
    expires_s: int | None
    revoked_s: int | None
    used_s: int | None

    def is_good(self, now: float) -> bool:
        """Whether it opens anything at ``now``."""
        return self.revoked_s is None and (self.expires_s is None or now < self.expires_s)


class Sites:
    """The sites of a centre. Raises what `Database.worded` says."""

    def __init__(self, database: Database, tables: CentralTables) -> None:
        self._database = database
        self._table = tables.site

    def add(self, name: str) -> Site:
        """Make a site; raises `ConfigError` when the name is taken, or is none."""
        _check_site_name(name)
        site = Site(0, name, int(time.time()))
        with self._database.writing() as connection:
            if _find_site(connection, self._table, name) is not None:
                raise ConfigError(f"There is a site {name} already", hint="samesky push site list shows all.")
            number = 1 + int(connection.execute(select(func.coalesce(func.max(self._table.c.id), 0))).scalar_one())
            values = {"id": number, "name": name, "created_s": site.created_s, "run": 0, "map_version": ""}
            connection.execute(self._table.insert().values(values))
        return Site(number, name, site.created_s)

    def list(self) -> list[Site]:
        """All sites, by name."""
        columns = self._table.c
        with self._database.reading() as connection:
            rows = connection.execute(select(columns.id, columns.name, columns.created_s).order_by(columns.name)).all()
        return [Site(*row) for row in rows]

    def find(self, name: str) -> Site:
        """The site ``name``; raises `ConfigError` when there is none."""
        with self._database.reading() as connection:
            row = _find_site(connection, self._table, name)
        if row is None:
            raise ConfigError(f"There is no site {name}", hint="samesky push site list shows all.")
        return Site(row.id, row.name, row.created_s)

    def rename(self, name: str, to: str) -> Site:
        """Give a site another name; its rows and keys stay. Raises `ConfigError` as `add` and `find` do."""
        _check_site_name(to)
        site = self.find(name)
        with self._database.writing() as connection:
            if _find_site(connection, self._table, to) is not None:
                raise ConfigError(f"There is a site {to} already", hint="samesky push site list shows all.")
            connection.execute(self._table.update().where(self._table.c.id == site.id).values(name=to))
        return Site(site.id, to, site.created_s)


class Keys:
    """The API keys of a centre. ``clock`` gives Unix seconds. Raises what `Database.worded` says."""

    def __init__(self, database: Database, tables: CentralTables, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._sites = tables.site
        self._table = tables.api_key
        self._clock = clock

    def add(
        self, site: Site | None, *, scopes: Iterable[Scope], label: str = "", lifetime_s: int | None = None
    ) -> NewKey:
        """Make a key of ``site``, or of the whole centre when it is None; what it returns is told once.

        Raises `ConfigError` for a key that would allow nothing.
        """
        wanted = sorted(set(scopes))
        if not wanted:
            raise ConfigError("A key needs a scope", hint="append, read or admin.")
        if site is None and Scope.APPEND in wanted:
            raise ConfigError("A key with the scope append needs a site", hint="Name the site whose rows it may push.")
        prefix, secret = secrets.token_hex(_PREFIX_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        now = int(self._clock())
        values = {
            "prefix": prefix,
            "digest": _digest(secret),
            "site": site.id if site else None,
            "scopes": " ".join(wanted),
            "label": label,
            "created_s": now,
            "expires_s": None if lifetime_s is None else now + lifetime_s,
        }
        with self._database.writing() as connection:
            connection.execute(self._table.insert().values(values))
        return NewKey(prefix, f"{prefix}.{secret}")

    def list(self) -> list[KeyStatus]:
        """All keys, the newest first."""
        joined = self._table.outerjoin(self._sites, self._table.c.site == self._sites.c.id)
        asked = select(self._table, self._sites.c.name).select_from(joined)
        with self._database.reading() as connection:
            rows = connection.execute(asked.order_by(self._table.c.created_s.desc(), self._table.c.prefix)).all()
        return [_read_status(row) for row in rows]

    def revoke(self, prefix: str) -> None:
        """End a key for good. ``prefix`` may be the whole key; raises `ConfigError` when there is none of it."""
        columns, prefix = self._table.c, prefix.partition(".")[0]
        with self._database.writing() as connection:
            if connection.execute(select(columns.prefix).where(columns.prefix == prefix)).first() is None:
                raise ConfigError("There is no key with this prefix", hint="samesky push key list shows all.")
            ended = self._table.update().where(columns.prefix == prefix, columns.revoked_s.is_(None))
            connection.execute(ended.values(revoked_s=int(self._clock())))

    def find(self, text: str) -> Caller | None:
        """Whose key ``text`` is; None when it is unknown, wrong, expired or revoked, which take equally long."""
        prefix, _, secret = text.partition(".")
        prefix = prefix[:64]
        joined = self._table.outerjoin(self._sites, self._table.c.site == self._sites.c.id)
        asked = select(self._table, self._sites.c.name).select_from(joined).where(self._table.c.prefix == prefix)
        with self._database.reading() as connection:
            row = connection.execute(asked).first()
        proven = hmac.compare_digest(_digest(secret), row.digest if row else _NOBODY)
        now = self._clock()
        if row is None or not proven or not _read_status(row).is_good(now):
            return None
        if row.used_s is None or now - row.used_s >= USE_NOTED_EVERY_S:
            self._note_use(prefix, int(now))
        return Caller(prefix, row.site, row.name or "", frozenset(map(Scope, row.scopes.split())))

    def _note_use(self, prefix: str, now: int) -> None:
        with self._database.writing() as connection:
            connection.execute(self._table.update().where(self._table.c.prefix == prefix).values(used_s=now))


def _read_status(row: Row[Any]) -> KeyStatus:
    scopes = tuple(map(Scope, row.scopes.split()))
    return KeyStatus(
        row.prefix, row.name or "", scopes, row.label, row.created_s, row.expires_s, row.revoked_s, row.used_s
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _check_site_name(name: str) -> None:
    if not _SITE_NAME.fullmatch(name):
        raise ConfigError(
            "A site's name has 1 to 64 letters, digits, dots, dashes and underscores", hint="Such as hill-farm."
        )


def _find_site(connection: Connection, table: Table, name: str) -> Row[Any] | None:
    return connection.execute(select(table).where(table.c.name == name)).first()
