"""What a pusher remembers between runs: digests of its site's groups, explained differences, refused rows, how it goes.

cache = SiteCache(settings.state_dir / FILE_NAME)
cache.digests(source)             a `group_digests.DigestCache`; ``source`` names the database and what is read of it
cache.explained(target, table)    an `explanations.Explained`
cache.quarantine(target)          rows that the centre refused: add, is_kept, release
cache.write_status(status)        a `status.PushStatus`, for `samesky push status`
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from .cache_file import FILE_NAME, CacheFile
from .digest_question import By
from .digests import Group, GroupDigest, Key
from .explanations import Explanation, Tally
from .group_digests import Kept
from .quarantine import Quarantine, Quarantined, read_quarantine
from .status import PushStatus

__all__ = ["FILE_NAME", "SiteCache"]


class SiteCache:
    """The file at ``path``, made when there is none. Threads may share it; ``clock`` tells Unix seconds.

    Everything here raises `Unreachable`, `Locked` or `DataError` when the file can't be used.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._file = CacheFile(path)
        self._clock = clock

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def digests(self, source: str) -> "KeptDigests":
        """The digests of the groups in ``source``; those of any other source are forgotten.

        ``source`` names the database, without a password, and whatever else its checksums depend on.
        """
        with self._file.together():
            if self._file.read("SELECT name FROM source") != [(source,)]:
                for statement in ("DELETE FROM digest", "DELETE FROM source"):
                    self._file.write(statement, ())
                self._file.write("INSERT INTO source VALUES (?)", (source,))
        return KeptDigests(self._file)

    def explained(self, target: str, table: str) -> "KeptExplanations":
        """The explained differences of ``table`` at the centre ``target``."""
        return KeptExplanations(self._file, target, table)

    def quarantine(self, target: str) -> Quarantine:
        """The rows that the centre ``target`` refused."""
        return Quarantine(self._file, target, clock=self._clock)

    def read_quarantine(self, target: str | None = None, table: str | None = None) -> list[Quarantined]:
        """The refused rows of a centre and a table, or of all, in order of their keys."""
        return read_quarantine(self._file, target, table)

    def write_status(self, status: PushStatus) -> None:
        """Keep how a push is going; the one of the same target from before is forgotten."""
        text = json.dumps(status.as_dict())
        self._file.write("INSERT OR REPLACE INTO status VALUES (?, ?)", (status.target, text))

    def read_status(self, target: str) -> PushStatus | None:
        """How the push to ``target`` was going when it was last written; None when there was none."""
        return next((each for each in self.read_statuses() if each.target == target), None)

    def read_statuses(self) -> list[PushStatus]:
        """How each push was going, by target; what another version wrote and can't be read isn't there."""
        read = (PushStatus.read(text) for (text,) in self._file.read("SELECT text FROM status ORDER BY target"))
        return [status for status in read if status is not None]


class KeptDigests:
    """A `group_digests.DigestCache`."""

    def __init__(self, file: CacheFile) -> None:
        self._file = file

    def read(self, table: str, from_day: int, to_day: int) -> Mapping[Group, Kept]:
        """What is kept of ``from_day`` <= day < ``to_day``."""
        found = self._file.read(
            "SELECT day, second, row_count, checksum, digest, unfit FROM digest "
            "WHERE table_name = ? AND day >= ? AND day < ?",
            *(table, from_day, to_day),
        )
        return {(day, second): Kept(count, int(checksum), *rest) for day, second, count, checksum, *rest in found}

    def write(self, table: str, kept: Mapping[Group, Kept]) -> None:
        """Keep these, in place of older ones of the same groups."""
        self._file.write(
            "INSERT OR REPLACE INTO digest VALUES (?, ?, ?, ?, ?, ?, ?)",
            *((table, *group, each.count, str(each.checksum), each.digest, each.unfit) for group, each in kept.items()),
        )


class KeptExplanations:
    """An `explanations.Explained`."""

    def __init__(self, file: CacheFile, target: str, table: str) -> None:
        self._file = file
        self._of = target, table

    def read(self, by: By, key: Key) -> Explanation | None:
        """The newest explanation for ``key``."""
        found = self._file.read(
            "SELECT site_count, site_digest, centre_count, centre_digest, tally FROM explained "
            "WHERE target = ? AND table_name = ? AND by = ? AND part = ?",
            *(*self._of, str(by), json.dumps(key)),
        )
        for site_count, site, centre_count, centre, tally in found:
            return Explanation(GroupDigest(site_count, site), GroupDigest(centre_count, centre), _read_tally(tally))
        return None

    def write(self, by: By, key: Key, explanation: Explanation) -> None:
        """Remember ``explanation`` in place of any older one."""
        site, centre, tally = explanation.site, explanation.centre, explanation.tally
        self._file.write(
            "INSERT OR REPLACE INTO explained VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*self._of, str(by), json.dumps(key), site.count, site.digest, centre.count, centre.digest, _spell(tally)),
        )


def _spell(tally: Tally) -> str:
    since = None if math.isinf(tally.since) else tally.since
    return json.dumps([tally.extra, tally.refused, tally.altered, since, tally.examples])


def _read_tally(text: str) -> Tally:
    extra, refused, altered, since, examples = json.loads(text)
    return Tally(
        extra=extra,
        refused=refused,
        altered=altered,
        since=math.inf if since is None else since,
        examples=tuple((day, second) for day, second in examples),
    )
