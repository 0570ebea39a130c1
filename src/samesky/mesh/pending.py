"""Files that are to be read when they are complete: which to look at now, and when to look again."""

from dataclasses import dataclass

FIRST_DELAY_S, MOST_DELAY_S = 0.02, 1.0


@dataclass(slots=True)
class File:
    """A file that is waited for."""

    due: float
    silent: bool = False
    """Whether to enter it in the index without announcing it."""
    delay_s: float = FIRST_DELAY_S
    state: object = None
    """What it was like (size, time), and"""
    since: float = 0.0
    """when it was first seen to be like that."""


class Pending:
    """The files to look at: those that were noticed, and behind them those that a look at the tree has found.

    Times are of a clock that doesn't go back. A file that isn't complete is looked at again after 20 ms, 40 ms and so
    on, up to a second.
    """

    def __init__(self) -> None:
        self._noticed: dict[str, File] = {}
        self._found: dict[str, File] = {}

    def __len__(self) -> int:
        return len(self._noticed) + len(self._found)

    def notice(self, path: str, now: float) -> None:
        """Something has changed at ``path``: look at it now, before what was found."""
        self._found.pop(path, None)
        known = self._noticed.get(path)
        if known is None:
            self._noticed[path] = File(now)
        else:
            known.due, known.delay_s = now, FIRST_DELAY_S

    def find(self, path: str, now: float, *, silent: bool = False) -> None:
        """A look at the tree has found ``path`` new or changed."""
        if path not in self._noticed:
            self._found.setdefault(path, File(now, silent))

    def take(self, limit: int, now: float) -> list[tuple[str, File]]:
        """Return at most ``limit`` files to look at now; each is to be given back by `done` or `postpone`."""
        for files in (self._noticed, self._found):
            due = [(path, file) for path, file in files.items() if file.due <= now][:limit]
            if due:
                return due
        return []

    def done(self, path: str) -> None:
        """Nothing more is to be done about ``path``."""
        self._noticed.pop(path, None)
        self._found.pop(path, None)

    def postpone(self, file: File, state: object, now: float) -> None:
        """The file isn't complete yet, and has this ``state`` (whatever changes when it is written to)."""
        if state != file.state:
            file.state, file.since = state, now
        file.due = now + file.delay_s
        file.delay_s = min(2 * file.delay_s, MOST_DELAY_S)

    def next_due(self) -> float | None:
        """When to look at the next one; None when there is none."""
        return min((file.due for files in (self._noticed, self._found) for file in files.values()), default=None)
