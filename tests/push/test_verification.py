"""A site and its centre tell equal digests whatever databases they have, and a difference is found at either end."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from samesky.push.cache_file import FILE_NAME
from samesky.push.databases import Database
from samesky.push.keys import Scope
from samesky.push.proof import Proof
from samesky.push.push_settings import PushSettings, TargetSettings
from samesky.push.pushing import open_pushing
from samesky.push.site_cache import SiteCache
from samesky.push.verification import verify
from stands.push_centre import make_empty
from stands.push_server import PushServer
from stands.push_site import DAY, PushSite, make_site

pytestmark = pytest.mark.slow

ROWS = 1200
STEP_S = 3600
"""Of three nodes, so that there are 16 days."""
DAY_S = 86_400
on_sqlite = pytest.mark.parametrize("stand", [("sqlite", "sqlite")], indirect=True, ids="-".join)


class Stand:
    """A site of one kind of database that pushes to a centre of another."""

    def __init__(self, folder: Path, site: PushSite, site_url: str, server: PushServer) -> None:
        server.central.sites.add("hill-farm")
        self.site = site
        self.server = server
        self.target = TargetSettings(name="centre", url=server.url, key=server.make_key("hill-farm", Scope.APPEND))
        self.settings = PushSettings(database=site_url, targets=(self.target,), state_dir=folder)
        self.cache = SiteCache(folder / FILE_NAME)

    def push(self) -> None:
        """Push everything."""
        with open_pushing(self.settings, self.target, self.cache) as pushing:
            pushing.run()

    def repair(self) -> Proof:
        """Send again what differs."""
        with open_pushing(self.settings, self.target, self.cache) as pushing:
            proof = pushing.repair(retry=True).tables["Reading"].proof
        assert proof is not None
        return proof

    def verify(self, *, deep: bool = False) -> Proof:
        """Compare the readings."""
        proof, _states = verify(self.settings, self.target, self.cache, deep=deep)
        return proof

    def at_centre(self, statement: str) -> int:
        """Execute SQL with names in double quotes in the centre's database; returns how many rows it concerned."""
        with Database(self.server.settings.database) as database, database.writing() as connection:
            words = statement.replace('"', "`") if database.dialect == "mysql" else statement
            return connection.exec_driver_sql(words).rowcount


@pytest.fixture(params=[("sqlite", "mysql"), ("mysql", "postgresql"), ("postgresql", "sqlite")], ids="-".join)
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    here, there = request.param
    for name in ("site", "centre"):
        (tmp_path / name).mkdir()
    url = make_empty(request, here, tmp_path / "site")
    with make_site(url) as site, PushServer(make_empty(request, there, tmp_path / "centre")) as server:
        made = Stand(tmp_path, site, url, server)
        yield made
        made.cache.close()


def test_whatever_the_databases_are_equal_rows_have_equal_digests_and_each_difference_is_found(stand: Stand) -> None:
    stand.site.fill(ROWS, step_s=STEP_S, types=(2,))
    stand.push()
    first = stand.verify()
    assert (first.same, first.rows, first.questions) == (True, ROWS, 1)
    for change in (_late_row, _other_value, _no_value, _moved, _hole, _other_value_there, _tiny_difference):
        change(stand)
        found = stand.verify()
        assert (found.same, found.different_groups) == (False, 1), change.__name__
        repaired = stand.repair()
        assert (repaired.same, repaired.resent_rows, repaired.extra_at_centre) == (True, 1, 0), change.__name__
        assert stand.verify().digest == repaired.digest
    assert stand.verify(deep=True).digest == stand.verify().digest


def test_rows_that_the_site_has_purged_stay_at_the_centre(stand: Stand) -> None:
    stand.site.fill(ROWS, step_s=STEP_S, types=(2,))
    stand.push()
    early = stand.site.execute(f'DELETE FROM "Reading" WHERE "time" < {_spell(DAY + 5 * DAY_S)}')
    proof = stand.verify()
    assert (proof.same, proof.rows, proof.extra_at_centre) == (True, ROWS - early, 0), "it isn't even looked at"
    middle = stand.site.execute(
        f'DELETE FROM "Reading" WHERE "time" >= {_spell(DAY + 7 * DAY_S)} AND "time" < {_spell(DAY + 8 * DAY_S)}'
    )
    proof = stand.verify()
    assert (proof.same, proof.extra_at_centre) == (True, middle)
    assert stand.at_centre('UPDATE "Reading" SET "nodeId" = "nodeId"') == ROWS


@on_sqlite
def test_a_row_that_the_centre_refuses_is_told_until_it_is_gone(stand: Stand) -> None:
    stand.site.fill(90, types=(2,))
    stand.push()
    stand.site.insert("Reading", {"time": 5, "nodeId": 70, "type": 2, "value": 1.0})  # a clock that was never set
    for _ in range(2):
        stand.push()
        proof = stand.verify()
        assert (proof.same, proof.refused, proof.different_groups) == (False, 1, 0)
        assert proof.examples == ("1970-01-01 70",)
        (refused,) = stand.cache.read_quarantine("centre", "Reading")
        assert (refused.key, refused.reason) == ((5, 70, 2), "past")
    stand.site.execute('DELETE FROM "Reading" WHERE "time" < \'1980-01-01 00:00:00\'')
    assert stand.verify().same
    assert stand.cache.read_quarantine() == []


@on_sqlite
def test_a_refused_row_leaves_the_quarantine_when_it_is_stored_after_all(stand: Stand) -> None:
    stand.site.fill(90, types=(2,))
    stand.site.insert("Reading", {"time": DAY + 33, "nodeId": 98, "type": 2, "value": 1.0})
    stand.site.insert("Reading", {"time": 5, "nodeId": 70, "type": 2, "value": 1.0})
    stand.push()
    assert {each.reason for each in stand.cache.read_quarantine()} == {"parent", "past"}
    stand.site.insert("Node", {"id": 98})
    stand.push()
    assert {each.reason for each in stand.cache.read_quarantine()} == {"past"}
    assert stand.verify().refused == 1


def _late_row(stand: Stand) -> None:
    stand.site.insert("Reading", {"time": DAY + 5 * DAY_S + 77, "nodeId": 70, "type": 2, "value": 0.1})


def _other_value(stand: Stand) -> None:
    _change_site(stand, 'SET "value" = 3.25', DAY + 3 * DAY_S)


def _no_value(stand: Stand) -> None:
    _change_site(stand, 'SET "value" = NULL', DAY + 4 * DAY_S)


def _moved(stand: Stand) -> None:
    _change_site(stand, 'SET "locationId" = 2', DAY + 6 * DAY_S)


def _hole(stand: Stand) -> None:
    assert stand.at_centre(f'DELETE FROM "Reading" WHERE {_row_at(DAY + 9 * DAY_S)}') == 1


def _other_value_there(stand: Stand) -> None:
    assert stand.at_centre(f'UPDATE "Reading" SET "value" = 1e300 WHERE {_row_at(DAY + 10 * DAY_S)}') == 1


def _tiny_difference(stand: Stand) -> None:
    assert stand.at_centre(f'UPDATE "Reading" SET "value" = 3.2500000001 WHERE {_row_at(DAY + 3 * DAY_S)}') == 1


def _change_site(stand: Stand, change: str, time_s: int) -> None:
    assert stand.site.execute(f'UPDATE "Reading" {change} WHERE {_row_at(time_s)}') == 1


def _row_at(time_s: int) -> str:
    """The condition for the row of node 70, of which there is one at a time, at either end."""
    return f'"nodeId" = 70 AND "time" >= {_spell(time_s)} AND "time" < {_spell(time_s + 1)}'


def _spell(time_s: int) -> str:
    return f"'{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S}'"
