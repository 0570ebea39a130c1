"""Downloads of announced files: each from the quickest that has it, from the next when that fails, and resumed.

A file is handed on only when it has the size and the checksum that were announced. Small ones stay in memory until they
are stored; larger ones go to a file in the tree's ``.samesky/incoming``, which a download that breaks off leaves there
for the next try: whatever its pieces come from, the checksum of the whole says whether they belong together.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ..core.strict import Reason
from ..errors import SameskyError
from ..link.http import Get, HttpClient, Reply
from .announcement import Announcement
from .partial_file import PartialFile
from .shares import Shares
from .tree import Tree
from .turns import Turns

WHOLE_BYTES = 1 << 18
"""Files up to this size are kept in memory while they come."""
MOST_WHOLE_BYTES = 8 << 20
"""Announced bytes of the files that are in memory, or on their way there, and not stored yet."""
_PENALTY_S = 30.0


class Fetched(NamedTuple):
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

    __slots__ = ("announcement", "hopeful", "level", "on_done", "on_memory", "partial", "sources", "tried")

    def __init__(
        self,
        announcement: Announcement,
        level: int,
        on_done: "Callable[[Job, Fetched | NotFetched], None]",
        most_bytes: int,
    ) -> None:
        self.announcement, self.level = announcement, level
        self.on_done = on_done
        self.sources = [announcement.url]
        self.tried: set[str] = set()
        size = most_bytes if announcement.size is None else announcement.size
        self.on_memory = size if size <= WHOLE_BYTES else 0
        self.partial: PartialFile | None = None
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
        self._shares: Shares[Job] = Shares()
        self._memory = 0

    @property
    def under_way(self) -> int:
        """Downloads that have begun."""
        return len(self._under_way)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._shares) + len(self._under_way)

    def add(self, announcement: Announcement, level: int, on_done: Callable[[Job, Fetched | NotFetched], None]) -> Job:
        """Fetch this file when it is its turn."""
        job = Job(announcement, level, on_done, self._most_bytes)
        if self._waiting or self._memory >= MOST_WHOLE_BYTES:
            self._waiting.push(level, job)
        else:
            self._start_or_hold(job)
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
        while self._waiting and self._memory < MOST_WHOLE_BYTES:
            self._start_or_hold(self._waiting.pop())

    def _start_or_hold(self, job: Job) -> None:
        source = self._choose_source(job)
        host = _host(source)
        if self._shares.has_room(host):
            self._memory += job.on_memory
            self._start(job, source, host)
        else:
            self._shares.hold(host, job.level, job)

    def _start(self, job: Job, source: str, host: str) -> None:
        job.tried.add(source)
        self._shares.begin(host, job.on_memory)
        began = self._clock()
        most = self._most_bytes if job.announcement.size is None else job.announcement.size

        def done(get: Get, reply: Reply) -> None:
            took_s = _PENALTY_S if reply.failure is not None else self._clock() - began
            self._shares.end(host, job.on_memory, took_s)
            self._on_reply(job, source, reply)
            self._start_held(host)

        try:
            get = Get(source, most, done)
            if most and not job.on_memory:
                get = self._make_streaming(job, source, most, done)
            self._client.get(get)
        except (OSError, SameskyError, ValueError) as error:  # ValueError: somebody changed the attribute
            failure = NotFetched("storage", str(error), hopeful=True)
            self._shares.end(host, job.on_memory, 0.0)
            asyncio.get_running_loop().call_soon(self._end, job, failure)
            return
        self._under_way[job] = get

    def _make_streaming(self, job: Job, source: str, most: int, done: Callable[[Get, Reply], None]) -> Get:
        """Ask for what is still lacking of a large file, when it is the same source that sent what is there."""
        partial = job.partial = job.partial or PartialFile(self._tree, job.announcement)
        validator = partial.validator_of(source)
        if not validator or partial.size >= most:  # when all is here it was never stored, so something was wrong
            partial.restart()
            validator = ""
        get = Get(source, most, done, lambda piece: partial.take(piece, get, source), partial.size, validator)
        partial.begins = True
        return get

    def _on_reply(self, job: Job, source: str, reply: Reply) -> None:
        outcome = self._judge(job, source, reply)
        if isinstance(outcome, NotFetched) and outcome.reason in (Reason.CHECKSUM, Reason.SIZE):
            self._client.ask_one_by_one(source)  # it may have mixed up its answers
        if isinstance(outcome, NotFetched) and any(url not in job.tried for url in job.sources):
            source = self._choose_source(job)
            self._start(job, source, _host(source))
        else:
            self._end(job, outcome)

    def _start_held(self, host: str) -> None:
        """There may be room for those who wait for this host."""
        while self._memory < MOST_WHOLE_BYTES and (job := self._shares.take(host)) is not None:
            self._memory += job.on_memory
            source = self._choose_source(job)
            self._start(job, source, _host(source))

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
            if reply.failure.kind == "range" and job.partial is not None:
                _begin_anew(job, job.partial, source)
            job.hopeful = job.hopeful or reply.failure.retry
            return NotFetched(reply.failure.kind, f"{_host(source)}: {reply.failure.words}", hopeful=job.hopeful)
        if job.partial is not None:
            return self._judge_partial(job, job.partial, source)
        return _judge_whole(job.announcement, reply.body, source)

    def _judge_partial(self, job: Job, partial: PartialFile, source: str) -> Fetched | NotFetched:
        announcement = job.announcement
        if partial.failure:
            return NotFetched("storage", partial.failure, hopeful=True)
        words = ""
        if announcement.size is not None and partial.size != announcement.size:
            reason, words = Reason.SIZE, f"{_host(source)} sent {partial.size} bytes, not those announced"
        elif not partial.is_what_was_announced:
            reason, words = Reason.CHECKSUM, f"{_host(source)} sent another content than announced"
        if words:
            _begin_anew(job, partial, source)
            return NotFetched(reason, words, hopeful=False)
        partial.finish()
        return Fetched(None, partial.name, partial.size, partial.digest("sha512"), source)

    def _choose_source(self, job: Job) -> str:
        """Of the sources that weren't tried, the one of the quickest host."""
        if len(job.sources) == 1:  # nearly always
            return job.sources[0]
        untried = (url for url in job.sources if url not in job.tried)
        return min(untried, key=lambda url: self._shares.seconds(_host(url)))


def _judge_whole(announcement: Announcement, content: bytes, source: str) -> Fetched | NotFetched:
    if announcement.size is not None and len(content) != announcement.size:
        return NotFetched(Reason.SIZE, f"{_host(source)} sent {len(content)} bytes, not those announced", hopeful=False)
    integrity = announcement.integrity
    if integrity is not None and not integrity.matches(content):
        return NotFetched(Reason.CHECKSUM, f"{_host(source)} sent another content than announced", hopeful=False)
    if integrity is not None and integrity.method == "sha512":
        return Fetched(content, "", len(content), integrity.digest, source)
    return Fetched(content, "", len(content), hashlib.sha512(content).digest(), source)


def _begin_anew(job: Job, partial: PartialFile, source: str) -> None:
    """What is there is of no use. If it is of two downloads, they were of two files: once more, all from here."""
    if partial.was_resumed:
        job.tried.discard(source)
    partial.discard()
    job.partial = None


def _host(url: str) -> str:
    return url.split("/", 3)[2]  # the URL was checked
