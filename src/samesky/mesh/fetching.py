"""Downloads of announced files: each from the quickest that has it, from the next when that fails, and resumed.

A file is handed on only when it has the size and the checksum that were announced. Small ones stay in memory until they
are stored; larger ones go to a file in the tree's ``.samesky/incoming``, which a download that breaks off leaves there
for the next try: whatever its pieces come from, the checksum of the whole says whether they belong together.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.strict import Reason
from ..errors import SameskyError
from ..link.http import Get, HttpClient, Reply
from .announcement import METHODS, Announcement
from .tree import Tree
from .turns import Turns

WHOLE_BYTES = 1 << 18
"""Files up to this size are kept in memory while they come."""
MOST_UNDER_WAY = 256
MOST_WHOLE_BYTES = 16 << 20
"""Announced bytes of the files that are in memory, or on their way there, and not stored yet."""
_ATTRIBUTE = "user.samesky.source"
_SMOOTHING = 0.1
_PENALTY_S = 30.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole file that is what was announced: in memory, or in the incoming file ``name``."""

    content: bytes | None
    name: str
    size: int
    sha512: bytes
    source: str
    """The URL it came from."""


@dataclass(frozen=True, slots=True)
class NotFetched:
    """No source had the file as it was announced; ``words`` is about the last one."""

    reason: str
    words: str
    hopeful: bool
    """Whether it may be there in a moment; else the file is gone, is another one, or is where nothing is fetched."""


class Job:
    """One file to fetch. ``add_source`` when somebody else has it too."""

    __slots__ = ("announcement", "hopeful", "on_done", "on_memory", "partial", "sources", "tried")

    def __init__(
        self, announcement: Announcement, on_done: "Callable[[Job, Fetched | NotFetched], None]", most_bytes: int
    ) -> None:
        self.announcement = announcement
        self.on_done = on_done
        self.sources = [announcement.url]
        self.tried: set[str] = set()
        size = most_bytes if announcement.size is None else announcement.size
        self.on_memory = size if size <= WHOLE_BYTES else 0
        self.partial: _Partial | None = None
        self.hopeful = False
        """Whether any source that failed may do better later."""

    def add_source(self, url: str) -> None:
        """Another place to fetch the file from."""
        if url and url not in self.sources and len(self.sources) < 16:
            self.sources.append(url)


class Fetching:
    """Fetches jobs by their levels of priority, so many at once. Belongs to the loop's thread."""

    def __init__(self, client: HttpClient, tree: Tree, *, most_bytes: int, clock: Callable[[], float]) -> None:
        self._client, self._tree = client, tree
        self._most_bytes, self._clock = most_bytes, clock
        self._waiting: Turns[Job] = Turns()
        self._under_way: dict[Job, Get] = {}
        self._memory = 0
        self._seconds: dict[str, float] = {}
        self.received_bytes = 0

    @property
    def under_way(self) -> int:
        """Downloads that have begun."""
        return len(self._under_way)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    def add(self, announcement: Announcement, level: int, on_done: Callable[[Job, Fetched | NotFetched], None]) -> Job:
        """Fetch this file when it is its turn."""
        job = Job(announcement, on_done, self._most_bytes)
        self._waiting.push(level, job)
        self._start_more()
        return job

    def release(self, fetched: Fetched) -> None:
        """A file that was handed on in memory is stored, or of no use: there is room for another."""
        if fetched.source and fetched.content is not None:
            self._memory -= fetched.size
            self._start_more()

    def close(self) -> None:
        """Leave everything as it is: what is half there is gone on with after a restart."""
        for job, get in self._under_way.items():
            self._client.cancel(get)
            if job.partial is not None:
                job.partial.close()
        self._under_way.clear()

    def _start_more(self) -> None:
        while self._waiting and len(self._under_way) < MOST_UNDER_WAY and self._memory < MOST_WHOLE_BYTES:
            job = self._waiting.pop()
            self._memory += job.on_memory
            self._start(job)

    def _start(self, job: Job) -> None:
        source = self._choose_source(job)
        job.tried.add(source)
        began = self._clock()
        most = self._most_bytes if job.announcement.size is None else job.announcement.size

        def done(get: Get, reply: Reply) -> None:
            self._note_speed(source, self._clock() - began, reply)
            self._on_reply(job, source, reply)

        try:
            get = (
                Get(source, most, done) if job.on_memory or not most else self._make_streaming(job, source, most, done)
            )
        except (OSError, SameskyError) as error:
            self._end(job, NotFetched("storage", str(error), hopeful=True))
            return
        self._under_way[job] = get
        self._client.get(get)

    def _make_streaming(self, job: Job, source: str, most: int, done: Callable[[Get, Reply], None]) -> Get:
        """Ask for what is still lacking of a large file, when it is the same source that sent what is there."""
        partial = job.partial = job.partial or _Partial(self._tree, job.announcement)
        validator = partial.validator_of(source)
        if not validator:
            partial.restart()
        get = Get(source, most, done, lambda piece: partial.take(piece, get.begins_at), partial.size, validator)
        partial.begins = True
        return get

    def _on_reply(self, job: Job, source: str, reply: Reply) -> None:
        self.received_bytes += reply.received
        if job.partial is not None and reply.validator:
            job.partial.note_validator(source, reply.validator)
        outcome = self._judge(job, source, reply)
        if isinstance(outcome, NotFetched) and any(url not in job.tried for url in job.sources):
            self._start(job)
            return
        self._end(job, outcome)

    def _end(self, job: Job, outcome: Fetched | NotFetched) -> None:
        self._under_way.pop(job, None)
        if isinstance(outcome, NotFetched) or outcome.content is None:
            self._memory -= job.on_memory
        if job.partial is not None:
            job.partial.close()
        job.on_done(job, outcome)
        self._start_more()

    # ------------------------------------------------------------------ what came

    def _judge(self, job: Job, source: str, reply: Reply) -> Fetched | NotFetched:
        if reply.failure is not None:
            job.hopeful = job.hopeful or reply.failure.retry
            return NotFetched(reply.failure.kind, f"{_host(source)}: {reply.failure.words}", hopeful=job.hopeful)
        if job.partial is not None:
            return self._judge_partial(job, job.partial, source)
        return _judge_whole(job.announcement, reply.body, source)

    def _judge_partial(self, job: Job, partial: "_Partial", source: str) -> Fetched | NotFetched:
        announcement = job.announcement
        if partial.failure:
            return NotFetched("storage", partial.failure, hopeful=True)
        if announcement.size is not None and partial.size != announcement.size:
            return NotFetched(
                "size", f"{_host(source)} sent {partial.size} bytes, not what was announced", hopeful=False
            )
        if announcement.integrity is not None and partial.digest(announcement.integrity.method) != (
            announcement.integrity.digest
        ):
            resumed = partial.was_resumed
            partial.discard()
            job.partial = None
            if resumed:
                job.tried.discard(source)  # pieces of two files: once more, all from here
            return NotFetched(Reason.CHECKSUM, f"{_host(source)} sent another content than announced", hopeful=False)
        return Fetched(None, partial.name, partial.size, partial.digest("sha512"), source)

    def _choose_source(self, job: Job) -> str:
        """Of the sources that weren't tried, the one of the quickest host."""
        if len(job.sources) == 1:
            return job.sources[0]
        return min(
            (url for url in job.sources if url not in job.tried), key=lambda url: self._seconds.get(_host(url), 0.0)
        )

    def _note_speed(self, url: str, took_s: float, reply: Reply) -> None:
        """A moving mean of how long a host takes; one that failed counts as very slow for a while."""
        if len(self._seconds) > 1000:
            self._seconds.clear()
        took_s = _PENALTY_S if reply.failure is not None else took_s
        host = _host(url)
        before = self._seconds.get(host, took_s)
        self._seconds[host] = before + _SMOOTHING * (took_s - before)


def _judge_whole(announcement: Announcement, content: bytes, source: str) -> Fetched | NotFetched:
    if announcement.size is not None and len(content) != announcement.size:
        return NotFetched(Reason.SIZE, f"{_host(source)} sent {len(content)} bytes, not those announced", hopeful=False)
    integrity = announcement.integrity
    if integrity is not None and not integrity.matches(content):
        return NotFetched(Reason.CHECKSUM, f"{_host(source)} sent another content than announced", hopeful=False)
    if integrity is not None and integrity.method == "sha512":
        return Fetched(content, "", len(content), integrity.digest, source)
    return Fetched(content, "", len(content), hashlib.sha512(content).digest(), source)


def _host(url: str) -> str:
    return url.split("/", 3)[2]  # the URL was checked


class _Partial:
    """The file that a download goes to, with its checksums so far. Whose pieces they are is in an attribute of it."""

    def __init__(self, tree: Tree, announcement: Announcement) -> None:
        self.name = hashlib.sha256(repr((announcement.path, announcement.version)).encode()).hexdigest()[:32]
        self.size = 0
        self.failure = ""
        self.begins = True
        """Whether the next piece is the first of an answer."""
        self.was_resumed = False
        self._tree = tree
        self._fd = tree.open_incoming(self.name)
        self._methods = {"sha512"} | ({announcement.integrity.method} if announcement.integrity else set())
        self._hashes: dict[str, Any] = {}
        self._begin(os.fstat(self._fd).st_size)

    def validator_of(self, source: str) -> str:
        """What ``source`` called the version whose pieces are here; empty when they are another's."""
        try:
            owner, _, validator = (
                os.getxattr(self._fd, _ATTRIBUTE).decode().partition("\n") if self.size else ("", "", "")
            )
        except (OSError, UnicodeDecodeError):
            return ""
        return validator if owner == source else ""

    def note_validator(self, source: str, validator: str) -> None:
        """Remember whose pieces these are; without extended attributes a download isn't resumed."""
        if self._fd >= 0:
            try:
                os.setxattr(self._fd, _ATTRIBUTE, f"{source}\n{validator}".encode())
            except OSError:
                pass

    def take(self, piece: bytes, begins_at: int) -> None:
        """Append what came of an answer that begins at ``begins_at``; after a failure to write, nothing more."""
        if self.begins:
            self.begins, self.was_resumed = False, begins_at > 0
            if begins_at != self.size:
                self.restart()
        if self.failure or self._fd < 0:
            return
        try:
            view = memoryview(piece)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.failure = f"{error.strerror} in the folder for incoming files"
            return
        self.size += len(piece)
        for each in self._hashes.values():
            each.update(piece)

    def restart(self) -> None:
        """Begin anew, with nothing."""
        if self.size:
            self._begin(0)

    def digest(self, method: str) -> bytes:
        """The checksum of all that is there."""
        return bytes(self._hashes[method].digest())

    def discard(self) -> None:
        """None of this is of use."""
        self.close()
        self._tree.discard_incoming(self.name)

    def close(self) -> None:
        """Give the descriptor back; the file stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _begin(self, size: int) -> None:
        """Go on behind the first ``size`` bytes of the file, which are read for the checksums."""
        os.ftruncate(self._fd, size)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hashes = {method: METHODS[method]() for method in self._methods}
        self.size = 0
        while self.size < size and (piece := os.read(self._fd, min(1 << 20, size - self.size))):
            self.size += len(piece)
            for each in self._hashes.values():
                each.update(piece)
