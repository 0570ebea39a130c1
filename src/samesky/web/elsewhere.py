"""The streams of stations elsewhere, as they tell of them over MQTT: one more source for the page."""

import logging
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..errors import SameskyError
from ..link.mqtt import MqttSettings
from ..station.stanza import RequesterConfig, ResponderConfig
from ..station.watched_status import WatchedStatus, watching_link
from .noticeboard import Heard
from .station_databases import read_roles

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Broker:
    """A broker at which there are streams of ours, and what to listen for there."""

    mqtt: MqttSettings
    topic: str
    instances: frozenset[str]
    own: frozenset[str]


class Elsewhere:
    """What other stations tell at the brokers of ``configs``; a context manager. `read` is a source for `Sources`.

    It never waits, and nothing depends on it: without a broker, or the right to listen there, it knows of nothing.
    """

    def __init__(self, configs: Sequence[Path]) -> None:
        self._brokers = tuple(_find_brokers(configs))
        self._watched: list[WatchedStatus] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for each in self._brokers:
            try:
                make_link = watching_link(each.mqtt, secrets.token_hex(3))
                watched = WatchedStatus(make_link, each.topic, each.instances, but=each.own)
                self._watched.append(self._stack.enter_context(watched))
            except SameskyError as error:
                _log.warning("elsewhere_not_heard broker=%s error=%r", each.mqtt.address, str(error))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()
        self._watched.clear()

    def read(self) -> list[Heard]:
        """What is known now."""
        return [
            Heard(each.snapshot, each.heard_at, f"mqtt {each.client_id}", each.client_id)
            for watched in self._watched
            for each in watched.read_watched()
        ]


def _find_brokers(configs: Sequence[Path]) -> Iterator[_Broker]:
    """Of each broker and user one, with the streams of all configurations."""
    found: dict[tuple[object, ...], _Broker] = {}
    for config in configs:
        for each in _read_brokers(config):
            mqtt = each.mqtt
            key = (mqtt.host, mqtt.port, mqtt.username, mqtt.tls, each.topic)
            known = found.get(key)
            found[key] = each if known is None else _join(known, each)
    yield from found.values()


def _read_brokers(config: Path) -> Iterator[_Broker]:
    try:
        serve, follow, _ = read_roles(config)
    except (SameskyError, OSError) as error:
        _log.info("elsewhere_not_heard config=%s error=%r", config, str(error))
        return
    if serve is not None:
        yield from _broker_of(serve, [serve.serve.instance])
    if follow is not None:
        yield from _broker_of(follow, {each.stream.partition("/")[0] for each in follow.follow.copies})


def _broker_of(role: ResponderConfig | RequesterConfig, instances: Collection[str]) -> Iterator[_Broker]:
    if role.status.enabled:
        yield _Broker(role.mqtt, role.status.topic, frozenset(instances), frozenset([role.mqtt.client_id]))


def _join(one: _Broker, other: _Broker) -> _Broker:
    return _Broker(one.mqtt, one.topic, one.instances | other.instances, one.own | other.own)
