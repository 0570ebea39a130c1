"""A site pushed to a served centre: every row arrives, what can't is told, and the figures agree."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from samesky.core.strict import Reason
from samesky.errors import ConfigError, DataError
from samesky.push.centre_client import CentreClient
from samesky.push.centre_errors import Denied, Fenced, NotTheCentre
from samesky.push.planning import read_plan
from samesky.push.pushing import Progress, Stopped
from stands.push_pair import PushPair, make_pair
from stands.push_server import PushServer
from stands.push_site import DAY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushServer]:
    with PushServer(f"sqlite:///{tmp_path_factory.mktemp('centre') / 'central.db'}") as running:
        yield running


@pytest.fixture
def pair(server: PushServer, tmp_path: Path) -> Iterator[PushPair]:
    with make_pair(server, tmp_path / "site") as made:
        yield made


def add(
    pair: PushPair, time: int, node: int = 69, kind: int = 0, *, location: int | None = 1, value: object = 1.5
) -> None:
    pair.site.insert("Reading", {"time": time, "nodeId": node, "type": kind, "locationId": location, "value": value})


def test_everything_arrives_and_is_proven_the_same(pair: PushPair) -> None:
    pair.site.fill(2000)
    pair.site.insert("NodeState", {"time": DAY, "nodeId": 69, "seq_num": 1, "rssi": -70})
    pair.adjust(page_rows=300)
    report = pair.run()
    reading, state = report.tables["Reading"], report.tables["NodeState"]
    assert (reading.sent, reading.accepted, reading.duplicate) == (2000, 2000, 0)
    assert pair.count_at_centre() == 2000
    assert reading.proof is not None
    assert (reading.proof.same, reading.proof.rows, reading.proof.rows_at_centre) == (True, 2000, 2000)
    assert (state.accepted, pair.count_at_centre("NodeState")) == (1, 1)
    assert report.exit_status == 0
    assert report.catalogue is not None
    assert report.catalogue.taken_wholly


def test_a_run_with_nothing_to_do_sends_the_lag_window_and_no_catalogue(pair: PushPair) -> None:
    pair.site.fill(900)  # 100 rounds of 5 minutes
    pair.run()
    again = pair.run().catalogue
    assert again is not None, "what has ended before the last push isn't active any more, and isn't sent"
    assert not any(table.created or table.changed for table in again.tables)
    report = pair.run()
    assert report.catalogue is None
    assert (report.tables["Reading"].sent, report.tables["Reading"].duplicate) == (9 * 13, 9 * 13)
    assert report.tables["Reading"].proof is not None
    assert report.tables["Reading"].proof.questions == 1


def test_late_and_corrected_rows_are_found_and_sent(pair: PushPair) -> None:
    rows = pair.site.fill(900)
    pair.run()
    add(pair, DAY + 1)
    pair.site.execute(
        f'UPDATE "Reading" SET "value" = 777.0 WHERE "nodeId" = 70 AND "type" = 2 AND "value" = {rows[4][4]!r}'
    )
    reading = pair.readings()
    assert reading.proof is not None
    assert (reading.proof.same, reading.proof.resent_rows) == (True, 2)
    assert (reading.accepted, reading.changed) == (1, 1)
    assert pair.count_at_centre() == 901


def test_rows_of_a_house_that_has_ended_bring_their_parents_with_them(pair: PushPair) -> None:
    pair.site.fill(90)
    pair.run()
    add(pair, DAY + 900_000, location=3)
    report = pair.run()
    assert report.tables["Reading"].accepted == 1
    assert report.exit_status == 0


def test_a_row_that_the_centre_refuses_is_put_away_and_told_once(pair: PushPair) -> None:
    pair.site.fill(90)
    add(pair, DAY + 1, value=float("inf"))
    report = pair.run()
    reading = report.tables["Reading"]
    assert reading.quarantined == {Reason.NONFINITE: 1}
    assert report.exit_status == 1
    assert pair.count_at_centre() == 90
    with pair.cache() as cache:
        (kept,) = cache.read_quarantine()
        status = cache.read_status("centre")
    assert (kept.table, kept.key, kept.reason) == ("Reading", (DAY + 1, 69, 0), "nonfinite")
    assert status is not None
    assert status.tables[0].quarantined == {"nonfinite": 1}
    again = pair.readings()
    assert again.quarantined == {}
    pair.site.execute('UPDATE "Reading" SET "value" = 2.5 WHERE "value" > 1e300')
    mended = pair.readings()
    assert mended.proof is not None
    assert mended.proof.same
    assert pair.count_at_centre() == 91
    with pair.cache() as cache:
        assert cache.read_quarantine() == []


def test_a_row_that_the_site_cant_tell_is_told_and_the_others_are_sent(pair: PushPair) -> None:
    pair.site.fill(90)
    pair.site.execute("""UPDATE "Reading" SET "value" = 'abc' WHERE "nodeId" = 70 AND "type" = 8""")
    report = pair.run()
    assert report.unfit == {("Reading", "value"): 10}
    assert report.exit_status == 1
    assert pair.count_at_centre() == 80
    words = "Reading: 10 rows have a value that isn't of its column's kind, and aren't sent"
    assert words in report.describe()
    with pair.cache() as cache:
        status = cache.read_status("centre")
    assert status is not None
    assert status.refused_dimensions == (words,)


def test_what_hangs_on_an_ambiguous_row_waits_until_that_is_settled(pair: PushPair) -> None:
    pair.site.insert("Room", {"id": 9, "name": "North", "roomTypeId": 1})  # as room 1, where location 1 is
    pair.site.insert("Location", {"id": 9, "houseId": 1, "roomId": 9})
    pair.site.fill(90)
    report = pair.run()
    reading = report.tables["Reading"]
    assert report.catalogue is not None
    assert not report.catalogue.taken_wholly
    assert set(reading.quarantined) == {Reason.PARENT}
    assert report.exit_status == 1
    assert 0 < pair.count_at_centre() < 90
    pair.site.execute("""UPDATE "Room" SET "name" = 'South' WHERE "id" = 9""")
    report = pair.run()
    assert report.exit_status == 0
    assert pair.count_at_centre() == 90


def test_another_run_of_the_site_ends_this_one(pair: PushPair) -> None:
    pair.site.fill(900)
    pair.adjust(page_rows=100)

    def begin_another(progress: Progress) -> None:
        if progress.done == 300:
            with CentreClient(pair.target, pair.settings.model) as other:
                other.begin_run()

    with pytest.raises(Fenced, match="another run") as caught:
        pair.run(on_progress=begin_another)
    assert caught.value.exit_status == 5
    assert pair.count_at_centre() == 300
    assert pair.readings().accepted == 600


def test_a_run_that_is_stopped_has_stored_whole_pages_and_goes_on_from_there(pair: PushPair) -> None:
    pair.site.fill(900)
    pair.adjust(page_rows=100)
    stop = Event()
    with pytest.raises(Stopped):
        pair.run(stop=stop, on_progress=lambda progress: stop.set() if progress.done == 300 else None)
    assert pair.count_at_centre() == 300
    with pair.cache() as cache:
        status = cache.read_status("centre")
    assert status is not None
    assert (status.state, status.last_push_at) == ("idle", None)
    assert pair.readings().accepted == 600


def test_progress_counts_up_to_the_total(pair: PushPair) -> None:
    pair.site.fill(900)
    pair.adjust(page_rows=100)
    told: list[Progress] = []
    pair.run(on_progress=told.append)
    counted = [(each.done, each.total) for each in told if each.total]
    assert counted == [(done, 900) for done in range(100, 1000, 100)]


def test_a_renamed_majority_is_taken_for_another_database_until_it_is_accepted(pair: PushPair) -> None:
    pair.site.fill(90)
    pair.run()
    pair.site.execute("""UPDATE "SensorType" SET "name" = 'new ' || "name" """)
    add(pair, DAY + 900_000)
    with pytest.raises(DataError, match="another database") as caught:
        pair.run()
    assert "--accept-renames" in caught.value.hint
    assert pair.count_at_centre() == 90
    with pair.cache() as cache:
        status = cache.read_status("centre")
    assert status is not None
    assert (status.state, "--accept-renames" in status.hint) == ("stopped", True)
    pair.adjust(accept_renames=True)
    pair.run()
    assert pair.count_at_centre() == 91


def test_rows_in_the_future_wait_and_are_told(pair: PushPair) -> None:
    add(pair, DAY)
    add(pair, DAY * 2)
    reading = pair.readings()
    assert (reading.accepted, reading.future, reading.quarantined) == (1, True, {})
    with pair.cache() as cache:
        status = cache.read_status("centre")
    assert status is not None
    assert status.backlog == 1


def test_a_plan_changes_nothing_and_disturbs_no_run(pair: PushPair) -> None:
    pair.site.fill(90)

    def plan(progress: Progress) -> None:
        if progress.done:
            assert read_plan(pair.settings, pair.target).rows["Reading"] < 90

    before = read_plan(pair.settings, pair.target)
    assert before.rows == {"Reading": 90, "NodeState": 0}
    assert any("to create" in line for line in before.describe())
    assert pair.count_at_centre("Node") == 0
    pair.adjust(page_rows=30)
    assert pair.run(on_progress=plan).exit_status == 0
    after = read_plan(pair.settings, pair.target)
    assert after.rows == {"Reading": 0, "NodeState": 0}
    assert not any("to create" in line for line in after.describe())


def test_a_repair_sends_what_differs_and_nothing_new(pair: PushPair) -> None:
    pair.site.fill(90)
    pair.run()
    add(pair, DAY + 1)
    add(pair, DAY + 900_000)
    with pair.open() as pushing:
        report = pushing.repair(deep=True)
    assert (report.tables["Reading"].accepted, report.exit_status) == (1, 0)
    assert pair.count_at_centre() == 91


def test_a_site_that_isnt_as_the_model_says_is_told_before_anything_is_sent(pair: PushPair) -> None:
    pair.site.execute('ALTER TABLE "Reading" RENAME COLUMN "value" TO "worth"')
    with pytest.raises(ConfigError, match="value"):
        pair.run()


def test_a_key_of_nobody_and_an_address_of_another_server_are_told_apart(pair: PushPair) -> None:
    pair.adjust(key="nobody.secret")
    with pytest.raises(Denied, match="doesn't take the key"):
        pair.run()
    pair.adjust(key=pair.key, url=f"{pair.server.url}/elsewhere")
    with pytest.raises((NotTheCentre, DataError)) as caught:
        pair.run()
    assert caught.value.hint


def test_a_centre_that_takes_small_bodies_gets_smaller_pages(tmp_path: Path) -> None:
    with (
        PushServer(f"sqlite:///{tmp_path / 'central.db'}", limits={"body_bytes": 6000}) as server,
        make_pair(server, tmp_path / "site") as pair,
    ):
        pair.site.fill(3000)
        assert pair.readings().accepted == 3000
        assert pair.count_at_centre() == 3000
