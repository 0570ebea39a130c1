"""The links that are registered, kept through restarts: `Registry`, one SQLite file.

The original kept them in memory, so after a restart nothing was synchronised until somebody noticed. Here a link is on
the disk before its registration is answered, and saying the same once more changes nothing.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from ..core.strict import Reason, Refused
from ..errors import DataError, Locked, Unreachable
from .cycles import LinkGraph
from .links import Carrier, PrimaryLink, ReplicaLink, decode_primary, decode_replica, encode_primary, encode_replica

VERSION = 1
BUSY_TIMEOUT_S = 10.0
MOST_LINKS = 10_000
Link = TypeVar("Link", PrimaryLink, ReplicaLink)

_TABLES = (
    "CREATE TABLE master (service TEXT NOT NULL, id TEXT NOT NULL, told TEXT NOT NULL, PRIMARY KEY (service, id))",
    "CREATE TABLE slave (service TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL, told TEXT NOT NULL, "
    "PRIMARY KEY (service, id, key))",
    "CREATE TABLE epoch (last INTEGER NOT NULL)",
    "INSERT INTO epoch VALUES (0)",
)


class Registry:
    """The links in the file at ``path``, which is made when there is none. Threads may share it.

    Raises `Unreachable` or `Locked` when the file can't be used, `DataError` when it is damaged or of a later samesky.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._graph: LinkGraph | None = None
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def primaries(self) -> list[PrimaryLink]:
        """All blocks that are broadcast, by service and id."""
        with self._lock:
            return self._links().primaries()

    def replicas(self) -> list[ReplicaLink]:
        """All blocks that follow others, by service, id and key."""
        with self._lock:
            return self._links().replicas()

    def find_hearing(self, carrier: Carrier, key: str) -> list[ReplicaLink]:
        """The replicas that hear ``key`` over ``carrier``."""
        with self._lock:
            return list(self._links().find_hearing(carrier, key))

    def begin_epoch(self, now_ms: int) -> int:
        """Return the number of a new epoch: ``now_ms``, or more where the clock has gone back since the last one."""
        with self._writing():
            last = self._connection.execute("SELECT last FROM epoch").fetchone()[0]
            epoch = max(now_ms, last + 1)
            self._connection.execute("UPDATE epoch SET last = ?", (epoch,))
        return int(epoch)

    def check(self, link: PrimaryLink | ReplicaLink) -> None:
        """Raise ``Refused`` when ``link`` can't be added: CONFLICT, a block would follow itself; SIZE, too many."""
        with self._lock:
            self._check(link)

    def add(self, link: PrimaryLink | ReplicaLink) -> bool:
        """Keep ``link``, in place of another of the same name; whether anything changed. Raises as `check` does."""
        with self._writing():
            self._check(link)
            if isinstance(link, PrimaryLink):
                name: tuple[str, ...] = (link.service, link.id)
                told, into = encode_primary(link), "master"
            else:
                name = link.name
                told, into = encode_replica(link), "slave"
            if self._links().find(link) == link:
                return False
            marks = ", ".join("?" * (len(name) + 1))
            self._connection.execute(f"INSERT OR REPLACE INTO {into} VALUES ({marks})", (*name, json.dumps(told)))
        with self._lock:
            self._links().put(link)  # only now it's on the disk
        return True

    def remove(self, link: PrimaryLink | ReplicaLink) -> bool:
        """Forget ``link``; whether it was there."""
        with self._writing():
            if isinstance(link, PrimaryLink):
                statement = "DELETE FROM master WHERE service = ? AND id = ?"
                done = self._connection.execute(statement, (link.service, link.id))
            else:
                done = self._connection.execute("DELETE FROM slave WHERE service = ? AND id = ? AND key = ?", link.name)
        with self._lock:
            self._links().remove(link)
        return done.rowcount > 0

    def _check(self, link: PrimaryLink | ReplicaLink) -> None:
        links = self._links()
        if links.find(link) is None and len(links) >= MOST_LINKS:
            raise Refused(Reason.SIZE, f"there are {MOST_LINKS} links already")
        cycle = links.find_cycle(link)
        if cycle:
            names = " → ".join(f"{service}.{id}" for service, id in [*cycle, cycle[0]])
            raise Refused(Reason.CONFLICT, f"a block would follow itself: {names}")

    def _links(self) -> LinkGraph:
        """What is in the file, which nobody else writes; read once, at the first use, under the lock."""
        if self._graph is None:
            graph = LinkGraph()
            with self._errors():
                masters = self._connection.execute("SELECT service, told FROM master").fetchall()
                slaves = self._connection.execute("SELECT service, told FROM slave").fetchall()
            for primary in self._decode(decode_primary, masters):
                graph.put(primary)
            for replica in self._decode(decode_replica, slaves):
                graph.put(replica)
            self._graph = graph
        return self._graph

    def _decode(self, decode: Callable[[str, object], Link], rows: Sequence[tuple[str, str]]) -> list[Link]:
        try:
            return [decode(service, json.loads(told)) for service, told in rows]
        except (Refused, ValueError) as error:
            hint = "restore the file, or move it away: links are registered anew then"
            raise DataError(f"{self._path} has a link that is none: {error}", hint=hint) from error

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        with self._writing():
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise DataError(f"{self._path} was written by a later samesky", hint="use that one, or a newer one")
            if version < VERSION:
                for table in _TABLES:
                    self._connection.execute(table)
                self._connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction; nothing is changed when it fails."""
        with self._lock, self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has rolled back already
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise Locked(f"{self._path} is locked by another process") from error
            raise Unreachable(f"{self._path} can't be used: {error}") from error
        except sqlite3.DatabaseError as error:
            hint = "move it away: links are registered anew then"
            raise DataError(f"{self._path} is damaged, or is no file of links: {error}", hint=hint) from error
        except OSError as error:
            raise Unreachable(f"{self._path} can't be used: {error.strerror}") from error
