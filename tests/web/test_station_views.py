"""What the page knows of a station's databases: gaps, losses, and a day's records at both ends."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from samesky.link.broker import MosquittoBroker
from samesky.link.mqtt import MqttLink
from samesky.station.found import FoundDay
from samesky.station.serving import Serving
from samesky.web.asking import NOT_YET
from samesky.web.chart import find_ticks
from samesky.web.found_section import gather_findings
from samesky.web.station_databases import read_roles, read_station_databases
from samesky.web.station_pages import render_station
from samesky.web.station_views import SHORT_FOR_S, Calendars
from stands.waiting import wait_for
from stands.web_station import WebStation, write_station

pytestmark = pytest.mark.slow

STREAM = "home/wx_binding"


class Timer:
    """A timer that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def station(tmp_path: Path) -> WebStation:
    made = write_station(tmp_path, days=30)
    made.tell_well()
    return made


@pytest.fixture
def served(tmp_path: Path, broker: MosquittoBroker) -> Iterator[WebStation]:
    station = write_station(tmp_path, days=30, port=broker.port)
    station.tell_well()
    responder, _, _ = read_roles(station.config)
    assert responder is not None
    with Serving(responder.serve, lambda topics, on_event: MqttLink(responder.mqtt, topics, on_event)) as serving:
        # A question that comes before the primary listens is asked again five seconds later.
        wait_for(lambda: all(each.state == "live" for each in serving.snapshots()), 60, what="the primary's connection")
        yield station


def test_records_that_were_proven_and_are_gone_are_told_with_what_to_type(station: WebStation) -> None:
    timer = Timer()
    calendars = Calendars([station.config], timer=timer)
    before = calendars.calendar(STREAM, station.now)
    assert before is not None
    assert (before.trouble, before.counts()["missing"]) == ("", 0)
    lost = station.lose(20.5, 3)
    for _ in range(3):
        timer.now += SHORT_FOR_S + 1
        after = calendars.calendar(STREAM, station.now)
    assert after is not None
    assert after.trouble == f"{len(lost)} records that were proven are gone from this copy"
    assert f"samesky repair --config {station.config} --stream {STREAM}" in after.todo
    assert sum(each.lost for each in after.days) == len(lost)
    assert not any(each.proven for each in after.days if each.lost)


def test_a_day_is_shown_with_the_primarys_records_beside_the_copys(served: WebStation) -> None:
    chosen = date.fromisoformat(served.day(3))
    noon = datetime(chosen.year, chosen.month, chosen.day, 12).timestamp()
    served.find_different(3)
    served.change(served.copy, "DELETE FROM archive WHERE dateTime > ? AND dateTime <= ?", noon, noon + 7200)
    served.change(served.copy, "INSERT INTO archive VALUES (?, 1, 60, 1, 2, 3, 4, 5, 6)", noon + 12_345)
    calendars = Calendars([served.config])
    # Who looks at the page while the primary is slow to answer loads it again, as it says.
    wait_for(lambda: (found := calendars.day(STREAM, chosen)) and found.why_not != NOT_YET, 60, what="an answer")
    day = calendars.day(STREAM, chosen)
    assert day is not None
    assert (day.why_not, day.columns[:3]) == ("", ("dateTime", "usUnits", "interval"))
    counts = day.counts()
    assert (counts["different"], counts["missing"], counts["extra"]) == (3, 2, 1)
    assert {name for pair in day.pairs for name in pair.differing} == {"outTemp"}
    assert counts["same"] == len(day.pairs) - 6


def test_without_a_broker_a_day_shows_the_copys_records_and_says_why(station: WebStation) -> None:
    day = Calendars([station.config]).day(STREAM, date.fromisoformat(station.day(3)))
    assert day is not None
    assert "broker" in day.why_not
    assert day.counts()["alone"] >= 20


@pytest.mark.parametrize("asked", ["", "1969", "x", "0{year}", "0{year}999999999", "{year}.0"])
def test_what_is_no_year_of_the_calendar_asks_for_the_newest(station: WebStation, asked: str) -> None:
    calendars = Calendars([station.config])
    coverage = calendars.calendar(STREAM, station.now)
    assert coverage is not None
    newest = coverage.years[0]
    page = render_station(STREAM, [], calendars, station.now, query={"year": asked.format(year=newest)})
    assert page is not None
    assert f"<h2>Days of {newest}</h2>" in page.body


def test_what_is_found_of_days_that_follow_each_other_is_one_finding() -> None:
    days = [1_748_736_000 + 86_400 * number for number in (0, 1, 2, 9)]
    found = [FoundDay(day, "missing", 24, 1000.0, 1060.0) for day in days]
    apart, together = sorted(gather_findings(found), key=lambda each: each.found.count)
    assert (apart.found.count, together.found.count) == (24, 72)
    assert (together.last - together.first).days == 2


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(19.9, 48.7, [10, 20, 30, 40, 50]), (0.0, 0.0, [-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6]), (998.1, 1003.9, None)],
)
def test_the_values_of_an_axis_are_round_and_hold_all_there_is(low: float, high: float, ticks: list[float]) -> None:
    found = find_ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    assert 3 <= len(found) <= 8
    assert ticks is None or found == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("station_type", "enable", "roles"),
    [
        ("MQTTReplicate", "false", ["requester"]),
        ("Simulator", "true", ["responder"]),
        ("MQTTReplicate", "true", ["responder", "requester"]),
    ],
)
def test_of_a_stanza_with_both_sections_only_those_in_use_have_a_database(
    tmp_path: Path, station_type: str, enable: str, roles: list[str]
) -> None:
    """The extension writes both sections. A copy's own database is no primary's, nor the other way round."""
    config = tmp_path / "weewx.conf"
    sections = {"Responder": f"enable = {enable}\n", "Requester": ""}
    stanza = "".join(f"[[{name}]]\n{more}[[[home]]]\n[[[[wx]]]]\ntype = main\n" for name, more in sections.items())
    config.write_text(
        f"WEEWX_ROOT = {tmp_path}\n[Station]\nstation_type = {station_type}\n[MQTTReplicate]\n{stanza}"
        "[DataBindings]\n[[wx]]\ndatabase = wx\n[Databases]\n[[wx]]\ndatabase_name = weewx.sdb\n"
        "database_type = SQLite\n[DatabaseTypes]\n[[SQLite]]\ndriver = weedb.sqlite\nSQLITE_ROOT = archive\n"
    )
    assert [each.role for each in read_station_databases(config)] == roles
