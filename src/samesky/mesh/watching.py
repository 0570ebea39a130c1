"""Announcing whatever appears in a folder: `Watching`, the loop of ``samesky mesh watch``.

    the system, or a look at every file -> closed, and read -> one transaction: index and queue -> broker

A file is announced when nobody has it open for writing. What is entered in the tree's index is in the tree's queue
too, by one transaction, until the broker has its announcement: nothing is lost by a broker that is away, or by our own
end, and nothing is announced twice. What a peer of the same tree has put there is known to the index, thus left alone.
"""

import fcntl
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..core.status import Snapshot, State
from ..core.strict import Refused
from ..errors import ConfigError, Locked, SameskyError, SetupError
from ..link.mqtt import MqttSettings
from .announcement import Announcement, Entry
from .changes import read_changes
from .complete_files import CompleteFiles
from .index import Index, join_path
from .neighbour_snapshot import snapshot_folder
from .outgoing import Outgoing, make_row
from .pending import Pending
from .publish import (
    ReadFile,
    Telling,
    choose_pub_time,
    find_files,
    make_announcement,
    make_entry,
    make_removal,
)
from .publisher import Publisher
from .statefile import FOLDER
from .tree import Tree
from .waiting import Waiting

if TYPE_CHECKING:
    from .watch import FolderWatch

log = logging.getLogger(__name__)

CONSUMER = "watch"
BATCH = 256
WINDOW = 500
MOST_PENDING, MOST_QUEUED = 4 * BATCH, 8 * BATCH
"""When so many files are to be read, or to be announced, no further are looked for: they won't go away."""
IDLE_S = 1.0
RETRY_S = 5.0
END_S = 5.0
"""How long our end waits for the broker's word on what is under way."""
POLL_INTERVAL_S = 10.0
MOST_GONE, MOST_GONE_SHARE = 100, 0.01
"""So many files, or so large a part of the tree, aren't announced as removed when a look finds them gone (row 30)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """What to watch, and how to announce it."""

    folder: Path
    mqtt: MqttSettings
    base_url: str
    telling: Telling = field(default_factory=Telling)
    inline_most_bytes: int = 0
    headers: Mapping[str, object] = field(default_factory=dict)
    removals: bool = False
    """Whether files that go are announced as removed."""
    existing: bool = True
    """Whether what is new since the folder was last watched, or never was, is announced at the start."""
    asks_system: bool = True
    """Whether the system is to tell of changes; else, or when it can't, they are found by looking at every file."""
    look_interval_s: float = 600.0
    """How often every file is looked at, for what the system may have missed; without its help at least every 10 s."""


class Watching:
    """Announces what appears in a folder. A context manager; `run` belongs to the thread that entered it.

    Entering raises ``Locked`` when somebody watches this folder already, ``SetupError`` without the library that asks
    the system, and what `Tree`, `Index` and `Publisher` raise.
    """

    def __init__(self, settings: WatchSettings) -> None:
        self._settings = settings
        self._wake = threading.Event()
        self._noticing = threading.Lock()
        self._noticed: set[str] = set()
        self._pending = Pending()
        self._gone: set[str] = set()
        self._system: FolderWatch | None = None
        self._look: Iterator[None] | None = None
        self._next_look = 0.0
        self._is_first_look = True
        self._trouble = ""
        self._state: State = "disconnected"
        self._since = time.time()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        folder = self._settings.folder
        with ExitStack() as stack:
            self._tree = stack.enter_context(Tree(folder))
            stack.callback(os.close, _lock(folder))
            self._index = stack.enter_context(Index(folder))
            self._publisher = stack.enter_context(Publisher(self._settings.mqtt, on_change=self._wake.set))
            self._outgoing = Outgoing(Waiting(self._index.file, CONSUMER), self._publisher)
            self._root = os.stat(folder)
            self._reading = CompleteFiles(
                self._tree, self._pending, inline_most_bytes=self._settings.inline_most_bytes, since_ns=time.time_ns()
            )
            if self._settings.asks_system:
                self._ask_system(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._publisher.wait_for_answers(END_S)  # else the next run announces what the broker has once more
            self._outgoing.note_taken()
        finally:
            self._stack.close()

    @property
    def announced(self) -> int:
        """How many announcements the broker has taken."""
        return self._publisher.taken

    def snapshot(self) -> Snapshot:
        """How it is doing; from the thread that runs it."""
        now, waiting, connected = time.time(), len(self._outgoing), self._publisher.is_connected
        state: State = "disconnected" if not connected else "catching-up" if waiting else "live"
        if state != self._state:
            self._state, self._since = state, now
        return snapshot_folder(
            str(self._settings.folder),
            self._settings.mqtt.address,
            state=state,
            announced=self.announced,
            waiting=waiting,
            trouble=self._trouble or self._publisher.trouble,
            since=self._since,
            now=now,
        )

    def run(self, on_turn: Callable[[], bool | None] = lambda: None) -> None:
        """Announce what appears until ``on_turn``, which is called at least once a second, returns False.

        A full disk, or an index that others keep locked, is waited for. Raises `ConfigError` when the folder isn't
        there any more, and `DataError` when its index is damaged.
        """
        while on_turn() is not False:
            try:
                self._take_turn(time.monotonic())
            except SameskyError as error:
                if not error.transient:
                    raise
                self._begin_anew(error)
            self._wake.wait(self._idle_s())
            self._wake.clear()

    def _take_turn(self, now: float) -> None:
        self._take_noticed(now)
        self._look_further(now)
        self._announce_files(now)
        self._announce_removals()
        self._outgoing.send(now)

    def _begin_anew(self, error: SameskyError) -> None:
        """What was being done is undone: find it again by a look at every file, in a while."""
        if self._trouble != str(error):
            log.error("watch_failed folder=%s retry_s=%.0f reason=%r", self._settings.folder, RETRY_S, str(error))
        self._trouble = str(error)
        self._look, self._next_look = None, time.monotonic() + RETRY_S

    # ------------------------------------------------------------------ what there is to do

    def _ask_system(self, stack: ExitStack) -> None:
        try:
            from .watch import FolderWatch
        except ImportError as error:
            raise SetupError("the library watchfiles isn't installed", hint="pip install 'samesky[mesh]'") from error
        self._system = FolderWatch(self._settings.folder, self._on_changes)
        try:
            stack.enter_context(self._system)
        except SetupError as error:
            line = "watch_looking folder=%s interval_s=%.0f reason=%r hint=%r"
            log.warning(line, self._settings.folder, self._look_interval_s(), str(error), error.hint)

    def _look_interval_s(self) -> float:
        """Looking is all there is when the system doesn't tell."""
        told = self._system is not None and self._system.fault is None
        return self._settings.look_interval_s if told else min(self._settings.look_interval_s, POLL_INTERVAL_S)

    def _on_changes(self, paths: set[str]) -> None:
        """On the thread that asks the system."""
        with self._noticing:
            self._noticed |= paths
        self._wake.set()

    def _take_noticed(self, now: float) -> None:
        with self._noticing:
            noticed, self._noticed = self._noticed, set()
        for path in noticed:
            for file in self._files_at(path):
                self._pending.notice(file, now)

    def _files_at(self, path: str) -> Iterator[str]:
        """The files at or below ``path``; what is gone is noted for later."""
        folder = self._settings.folder
        try:
            mode = os.lstat(folder / path).st_mode
        except OSError:
            self._gone.add(path)
            return
        if stat.S_ISREG(mode):
            yield path
        elif stat.S_ISDIR(mode):  # its files may have been there before the system watched it
            yield from (file.relative_to(folder).as_posix() for file in find_files(folder / path))

    def _look_further(self, now: float) -> None:
        """Go on with the look at every file, or begin one when it's time, as far as there is room for what it finds."""
        if self._look is None and now >= self._next_look:
            self._look = self._look_at_all()
        while self._look is not None and len(self._pending) < MOST_PENDING and len(self._outgoing) < MOST_QUEUED:
            if next(self._look, self) is self:
                self._look, self._is_first_look, self._trouble = None, False, ""
                self._next_look = time.monotonic() + self._look_interval_s()

    def _look_at_all(self) -> Iterator[None]:
        silent = self._is_first_look and not self._settings.existing
        gone: list[str] = []
        for changes in read_changes(self._tree, self._index):
            gone += changes.gone
            for path in changes.changed:
                self._pending.find(path, time.monotonic(), silent=silent)
            yield
        if len(gone) > max(MOST_GONE, MOST_GONE_SHARE * self._index.count):
            if self._settings.removals:
                log.error("watch_removals_held folder=%s gone=%d", self._settings.folder, len(gone))
        else:
            self._gone.update(gone)

    def _idle_s(self) -> float:
        if self._noticed or (self._look is not None and len(self._outgoing) < MOST_QUEUED):
            return 0.0
        now, due = time.monotonic(), self._pending.next_due()
        waits = [IDLE_S]
        waits += [due - now] if due is not None else []
        waits += [self._next_look - now] if self._look is None else []
        return max(0.0, min(waits))

    # ------------------------------------------------------------------ files

    def _announce_files(self, now: float) -> None:
        aloud, silent = self._reading.read_due(BATCH, now)
        if aloud:
            self._enter(aloud)
        if silent:
            self._enter(silent, silently=True)

    def _enter(self, files: list[ReadFile], *, silently: bool = False) -> None:
        """Enter ``files`` in the index, and queue announcements of those that it doesn't know to be so."""
        with self._index.file.writing():
            entries, told = [], []
            for file in files:
                known = self._index.read(file.path)
                if known is not None and known.state == "here" and known.content == file.sha512:
                    if known.mtime_ns != file.mtime_ns:
                        entries.append(replace(known, mtime_ns=file.mtime_ns))
                    continue
                announcement = self._tell(file, known)
                entries.append(make_entry(announcement, file))
                told.append(announcement)
            self._index.apply(entries)
            if told and not silently:
                self._queue(told)
        self._outgoing.recount()

    def _tell(self, file: ReadFile, known: Entry | None) -> Announcement:
        pub_time = choose_pub_time(known, time.time_ns())
        settings = self._settings
        return make_announcement(
            file, base_url=settings.base_url, pub_time=pub_time, headers=settings.headers, known=known
        )

    def _queue(self, announcements: list[Announcement]) -> None:
        rows, now_ns = [], time.time_ns()
        for each in announcements:
            try:
                rows.append(make_row(self._settings.telling.make_message(each), now_ns))
            except Refused as refusal:
                log.warning("watch_refused path=%r reason=%r", each.path, str(refusal))
            else:
                log.info("watch_announcing path=%r operation=%s size_bytes=%s", each.path, each.operation, each.size)
        self._outgoing.add(rows)

    # ------------------------------------------------------------------ removals

    def _announce_removals(self) -> None:
        gone, self._gone = self._gone, set()
        if not gone or not self._settings.removals:
            return
        self._check_folder()
        with self._index.file.writing():
            entries, told = [], []
            for path in self._known_at(gone):
                known = self._index.read(path)
                if known is None or known.state != "here" or self._tree.read_stat(path) is not None:
                    continue
                pub_time = choose_pub_time(known, time.time_ns())
                told.append(make_removal(path, base_url=self._settings.base_url, pub_time=pub_time))
                entries.append(make_entry(told[-1], None))
            self._index.apply(entries)
            if told:
                self._queue(told)
        self._outgoing.recount()

    def _known_at(self, paths: set[str]) -> list[str]:
        """The files that the index knows at and below ``paths``, in order."""
        known = {path for path in paths if self._index.read(path) is not None}
        above = tuple(f"{path}/" for path in paths - known)
        if above:
            for directory in self._index.directories():
                if f"{directory}/".startswith(above):
                    known.update(join_path(directory, name) for name in self._index.read_figures(directory))
        return sorted(known)

    def _check_folder(self) -> None:
        """Announce no removals because the whole tree is gone, or is another: an unmounted disk, say."""
        try:
            here = os.stat(self._settings.folder)
        except OSError as error:
            raise ConfigError(f"the folder {self._settings.folder} is gone: {error.strerror}") from error
        if (here.st_dev, here.st_ino) != (self._root.st_dev, self._root.st_ino):
            raise ConfigError(f"the folder {self._settings.folder} is another one now")


def _lock(folder: Path) -> int:
    """A descriptor that says that this folder is being watched, until it is closed."""
    descriptor = os.open(folder / FOLDER / "watch.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Locked(f"another process watches {folder}") from None
    return descriptor
