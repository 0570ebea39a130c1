"""What the centre knows of its sites: heartbeats, backlogs, proofs, and how far each has come."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from samesky.core.strict import Refused
from samesky.push.building import BUILDING
from samesky.push.central_database import CentralDatabase
from samesky.push.databases import Database
from samesky.push.fleet import HEARTBEATS_KEPT_S, Heartbeat
from stands.push_centre import DAY, PushedSite

NOW = 1_700_050_000


class Clock:
    """A clock that is set by hand."""

    now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def central(tmp_path: Path, clock: Clock) -> Iterator[CentralDatabase]:
    with Database(f"sqlite:///{tmp_path / 'central.db'}") as database:
        central = CentralDatabase(database, BUILDING, clock=clock)
        central.ensure_schema()
        yield central


def beat(**more: object) -> Heartbeat:
    told = {"hostname": "logger", "version": "1.0", "localtime_s": NOW + 90, "backlog": 12, **more}
    return Heartbeat(**told)  # type: ignore[arg-type]


def test_a_site_that_was_never_heard_of_is_listed(central: CentralDatabase) -> None:
    central.sites.add("hill")
    (status,) = central.read_fleet()
    assert (status.site, status.heartbeat_s, status.pushed_s, status.tables, status.proofs) == (
        "hill",
        None,
        None,
        (),
        (),
    )
    assert status.describe() == "hill: never heard of"


def test_a_heartbeat_and_pages_say_how_a_site_is_doing(central: CentralDatabase, clock: Clock) -> None:
    site = PushedSite(central, "hill")
    site.push([(DAY, 69, 0, 1, 1.0), (DAY, 70, 0, 1, 1.0)], position=[DAY, 70, 0])
    clock.now += 60
    site.push([(DAY, 70, 0, 1, 1.0), (DAY + 1, 70, 0, 1, 1.0)], position=[DAY + 1, 70, 0])
    central.apply_heartbeat(site.id, beat(localtime_s=NOW + 90, proofs=[{"table": "Reading", "same": True}]))
    (status,) = central.read_fleet()
    assert (status.heartbeat_s, status.clock_ahead_s, status.backlog) == (NOW + 60, 30, 12)
    (table,) = status.tables
    assert (table.table, table.position, table.rows, table.pushed_s) == ("Reading", [DAY + 1, 70, 0], 3, NOW + 60)
    assert status.describe() == "hill: heard of 2023-11-15 12:07:40 UTC from logger, 12 rows to push, the same"
    told = status.as_dict()
    assert told["proofs"] == [{"table": "Reading", "same": True}]
    assert told["pushed_s"] == NOW + 60


def test_a_difference_that_was_proven_is_told(central: CentralDatabase) -> None:
    site = PushedSite(central, "hill")
    central.apply_heartbeat(site.id, beat(backlog=0, proofs=[{"same": False}, {"same": True}]))
    assert central.read_fleet()[0].describe().endswith("nothing left to push, 1 table differs")


def test_one_site_is_told_apart_from_the_others(central: CentralDatabase) -> None:
    hill, mill = PushedSite(central, "hill"), PushedSite(central, "mill")
    for site in (hill, mill):
        site.push([(DAY, 69, 0, 1, 1.0)], position=[DAY, 69, 0])
    assert [status.site for status in central.read_fleet()] == ["hill", "mill"]
    (status,) = central.read_fleet(mill.id)
    assert (status.site, len(status.tables)) == ("mill", 1)


def test_heartbeats_are_in_the_seeds_table_until_they_are_old(central: CentralDatabase, clock: Clock) -> None:
    hill, mill = PushedSite(central, "hill"), PushedSite(central, "mill")
    for site in (hill, mill, hill):
        central.apply_heartbeat(site.id, beat())
    assert hostnames(central) == [(hill.id, "logger"), (mill.id, "logger"), (hill.id, "logger")]
    clock.now += HEARTBEATS_KEPT_S + 1
    central.apply_heartbeat(hill.id, beat(hostname="new"))
    assert hostnames(central) == [(mill.id, "logger"), (hill.id, "new")]


def test_a_heartbeat_of_no_site_is_refused(central: CentralDatabase) -> None:
    with pytest.raises(Refused, match="no such site"):
        central.apply_heartbeat(7, beat())


def hostnames(central: CentralDatabase) -> list[tuple[int, str]]:
    history = central.tables.pushstatus
    with central.database.reading() as connection:
        asked = select(history.c.siteId, history.c.hostname).order_by(history.c.id)
        return [(site, name) for site, name in connection.execute(asked)]
