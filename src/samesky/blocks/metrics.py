"""How the links are doing, for Prometheus: `render_metrics` turns their statuses into the text that is scraped."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .links import Carrier
from .status import PrimaryStatus, ReplicaStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What `render_metrics` makes, as a Content-Type header has it."""

_LABELS = ("role", "service", "id", "key")
_COUNTERS = {
    "published": "Messages that the broker took.",
    "received": "Messages that came.",
    "written": "Writes to the block.",
    "unchanged": "Readings or messages after which there was nothing to publish or write.",
}
_REASONS = {"failed": "Readings and messages that weren't published, by reason.", "dropped": "Messages not written."}
_GAUGES = {
    "age_s": ("age_seconds", "Since the last message was taken by the broker, or came."),
    "lag_s": ("lag_seconds", "From the last message's coming to its being written."),
}
Status = PrimaryStatus | ReplicaStatus
Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily)


def render_metrics(
    primaries: Sequence[PrimaryStatus], replicas: Sequence[ReplicaStatus], carriers: Mapping[Carrier, bool]
) -> bytes:
    """Return the statuses, and whether each carrier carries, in Prometheus' text format.

    Every name begins with ``samesky_blocks_``.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Statuses([*primaries, *replicas], carriers))
    return generate_latest(registry)


class _Statuses(Collector):
    """Hands statuses to prometheus_client."""

    def __init__(self, statuses: Sequence[Status], carriers: Mapping[Carrier, bool]) -> None:
        self._statuses, self._carriers = statuses, carriers

    def collect(self) -> Iterator[Metric]:
        for field, words in _COUNTERS.items():
            yield _fill(CounterMetricFamily(f"samesky_blocks_{field}", words, labels=_LABELS), self._find(field))
        for field, words in _REASONS.items():
            by_reason = CounterMetricFamily(f"samesky_blocks_{field}", words, labels=(*_LABELS, "reason"))
            for status, counts in self._find(field):
                for reason, count in counts.items():
                    by_reason.add_metric((*_name(status), reason), count)
            yield by_reason
        for field, (name, words) in _GAUGES.items():
            yield _fill(GaugeMetricFamily(f"samesky_blocks_{name}", words, labels=_LABELS), self._find(field))
        healthy = ((status, int(status.health == "ok")) for status in self._statuses)
        yield _fill(GaugeMetricFamily("samesky_blocks_ok", "Whether all is well.", labels=_LABELS), healthy)
        carrying = GaugeMetricFamily("samesky_blocks_carrier_ok", "Whether messages are carried.", labels=("link",))
        for carrier, is_well in self._carriers.items():
            carrying.add_metric((carrier,), int(is_well))
        yield carrying

    def _find(self, field: str) -> Iterator[tuple[Status, Any]]:
        """Each status that has the field, and a value there."""
        for status in self._statuses:
            value = getattr(status, field, None)
            if value is not None:
                yield status, value


def _fill(family: Family, values: Iterable[tuple[Status, float]]) -> Family:
    for status, value in values:
        family.add_metric(_name(status), value)
    return family


def _name(status: Status) -> tuple[str, ...]:
    role = "master" if isinstance(status, PrimaryStatus) else "slave"
    return role, status.service, status.id, status.key
