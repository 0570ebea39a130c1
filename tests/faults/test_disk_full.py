"""A copy whose disk runs full: it stays whole, says so, and goes on when there is room again."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.agreement import CopySettings
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.location import SqliteLocation
from samesky.station.requester import Asking
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.state import State
from stands.databases import SqliteDatabase, query
from stands.rows import find_differences, read_count
from stands.small_disk import SmallDisk, mounted_disk
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

STREAM = "home/wx_binding"
REQUESTS = ("replicate/request/home",)
ANSWERS = "replicate/response/copy"
COUNT = 20_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with mounted_disk(tmp_path / "disk", "3m") as disk:
        yield disk


def test_a_full_disk_loses_nothing_and_room_is_used_again(
    tmp_path: Path, disk: SmallDisk, broker: MosquittoBroker
) -> None:
    primary, copy = SqliteDatabase(tmp_path / "primary.sdb"), SqliteDatabase(disk.folder / "copy.sdb")
    write_year(primary.path, count=COUNT, end_time=int(time.time()) - 3600)
    served = ServeSettings("home", (ServedBinding("wx_binding", SqliteLocation(primary.path)),), REQUESTS)
    followed = FollowSettings(
        (CopySettings(STREAM, SqliteLocation(copy.path), create=True),), {STREAM: Asking(ANSWERS, REQUESTS)}, ANSWERS
    )

    def link(name: str) -> MqttSettings:
        return MqttSettings(client_id=name, host="127.0.0.1", port=broker.port)

    with (
        Serving(served, lambda topics, on_event: MqttLink(link("primary"), topics, on_event)),
        Following(
            followed, lambda topics, on_event: MqttLink(link("copy"), topics, on_event), state=State(None)
        ) as following,
    ):

        def trouble() -> str:
            snapshot = following.snapshots()[0]
            return f"{snapshot.last_error} {snapshot.hint}"

        # It tries again every few seconds, and has no trouble while it does.
        told = wait_for(lambda: "full" in (now := trouble()) and now, 60, what="the full disk", explain=trouble)
        assert "Make room" in str(told)
        stored = read_count(copy)
        assert 0 < stored < COUNT
        assert query(copy, "PRAGMA integrity_check") == [("ok",)]
        disk.grow("64m")
        wait_for(lambda: read_count(copy) > stored, 60, what="more records once there is room", explain=trouble)
        assert following.wait_caught_up(60)
        wait_for(lambda: not find_differences(primary, copy), 60, what="a copy that is equal")
        wait_for(lambda: following.snapshots()[0].last_error is None, 60, what="no trouble any more", explain=trouble)
