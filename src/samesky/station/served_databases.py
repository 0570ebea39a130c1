"""The open databases of a responder's streams. Trouble with one of them leaves the others alone."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ..errors import SameskyError, Unreachable
from .archive import Archive, open_archive
from .dirty_triggers import ensure_triggers
from .paging import Pager
from .serve_settings import ServedBinding
from .trouble import Trouble

RETRY_S = 1.0


class _FailedBefore(Unreachable):
    """A database that isn't tried again yet; its trouble has been reported."""


class ServedDatabases:
    """By stream. Belongs to the responder's thread. ``track_changes`` as in `ServeSettings`."""

    def __init__(
        self,
        bindings: Mapping[str, ServedBinding],
        *,
        track_changes: bool,
        trouble: Trouble,
        clock: Callable[[], float],
        timer: Callable[[], float],
    ) -> None:
        self._bindings, self._track_changes = bindings, track_changes
        self._trouble, self._clock, self._timer = trouble, clock, timer
        self._open: dict[str, tuple[Archive, Pager]] = {}
        self._origins: dict[str, str] = {}
        self._retry_times: dict[str, float] = {}

    def archive(self, stream: str) -> Archive:
        """The database of a stream; after a failure it isn't tried again for a second. Inside `guarded`."""
        return self._both(stream)[0]

    def pager(self, stream: str) -> Pager:
        """What makes pages of it."""
        return self._both(stream)[1]

    def retry_time(self, stream: str) -> float:
        """When the database may be tried again, by the timer."""
        return self._retry_times.get(stream, 0.0)

    def origin(self, stream: str) -> str:
        """The origin id of a stream's database, as far as it is known here."""
        if not self._origins.get(stream):
            self._origins[stream] = self.archive(stream).read_origin(self._clock())
        return self._origins[stream]

    def note_origin(self, stream: str, origin: str) -> None:
        """Somebody has read the origin anew."""
        self._origins[stream] = origin

    def note_success(self, stream: str) -> None:
        """The database works."""
        self._trouble.clear(stream)

    @contextmanager
    def guarded(self, stream: str) -> Iterator[None]:
        """What the database of ``stream`` raises inside is reported, and it is opened anew later."""
        try:
            yield
        except _FailedBefore:
            pass
        except SameskyError as error:
            archive, _ = self._open.pop(stream, (None, None))
            if archive is not None:
                archive.close()
            self._retry_times[stream] = self._timer() + RETRY_S
            self._trouble.report(stream, error)

    def close(self) -> None:
        """Close them all."""
        for archive, _ in self._open.values():
            archive.close()
        self._open.clear()

    def _both(self, stream: str) -> tuple[Archive, Pager]:
        if stream not in self._open:
            if self._timer() < self.retry_time(stream):
                raise _FailedBefore(f"{stream}: the database failed a moment ago")
            archive = open_archive(self._bindings[stream].location)
            self._open[stream] = archive, Pager(archive)
            if self._track_changes and archive.read_columns():
                ensure_triggers(archive)
        return self._open[stream]
