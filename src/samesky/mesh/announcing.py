"""What a peer has, told to its own broker: with its own base URL and the checksum that it verified.

A row of the queue is done when the broker has acknowledged its announcement. Nothing here waits: what the broker can't
take now stays in order until it can, and what doesn't fit memory is in the queue anyway.
"""

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from ..core.strict import Refused
from ..link.message import Link, Message
from .announcement import Announcement
from .paths import topic_of
from .peer_settings import Posting
from .v03 import CONTENT_TYPE, encode_v03
from .wis2 import encode_wis2
from .wis2_topics import wis2_topic

MOST_WAITING = 4096


class _Ready(NamedTuple):
    message: Message
    bare: Message | None
    """The same without the file's content, for a broker that takes no packet so large."""
    row_id: int


class Announcing:
    """Publishes on ``link`` as ``posting`` says. ``on_done`` is told which rows need nothing more."""

    def __init__(self, posting: Posting, link: Link, *, on_done: Callable[[list[int]], None]) -> None:
        self.posting = posting
        self.announced = 0
        self.trouble = ""
        self._link, self._on_done = link, on_done
        self._waiting: deque[_Ready] = deque()
        self._under_way: dict[int, _Ready] = {}
        self._gathering = False
        self.is_refused = False
        """Whether the broker has refused something."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    @property
    def has_room(self) -> bool:
        """Whether more may be added; what can't stays in the queue until it is asked for again."""
        return len(self._waiting) < MOST_WAITING

    def add(self, announcement: Announcement, row_id: int, content: bytes | None, *, as_it_came: bool = False) -> None:
        """Announce this file; ``content`` travels with it when it is small enough and that is wanted.

        ``as_it_came``: it isn't here, but where the announcement says.
        """
        ours = announcement if as_it_came or not self.posting.base_url else _at(announcement, self.posting.base_url)
        try:
            bare = make_message(self.posting, ours)
        except Refused as refusal:
            self.trouble = f"{announcement.path} can't be announced: {refusal}"
            bare = None
        if bare is None:
            self._on_done([row_id])
            return
        inline = content is not None and 0 < len(content) <= self.posting.inline_most_bytes
        message = make_message(self.posting, replace(ours, content=content)) if inline else None
        self._waiting.append(_Ready(message or bare, bare if message else None, row_id))
        if not self._gathering:
            self.send()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is added inside is sent at its end."""
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False
            self.send()

    def send(self) -> None:
        """Hand on what the link takes now."""
        with self._link.together():
            self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._link.connected:
            ready = self._waiting[0]
            self._under_way[id(ready.message)] = ready
            if not self._link.publish(ready.message):
                del self._under_way[id(ready.message)]
                if not self._make_smaller(ready):
                    return
                continue
            self._waiting.popleft()

    def on_published(self, messages: list[Message]) -> None:
        """The broker has these."""
        done = [ready.row_id for each in messages if (ready := self._under_way.pop(id(each), None))]
        if done:
            self.announced += len(done)
            self._on_done(done)
        self.send()

    def on_refused(self, reason: str) -> None:
        """The broker refuses to take announcements: say so."""
        self.trouble = reason
        self.is_refused = True

    def forget_refused(self) -> None:
        """The broker has answered everything: keep nothing in memory that it hasn't taken."""
        refused = [ready.row_id for ready in self._under_way.values()]
        self._under_way.clear()
        if refused:
            self._on_done(refused)
        self.send()

    def _make_smaller(self, ready: _Ready) -> bool:
        """Whether a message that is larger than the broker takes became smaller, or was given up."""
        if len(ready.message.payload) + 1024 < self._link.max_packet_bytes:
            return False  # it is the window that is full
        self._waiting.popleft()
        if ready.bare is not None:
            self._waiting.appendleft(_Ready(ready.bare, None, ready.row_id))
        else:
            self.trouble = f"the broker takes no announcement of {len(ready.message.payload)} bytes"
            self._on_done([ready.row_id])
        return True


def make_message(posting: Posting, ours: Announcement) -> Message | None:
    """The message that tells of a file in the format that we post; None for what it has no topic for."""
    if posting.format == "wis2":
        topic = wis2_topic(ours, centre_id=posting.centre_id)
        if topic is None:
            return None
        return Message(topic, encode_wis2(ours, centre_id=posting.centre_id), content_type=CONTENT_TYPE)
    exchange = posting.exchange
    if posting.split:
        exchange += f"{zlib.crc32(ours.path.encode()) % posting.split:02d}"
    return Message(
        topic_of(exchange, ours.path), encode_v03(ours, encoding=posting.encoding), content_type=CONTENT_TYPE
    )


def _at(announcement: Announcement, base_url: str) -> Announcement:
    """The same file, to be fetched from there. (`dataclasses.replace` takes seven times as long.)"""
    return Announcement(
        announcement.path,
        announcement.pub_time,
        announcement.integrity,
        announcement.size,
        base_url,
        "",
        announcement.content,
        announcement.operation,
        announcement.target,
        announcement.extra,
        announcement.replaces,
    )
