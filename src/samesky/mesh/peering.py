"""A running peer: links, loop, threads. `Peering` puts the parts together and decides nothing.

One loop in the thread that runs it; each link has a thread that leaves its events here, and all writing is done in the
journal's thread. So the loop never waits for a disk or a broker.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from time import monotonic, time, time_ns

from ..core.status import State
from ..core.strict import Refused
from ..errors import DataError, SameskyError
from ..link.http import HttpClient
from ..link.message import (
    Arrived,
    Connected,
    Denied,
    Disconnected,
    Event,
    Link,
    Message,
    OnEvent,
    Published,
    Subscription,
)
from ..link.mqtt import MqttLink, MqttSettings
from .announcing import Announcing
from .answers import Answering, answer_topic, ask_topic
from .comparison import Comparison
from .directory_sums import TreeSums
from .fetching import Fetching
from .followed import Followed
from .index import Index
from .journal import Journal, Written
from .peer import Peer
from .peer_settings import PeerSettings
from .scan import scan_tree
from .status import MeshStatus
from .subtopics import Subtopics
from .taking import Taking
from .tree import Tree
from .working import Working

_log = logging.getLogger(__name__)

TICK_S = 0.25
CHECK_AFTER_S = 30.0
"""After announcements came, trees are compared when all of them are dealt with, but not more often than this."""
BATCH = 500
KEPT_REFUSALS = 200
KEPT_BYTES = 4096

MakeLink = Callable[[MqttSettings, tuple[Subscription, ...], OnEvent], Link]


class Peering:
    """The peer of ``settings``; use it with ``async with``. ``status()`` says how it does, from the loop's thread."""

    def __init__(self, settings: PeerSettings, *, make_link: MakeLink = MqttLink) -> None:
        self.settings = settings
        self.refused: deque[tuple[float, str, str, bytes]] = deque(maxlen=KEPT_REFUSALS)
        """The last inputs that were refused: (Unix time, topic, reason, the first 4 KiB)."""
        self.failure: DataError | None = None
        """The tree's state is damaged: end this peer; the next one mends it when it starts."""
        self._make_link = make_link
        self._stack = AsyncExitStack()
        self._arrivals: deque[tuple[Followed | None, Event]] = deque()
        self._woken = False
        self._started_at = time()
        self._post_link: Link | None = None
        self._post_trouble = ""
        self._trouble = ""
        self._scanning: asyncio.Task[None] | None = None
        self._scan_due = 0.0
        self._scanned = False
        self._closing = False
        self._questions: deque[Message] = deque()

    async def __aenter__(self) -> "Peering":
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        settings = self.settings
        self._loop = asyncio.get_running_loop()
        self.tree = Tree(settings.folder)
        self._stack.callback(self.tree.close)
        self.index = Index(settings.folder)
        self._stack.callback(self.index.close)
        self._sums = TreeSums(self.index)
        self._client = HttpClient(settings.urls)
        self._stack.push_async_callback(self._client.close)
        self._fetching = Fetching(self._client, self.tree, most_bytes=settings.rules.most_bytes, clock=monotonic)
        self._stack.callback(self._fetching.close)
        self.followed = [self._follow(number) for number in range(len(settings.neighbours))]
        self._working = Working(
            settings,
            self.followed,
            index=self.index,
            fetching=self._fetching,
            random=random.random,
            on_refused=self._keep_refused,
        )
        self._taking = Taking(settings, self._working, index=self.index, fetching=self._fetching)
        self._working.on_rows = self._taking.on_rows
        self._working.on_removal = lambda followed, removal: self._taking.on_lacking(followed, [removal])
        self._journal = self._working.journal = Journal(
            self.tree,
            settings.consumer,
            durable=settings.durable,
            announces=settings.posting is not None,
            on_written=self._on_written,
        )
        self._stack.push_async_callback(self._journal.close)
        self._open_links()
        ticking = self._loop.create_task(self._tick_for_ever(), name="samesky-mesh-tick")
        self._stack.push_async_callback(self._end_scan)
        self._stack.callback(ticking.cancel)

    def _follow(self, number: int) -> Followed:
        neighbour = self.settings.neighbours[number]
        comparison = None
        if neighbour.compares and self.settings.download:
            subtopics, peer = Subtopics(neighbour.subtopics), Peer(self.settings.rules)
            comparison = Comparison(
                self.index.id,
                tree=self.index,
                ask_topic=ask_topic(neighbour.exchange),
                reply_to=answer_topic(neighbour.exchange, neighbour.mqtt.client_id),
                selects=lambda path: subtopics.takes(path) and not self.index.is_pruned(path),
                covers=subtopics.covers,
                wants=lambda announcement: peer.would_take(announcement, now_ns=time_ns()),
                take_removals=self.settings.rules.take_removals,
                accept_removals=self.settings.accept_removals,
                interval_s=self.settings.compare_interval_s,
                sums=self._sums,
                neighbour=self.index.file.read_neighbour(neighbour.name),
            )
        return Followed(neighbour, number, comparison)

    def _open_links(self) -> None:
        settings = self.settings
        self._answering: Answering | None = None
        if settings.posting is not None:
            posting = settings.posting
            self._answering = Answering(self.index, self.index.id, posting.base_url, posting.exchange, sums=self._sums)
            asked = (Subscription(ask_topic(posting.exchange)),) if settings.download else ()
            self._post_link = self._make_link(posting.mqtt, asked, self._teller(None))
            self._working.announcing = Announcing(posting, self._post_link, on_done=self._journal.done)
            self._stack.callback(self._post_link.close)
            self._post_link.start()
        for followed in self.followed:
            subscriptions = followed.neighbour.subscriptions
            if followed.comparison is not None:
                reply_to = answer_topic(followed.neighbour.exchange, followed.neighbour.mqtt.client_id)
                subscriptions = (*subscriptions, Subscription(reply_to))
            followed.link = self._make_link(followed.neighbour.mqtt, subscriptions, self._teller(followed))
            self._stack.callback(followed.link.close)
            followed.link.start()

    # ------------------------------------------------------------------ events

    def _teller(self, followed: Followed | None) -> OnEvent:
        """What a link's thread calls with its events: it leaves them here, and wakes the loop once."""

        def tell(event: Event) -> None:
            self._arrivals.append((followed, event))
            if not self._woken:
                self._woken = True
                try:
                    self._loop.call_soon_threadsafe(self._take_arrivals)
                except RuntimeError:
                    pass  # the loop has ended; what came wasn't acknowledged, and comes again

        return tell

    def _take_arrivals(self) -> None:
        self._woken = False
        published: list[Message] = []
        announced: list[tuple[Followed, Message]] = []
        for _ in range(min(BATCH, len(self._arrivals))):
            followed, event = self._arrivals.popleft()
            if isinstance(event, Published):
                published.append(event.message)
            elif followed is None:
                self._on_post_event(event)
            elif isinstance(event, Arrived) and not event.message.topic.startswith(followed.answers):
                announced.append((followed, event.message))
            else:
                self._on_event(followed, event)
        if announced:
            self._taking.on_messages(announced)
        if published and self._working.announcing is not None:
            self._working.announcing.on_published(published)
        if self._arrivals and not self._woken:
            self._woken = True
            self._loop.call_soon(self._take_arrivals)

    def _on_event(self, followed: Followed, event: Event) -> None:
        match event:
            case Arrived(message):
                self._on_answer(followed, message)
            case Connected():
                followed.last_error = ""
                self._begin_comparing(followed)
            case Disconnected(reason):
                followed.last_error = reason
                if followed.comparison is not None:
                    followed.comparison.on_disconnected()
            case Denied(topic, action, reason):
                followed.last_error = f"not allowed to {action} on {topic}: {reason}"

    def _on_post_event(self, event: Event) -> None:
        match event:
            case Arrived(message) if self._scanned:
                self._answer(message)
            case Arrived(message):
                self._questions.append(message)  # until it is known what is in the tree; each asker waits for one
            case Connected():
                self._post_trouble = ""
                if self._working.announcing is not None:
                    self._working.announcing.send()
            case Disconnected(reason):
                self._post_trouble = reason
            case Denied(topic, action, reason):
                self._post_trouble = f"not allowed to {action} on {topic}: {reason}"
                if self._working.announcing is not None:
                    self._working.announcing.on_refused(self._post_trouble)

    def _forget_refused(self) -> None:
        """Now and then, for a refusal is told once a minute, whatever else is under way at that moment."""
        announcing, link = self._working.announcing, self._post_link
        if announcing is None or link is None or not announcing.is_refused:
            return
        # In this order: all that the link has told before it was drained is among the arrivals, or was dealt with.
        if link.connected and link.drain(0) and not self._arrivals:
            announcing.forget_refused()

    def _answer(self, message: Message) -> None:
        assert self._post_link is not None
        answer = self._answering.on_ask(message) if self._answering is not None else None
        if answer is not None:
            self._post_link.publish(answer)
        self._post_link.acknowledge(message)

    def _on_answer(self, followed: Followed, message: Message) -> None:
        comparison, link = followed.comparison, followed.link
        assert link is not None
        if comparison is not None:
            known = comparison.neighbour
            messages, lacking = comparison.on_answer(message, time())
            if comparison.neighbour != known:
                self._remember(followed.neighbour.name, comparison.neighbour)
            self._publish(followed, messages)
            if lacking:
                self._taking.on_lacking(followed, lacking)
        link.acknowledge(message)

    def _remember(self, name: str, node: str) -> None:
        try:
            self.index.file.write_neighbour(name, node)
        except SameskyError as error:
            _log.warning("mesh_neighbour_not_written neighbour=%s error=%r", name, str(error))

    def _begin_comparing(self, followed: Followed) -> None:
        """Compare at once, but not before it is known what is in the tree."""
        if self._scanned and followed.comparison is not None and followed.link is not None and followed.link.connected:
            self._publish(followed, followed.comparison.on_connected(time()))

    def _publish(self, followed: Followed, messages: list[Message]) -> None:
        for message in messages:
            if followed.link is not None:
                followed.link.publish(message)

    def _on_written(self, written: Written) -> None:
        if written.error and written.error != self._trouble:
            _log.warning("mesh_not_written tree=%s error=%r", self.settings.folder, written.error)
        self._trouble = written.error
        self.failure = self.failure or written.damage
        self._working.on_written(written)
        self._working.refill()

    def _keep_refused(self, message: Message, refusal: Refused) -> None:
        self.refused.append((time(), message.topic, str(refusal.reason), message.payload[:KEPT_BYTES]))

    # ------------------------------------------------------------------ now and then

    async def _tick_for_ever(self) -> None:
        failed = False
        while True:
            try:
                self._tick()
                failed = False
            except SameskyError as error:
                self._trouble = str(error)
            except Exception:
                if not failed:
                    _log.exception("mesh_tick_failed tree=%s", self.settings.folder)
                failed = True
            await asyncio.sleep(TICK_S)

    def _tick(self) -> None:
        now = monotonic()
        if now >= self._scan_due and (self._scanning is None or self._scanning.done()):
            self._scan_due = now + self.settings.scan_interval_s
            self._scanning = self._loop.create_task(self._scan(), name="samesky-mesh-scan")
        self._working.refill()
        self._forget_refused()
        for followed in self.followed:
            followed.note_state(time())
            if followed.comparison is not None:
                self._compare(followed, followed.comparison)

    def _compare(self, followed: Followed, comparison: Comparison) -> None:
        """What is on its way needs no comparison; once it is here, a broker that lost some of it is found out."""
        now = time()
        calm = not any(each.queue for each in self.followed)
        if calm and followed.received > followed.compared_after and now >= followed.compared_at + CHECK_AFTER_S:
            followed.compared_after, followed.compared_at = followed.received, now
            comparison.ask_for_check(now)
        if now >= comparison.next_time() and (calm or comparison.under_way):
            self._publish(followed, comparison.on_tick(now))

    async def _scan(self) -> None:
        """Look what is in the tree, in a thread: what nobody announced, was changed or is gone."""
        try:
            scan = partial(scan_tree, self.settings.folder, on_progress=lambda _: not self._closing)
            await self._loop.run_in_executor(None, scan)
        except SameskyError as error:
            self._trouble = str(error)
            _log.warning("mesh_scan_failed tree=%s error=%r", self.settings.folder, str(error))
        if not self._scanned:
            self._scanned = True
            while self._questions:
                self._answer(self._questions.popleft())
            for followed in self.followed:
                self._begin_comparing(followed)

    async def _end_scan(self) -> None:
        self._closing = True
        if self._scanning is not None:
            await asyncio.wait([self._scanning])

    # ------------------------------------------------------------------ status

    def status(self) -> MeshStatus:
        """This peer at this moment."""
        now = time()
        announcing = self._working.announcing
        newest = self.index.newest
        return MeshStatus(
            node=self.index.id,
            tree=str(self.settings.folder),
            at=now,
            started_at=self._started_at,
            files=self.index.count,
            newest=newest / 1e9 if newest else None,
            announced=announcing.announced if announcing is not None else 0,
            to_announce=len(announcing) if announcing is not None else 0,
            post_state=self._post_state(),
            fetching=self._fetching.under_way,
            neighbours=tuple(each.status(now) for each in self.followed),
            last_error=self._trouble or self._post_trouble or (announcing.trouble if announcing is not None else ""),
        )

    def _post_state(self) -> State:
        if self._post_link is None:
            return "stopped"
        return "live" if self._post_link.connected else "disconnected"
