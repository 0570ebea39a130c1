"""Who broadcasts over MQTT, and who has died: `Presence`.

Each service has a will at the broker, ``syncast/.services/<client id>`` with ``gone``, and says ``here`` on the same
topic whenever it connects. Its messages name the client id, so it is known whose keys those were. (No key is spelt with
such a topic, see `mqtt_topics`.) A connection that was cut is back in a moment, so a will is believed after a while.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from ..link.message import Message

GRACE_S = 5.0
MOST_KEYS = 10_000
CLIENT = "samesky-client"
"""The property of a message with the client id of whom it's from."""
_GONE, _HERE = b"gone", b"here"

Properties = tuple[tuple[str, str], ...]


class Presence:
    """Tells ``on_gone`` of each key whose service has died; belongs to one event loop."""

    def __init__(self, prefix: str, on_gone: Callable[[str], None], *, grace_s: float = GRACE_S) -> None:
        self._topics = f"{prefix}/.services/"
        self._on_gone, self._grace_s = on_gone, grace_s
        self._clients: OrderedDict[str, str] = OrderedDict()
        """Key -> the client that sent the last message with it."""
        self._doubted: dict[str, asyncio.TimerHandle] = {}
        """Client -> when its will is believed."""

    def make_will(self, client_id: str) -> Message:
        """What the broker is to publish when the connection of this client is cut."""
        return Message(self._topics + client_id, _GONE)

    def make_greeting(self, client_id: str) -> Message:
        """What this client publishes when it is connected."""
        return Message(self._topics + client_id, _HERE)

    def take(self, message: Message) -> bool:
        """Whether ``message`` is one of these; what it says is noted."""
        if not message.topic.startswith(self._topics):
            return False
        client = message.topic.removeprefix(self._topics)
        if message.payload == _GONE:
            self._doubt(client)
        else:
            self._trust(client)
        return True

    def note(self, key: str, properties: Properties) -> Properties:
        """A live message came with ``key``; returns its properties without ours."""
        client = next((value for name, value in properties if name == CLIENT), "")
        if client:
            self._trust(client)
            self._clients[key] = client
            self._clients.move_to_end(key)
            if len(self._clients) > MOST_KEYS:
                self._clients.popitem(last=False)
        else:
            self._clients.pop(key, None)  # somebody else's now, who has no will
        return strip(properties)

    def close(self) -> None:
        """Believe no more wills."""
        for timer in self._doubted.values():
            timer.cancel()
        self._doubted.clear()
        self._clients.clear()

    def _doubt(self, client: str) -> None:
        if client not in self._doubted and client in self._clients.values():
            self._doubted[client] = asyncio.get_running_loop().call_later(self._grace_s, self._believe, client)

    def _trust(self, client: str) -> None:
        timer = self._doubted.pop(client, None)
        if timer is not None:
            timer.cancel()

    def _believe(self, client: str) -> None:
        self._doubted.pop(client, None)
        for key in [key for key, sender in self._clients.items() if sender == client]:
            del self._clients[key]
            self._on_gone(key)


def strip(properties: Properties) -> Properties:
    """Return ``properties`` without ours."""
    return tuple(pair for pair in properties if pair[0] != CLIENT)
