"""All that is known, for Prometheus: `render_metrics` turns it into the text that is scraped.

Every name begins with ``samesky_``. All of them are there from the first scrape on, with no stream as well; of a stream
that is known each has a value, NaN where nothing can be told. Times are Unix seconds, as Prometheus wants them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from .. import __version__
from ..core.status import Level, State, System
from .noticeboard import Heard

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What `render_metrics` makes, as a Content-Type header has it."""

_LABELS: Final = ("system", "stream", "role", "place")
Value = Callable[[Heard], float | None]

_GAUGES: Final[tuple[tuple[str, str, Value], ...]] = (
    ("lag_seconds", "How far the copy is behind, or how old what is here is.", lambda each: each.snapshot.lag_s),
    ("backlog", "Records, files, rows or values that are still to come.", lambda each: each.snapshot.behind),
    (
        "stored_per_second",
        "Records, files, rows or values stored a second, lately.",
        lambda each: each.snapshot.rate_per_s,
    ),
    ("same", "Whether the copy was the same when last compared; NaN before that.", lambda each: each.snapshot.same),
    (
        "proven_timestamp_seconds",
        "When the copy was last proven the same; 0 is never.",
        lambda each: each.snapshot.proven_at or (0.0 if each.snapshot.is_copy else None),
    ),
    (
        "proven_through_timestamp_seconds",
        "Time of the last record that this proof covers.",
        lambda each: each.snapshot.proven_through,
    ),
    ("proven_items", "Records, files or rows that this proof covers.", lambda each: each.snapshot.proven_count),
    (
        "position_timestamp_seconds",
        "Time of the last record that is here without a hole before it.",
        lambda each: each.snapshot.position,
    ),
    (
        "newest_timestamp_seconds",
        "Time of the newest record that is known of.",
        lambda each: each.snapshot.newest or each.snapshot.position,
    ),
    ("since_timestamp_seconds", "When the stream came into its state.", lambda each: each.snapshot.since),
    ("heard_timestamp_seconds", "When the stream was last heard of.", lambda each: each.heard_at),
)
_COUNTERS: Final[tuple[tuple[str, str, Value], ...]] = (
    ("stored", "Records, files, rows or values that were stored.", lambda each: each.snapshot.stored),
    ("duplicates", "Those that were here already.", lambda each: each.snapshot.duplicates),
    ("repaired", "Records, files or rows that checks have mended.", lambda each: each.snapshot.repaired),
    ("refused", "Inputs that weren't taken.", lambda each: sum(each.snapshot.refused.values())),
)


def render_metrics(heard: Sequence[Heard], now: float, *, max_lag_s: float | None = None) -> bytes:
    """Return what is known of all streams in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Streams(heard, now, max_lag_s))
    return generate_latest(registry)


class _Streams(Collector):
    """Hands what is known to prometheus_client."""

    def __init__(self, heard: Sequence[Heard], now: float, max_lag_s: float | None) -> None:
        self._heard, self._now, self._max_lag_s = heard, now, max_lag_s

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("samesky_build", "This samesky.", value={"version": __version__})
        streams = GaugeMetricFamily("samesky_streams", "Streams that are known of.", labels=("system",))
        for system in get_args(System):
            streams.add_metric((system,), sum(each.snapshot.system == system for each in self._heard))
        yield streams
        for name, words, value in _GAUGES:
            gauge = GaugeMetricFamily(f"samesky_stream_{name}", words, labels=_LABELS)
            for each in self._heard:
                gauge.add_metric(_name(each), _number(value(each)))
            yield gauge
        for name, words, value in _COUNTERS:
            counter = CounterMetricFamily(f"samesky_stream_{name}", words, labels=_LABELS)
            for each in self._heard:
                counter.add_metric(_name(each), _number(value(each)))
            yield counter
        yield self._collect_reasons()
        yield _collect_choice(
            "state", "1 for the state that the stream is in.", get_args(State), self._heard, self._find_state
        )
        yield _collect_choice("level", "1 for how well the stream is.", get_args(Level), self._heard, self._find_level)

    def _collect_reasons(self) -> Metric:
        words = "Inputs that weren't taken, by reason; a reason is there when it first happened."
        counter = CounterMetricFamily("samesky_stream_refused_by_reason", words, labels=(*_LABELS, "reason"))
        for each in self._heard:
            for reason, count in each.snapshot.refused.items():
                counter.add_metric((*_name(each), reason), count)
        return counter

    def _find_state(self, heard: Heard) -> str:
        return heard.snapshot.state

    def _find_level(self, heard: Heard) -> str:
        return heard.judge(self._now, max_lag_s=self._max_lag_s).level


def _collect_choice(
    name: str, words: str, choices: Iterable[str], heard: Sequence[Heard], find: Callable[[Heard], str]
) -> Metric:
    gauge = GaugeMetricFamily(f"samesky_stream_{name}", words, labels=(*_LABELS, name))
    for each in heard:
        chosen = find(each)
        for choice in choices:
            gauge.add_metric((*_name(each), choice), int(choice == chosen))
    return gauge


def _name(heard: Heard) -> tuple[str, ...]:
    return heard.snapshot.system, heard.snapshot.stream, heard.snapshot.role, heard.place


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
