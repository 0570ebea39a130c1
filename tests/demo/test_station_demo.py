"""`samesky demo` as a user runs it: what it says, how it ends, and that it leaves nothing behind.

Most runs go on with the stations of an earlier one, which have two weeks of records; two make the year of records, and
one of them, with its page open, shows all of it.
"""

import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from samesky.demo.weewx_conf import AIR_BINDING, AIR_COLUMNS, ARCHIVE_INTERVAL_S, DATABASES, MAIN_BINDING
from samesky.demo.year import write_year
from stands.browser import Browser, Shown
from stands.demo_run import DEADLINE_S, DemoRun
from stands.waiting import wait_for

RECORDS = 4_000
COPY_PAGE = "stream/station/demo/wx_binding?of=copy"
SAME = re.compile(r"^The same: [89],\d{3} rows in 120 tables, every value of every row\.$", re.MULTILINE)
PROMPT_MS = ARCHIVE_INTERVAL_S * 500
ARRIVAL = re.compile(r"^  \d\d:\d\d:\d\d  (weather|air quality) .*  (\d+) ms$", re.MULTILINE)


class Run(DemoRun):
    """A run of this demo."""

    def __init__(self, folder: Path, *options: str, code: str = "", path: str | None = None) -> None:
        super().__init__(folder, "demo", *options, code=code, path=path)

    def station_pid(self, name: str) -> int:
        found = re.search(rf"^{name}: weewxd runs \(process (\d+)\)", self.text, re.MULTILINE)
        assert found, self.text
        return int(found[1])


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demo's temporary directory will be; after the test, no process may know it any more."""
    yield tmp_path
    assert find_processes(tmp_path) == []


def find_processes(folder: Path) -> list[str]:
    """Command lines of the processes, weewxd and broker, that were started with a file in ``folder``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # not a process, or one that has just ended
        if any(word.startswith(str(folder)) for word in words):
            found.append(" ".join(words))
    return found


@pytest.fixture
def earlier(folder: Path) -> Path:
    """The directory of an earlier run that ended before the copy had anything."""
    archive = folder / "earlier" / "primary" / "archive"
    archive.mkdir(parents=True)
    end = int(time.time()) - ARCHIVE_INTERVAL_S
    write_year(archive / DATABASES[MAIN_BINDING], count=RECORDS, end_time=end)
    write_year(archive / DATABASES[AIR_BINDING], count=RECORDS, end_time=end, schema=AIR_COLUMNS)
    return folder / "earlier"


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["mosquitto", "iotcore"])
def test_the_copy_catches_up_follows_and_is_the_same(folder: Path, earlier: Path, broker: str) -> None:
    with Run(folder, "--broker", broker, "--directory", str(earlier)) as run:
        wait_for(lambda: count_prompt(run.text) >= 2, DEADLINE_S, what="prompt records", explain=lambda: run.text)
        run.wait_for_text("Ctrl-C ends the demo.")
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 0, run.text
        text = run.text
    page, first, directory, broker_line, *_, last = text.splitlines()
    assert re.fullmatch(
        r"Page: http://127\.0\.0\.1:\d+/ shows what follows as it happens; open it in a browser\.", page
    )
    assert first.startswith("A real WeeWX station with a year of records, and an empty copy")
    assert "Ctrl-C ends it" in first
    assert directory == f"Directory: {earlier} (kept)"
    assert re.match(rf"Broker: {broker} on 127\.0\.0\.1, port \d+", broker_line)
    assert "The stations of an earlier run are there, and go on." in text
    assert re.search(r"^Caught up: 8,00\d records in ", text, re.MULTILINE), text
    # The first may come before the copy's WeeWX has an archive period to end; a copy that stays behind shows in all.
    late = [delay_ms for delay_ms in read_delays_ms(text) if delay_ms >= PROMPT_MS]
    assert len(late) <= 1, f"records waited for the next archive period: {late}"
    assert_the_same(text)
    assert SAME.search(text)
    assert last == "Ended."


def read_delays_ms(text: str) -> list[int]:
    """How long each weather record took."""
    return [int(ms) for label, ms in ARRIVAL.findall(text) if label == "weather"]


def count_prompt(text: str) -> int:
    """How many weather records came in less than half an archive period."""
    return sum(delay_ms < PROMPT_MS for delay_ms in read_delays_ms(text))


@pytest.mark.slow
def test_it_ends_by_itself_after_so_many_seconds(folder: Path, earlier: Path) -> None:
    with Run(folder, "--seconds", "20", "--directory", str(earlier)) as run:
        assert run.wait() == 0, run.text
    assert "ends after 20 seconds" in run.text.splitlines()[1]
    assert_the_same(run.text)
    assert SAME.fullmatch(run.text.splitlines()[-1])


def assert_the_same(text: str) -> None:
    """It has shown that nothing differs, in neither binding."""
    assert re.findall(r"  (archive|daily summaries|metadata) .* 0 +(the same|differs) *$", text, re.M) == [
        (what, "the same") for what in ("archive", "daily summaries", "metadata") * 2
    ]


@pytest.mark.slow
def test_a_table_that_differs_is_found_and_told(folder: Path, earlier: Path) -> None:
    database = earlier / "copy/archive" / DATABASES[MAIN_BINDING]
    database.parent.mkdir(parents=True)
    shutil.copy(earlier / "primary/archive" / DATABASES[MAIN_BINDING], database)
    with closing(sqlite3.connect(database)) as connection, connection:
        # A record would be mended before anybody compares; this table only the demo looks at.
        connection.execute("INSERT INTO archive_day__metadata VALUES ('stray', '1')")
    with Run(folder, "--seconds", "1", "--directory", str(earlier)) as run:
        assert run.wait() == 1, run.text
    assert "samesky: 1 of 120 tables differ" in run.text
    assert "weather: archive_day__metadata: 1 row only at the copy" in run.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signal_number", "after", "status"),
    [
        (signal.SIGINT, "Making", 130),
        (signal.SIGINT, "Copy: weewxd runs", 130),
        (signal.SIGHUP, "Catching up", 143),
    ],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_a_signal_ends_it_and_nothing_is_left(
    folder: Path, signal_number: signal.Signals, after: str, status: int
) -> None:
    with Run(folder) as run:
        run.wait_for_text(after)
        run.process.send_signal(signal_number)
        assert run.wait() == status, run.text
    assert not list(folder.glob("samesky-demo-*"))
    assert "Traceback" not in run.text


@pytest.mark.slow
def test_a_signal_ends_it_while_it_is_live_and_what_is_to_be_kept_is(folder: Path, earlier: Path) -> None:
    with Run(folder, "--directory", str(earlier)) as run:
        run.wait_for_text("Live records")
        run.process.send_signal(signal.SIGTERM)
        assert run.wait() == 143, run.text
    assert "Traceback" not in run.text
    with closing(sqlite3.connect(earlier / "copy/archive/weewx.sdb")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM archive").fetchone()[0] >= RECORDS


@pytest.mark.slow
def test_the_page_shows_the_calendar_filling_and_ctrl_c_after_the_comparison_ends_it_all(folder: Path) -> None:
    with Browser() as browser, Run(folder) as run:  # in this order: the pages are open before the year is made
        url = run.page_url()
        with browser.open(url) as overview, browser.open(f"{url}{COPY_PAGE}") as station:
            assert count_complete_days(station) == 0
            overview.wait_for("Catching up", 300)
            wait_for(lambda: count_complete_days(station) > 300, 300, what="a full calendar", explain=station.text)
            overview.wait_for("Both copies are the same", 180)
            station.wait_for("The same")
            run.wait_for_text("Both stay live. Ctrl-C ends the demo.")
            for path, statement in re.findall(r'^  sqlite3 (\S+) "(.*)"$', run.text, re.MULTILINE):
                with closing(sqlite3.connect(path, timeout=20)) as connection, connection:
                    assert connection.execute(statement).rowcount > 0
            station.wait_for("records were missing here", 180)
            station.wait_for("1 record was different", 180)
            overview.wait_for("Both copies are the same", 180)
            assert (overview.complaints, station.complaints) == ([], [])
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 0, run.text
    assert run.text.splitlines()[-1] == "Ended."
    assert f"\nDirectory: {folder}/samesky-demo-" in run.text
    assert re.search(r"^Caught up: 210,24\d records in ", run.text, re.MULTILINE), run.text
    assert_the_same(run.text)
    assert re.search(r"^The same: 25\d,\d{3} rows in 120 tables, every value of every row\.$", run.text, re.MULTILINE)
    assert not list(folder.glob("samesky-demo-*"))


def count_complete_days(station: Shown) -> int:
    """What the calendar says; the page isn't loaded again for that."""
    found = re.search(r"(\d+) days? complete", station.text())
    return int(found[1]) if found else 0


@pytest.mark.slow
def test_a_kill_takes_the_stations_and_the_broker_along(folder: Path, earlier: Path) -> None:
    with Run(folder, "--directory", str(earlier)) as run:
        run.wait_for_text("Catching up")
        run.process.kill()
        run.wait()
    wait_for(lambda: not find_processes(folder), 90, what="the end of every process")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Primary", "Copy"])
def test_a_station_that_dies_is_told_with_the_end_of_its_log(folder: Path, earlier: Path, name: str) -> None:
    with Run(folder, "--directory", str(earlier)) as run:
        run.wait_for_text("Live records")
        os.kill(run.station_pid(name), signal.SIGKILL)
        assert run.wait() == 3, run.text
    assert f"samesky: the {name.lower()}'s weewxd has ended with status -9" in run.text
    assert "INFO weewx" in run.text.partition("--- the end of ")[2]


def test_without_weewx_it_says_how_to_get_it(folder: Path) -> None:
    code = "import sys; sys.modules['weewx'] = None; from samesky.cli.main import main; sys.exit(main(sys.argv[1:]))"
    with Run(folder, code=code) as run:
        assert run.wait() == 2
    assert run.text.startswith("samesky: WeeWX isn't installed for ")
    assert "pip install 'samesky[demo]'" in run.text


def test_without_a_broker_it_says_how_to_get_one(folder: Path) -> None:
    code = (
        "import sys; sys.modules['iotcore'] = None; from samesky.link import broker; broker.MOSQUITTO_PLACES = (); "
        "from samesky.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    with Run(folder, code=code, path="/nowhere") as run:
        assert run.wait() == 2
    assert run.text.startswith("samesky: there is no MQTT broker on this machine")
    assert "apt install mosquitto" in run.text
    assert not list(folder.glob("samesky-demo-*"))
