"""How the processes of the benchmarks talk with the benchmark, and what they have in common."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from samesky.link.message import Link, OnEvent, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings

STREAM = "home/wx_binding"
TOPICS = ("replicate/request/home", "replicate/request")


def say(event: str, **values: Any) -> None:
    """One line to the benchmark."""
    print(json.dumps({"event": event, **values}), flush=True)


def commands() -> Iterator[dict[str, Any]]:
    """What the benchmark tells us, until it closes our stdin."""
    for line in sys.stdin:
        yield json.loads(line)


def read_memory_kib(field: str) -> int:
    """``VmRSS`` or ``VmHWM`` (the peak) of this process. getrusage's peak is no use: it begins with the parent's."""
    text = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{field}:")))


def links(port: int, client_id: str) -> Callable[[tuple[Subscription, ...], OnEvent], Link]:
    """What makes the link of a client of that name."""
    settings = MqttSettings(client_id=client_id, host="127.0.0.1", port=port)
    return lambda subscriptions, on_event: MqttLink(settings, subscriptions, on_event)
