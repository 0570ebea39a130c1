"""No room for the sums, or for the quarantine: the records go on coming, the status says what is wrong, and nothing is
overwritten or deleted that couldn't be kept."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.agreement import CopySettings
from samesky.station.checks import CheckSettings
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.location import SqliteLocation
from samesky.station.quarantine import quarantine_path
from samesky.station.requester import Asking
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.state import State
from samesky.station.tree_store import TreeStore
from samesky.station.worker import MakeLink
from stands.databases import SqliteDatabase
from stands.rows import read_newest, read_rows
from stands.small_disk import SmallDisk, mounted_disk
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

STREAM = "home/wx_binding"
REQUESTS = ("replicate/request/home",)
ANSWERS = "replicate/response/copy"


class Pair:
    """A primary, and a copy that was proven the same, whose sums or quarantine are on the small disk."""

    def __init__(self, folder: Path, disk: SmallDisk, port: int, stack: ExitStack, *, small: str) -> None:
        self.disk = disk
        self.end = int(time.time()) // 300 * 300 - 6000
        self.primary, self.copy = SqliteDatabase(folder / "primary.sdb"), SqliteDatabase(folder / "copy.sdb")
        write_year(self.primary.path, count=2_000, end_time=self.end, schema="wview_small", summaries=False)
        location = SqliteLocation(self.copy.path)
        if small == "quarantine":
            quarantine_path(location, None, STREAM).symlink_to(disk.folder / "kept.sdb")
        sums = TreeStore(disk.folder if small == "sums" else folder / "state")
        stack.callback(sums.close)
        binding = ServedBinding("wx_binding", SqliteLocation(self.primary.path))
        served = ServeSettings("home", (binding,), REQUESTS, track_changes=True)
        self.serving = stack.enter_context(Serving(served, _linking("primary", port)))
        settings = FollowSettings(
            (CopySettings(STREAM, location, create=True),), {STREAM: Asking(ANSWERS, REQUESTS)}, ANSWERS
        )
        checks = CheckSettings(sums, folder, track_changes=True)
        self.following = stack.enter_context(
            Following(settings, _linking("copy", port), state=State(folder), checks=checks)
        )
        wait_for(self.is_proven, 60, what="the proof", explain=self.describe)

    def is_proven(self) -> bool:
        snapshot = self.following.snapshots()[0]
        return snapshot.proven_through == self.end and not snapshot.different

    @property
    def trouble(self) -> str:
        return str(self.following.snapshots()[0].last_error)

    def describe(self) -> str:
        return f"{self.following.snapshots()[0].describe()} {self.following.check_counts(STREAM)}"

    def fill(self) -> None:
        """Leave no room."""
        with (self.disk.folder / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass

    def change(self, database: SqliteDatabase, number: int) -> None:
        """Change a record by hand."""
        with database.connect() as connection:
            connection.execute("UPDATE archive SET outTemp = 99.5 WHERE dateTime = ?", (self.end - 300 * number,))

    def append(self) -> None:
        """The station archives a record; returns when the copy has it."""
        self.end += 300
        record = {"dateTime": self.end, "usUnits": 1, "interval": 5, "outTemp": 50.5}
        with self.primary.connect() as connection:
            names, marks = ", ".join(record), ", ".join("?" * len(record))
            connection.execute(f"INSERT INTO archive ({names}) VALUES ({marks})", tuple(record.values()))
        self.serving.publish_record(record)
        wait_for(lambda: read_newest(self.copy) == self.end, 60, what="the next record", explain=self.describe)

    def wait_until_mended(self) -> None:
        """With room again, the next record or two show the difference, which is mended."""
        (self.disk.folder / "filler").unlink()

        def mended() -> bool:
            self.following.request_check(STREAM)
            return read_rows(self.copy, "archive") == read_rows(self.primary, "archive")

        def proven() -> bool:
            self.following.request_check(STREAM)  # the record may have come during one, and the next is minutes off
            return self.is_proven()

        wait_for(mended, 60, what="the repair", explain=self.describe, every_s=0.5)
        self.append()
        wait_for(proven, 60, what="the proof", explain=self.describe, every_s=1)
        wait_for(lambda: self.trouble == "None", 60, what="no trouble", explain=self.describe)


def _linking(client_id: str, port: int) -> MakeLink:
    settings = MqttSettings(client_id=client_id, host="127.0.0.1", port=port)
    return lambda topics, on_event: MqttLink(settings, topics, on_event)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with mounted_disk(tmp_path / "disk", "2m") as disk:
        yield disk


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_without_room_for_the_quarantine_nothing_is_overwritten(
    tmp_path: Path, disk: SmallDisk, broker: MosquittoBroker, stack: ExitStack
) -> None:
    pair = Pair(tmp_path, disk, broker.port, stack, small="quarantine")
    pair.fill()
    before = read_rows(pair.copy, "archive")
    pair.change(pair.primary, 1000)
    pair.following.request_check(STREAM)
    pair.append()
    wait_for(lambda: "full" in pair.trouble, 60, what="the full disk", explain=pair.describe)
    assert "kept.sdb" in pair.trouble or "quarantine" in pair.trouble
    pair.append()
    assert before.items() <= read_rows(pair.copy, "archive").items()
    pair.wait_until_mended()


def test_without_room_for_the_sums_records_go_on_coming_and_nothing_is_called_proven_that_is_not(
    tmp_path: Path, disk: SmallDisk, broker: MosquittoBroker, stack: ExitStack
) -> None:
    pair = Pair(tmp_path, disk, broker.port, stack, small="sums")
    pair.fill()
    for _ in range(3):
        pair.append()
    same_until = pair.end  # the root of the last record may be compared after it is seen here, before the change
    pair.change(pair.copy, 1000)
    pair.append()
    wait_for(lambda: "full" in pair.trouble, 60, what="the full disk", explain=pair.describe)
    assert "sums" in pair.trouble
    pair.append()
    assert (pair.following.snapshots()[0].proven_through or 0) <= same_until
    assert pair.following.check_counts(STREAM)["given up"] < 5  # it isn't tried all the time
    pair.wait_until_mended()
