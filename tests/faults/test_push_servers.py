"""A site on MariaDB, centres on PostgreSQL and MariaDB; the server is killed, the way cut: every row arrives once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.demo.push_sites import PLACES, write_site
from stands.mariadb import MariadbServer
from stands.postgresql import PostgresqlServer
from stands.push_bulk import fill_site, mariadb_url
from stands.push_meaning import count_rows, read_meaning
from stands.push_proxy import PushProxy
from stands.push_runs import SiteCommands
from stands.push_serving import ServedCentre
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

ROWS = 200_000
PAGE_ROWS = 2_000
DEADLINE_S = 180
SOME_BYTES, FEW_BYTES = 50_000, 20_000
"""A part of what the readings take on their way: some 3.5 bytes each."""


@pytest.fixture(scope="module")
def site_url(mariadb: MariadbServer) -> str:
    """A database with 200,000 readings, their values in FLOAT."""
    made = mariadb.create_database()
    fill_site(mariadb, made.name, ROWS)
    return mariadb_url(made)


@pytest.fixture(params=["postgresql", "mysql"])
def centre(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedCentre]:
    """A centre that runs."""
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        url = server.create_database().url
    else:
        made = request.getfixturevalue("mariadb").create_database()
        url = mariadb_url(made)
    with ServedCentre(tmp_path / "centre", url) as running:
        yield running


def test_every_row_arrives_once_though_the_server_is_killed_twice_and_the_way_is_cut(
    tmp_path: Path, site_url: str, centre: ServedCentre
) -> None:
    key = centre.add_site("field")
    with PushProxy(centre.port) as proxy:
        site = SiteCommands(
            tmp_path / "site", site_url, centre_url=proxy.url, key=key, target_options=f"page_rows = {PAGE_ROWS}"
        )
        proxy.hold_after(SOME_BYTES)
        running = site.launch("run")

        def explain() -> str:
            return running.text + centre.log_text[-2000:]

        wait_for(lambda: proxy.holds == 1, DEADLINE_S, what="the first pages", explain=explain)
        centre.kill()
        centre.start()
        proxy.cut_after(SOME_BYTES)
        proxy.hold_after(2 * SOME_BYTES)
        proxy.go_on()
        wait_for(lambda: proxy.cuts == 1, DEADLINE_S, what="the cut", explain=explain)
        wait_for(lambda: proxy.holds == 2, DEADLINE_S, what="further pages", explain=explain)
        assert 0 < count_rows(centre.database_url, "Reading") < ROWS
        centre.kill()
        centre.start()
        proxy.go_on()
        finished = running.wait(DEADLINE_S)
        verified = site.call("verify")
    assert finished.status == 0, str(finished) + centre.log_text[-2000:]
    assert count_rows(centre.database_url, "Reading") == ROWS
    assert read_meaning(site_url) == read_meaning(centre.database_url, site="field")
    assert verified.status == 0, str(verified)


def test_a_centre_waits_for_its_database_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    rows = write_site(path, PLACES[0], days=10, until_s=1_790_035_200)
    with (
        PostgresqlServer(tmp_path / "postgresql") as postgresql,
        ServedCentre(tmp_path / "centre", postgresql.create_database().url) as centre,
        PushProxy(centre.port) as proxy,
    ):
        key = centre.add_site("field")
        site = SiteCommands(
            tmp_path / "site",
            f"sqlite:///{path}",
            centre_url=proxy.url,
            key=key,
            target_options="page_rows = 500",
        )
        proxy.hold_after(FEW_BYTES)
        running = site.launch("run")
        wait_for(lambda: proxy.holds == 1, DEADLINE_S, what="the first pages", explain=lambda: running.text)
        postgresql.kill()
        proxy.go_on()
        postgresql.start()
        finished = running.wait(DEADLINE_S)
        assert finished.status == 0, str(finished) + centre.log_text[-2000:]
        assert count_rows(centre.database_url, "Reading") == rows
        assert read_meaning(f"sqlite:///{path}") == read_meaning(centre.database_url, site="field")
        assert "Traceback" not in centre.log_text
