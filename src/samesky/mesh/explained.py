"""What a neighbour's tree may differ from ours by: found once, and expected of the next comparison.

Some explanations don't last. Where a file is older there than here, its time may become newer while its content, and so
every sum, stays as it is: the same content was announced again. These are looked into again after a while.
"""

from collections.abc import Mapping

from ..core.timetree import NOTHING, Sum

MOST_DIRECTORIES = 100_000
"""What is more isn't remembered, and thus compared anew each time."""


class Explained:
    """Differences by directory (theirs less ours, of its own files); doubtful ones last for ``doubt_s``."""

    def __init__(self, doubt_s: float) -> None:
        self._doubt_s = doubt_s
        self._differences: dict[str, Sum] = {}
        self._doubtful: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._differences)

    def read(self, now: float) -> Mapping[str, Sum]:
        """What is explained at this moment."""
        for directory in [each for each, since in self._doubtful.items() if now - since >= self._doubt_s]:
            self.forget(directory)
        return self._differences

    def note(self, directory: str, difference: Sum, now: float, *, doubtful: bool = False) -> None:
        """From now on ``directory`` may differ so."""
        self.forget(directory)
        if difference != NOTHING and len(self._differences) < MOST_DIRECTORIES:
            self._differences[directory] = difference
            if doubtful:
                self._doubtful[directory] = now

    def forget(self, directory: str) -> None:
        """``directory`` is to be as ours is."""
        self._differences.pop(directory, None)
        self._doubtful.pop(directory, None)
