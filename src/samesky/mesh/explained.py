"""What a neighbour's tree may differ from ours by: found once, and expected of the next comparison.

Some explanations don't last. Where a file is older there than here, its time may become newer while its content, and so
every sum, stays as it is: the same content was announced again. These are looked into again after a while.
"""

from ..core.timetree import NOTHING, Sum
from .directory_sums import DirectorySums

MOST_DIRECTORIES = 100_000
"""What is more isn't remembered, and thus compared anew each time."""


class Explained:
    """Differences by directory (theirs less ours, of its own files); doubtful ones last for ``doubt_s``."""

    def __init__(self, doubt_s: float) -> None:
        self.sums = DirectorySums()
        """The differences, and what they add up to."""
        self._doubt_s = doubt_s
        self._doubtful: dict[str, float] = {}

    def forget_doubtful(self, now: float) -> None:
        """Forget what isn't to be believed any longer."""
        for directory in [each for each, since in self._doubtful.items() if now - since >= self._doubt_s]:
            self.note(directory, NOTHING, now)

    def oldest_doubt(self, now: float) -> float:
        """When the oldest doubtful explanation was found; ``now`` when there is none."""
        return min(self._doubtful.values(), default=now)

    def note(self, directory: str, difference: Sum, now: float, *, doubtful: bool = False) -> None:
        """From now on ``directory`` may differ so; `NOTHING`: it is to be as ours is."""
        self._doubtful.pop(directory, None)
        if directory not in self.sums.own and len(self.sums.own) >= MOST_DIRECTORIES:
            return
        self.sums.put(directory, difference)
        if doubtful and difference != NOTHING:
            self._doubtful[directory] = now
