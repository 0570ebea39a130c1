"""A thread with a queue and a link: what `serving` and `following` have in common."""

import logging
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from ..core.status import Snapshot
from ..errors import SameskyError
from ..link.message import Arrived, Link, OnEvent, Subscription
from .trouble import Trouble

if TYPE_CHECKING:
    from .status_publishing import StatusPublishing

_log = logging.getLogger(__name__)

MAX_WAITING = 5000
END_TIMEOUT_S = 30.0
LONGEST_WAIT_S = 60.0

MakeLink = Callable[[tuple[Subscription, ...], OnEvent], Link]
"""Given the subscriptions and the event callback, makes the link; `MqttLink` behind its settings, say."""


class Worker(ABC):
    """One thread that does one piece of work after the other; a context manager.

    Whatever goes wrong in a piece is a line in the log: nothing ends the thread but `close`. ``timer`` never jumps.
    """

    def __init__(
        self,
        name: str,
        make_link: MakeLink,
        subscriptions: tuple[Subscription, ...],
        *,
        clock: Callable[[], float],
        timer: Callable[[], float],
        status: "StatusPublishing | None" = None,
    ) -> None:
        self._status = status
        self.name = name
        self.on_turn: Callable[[], None] = lambda: None
        """Called on the thread at each of its turns, `longest_wait_s` apart unless a piece of work takes longer."""
        self.longest_wait_s = LONGEST_WAIT_S
        self._clock = clock
        self._timer = timer
        self._trouble = Trouble(_log, timer)
        self._events: queue.Queue[Any] = queue.Queue()
        self._stopping = threading.Event()
        self._link = make_link(subscriptions, self._take)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to connect and to work; returns at once whether or not there is a broker."""
        self._thread.start()
        self._link.start()

    def close(self) -> None:
        """Stop; waits for the piece of work under way."""
        self._stopping.set()
        self._take(None)
        self._thread.join(END_TIMEOUT_S)
        if self._status is not None:
            self._status.say_goodbye()
        self._link.close()

    @abstractmethod
    def step(self, patience_s: float) -> None:
        """Do one piece of work, waiting up to ``patience_s`` for something that gives some."""

    def next_time(self) -> float:
        """When `step` has something to do, by the timer."""
        return 0.0 if self._events.qsize() else self._due()

    @abstractmethod
    def _due(self) -> float:
        """When there is something to do though nothing comes in, by the timer."""

    @abstractmethod
    def _finish(self) -> None:
        """Close what the thread has opened."""

    @abstractmethod
    def snapshots(self) -> list[Snapshot]:
        """What each stream is doing; from any thread."""

    def _tell(self) -> None:
        """Tell over MQTT how the streams are doing, if that has changed."""
        if self._status is not None:
            self._status.tell(self.snapshots(), self._clock())

    def _take(self, event: Any) -> None:
        """Queue an event, from any thread; messages and records up to a bound, a change of the connection always."""
        if isinstance(event, Arrived | dict) and self._events.qsize() >= MAX_WAITING:
            if isinstance(event, Arrived):
                self._link.acknowledge(event.message)
        else:
            self._events.put(event)

    def _next_event(self, patience_s: float) -> Any:
        """The next event; raises `queue.Empty` when none comes within ``patience_s``."""
        return self._events.get(timeout=patience_s) if patience_s else self._events.get_nowait()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.on_turn()
            try:
                self.step(min(self.longest_wait_s, max(0.0, self._due() - self._timer())))
            except SameskyError as error:
                self._trouble.report(self._thread.name, error)
            except Exception:
                _log.exception("fault thread=%s", self._thread.name)
                self._stopping.wait(1.0)
        self._finish()
