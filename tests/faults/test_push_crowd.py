"""A hundred sites push at once to one server, which is killed twice: every row of every site arrives, once."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.demo.push_sites import DAY_S, PLACES, read_centre, read_site, remove_readings, write_site
from stands.push_crowd import Crowd
from stands.push_meaning import count_rows
from stands.push_serving import ServedCentre
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

SITES = 100
HOURS = 6
DEADLINE_S = 300
UNTIL_S = 1_790_035_200


def test_every_row_of_a_hundred_sites_arrives_once_though_the_server_is_killed_twice(tmp_path: Path) -> None:
    central = tmp_path / "centre" / "central.db"
    with ServedCentre(tmp_path / "centre", f"sqlite:///{central}", options="requests_per_s = 10000") as centre:
        crowd = Crowd(tmp_path, centre, write=write_small_site, count=SITES)
        everything = sum(site.rows for site in crowd.sites)
        with crowd:

            def wait_for_rows(share: float) -> None:
                wait_for(
                    lambda: count_rows(centre.database_url, "Reading") > share * everything,
                    DEADLINE_S,
                    what=f"{share:.0%} of the rows",
                    explain=lambda: crowd.text + centre.log_text[-2000:],
                )

            for share in (0.1, 0.5):
                wait_for_rows(share)
                centre.kill()
                centre.start()
            crowd.wait(DEADLINE_S)
        assert count_rows(centre.database_url, "Reading") == everything
    for site in crowd.sites:
        assert read_site(site.path) == read_centre(central, site.name), site.name


def write_small_site(path: Path, name: str) -> int:
    """Each has one of two sets of numbers for the same things, and its own values; returns how many readings."""
    number = int(name.rpartition("-")[2])
    place = replace(PLACES[number % 2], name=name, address=f"{number} Long Road")
    count = write_site(path, place, days=1, until_s=UNTIL_S)
    with closing(sqlite3.connect(path)) as connection, connection:
        for *_, node in place.rooms:
            count -= remove_readings(connection, node, from_s=UNTIL_S - DAY_S, until_s=UNTIL_S - HOURS * 3600)
        connection.execute("UPDATE Reading SET value = value + ?", (number / 1024,))
    return count
