"""What a peer is doing, for Prometheus: `render_metrics` turns a `MeshStatus` into the text that is scraped."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from .status import MeshStatus, NeighbourStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What `render_metrics` makes, as a Content-Type header has it."""

_COUNTERS = {
    "received": ("announcements_received", "Announcements that came."),
    "fetched": ("files_fetched", "Files that were downloaded, verified and put in place."),
    "inlined": ("files_inlined", "Files that came inside of their announcements."),
    "size_bytes": ("bytes_stored", "Bytes of both."),
    "removed": ("files_removed", "Files that were removed because that was announced."),
    "failed": ("downloads_failed", "Downloads that ended without the file."),
}
_REASONS = {
    "skipped": ("announcements_skipped", "Announcements of what wasn't needed, by reason."),
    "refused": ("announcements_refused", "Announcements and files that weren't taken, by reason."),
}
_GAUGES = {
    "queue": ("files_waiting", "Announcements whose files are still to be fetched."),
    "late": ("files_waiting_late", "Those of them that came late."),
    "lacking": ("files_lacking", "Files that the neighbour has and we lack, as the last comparison found."),
}
_LAG = {"mean_s": "mean", "p95_s": "p95", "max_s": "max"}


def render_metrics(status: MeshStatus) -> bytes:
    """Return ``status`` in Prometheus' text format; every name begins with ``samesky_mesh_``.

    A neighbour is a label; times are Unix seconds, as Prometheus wants them.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Status(replace(status, neighbours=tuple(_name_apart(status.neighbours)))))
    return generate_latest(registry)


def _name_apart(neighbours: Iterable[NeighbourStatus]) -> Iterator[NeighbourStatus]:
    """A broker may be subscribed to twice, with two priorities; Prometheus takes no two values of one name."""
    seen = Counter[str]()
    for each in neighbours:
        seen[each.name] += 1
        yield each if seen[each.name] == 1 else replace(each, name=f"{each.name} ({seen[each.name]})")


class _Status(Collector):
    """Hands one status to prometheus_client."""

    def __init__(self, status: MeshStatus) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        yield from _of_peer(self._status)
        for field, (name, words) in _COUNTERS.items():
            yield _counter(name, words, ((each, getattr(each, field)) for each in self._status.neighbours))
        for field, (name, words) in _GAUGES.items():
            yield _gauge(name, words, ((each, getattr(each, field)) for each in self._status.neighbours))
        for field, (name, words) in _REASONS.items():
            yield _by_reason(name, words, field, self._status.neighbours)
        yield from _of_neighbours(self._status.neighbours)


def _of_peer(status: MeshStatus) -> Iterator[Metric]:
    info = InfoMetricFamily("samesky_mesh", "The tree of this peer.")
    info.add_metric((), {"node": status.node, "tree": status.tree})
    yield info
    yield GaugeMetricFamily("samesky_mesh_files", "Files in the tree.", status.files)
    yield GaugeMetricFamily("samesky_mesh_fetching", "Downloads under way.", status.fetching)
    yield GaugeMetricFamily("samesky_mesh_started_seconds", "When the peer started.", status.started_at)
    if status.newest is not None:
        yield GaugeMetricFamily("samesky_mesh_newest_seconds", "The latest pubTime in the tree.", status.newest)
    announced = CounterMetricFamily("samesky_mesh_announced", "Announcements that our broker took.")
    announced.add_metric((), status.announced)
    yield announced
    yield GaugeMetricFamily("samesky_mesh_to_announce", "Announcements that it hasn't taken yet.", status.to_announce)
    connected = int(status.post_state not in ("waiting", "disconnected"))
    yield GaugeMetricFamily("samesky_mesh_post_connected", "Whether our own broker is connected.", connected)


def _of_neighbours(neighbours: Iterable[NeighbourStatus]) -> Iterator[Metric]:
    """What isn't a plain number in the status; what isn't known isn't told."""
    neighbours = tuple(neighbours)
    yield _gauge(
        "neighbour_connected",
        "Whether the neighbour's broker is connected.",
        ((each, int(each.state not in ("waiting", "disconnected"))) for each in neighbours),
    )
    known = [each for each in neighbours if each.same is not None]
    yield _gauge(
        "neighbour_same",
        "Whether we lack nothing that the neighbour has.",
        ((each, int(each.same is True)) for each in known),
    )
    proven = ((each, each.proven_at) for each in neighbours if each.proven_at is not None)
    yield _gauge("neighbour_proven_seconds", "When that was last proven.", proven)
    lag = GaugeMetricFamily(
        "samesky_mesh_lag_seconds", "Age of files in place, last minutes.", labels=("neighbour", "of")
    )
    for each in neighbours:
        for field, name in _LAG.items():
            if each.lag.count:
                lag.add_metric((each.name, name), getattr(each.lag, field))
    yield lag


def _counter(name: str, words: str, values: Iterable[tuple[NeighbourStatus, float]]) -> Metric:
    family = CounterMetricFamily(f"samesky_mesh_{name}", words, labels=("neighbour",))
    for neighbour, value in values:
        family.add_metric((neighbour.name,), value)
    return family


def _gauge(name: str, words: str, values: Iterable[tuple[NeighbourStatus, float]]) -> Metric:
    family = GaugeMetricFamily(f"samesky_mesh_{name}", words, labels=("neighbour",))
    for neighbour, value in values:
        family.add_metric((neighbour.name,), value)
    return family


def _by_reason(name: str, words: str, field: str, neighbours: Iterable[NeighbourStatus]) -> Metric:
    family = CounterMetricFamily(f"samesky_mesh_{name}", words, labels=("neighbour", "reason"))
    for neighbour in neighbours:
        for reason, count in getattr(neighbour, field).items():
            family.add_metric((neighbour.name, str(reason)), count)
    return family
