"""The metrics are as Prometheus wants them, and there from the first scrape on."""

import math
from collections.abc import Sequence

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from samesky.core.status import Snapshot
from samesky.web.metrics import render_metrics
from samesky.web.noticeboard import Heard
from stands.prometheus_rules import find_mistakes

NOW = 1_700_000_600.0
COPY = Snapshot(
    stream="home/wx_binding",
    role="requester",
    state="live",
    position=1_700_000_300,
    newest=1_700_000_300,
    behind=0,
    stored=7,
    refused={"json": 2, "future": 1},
    different=False,
    proven_at=1_700_000_500.0,
    lag_s=0.0,
)
NEW = Snapshot(stream='da"ta\\x/mqtt://north', role="peer", state="waiting", system="mesh")


def scrape(*snapshots: Snapshot, place: str = "") -> dict[str, Metric]:
    text = render_metrics([Heard(each, NOW - 5, "me", place) for each in snapshots], NOW).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    samples = [
        sample
        for family in families.values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    (sample,) = samples
    return sample.value


@pytest.mark.parametrize("snapshots", [(), (NEW,), (COPY, NEW)], ids=["none", "new", "two"])
def test_the_text_keeps_to_prometheus_rules(snapshots: Sequence[Snapshot]) -> None:
    text = render_metrics([Heard(each, NOW - 5, "me") for each in snapshots], NOW).decode()
    assert find_mistakes(text) == []


def test_every_metric_is_there_from_the_first_scrape() -> None:
    nothing, two = scrape(), scrape(COPY, NEW)
    assert nothing.keys() == two.keys()
    assert value(nothing, "samesky_streams", system="blocks") == 0
    for family in two.values():
        if family.name not in ("samesky_build_info", "samesky_streams", "samesky_stream_refused_by_reason"):
            assert {sample.labels["stream"] for sample in family.samples} == {COPY.stream, NEW.stream}


def test_a_stream_is_told_as_it_is() -> None:
    families = scrape(COPY, NEW)
    mine = {"stream": COPY.stream, "system": "station", "role": "requester"}
    assert value(families, "samesky_stream_stored_total", **mine) == 7
    assert value(families, "samesky_stream_same", **mine) == 1
    assert value(families, "samesky_stream_lag_seconds", **mine) == 0
    assert value(families, "samesky_stream_refused_total", **mine) == 3
    assert value(families, "samesky_stream_refused_by_reason_total", **mine, reason="json") == 2
    assert value(families, "samesky_stream_proven_timestamp_seconds", **mine) == COPY.proven_at
    assert value(families, "samesky_stream_heard_timestamp_seconds", **mine) == NOW - 5
    assert value(families, "samesky_stream_state", **mine, state="live") == 1
    assert value(families, "samesky_stream_state", **mine, state="stopped") == 0
    assert value(families, "samesky_stream_level", **mine, level="good") == 1


def test_what_is_not_known_is_not_a_number_and_never_proven_is_long_ago() -> None:
    families = scrape(NEW)
    assert math.isnan(value(families, "samesky_stream_lag_seconds", stream=NEW.stream))
    assert math.isnan(value(families, "samesky_stream_same", stream=NEW.stream))
    assert value(families, "samesky_stream_proven_timestamp_seconds", stream=NEW.stream) == 0


def test_copies_in_several_places_are_told_apart() -> None:
    here, there = Heard(COPY, NOW, "me"), Heard(COPY, NOW, "broker", "samesky-copy-2")
    text = render_metrics([here, there], NOW).decode()
    assert find_mistakes(text) == []
    assert 'place="samesky-copy-2"' in text


def test_the_rules_find_mistakes() -> None:
    text = (
        "# TYPE samesky_bad_minutes gauge\nsamesky_bad_minutes 1\n"
        "# HELP samesky_many A counter.\n# TYPE samesky_many counter\nsamesky_many 3\n"
        "# HELP samesky_x_total No counter.\n# TYPE samesky_x_total gauge\nsamesky_x_total 1\nsamesky_x_total 1\n"
    )
    said = " ".join(find_mistakes(text))
    for word in ("no help", "base unit", "_total", "twice"):
        assert word in said
