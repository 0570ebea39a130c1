"""A hundred sites that push at once to one server on PostgreSQL, which is killed twice meanwhile."""

import time
from dataclasses import replace
from pathlib import Path

from tests.stands.push_crowd import Crowd
from tests.stands.push_meaning import count_rows, read_meaning
from tests.stands.push_serving import ServedCentre
from tests.stands.waiting import wait_for

from samesky.demo.push_sites import DAY_S, PLACES, write_site

from ..claims import Claim
from .databases import durable_postgresql

DEADLINE_S = 600
DAYS = 2
KILLED_AT = (0.2, 0.6)
UNTIL_S = 1_790_035_200 // DAY_S * DAY_S


def measure(folder: Path, *, sites: int) -> list[Claim]:
    """How long it takes, and whether every row of every site is there once."""
    with (
        durable_postgresql(folder) as postgresql,
        ServedCentre(folder / "centre", postgresql.create_database().url, options="requests_per_s = 10000") as centre,
    ):
        crowd = Crowd(folder, centre, write=_write, count=sites)
        everything = sum(site.rows for site in crowd.sites)
        began = time.monotonic()
        with crowd:
            for share in KILLED_AT:
                _wait_for_rows(centre, share * everything)
                centre.kill()
                centre.start()
            crowd.wait(DEADLINE_S)
        took_s = time.monotonic() - began
        lost = sum(not _is_same(centre, site.name, site.path) for site in crowd.sites)
        extra = count_rows(centre.database_url, "Reading") - everything
    what = f"{sites} sites at once, {everything:,} readings, the server killed twice"
    return [
        Claim(f"{what}: sites of which a reading isn't there, or another one", lost, "sites", at_most=0),
        Claim(f"{what}: readings too many", max(0, extra), "readings", at_most=0),
        Claim(f"{what}: from start to end", took_s, "s"),
    ]


def _write(path: Path, name: str) -> int:
    number = int(name.rpartition("-")[2])
    place = replace(PLACES[number % len(PLACES)], name=name, address=f"{number} Long Road")
    return write_site(path, place, days=DAYS, until_s=UNTIL_S)


def _wait_for_rows(centre: ServedCentre, rows: float) -> None:
    wait_for(lambda: count_rows(centre.database_url, "Reading") > rows, DEADLINE_S, what=f"{rows:.0f} rows")


def _is_same(centre: ServedCentre, name: str, path: Path) -> bool:
    return read_meaning(f"sqlite:///{path}") == read_meaning(centre.database_url, site=name)
