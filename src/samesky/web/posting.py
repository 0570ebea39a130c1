"""A process that goes on writes down on the noticeboard how its streams are doing: `posting`."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..core.status import Snapshot
from .noticeboard import Noticeboard, open_noticeboard

_log = logging.getLogger(__name__)

POST_INTERVAL_S = 5.0
LOOK_INTERVAL_S = 1.0
"""News are posted as soon as that."""
END_TIMEOUT_S = 5.0

Own = Callable[[], Sequence[Snapshot]]


class Latest:
    """The snapshots that a loop has left here last, for threads that ask; calling it returns them.

    A loop that hangs leaves none, so that its streams are told as silent.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._left: tuple[float, Sequence[Snapshot]] = (clock(), ())

    def put(self, snapshots: Sequence[Snapshot]) -> None:
        """Leave ``snapshots`` here, in place of those before."""
        self._left = (self._clock(), snapshots)

    def read(self) -> tuple[float, Sequence[Snapshot]]:
        """When the last ones were left (Unix seconds), and these."""
        return self._left

    def __call__(self) -> Sequence[Snapshot]:
        return self._left[1]


@contextmanager
def posting(owner: str, own: Own | Latest, *, status_dir: Path | None = None, stays: bool = False) -> Iterator[None]:
    """Post what ``own`` gives, as ``owner``, while the ``with`` block runs: at once when it changes, else every 5 s.

    ``own`` is called by a thread of its own. At the end the post is withdrawn, unless it ``stays``: a run that is over
    has something to tell, too.
    """
    board = open_noticeboard(status_dir)
    ended = threading.Event()
    poster = _Poster(board, owner, own)
    thread = threading.Thread(target=poster.run, args=(ended,), name="noticeboard", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(END_TIMEOUT_S)
        if stays:
            poster.post(time.monotonic())
        poster.end()
        if not stays:
            board.withdraw(owner)


class _Poster:
    """The thread's work."""

    def __init__(self, board: Noticeboard, owner: str, own: Own | Latest) -> None:
        self._board, self._owner, self._own = board, owner, own
        self._posted: object = None
        self._next_s = 0.0
        self._failed = self._has_begun = self._has_ended = False
        self._lock = threading.Lock()

    def run(self, ended: threading.Event) -> None:
        while not ended.wait(LOOK_INTERVAL_S if self._has_begun else 0.0):
            self._has_begun = True
            self.post(time.monotonic())

    def post(self, now_s: float) -> None:
        """Post what there is, if it is news or time."""
        try:
            at, snapshots = self._own.read() if isinstance(self._own, Latest) else (time.time(), self._own())
        except Exception as error:  # what can't be told mustn't end the telling; silence tells of it
            if not self._failed:
                _log.warning("status_not_known owner=%r error=%r", self._owner, str(error))
            self._failed = True
            return
        self._failed = False
        news = [(each.stream, each.role, each.state, each.last_error, each.same) for each in snapshots]
        if news != self._posted or now_s >= self._next_s:
            with self._lock:
                if not self._has_ended:
                    self._posted, self._next_s = news, now_s + POST_INTERVAL_S
                    self._board.post(self._owner, snapshots, at)

    def end(self) -> None:
        """Nothing is posted any more, though the thread may have waited too long for what there is."""
        with self._lock:
            self._has_ended = True
