"""`samesky station calendar`: the days of a station's database in the terminal, as a picture and for programs."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from samesky.cli.main import main
from stands.web_station import WebStation, write_station

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def station(tmp_path: Path) -> WebStation:
    made = write_station(tmp_path, days=40)
    made.tell_well()
    return made


@pytest.fixture
def run(station: WebStation, capsys: pytest.CaptureFixture[str]) -> Run:
    """Types the command; returns its exit status, and what it said."""

    def type_command(*words: object) -> tuple[int, str, str]:
        status = main(["station", "calendar", "--config", str(station.config), *map(str, words)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return type_command


def test_every_day_has_a_mark_and_the_marks_are_explained(run: Run) -> None:
    status, shown, _ = run()
    assert status == 0
    assert "home/wx_binding (copy)" in shown
    assert shown.count("■") >= 35
    assert "□ missing: no record" in shown


def test_days_without_records_and_days_that_differ_are_told_apart(station: WebStation, run: Run) -> None:
    station.lose(20.5, 3)
    station.find_different(3)
    station.write_snapshots()
    status, shown, _ = run("--json")
    (calendar,) = json.loads(shown)
    states = {each["date"]: each["state"] for each in calendar["days"]}
    assert states[station.day(19)] == "missing"
    assert calendar["days_in_state"]["missing"] >= 2
    assert (status, calendar["role"], calendar["count"]) == (0, "requester", 40 * 24 - 72)


def test_the_primary_has_a_calendar_too(station: WebStation, run: Run) -> None:
    station.lose(20.5, 3)
    _, shown, _ = run("--of", "primary", "--json")
    (calendar,) = json.loads(shown)
    assert (calendar["role"], calendar["count"]) == ("responder", 40 * 24)


def test_the_picture_stands_by_itself_and_says_what_it_shows(run: Run, tmp_path: Path) -> None:
    status, _, _ = run("--svg", tmp_path / "calendar.svg")
    root = ET.fromstring((tmp_path / "calendar.svg").read_text(encoding="utf-8"))
    space = {"svg": "http://www.w3.org/2000/svg"}
    assert status == 0
    assert root.findtext("svg:title", namespaces=space) == "Records of home/wx_binding, day by day"
    assert "records from" in (root.findtext("svg:desc", namespaces=space) or "")
    assert ".cell" in (root.findtext("svg:style", namespaces=space) or "")
    assert "http" not in "".join(root.itertext())


def test_a_stream_that_has_no_database_here_is_said_so(run: Run) -> None:
    status, _, told = run("--stream", "home/other")
    assert status == 2
    assert "has no station's database for home/other" in told
