"""A service of today's Brewblox as it is over MQTT, real but for its controller: it tells its blocks, and takes writes.

Made from Brewblox's reference of its state events and its blocks API: all blocks every few seconds, retained; changed
ones in between; a will; nothing is answered to a write. Some versions tell at once what was written, others with the
next of their events (``tells_writes``).
"""

import json
import threading
from collections.abc import Callable
from copy import deepcopy
from itertools import count
from typing import Any, Self

from samesky.blocks.objects import Block
from samesky.link.message import Arrived, Connected, Event, Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from stands.blocks_controllers import merge_deeply

Data = dict[str, Any]
_numbers = count()


class BrewcastStand:
    """The service ``service`` at the broker on ``port``, while its ``with`` block runs."""

    def __init__(
        self, port: int, service: str = "spark", *, every_s: float = 0.1, deep: bool = True, tells_writes: bool = True
    ) -> None:
        self.service = service
        self.blocks: dict[str, Data] = {}
        self.written: list[tuple[str, Data]] = []
        """Topic's end and data of every write that was done."""
        self.adjust: Callable[[Data], Data] = lambda data: data
        """What the controller makes of data that are written."""
        self.takes_writes = True
        self.connection_status = "SYNCHRONIZED"
        self._tells = True
        self._every_s, self._deep, self._tells_writes = every_s, deep, tells_writes
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._connected = threading.Event()
        self._topic = f"brewcast/state/{service}"
        settings = MqttSettings(f"brewcast-stand-{next(_numbers)}", host="127.0.0.1", port=port)
        subscription = Subscription("brewcast/spark/blocks/+")
        self._link = MqttLink(settings, (subscription,), self._on_event)
        self._thread = threading.Thread(target=self._run, name=f"brewcast-{service}")

    def __enter__(self) -> Self:
        self._link.start()
        assert self._connected.wait(60), "the broker doesn't answer"
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._link.close()

    @property
    def is_connected(self) -> bool:
        """Whether the broker hears it."""
        return self._link.connected

    @property
    def tells(self) -> bool:
        """Whether it tells anything; set to False, the broker has all that it told, and nothing more comes."""
        return self._tells

    @tells.setter
    def tells(self, value: bool) -> None:
        with self._lock:
            self._tells = value
        if not value and self.is_connected:
            self._link.drain(30)

    def put(self, block: Block) -> None:
        """Make a block, as somebody at the controller would; its service tells of it."""
        with self._lock:
            told = {"id": block.id, "nid": 100 + len(self.blocks), "type": block.type, "serviceId": self.service}
            profiles = {"profiles": list(block.profiles)} if block.profiles else {}
            self.blocks[block.id] = {**told, **profiles, "data": deepcopy(dict(block.data))}
            self.tell_patch(changed=[block.id])

    def remove(self, id: str) -> None:
        """Delete a block at the controller; its service tells of it."""
        with self._lock:
            del self.blocks[id]
            self.tell_patch(deleted=[id])

    def tell_state(self, *, retain: bool = True) -> None:
        """Tell all blocks."""
        with self._lock:
            blocks = list(self.blocks.values()) if self.connection_status == "SYNCHRONIZED" else []
            status = {"enabled": True, "connection_status": self.connection_status}
            data = {"status": status, "blocks": blocks, "relations": [], "claims": []}
            self.tell(self._topic, {"key": self.service, "type": "Spark.state", "data": data}, retain=retain)

    def tell_patch(self, *, changed: list[str] | None = None, deleted: list[str] | None = None) -> None:
        """Tell some blocks."""
        data = {"changed": [self.blocks[id] for id in changed or []], "deleted": deleted or []}
        self.tell(f"{self._topic}/patch", {"key": self.service, "type": "Spark.patch", "data": data})

    def tell_will(self) -> None:
        """Tell what the broker tells when the service has died; it tells no more then."""
        with self._lock:  # nothing it tells may come behind its will
            self.tell(self._topic, {"key": self.service, "type": "Spark.state", "data": None})
            self.tells = False

    def tell(self, topic: str, document: object, *, retain: bool = False) -> None:
        """Publish anything as this service."""
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        with self._lock:
            if self.tells:
                assert self._link.publish(Message(topic, payload, retain=retain), timeout_s=5)

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            self.tell_state()

    def _on_event(self, event: Event) -> None:
        match event:
            case Connected():
                self._connected.set()
            case Arrived(message):
                with self._lock:
                    self._take(message.topic.rpartition("/")[2], json.loads(message.payload))
                self._link.acknowledge(message)

    def _take(self, kind: str, told: Data) -> None:
        block = self.blocks.get(told.get("id", ""))
        if told.get("serviceId") != self.service or block is None or block["type"] != told["type"]:
            return  # it logs that
        if not self.takes_writes or kind not in ("patch", "write"):
            return
        data = told["data"]
        self.written.append((kind, data))
        if kind == "patch":
            data = merge_deeply(block["data"], data) if self._deep else {**block["data"], **data}
        block["data"] = self.adjust(deepcopy(data))
        if self._tells_writes:
            self.tell_patch(changed=[block["id"]])
