"""What moves on a page that is open: its parts, when they change, as Server-Sent Events.

Each page that somebody looks at is made again every second, once for all who look at it. What is other than before is
sent. Who comes back, or whose page is older than the stream, is told to load it again.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool

from ..link.problems import Problem, wait_and_retry
from .below_path import place_links
from .layout import Page, digest_parts, leave_out_ages, split_parts

INTERVAL_S = 1.0
REST_FACTOR, MOST_REST_S = 20, 5.0
"""A page that takes long to make, on a slow machine, is made less often: a twentieth of its time goes into it."""
BEAT_S = 10.0
"""A page that hears nothing for three of these says so."""
MOST_LISTENERS = 64
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched:
    """A page that somebody looks at: each part as it is now, with the step in which it came to be so."""

    listeners: int = 0
    step: int = 0
    structure_step: int = 0
    """When parts came or went."""
    title: str = ""
    parts: dict[str, tuple[int, str]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    ended: bool = False

    @property
    def seen(self) -> str:
        """What the page looks like, in a word."""
        return digest_parts({name: html for name, (_, html) in self.parts.items()})

    def take(self, page: Page) -> None:
        """Note what is other than before, and wake who listens."""
        found = split_parts(page.body)
        before = {name: leave_out_ages(html) for name, (_, html) in self.parts.items()}
        changed = [name for name, html in found.items() if before.get(name) != leave_out_ages(html)]
        if not changed and found.keys() == before.keys():
            return
        self.step += 1
        if found.keys() != before.keys():
            self.structure_step = self.step
        kept = {name: each for name, each in self.parts.items() if name in found}
        self.parts = kept | {name: (self.step, found[name]) for name in changed}
        self.title = page.title
        self.changed.set()
        self.changed = asyncio.Event()


class Live:
    """The events of all pages; ``make_page`` makes the page at a path, or returns None when there is none.

    Links in what is sent lead ``below`` a path (`place_links`).
    """

    def __init__(
        self,
        make_page: Callable[[str], Page | None],
        *,
        below: str = "",
        interval_s: float = INTERVAL_S,
        beat_s: float = BEAT_S,
    ) -> None:
        self._make_page = make_page
        self._below = below
        self._interval_s = interval_s
        self._beat_s = beat_s
        self._watched: dict[str, _Watched] = {}
        self._ending = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """Let all who listen go. May be called from any thread."""
        self._ending = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    async def listen(self, path: str, seen: str) -> AsyncIterator[bytes]:
        """Yield the events of the page at ``path``, whose parts were ``seen`` last.

        Raises `Problem` when there is no such page, or too many listen.
        """
        if sum(each.listeners for each in self._watched.values()) >= MOST_LISTENERS or self._ending:
            raise wait_and_retry(503, "listeners", f"at most {MOST_LISTENERS} may listen at a time", after_s=10)
        self._loop = asyncio.get_running_loop()
        watched = self._watched.get(path) or await self._watch(path)
        return self._tell(path, watched, seen)

    async def _watch(self, path: str) -> _Watched:
        page = await run_in_threadpool(self._make_page, path)
        if page is None or not page.live:
            raise Problem(404, "page", "there is no such page, or nothing on it moves")
        watched = self._watched.setdefault(path, _Watched())
        watched.take(page)
        return watched

    async def _tell(self, path: str, watched: _Watched, seen: str) -> AsyncIterator[bytes]:
        # The last who listened may have gone since `listen` found the page, and nobody looks at it any more.
        watched = self._watched.setdefault(path, watched)
        watched.listeners += 1
        if watched.task is None:
            watched.task = asyncio.create_task(self._follow(path, watched), name=f"page {path}")
        try:
            step = watched.step
            yield _encode("beat" if seen == watched.seen else "page", {}, watched.seen)
            while not self._ending and not watched.ended:
                changed = watched.changed
                if watched.step == step and not await _wait(changed, self._beat_s):
                    yield _encode("beat", {}, watched.seen)
                    continue
                if watched.step != step:
                    yield _describe_change(watched, step, self._below)
                    step = watched.step
        finally:
            watched.listeners -= 1
            self._let_go(path, watched)

    def _let_go(self, path: str, watched: _Watched) -> None:
        if watched.listeners == 0 and self._watched.get(path) is watched:
            del self._watched[path]
            if watched.task is not None:
                watched.task.cancel()
                watched.task = None

    async def _follow(self, path: str, watched: _Watched) -> None:
        """Make the page again and again, while somebody listens."""
        failed, took_s = False, 0.0
        while not self._ending:
            await asyncio.sleep(max(self._interval_s, min(REST_FACTOR * took_s, MOST_REST_S)))
            began = time.monotonic()
            try:
                page = await run_in_threadpool(self._make_page, path)
            except Exception:
                if not failed:
                    _log.exception("page_not_made path=%r", path)
                failed = True
                continue
            finally:
                took_s = time.monotonic() - began
            failed = False
            if page is None:
                break
            watched.take(page)
        watched.ended = True
        watched.changed.set()

    def _wake_all(self) -> None:
        for each in self._watched.values():
            each.changed.set()


async def _wait(changed: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True


def _describe_change(watched: _Watched, step: int, below: str) -> bytes:
    if watched.structure_step > step:
        return _encode("page", {}, watched.seen)
    parts = {name: place_links(html, below) for name, (made, html) in watched.parts.items() if made > step}
    return _encode("parts", {"title": watched.title, "parts": parts}, watched.seen)


def _encode(kind: str, told: Mapping[str, object], seen: str) -> bytes:
    text = json.dumps({"at": round(time.time(), 1), **told}, ensure_ascii=False, separators=(",", ":"))
    return f"event: {kind}\nid: {seen}\ndata: {text}\n\n".encode()
