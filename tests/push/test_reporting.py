"""What `samesky push status` can say while a push goes, waits, fails and ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.core.strict import Reason
from samesky.errors import ConfigError, Unreachable
from samesky.push.building import BUILDING
from samesky.push.cache_file import FILE_NAME
from samesky.push.catalogue_plan import CataloguePlan
from samesky.push.mapping import Refusal, TablePlan
from samesky.push.proof import Proof
from samesky.push.push_settings import TargetSettings
from samesky.push.reporting import WRITTEN_EVERY_S, Reporting
from samesky.push.site_cache import SiteCache
from samesky.push.status import PushStatus
from samesky.push.steps import Poison, RunReport, RunStart, TableReport

START = RunStart(
    run=1, centre="c", site="hill farm", positions={}, catalogue=None, page_bytes=1, page_rows=1, time_s=0.0
)
PROOF = Proof(table="Reading", same=True, rows=5, rows_at_centre=5, digest="", at=100.0)
TARGET = TargetSettings(name="centre", url="http://127.0.0.1", key="abc.secret")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Iterator[SiteCache]:
    with SiteCache(tmp_path / FILE_NAME, clock=clock) as opened:
        yield opened


@pytest.fixture
def reporting(cache: SiteCache, clock: Clock) -> Reporting:
    made = Reporting(TARGET, BUILDING, cache, clock=clock)
    made.begin()
    return made


def report_of(**options: object) -> RunReport:
    reading = TableReport("Reading", **options)  # type: ignore[arg-type]
    return RunReport(START, None, {"Reading": reading})


def read(cache: SiteCache) -> PushStatus:
    status = cache.read_status("centre")
    assert status is not None
    return status


def test_progress_is_written_every_few_seconds_and_a_wait_at_once(
    reporting: Reporting, cache: SiteCache, clock: Clock
) -> None:
    reporting.write_progress(report_of(sent=10))
    reporting.write_progress(report_of(sent=20))
    assert read(cache).sent_rows == 10
    clock.now += WRITTEN_EVERY_S
    reporting.write_progress(report_of(sent=30))
    assert (read(cache).sent_rows, read(cache).rows_per_s, read(cache).state) == (30, 6.0, "pushing")
    reporting.write_progress(report_of(sent=30), error=Unreachable("no route", hint="look"))
    status = read(cache)
    assert (status.state, status.since, status.last_error, status.hint) == ("waiting", 1005.0, "no route", "look")
    assert "abc.secret" not in str(status)


def test_what_is_known_from_before_stays_when_a_run_fails(reporting: Reporting, cache: SiteCache, clock: Clock) -> None:
    reporting.backlogs = {"Reading": 0}
    reporting.write_end(report_of(position=(5, 1, 1), is_pushed=True, proof=PROOF))
    assert (read(cache).last_push_at, read(cache).site, read(cache).state) == (1000.0, "hill farm", "idle")
    clock.now += 600
    reporting.begin()
    reporting.write_end(RunReport(None, None, {"Reading": TableReport("Reading")}), error=Unreachable("gone"))
    status = read(cache)
    assert (status.last_push_at, status.site, status.state, status.last_error) == (1000.0, "hill farm", "idle", "gone")
    (reading,) = status.tables
    assert (reading.position, reading.backlog, reading.proof) == ((5, 1, 1), 0, PROOF)


def test_what_needs_somebody_stops_a_push_and_the_next_run_forgets_it(reporting: Reporting, cache: SiteCache) -> None:
    reporting.write_end(report_of(), error=ConfigError("no such key", hint="make one"))
    assert (read(cache).state, read(cache).hint) == ("stopped", "make one")
    reporting.begin()
    reporting.write_end(report_of(is_pushed=True))
    assert (read(cache).state, read(cache).last_error, read(cache).hint) == ("idle", "", "")


def test_a_table_that_was_given_up_is_no_push_of_everything(reporting: Reporting, cache: SiteCache) -> None:
    reporting.write_end(report_of(trouble=ConfigError("no such column")))
    assert (read(cache).last_push_at, read(cache).last_error) == (None, "no such column")


def test_refused_rows_of_readings_and_of_dimensions_are_told(reporting: Reporting, cache: SiteCache) -> None:
    cache.quarantine("centre").add([Poison("Reading", (1, 2, 3), {"time": 1}, Reason.PAST, "why")])
    plan = CataloguePlan.of(BUILDING, [TablePlan("Room", refused=(Refusal("Room", 7, Reason.AMBIGUOUS, "as room 8"),))])
    report = report_of(is_pushed=True)
    report.catalogue = plan
    reporting.write_end(report)
    assert read(cache).tables[0].quarantined == {"past": 1}
    assert read(cache).refused_dimensions == ("Room 7: as room 8",)
    assert not read(cache).is_well
    reporting.begin()
    reporting.write_end(report_of(is_pushed=True))  # an equal catalogue isn't sent when it was taken wholly
    assert read(cache).refused_dimensions == ()


def test_a_heartbeat_says_what_is_left_and_what_was_proven(reporting: Reporting) -> None:
    reporting.backlogs = {"Reading": 3, "NodeState": 4}
    told = reporting.describe_heartbeat(report_of(proof=PROOF))
    assert (told["backlog"], told["localtime"], told["proofs"]) == (7, 1000, [PROOF.as_dict()])
