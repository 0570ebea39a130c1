"""Rows of the site that a centre refused: which, and why. The rows themselves stay where they are.

They are told by `samesky push status`, and aren't sent again as they are; once a row is changed at the site, or a
retry is asked for, it's sent like any other. Up to `MOST_ROWS` of a table are kept for a centre; more are counted only.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..core.columns import Table
from .cache_file import CacheFile
from .model import TableModel
from .steps import Key, Poison

MOST_ROWS = 10_000
MOST_TEXT = 4096
"""So many characters of a row are kept for a person to read."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One row that a centre refused."""

    target: str
    table: str
    key: Key
    reason: str
    words: str
    row: str
    """The row as JSON; its first 4,096 characters."""
    since: float
    """When it was refused first, as it is now; Unix seconds."""

    def as_dict(self) -> dict[str, object]:
        """The row as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__} | {"key": list(self.key)}


class Quarantine:
    """What one centre, ``target``, refused; ``clock`` tells Unix seconds."""

    def __init__(self, file: CacheFile, target: str, *, clock: Callable[[], float]) -> None:
        self._file = file
        self._target = target
        self._clock = clock
        self._digests: dict[str, dict[Key, bytes]] = {}

    def add(self, rows: Iterable[Poison]) -> int:
        """Keep ``rows``; returns how many of them are kept, now or from before."""
        kept = 0
        with self._file.together():
            for poison in rows:
                digests = self._of_table(poison.table)
                if poison.key not in digests and len(digests) >= MOST_ROWS:
                    continue
                kept += 1
                digest = _digest(poison.row.values())
                if digests.get(poison.key) != digest:
                    self._write(poison, digest)
                    digests[poison.key] = digest
        return kept

    def is_kept(self, table: TableModel, rows: Table) -> Sequence[bool]:
        """Which of ``rows`` are kept, and haven't changed since."""
        digests = self._of_table(table.name)
        if not digests:
            return [False] * rows.count
        keys = zip(*(rows.column(name) for name in table.key), strict=True)
        return [key in digests and digests[key] == _digest(row) for key, row in zip(keys, rows.rows(), strict=True)]

    def release(self, table: str, keys: Iterable[Key] | None = None) -> int:
        """Forget rows of ``table`` with these keys, or all; they are sent again when they are met. Returns how many."""
        keys = None if keys is None else list(keys)
        if keys == []:
            return 0
        self._digests.pop(table, None)
        delete = "DELETE FROM quarantine WHERE target = ? AND table_name = ?"
        if keys is None:
            return self._file.write(delete, (self._target, table))
        return self._file.write(f"{delete} AND row_key = ?", *((self._target, table, _spell(key)) for key in keys))

    def release_stored(self, table: TableModel, rows: Table) -> int:
        """Forget those of ``rows``, which the centre has stored now; returns how many were kept."""
        kept = self._of_table(table.name)
        if not kept:
            return 0
        keys = zip(*(rows.column(name) for name in table.key), strict=True)
        return self.release(table.name, [key for key in keys if key in kept])

    def release_between(self, table: str, from_s: int, to_s: int) -> int:
        """As `release`, for rows with ``from_s`` <= time < ``to_s``: a comparison found them all at the centre."""
        return self.release(table, [key for key in self._of_table(table) if from_s <= key[0] < to_s])

    def count(self, table: str) -> dict[str, int]:
        """How many rows of ``table`` are kept, by reason."""
        query = "SELECT reason, COUNT(*) FROM quarantine WHERE target = ? AND table_name = ? GROUP BY reason"
        return dict(self._file.read(query, self._target, table))

    def _of_table(self, table: str) -> dict[Key, bytes]:
        if table not in self._digests:
            query = "SELECT row_key, row_digest FROM quarantine WHERE target = ? AND table_name = ?"
            found = self._file.read(query, self._target, table)
            self._digests[table] = {tuple(json.loads(key)): digest for key, digest in found}
        return self._digests[table]

    def _write(self, poison: Poison, digest: bytes) -> None:
        self._file.write(
            "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(self._target, poison.table, _spell(poison.key), str(poison.reason), poison.words),
                *(json.dumps(dict(poison.row), ensure_ascii=False)[:MOST_TEXT], digest, self._clock()),
            ),
        )


def read_quarantine(file: CacheFile, target: str | None = None, table: str | None = None) -> list[Quarantined]:
    """What is kept, of one target and table or of all, in order of their keys."""
    rows = file.read(
        "SELECT target, table_name, row_key, reason, words, row_text, since FROM quarantine "
        "WHERE (?1 IS NULL OR target = ?1) AND (?2 IS NULL OR table_name = ?2)",
        *(target, table),
    )
    found = [Quarantined(whose, of, tuple(json.loads(key)), *rest) for whose, of, key, *rest in rows]
    return sorted(found, key=lambda each: (each.target, each.table, each.key))


def _spell(key: Key) -> str:
    return json.dumps(key, separators=(",", ":"))


def _digest(values: Iterable[object]) -> bytes:
    """Of a row's values, in the order of the columns."""
    return hashlib.blake2b(json.dumps(list(values)).encode(), digest_size=16).digest()
