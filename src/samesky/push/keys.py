"""The API keys of a centre: who may push, read and rule.

A key is ``<prefix>.<secret>``: the prefix finds it, the secret of 256 random bits proves it. Only the SHA-256 of the
secret is stored, which is enough for a secret that nobody chose.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from ..errors import ConfigError, Locked, Unreachable
from .central_tables import CentralTables
from .sites import Site
from .transactions import Transactions

USE_NOTED_EVERY_S = 60
"""How exactly it is known when a key was last used: noting it at each request would cost a write each."""
_PREFIX_BYTES = 6
_SECRET_BYTES = 32
_NOBODY = "0" * 64  # compared with when there is no such key, so that this takes as long


class Scope(StrEnum):
    """What a key allows."""

    APPEND = "append"
    """To push its site's rows, and to see them."""
    READ = "read"
    """To see rows, and how the sites are doing."""
    ADMIN = "admin"
    """Everything, at every site."""


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

    def as_dict(self) -> dict[str, object]:
        """What is known, as JSON has it."""
        return asdict(self) | {"scopes": list(self.scopes)}


class Keys:
    """The keys of a centre. Raises what `Database.worded` says; ``clock`` gives Unix seconds."""

    def __init__(
        self, transactions: Transactions, tables: CentralTables, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._transactions = transactions
        self._table = tables.api_key
        self._with_site = select(tables.api_key, tables.site.c.name).select_from(
            tables.api_key.outerjoin(tables.site, tables.api_key.c.site == tables.site.c.id)
        )
        self._clock = clock

    def add(
        self, site: Site | None, *, scopes: Iterable[Scope], label: str = "", lifetime_s: int | None = None
    ) -> NewKey:
        """Make a key of ``site``, or of the whole centre when it is None; what it returns is told this once.

        Raises `ConfigError` for a key without a scope, or one that may append, but to no site.
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
        self._transactions.write(lambda connection: connection.execute(insert(self._table).values(values)))
        return NewKey(prefix, f"{prefix}.{secret}")

    def list(self) -> list[KeyStatus]:
        """All keys, the newest first."""
        asked = self._with_site.order_by(self._table.c.created_s.desc(), self._table.c.prefix)
        return self._transactions.read(lambda connection: [_read_status(row) for row in connection.execute(asked)])

    def revoke(self, prefix: str) -> None:
        """End a key for good. ``prefix`` may be the whole key; raises `ConfigError` when there is none of it."""
        columns, prefix = self._table.c, prefix.partition(".")[0]

        def work(connection: Connection) -> None:
            if connection.execute(select(columns.prefix).where(columns.prefix == prefix)).first() is None:
                raise ConfigError("There is no key with this prefix", hint="samesky push key list shows all.")
            good = (columns.prefix == prefix, columns.revoked_s.is_(None))
            connection.execute(update(self._table).where(*good).values(revoked_s=int(self._clock())))

        self._transactions.write(work)

    def find(self, text: str) -> Caller | None:
        """Whose key ``text`` is; None when it is unknown, wrong, expired or revoked, which take equally long."""
        prefix, _, secret = text.partition(".")
        asked = self._with_site.where(self._table.c.prefix == (prefix[:64] if prefix.isalnum() else ""))
        row = self._transactions.read(lambda connection: connection.execute(asked).first())
        proven = hmac.compare_digest(_digest(secret), row.digest if row is not None else _NOBODY)
        now = self._clock()
        if row is None or not proven or not _read_status(row).is_good(now):
            return None
        if row.used_s is None or now - row.used_s >= USE_NOTED_EVERY_S:
            self._note_use(prefix, int(now))
        return Caller(prefix, row.site, row.name or "", frozenset(map(Scope, row.scopes.split())))

    def _note_use(self, prefix: str, now: int) -> None:
        used = update(self._table).where(self._table.c.prefix == prefix).values(used_s=now)
        try:
            self._transactions.write(lambda connection: connection.execute(used))
        except (Locked, Unreachable):
            pass  # nobody is kept out because this can't be written down


def _read_status(row: Row[Any]) -> KeyStatus:
    scopes = tuple(map(Scope, row.scopes.split()))
    return KeyStatus(
        row.prefix, row.name or "", scopes, row.label, row.created_s, row.expires_s, row.revoked_s, row.used_s
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
