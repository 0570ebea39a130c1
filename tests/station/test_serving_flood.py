"""A responder that is given more live records than it can publish leaves them to the pages, and says where."""

from pathlib import Path
from typing import Any

import pytest

from samesky.demo.year import write_year
from samesky.link.memory import MemoryBroker
from samesky.link.message import Arrived, Event, Subscription
from samesky.station.archive import open_archive
from samesky.station.live_publishing import MOST_LIVE_WAITING
from samesky.station.location import SqliteLocation
from samesky.station.messages import RecordMessage, decode_live
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving

NOW = 1_700_000_000
COUNT = MOST_LIVE_WAITING + 300


@pytest.fixture
def primary(tmp_path: Path) -> Path:
    """A database of more records than are left waiting."""
    path = tmp_path / "primary.sdb"
    write_year(path, count=COUNT, end_time=NOW, schema="wview_small")
    return path


def publish(primary: Path, count: int) -> tuple[Serving, list[RecordMessage]]:
    """Hand the newest ``count`` records to a responder at once; what a follower on the archive topic gets of them."""
    with open_archive(SqliteLocation(primary)) as archive:
        records = archive.read_records(0, COUNT)[-count:]
    broker, events = MemoryBroker(1), list[Event]()
    settings = ServeSettings("home", (ServedBinding("wx_binding", SqliteLocation(primary)),), ())
    serving = Serving(
        settings,
        lambda subscriptions, on_event: broker.link("primary", subscriptions, on_event),
        clock=lambda: float(NOW),
        timer=lambda: broker.now,
    )
    copy = broker.link("copy", [Subscription("replicate/archive")], events.append)
    for link in (copy, serving._link):
        link.start()
    broker.advance(1.0)
    for record in records:
        serving.publish_record(record)
    while serving._events.qsize():
        serving.step(0.0)
        broker.advance(broker.now + 0.01)
        for event in events:
            if isinstance(event, Arrived):
                copy.acknowledge(event.message)
    broker.advance(broker.now + 10.0)
    kinds: dict[str, Any] = {"home/wx_binding": {}}
    return serving, [decode_live(event.message, kinds, now=NOW) for event in events if isinstance(event, Arrived)]


def test_records_that_can_be_published_are_published_all(primary: Path) -> None:
    serving, messages = publish(primary, 500)
    assert len(messages) == 500
    assert serving.sent["left to pages"] == 0


def test_of_too_many_waiting_records_the_last_is_published_and_shows_the_gap(primary: Path) -> None:
    serving, messages = publish(primary, COUNT)
    assert serving.sent["left to pages"] > MOST_LIVE_WAITING
    last = messages[-1]
    assert last.record["dateTime"] == NOW // 300 * 300
    published = {message.record["dateTime"] for message in messages}
    assert last.previous not in published
