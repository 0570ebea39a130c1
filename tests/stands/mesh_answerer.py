"""Peers that do nothing but answer questions about a tree in memory, at a real broker."""

import math
from typing import Self

from samesky.link.message import Arrived, Connected, Event, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.mesh.answers import Answering, ask_topic

from .mesh_trees import EXCHANGE, MemoryIndex
from .waiting import wait_for


class Answerer:
    """The peer ``node`` with ``tree``, at the broker on ``port`` of this machine; silent after so many ``answers``."""

    def __init__(self, port: int, tree: MemoryIndex, node: str, *, answers: float = math.inf) -> None:
        self.answering = Answering(tree, node, f"http://{node}.example/data", EXCHANGE)
        self._answers = answers
        self._connected = False
        settings = MqttSettings(f"answerer-{node}", port=port, session_expiry_s=0)
        self._link = MqttLink(settings, [Subscription(ask_topic(EXCHANGE))], self._on)

    def __enter__(self) -> Self:
        self._link.start()
        wait_for(lambda: self._connected, 60, what="the answerer's connection")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._link.close()

    def _on(self, event: Event) -> None:
        match event:
            case Connected():
                self._connected = True
            case Arrived(message):
                answer = self.answering.on_ask(message)
                self._link.acknowledge(message)
                if answer is not None and self.answering.answered <= self._answers:
                    self._link.publish(answer)
