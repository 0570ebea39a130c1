"""docs/contributing.md tells the life of a record, file by file: a real one is followed, and passes these files.

Two WeeWX engines with their services and drivers, in this process, and a broker between them. While the record is on
its way, every call on every thread is noted by the file it goes to.
"""

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import weecfg
import weewx.engine

import samesky
from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.station.written_state import read_written
from stands.databases import SqliteDatabase
from stands.pairs import main_binding, make_copy, make_primary
from stands.waiting import wait_for
from stands.weewx_station import WeewxStation

pytestmark = pytest.mark.slow

PACKAGE = str(Path(samesky.__file__).parent)
GUIDE = Path(__file__).parents[2] / "docs" / "contributing.md"
COUNT = 500
INTERVAL_S = 300
DEADLINE_S = 60


def read_files() -> tuple[list[str], list[str]]:
    """The files that the guide says a record passes, in order; and those that are at work beside it."""
    (section,) = re.findall(r"^## The life of a record$(.*?)^## ", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    way, beside = section.split("\nBeside it,")
    return re.findall(r"`(\w+/\w+\.py)`", way.partition("At the **primary**")[2]), re.findall(
        r"`(\w+/\w+\.py)`", beside
    )


class Footprints:
    """The files of the package in which something was called while `on`, by any thread begun after `start`."""

    def __init__(self) -> None:
        self.on = False
        self.files: set[str] = set()

    def note(self, frame: FrameType, event: str, argument: object) -> None:
        """What Python calls at each call and return."""
        if self.on and event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            self.files.add(frame.f_code.co_filename[len(PACKAGE) + 1 :])

    @contextmanager
    def watch_here(self) -> Iterator[None]:
        """Note what this thread does, too."""
        sys.setprofile(self.note)
        try:
            yield
        finally:
            sys.setprofile(None)


@pytest.fixture
def footprints() -> Iterator[Footprints]:
    made = Footprints()
    threading.setprofile(made.note)
    yield made
    threading.setprofile(None)  # type: ignore[arg-type]


class Engine:
    """A station's WeeWX, whose loop is the test."""

    def __init__(self, station: WeewxStation) -> None:
        _, config = weecfg.read_config(str(station.config_path))
        self.engine = weewx.engine.StdEngine(config)
        self.archive = next(each for each in self.engine.service_obj if isinstance(each, weewx.engine.StdArchive))

    def start(self) -> None:
        self.engine.dispatchEvent(weewx.Event(weewx.STARTUP))

    def record(self, record: dict[str, Any]) -> None:
        """As when its instrument has a record."""
        self.engine.dispatchEvent(weewx.Event(weewx.NEW_ARCHIVE_RECORD, record=record, origin="hardware"))

    def ask_instrument(self) -> None:
        """What it does at the end of an archive interval."""
        self.archive._catchup(self.engine.console.genArchiveRecords)

    def newest(self) -> int:
        return self.engine.db_binder.get_manager("wx_binding").lastGoodStamp() or 0

    def close(self) -> None:
        self.engine.shutDown()


@pytest.fixture
def engines(tmp_path: Path, broker: MosquittoBroker, footprints: Footprints) -> Iterator[tuple[Engine, Engine]]:
    """A primary with some days of records, and a copy that has been proven to have them."""
    end = int(time.time()) // INTERVAL_S * INTERVAL_S - 2 * INTERVAL_S
    year = SqliteDatabase(tmp_path / "primary.sdb")
    write_year(year.path, count=COUNT, end_time=end)
    patience = {"archive_max_tries": "1", "archive_wait_before_retry": "0.2"}
    with (
        make_primary(tmp_path / "primary", [main_binding(year)], port=broker.port) as one,
        make_copy(
            tmp_path / "copy", [main_binding(SqliteDatabase(tmp_path / "copy.sdb"))], port=broker.port, options=patience
        ) as other,
        closing(Engine(one)) as primary,
        closing(Engine(other)) as copy,
    ):
        primary.start()
        copy.start()
        wait_for(proven(tmp_path / "copy", end), DEADLINE_S, what="a copy that is proven the same")
        yield primary, copy


def proven(root: Path, until: int) -> Callable[[], bool]:
    """Whether it is written down that the copy below ``root`` is the same up to ``until``."""

    def look() -> bool:
        return any(each.snapshot.proven_through == until for each in read_written(root / "state"))

    return look


def test_a_record_passes_the_files_that_the_guide_says(
    engines: tuple[Engine, Engine], footprints: Footprints, tmp_path: Path
) -> None:
    primary, copy = engines
    new = primary.newest() + INTERVAL_S
    footprints.on = True
    with footprints.watch_here():
        primary.record({"dateTime": new, "usUnits": weewx.US, "interval": INTERVAL_S // 60, "outTemp": 33.0})
    while copy.newest() < new:
        with footprints.watch_here():
            copy.ask_instrument()
    wait_for(proven(tmp_path / "copy", new), DEADLINE_S, what="the proof that the copy has the record")
    footprints.on = False
    way, beside = read_files()
    assert set(way) - footprints.files == set(), "the guide names files that the record didn't pass"
    assert footprints.files - {*way, *beside} == set(), "the record passed files that the guide doesn't name"


def test_the_guide_names_no_file_twice() -> None:
    way, beside = read_files()
    assert len(way) > 30
    assert len({*way, *beside}) == len(way) + len(beside)
