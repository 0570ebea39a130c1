"""A connection to the broker at which files are announced, which knows what the broker has taken: `Publisher`."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from ..errors import DataError, Unreachable
from ..link.message import Connected, Denied, Disconnected, Event, Message, Published
from ..link.mqtt import MqttLink, MqttSettings
from ..link.packet import packet_bytes
from ..link.reasons import is_ours_to_mend

_LATE = "it didn't answer in time"


class Publisher:
    """A connection to the broker that we announce at. It knows which messages the broker has acknowledged.

    One thread uses it: either waiting (`publish`, `finish`), or never (`hand_on`, `collect`), and then ``on_change`` is
    called from the link's thread whenever there may be something new. Raises ``SetupError`` and ``ConfigError`` as
    `MqttLink` does.
    """

    def __init__(self, settings: MqttSettings, *, on_change: Callable[[], object] | None = None) -> None:
        self._settings = settings
        self._on_change = on_change
        self._link = MqttLink(replace(settings, tell_published=True), (), self._on_event)
        self._changed = threading.Condition()
        self._connected = False
        self._trouble = ""
        self._under_way: dict[int, Message] = {}
        self._acknowledged: list[Message] = []
        self.taken = 0
        """How many messages the broker has acknowledged."""

    def __enter__(self) -> Self:
        self._link.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._link.close()

    def wait_until_connected(self, timeout_s: float) -> None:
        """Wait for the connection. Raises `Unreachable` with the reason after ``timeout_s``, or when we are refused."""
        with self._changed:
            self._changed.wait_for(lambda: self._connected or is_ours_to_mend(self._trouble), timeout_s)
            if not self._connected:
                raise Unreachable(f"the broker at {self._settings.address} can't be reached: {self._trouble or _LATE}")

    def publish(self, message: Message, timeout_s: float) -> None:
        """Hand on ``message``, when there is room in the window.

        Raises `DataError` when the broker takes no message so large, `Unreachable` when it took nothing for
        ``timeout_s``, through whatever number of connections.
        """
        size_bytes, deadline = packet_bytes(message), time.monotonic() + timeout_s
        with self._changed:
            self._under_way[id(message)] = message
        while not self._link.publish(message, timeout_s=1.0):
            if self._link.connected and size_bytes > self._link.max_packet_bytes:
                self._forget(message)
                raise DataError(f"the broker takes no message of {size_bytes} bytes", hint="announce without --inline")
            if time.monotonic() > deadline:
                self._forget(message)
                raise Unreachable(f"the broker at {self._settings.address} takes nothing: {self._trouble or _LATE}")
            with self._changed:
                self._changed.wait_for(lambda: self._connected, 0.2)

    def finish(self, timeout_s: float) -> None:
        """Wait until the broker has acknowledged everything.

        Raises `Unreachable` when it hasn't in ``timeout_s``, or has refused some; the others are announced.
        """
        self._link.drain(timeout_s)
        with self._changed:
            if self._under_way:
                raise Unreachable(
                    f"the broker at {self._settings.address} didn't take {len(self._under_way)} of "
                    f"{len(self._under_way) + self.taken} announcements: {self._trouble or _LATE}"
                )

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the broker."""
        return self._link.connected

    @property
    def trouble(self) -> str:
        """Why there is none, or what the broker doesn't let us do; empty when all is well."""
        return self._trouble

    @property
    def room(self) -> int:
        """How many messages may be handed on now; 0 without a connection."""
        return max(0, self._settings.window - len(self._under_way)) if self._link.connected else 0

    def hand_on(self, message: Message) -> bool:
        """Hand on ``message`` without waiting; whether the link took it."""
        with self._changed:
            self._under_way[id(message)] = message
        if self._link.publish(message):
            return True
        self._forget(message)
        return False

    def collect(self) -> list[Message]:
        """The messages that the broker has acknowledged since this was last called."""
        with self._changed:
            collected, self._acknowledged = self._acknowledged, []
        return collected

    def wait_for_answers(self, timeout_s: float) -> None:
        """Wait until the broker has answered what was handed on; without a connection there is nothing to wait for."""
        if self._link.connected:
            self._link.drain(timeout_s)

    def collect_refused(self) -> list[Message]:
        """The messages that the broker has answered and not taken: nothing is under way any more, and they remain."""
        if not self._under_way or not self._link.connected or not self._link.drain(0):
            return []
        with self._changed:
            refused = list(self._under_way.values())
            self._under_way.clear()
        return refused

    def _forget(self, message: Message) -> None:
        with self._changed:
            self._under_way.pop(id(message), None)

    def _on_event(self, event: Event) -> None:
        """On the link's thread."""
        with self._changed:
            match event:
                case Connected():
                    self._connected, self._trouble = True, ""
                case Disconnected(reason):
                    self._connected, self._trouble = False, reason
                case Denied(reason=reason):
                    self._trouble = reason
                case Published(message):
                    if self._under_way.pop(id(message), None) is not None:
                        self.taken += 1
                        if self._on_change is not None:
                            self._acknowledged.append(message)
            self._changed.notify_all()
        if self._on_change is not None:
            self._on_change()
