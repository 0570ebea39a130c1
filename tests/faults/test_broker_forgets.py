"""A broker that forgets everything after it acknowledged live records: the pages bring them."""

import time
from pathlib import Path

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.message import Link, OnEvent, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.agreement import CopySettings
from samesky.station.checks import CheckSettings
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.location import SqliteLocation
from samesky.station.requester import Asking
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.state import State
from samesky.station.tree_store import TreeStore
from samesky.station.worker import MakeLink
from stands.databases import SqliteDatabase
from stands.rows import find_differences
from stands.waiting import wait_for

STREAM = "home/wx_binding"
REQUESTS = ("replicate/request/home",)
ANSWERS = "replicate/response/copy"
LIVE = 1_500
HEALED_S = 10.0


def linking(client_id: str, port: int) -> MakeLink:
    def make(topics: tuple[Subscription, ...], on_event: OnEvent) -> Link:
        return MqttLink(MqttSettings(client_id=client_id, host="127.0.0.1", port=port), topics, on_event)

    return make


def follow(copy: SqliteDatabase, port: int) -> Following:
    settings = FollowSettings(
        (CopySettings(STREAM, SqliteLocation(copy.path), create=True),), {STREAM: Asking(ANSWERS, REQUESTS)}, ANSWERS
    )
    folder = copy.path.parent
    checks = CheckSettings(TreeStore(folder), folder)
    return Following(settings, linking("copy", port), state=State(folder), checks=checks)


@pytest.mark.slow
@pytest.mark.alone
def test_what_the_broker_acknowledged_and_forgot_is_there_within_seconds(tmp_path: Path) -> None:
    primary, copy = SqliteDatabase(tmp_path / "primary.sdb"), SqliteDatabase(tmp_path / "copy" / "copy.sdb")
    copy.path.parent.mkdir()
    end = int(time.time()) // 60 * 60 - LIVE * 60 - 3600
    write_year(primary.path, count=2_000, end_time=end, interval_s=60, schema="wview_small", summaries=False)
    served = ServeSettings("home", (ServedBinding("wx_binding", SqliteLocation(primary.path)),), REQUESTS)
    with (
        # Without the bound of a thousand, it holds all of them for the copy, which is away.
        MosquittoBroker(dir=tmp_path / "broker", persistence=False, options=["max_queued_messages 0"]) as broker,
        Serving(served, linking("primary", broker.port)) as serving,
    ):
        with follow(copy, broker.port) as following:
            assert following.wait_caught_up(60)
        archive(primary, serving, end)
        wait_for(lambda: serving.sent["live"] == LIVE, 60, what="1,500 live records", explain=lambda: str(serving.sent))
        broker.kill()  # all of them had its word
        broker.start()
        with follow(copy, broker.port) as following:
            wait_for(lambda: following._link.connected, 60, what="the connection")
            connected = time.monotonic()
            wait_for(lambda: not find_differences(primary, copy, summaries=False), 60, what="all records")
            healed_s = time.monotonic() - connected
            wait_for(lambda: following.snapshots()[0].proven_count == 2_000 + LIVE, 60, what="the proof")
    print(f"healed {healed_s:.1f} s after the connection")
    assert healed_s < HEALED_S


def archive(primary: SqliteDatabase, serving: Serving, after: int) -> None:
    """Archive `LIVE` records and have each published, as fast as the broker acknowledges."""
    with primary.connect() as connection:
        for number in range(1, LIVE + 1):
            record = {"dateTime": after + 60 * number, "usUnits": 1, "interval": 1, "outTemp": 50.5}
            names, marks = ", ".join(record), ", ".join("?" * len(record))
            connection.execute(f"INSERT INTO archive ({names}) VALUES ({marks})", tuple(record.values()))
            wait_for(lambda: serving._events.qsize() < 100, 60, what="room", every_s=0.005)
            serving.publish_record(record)
