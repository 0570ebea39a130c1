"""The brain of a push: every row arrives once, in the right order, whatever the centre and the network answer."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stands.push_brain import NOW, READING, Driver, MemoryCentre, MemorySite, Row, pusher, reading

from samesky.core.strict import Reason
from samesky.errors import DataError, SameskyError, Unreachable
from samesky.push.building import BUILDING
from samesky.push.catalogue_plan import CataloguePlan
from samesky.push.centre_errors import Denied, FaultyRows, Fenced, MissingRows, NotNow, NotTheCentre, RefusedPage
from samesky.push.mapping import Refusal, TablePlan
from samesky.push.steps import Begin, Heartbeat, ReadPage, SendPage, SendRows, Step
from samesky.push.values import PageFault


def rows_of(count: int, *, per_second: int = 3) -> list[Row]:
    return [reading(NOW - 100_000 + place // per_second, node=place % per_second) for place in range(count)]


def push(site: MemorySite, centre: MemoryCentre, *, page_rows: int = 10, lag_window_s: int = 0) -> Driver:
    driver = Driver(site, centre)
    driver.drive(pusher(site, page_rows=page_rows, lag_window_s=lag_window_s).run())
    return driver


def failing(kind: type, errors: list[SameskyError]) -> Callable[[Step], None]:
    """Raises these, one after the other, at the steps of ``kind``."""

    def fail(step: Step) -> None:
        if isinstance(step, kind) and errors:
            raise errors.pop(0)

    return fail


def centre_rows(centre: MemoryCentre) -> list[Row]:
    return sorted(centre.rows.get("Reading", {}).values())


def test_pages_follow_one_another_though_many_rows_have_one_second() -> None:
    site, centre = MemorySite({"Reading": rows_of(95, per_second=30)}), MemoryCentre()
    push(site, centre)
    assert centre_rows(centre) == sorted(site.rows["Reading"])
    assert [rows for _, rows, _ in centre.pages] == [10] * 9 + [5]
    assert centre.positions["Reading"] == max(site.rows["Reading"])[:3]


def test_the_next_run_begins_where_the_centre_is_but_for_the_lag_window() -> None:
    site, centre = MemorySite({"Reading": rows_of(95)}), MemoryCentre()
    push(site, centre, page_rows=100)
    position = centre.positions["Reading"]
    site.rows["Reading"] += [reading(NOW - 50_000), reading(NOW - 100_000 + 30, node=7)]  # one new, one late
    centre.pages.clear()
    push(site, centre, page_rows=2, lag_window_s=3)
    assert centre_rows(centre) == sorted(site.rows["Reading"])
    sent = [rows for _, rows, _ in centre.pages]
    assert sum(sent) == 13, "the rows of the window, the late one and the new one"
    assert [position for _, _, position in centre.pages[:-1]] == [None] * (len(sent) - 1), "it never goes back"
    assert centre.pages[-1][2] == (NOW - 50_000, 1, 0)
    assert position != centre.positions["Reading"]


def test_the_page_that_follows_is_named_while_one_is_in_flight() -> None:
    site, centre = MemorySite({"Reading": rows_of(25)}), MemoryCentre()
    driver = push(site, centre)
    for place, step in enumerate(driver.steps):
        if isinstance(step, SendPage) and step.then is not None:
            assert driver.steps[place + 1] == step.then
    assert sum(isinstance(step, SendPage) and step.then is not None for step in driver.steps) == 2


@pytest.mark.parametrize("kind", [Begin, SendPage, ReadPage, Heartbeat])
def test_what_fails_for_a_while_is_done_again_after_growing_pauses(kind: type) -> None:
    site, centre = MemorySite({"Reading": rows_of(25)}), MemoryCentre()
    driver = Driver(site, centre, before=failing(kind, [Unreachable("gone")] * 4))
    driver.drive(pusher(site).run())
    assert centre_rows(centre) == sorted(site.rows["Reading"])
    assert driver.waits() == [0.375, 0.75, 1.5, 3.0]


def test_a_page_whose_answer_was_lost_is_sent_again_and_stored_once() -> None:
    site, centre = MemorySite({"Reading": rows_of(25)}), MemoryCentre()
    driver = Driver(site, centre, after=failing(SendPage, [Unreachable("lost")] * 2))
    report = driver.drive(pusher(site).run())
    assert centre_rows(centre) == sorted(site.rows["Reading"])
    told = report.tables["Reading"]
    assert (told.accepted, told.duplicate) == (15, 10)


def test_the_pause_that_the_centre_asks_for_is_made() -> None:
    site, centre = MemorySite({"Reading": rows_of(5)}), MemoryCentre()
    driver = Driver(site, centre, before=failing(SendPage, [NotNow("busy", wait_s=17.0)]))
    driver.drive(pusher(site).run())
    assert driver.waits() == [17.0]


@pytest.mark.parametrize(
    ("errors", "pauses"),
    [
        ([Unreachable("gone")] * 99, 7),
        ([NotNow("busy", wait_s=3600.0)], 0),
        ([Denied("no such key")], 0),
        ([NotTheCentre("404")], 0),
        ([Fenced("another run")], 0),
        ([DataError("broken")], 0),
    ],
)
def test_a_run_ends_when_waiting_is_no_use(errors: list[SameskyError], pauses: int) -> None:
    site, centre = MemorySite({"Reading": rows_of(25)}), MemoryCentre()
    driver = Driver(site, centre, before=failing(SendPage, list(errors)))
    with pytest.raises(type(errors[0])):
        driver.drive(pusher(site).run())
    assert len(driver.waits()) == pauses
    assert centre.rows == {}


def test_a_page_that_is_too_large_is_halved_and_so_are_those_that_follow() -> None:
    site, centre = MemorySite({"Reading": rows_of(95)}), MemoryCentre(most_rows=13)
    driver = push(site, centre, page_rows=40)
    assert centre_rows(centre) == sorted(site.rows["Reading"])
    assert [rows for _, rows, _ in centre.pages] == [10] * 9 + [5]
    positions = [position for _, _, position in centre.pages if position]
    assert positions == sorted(positions)
    assert sum(isinstance(step, SendPage) for step in driver.steps) == 10 + 3, "only the first page was too large"


def test_a_row_that_is_too_large_by_itself_goes_into_quarantine() -> None:
    site, centre = MemorySite({"Reading": rows_of(1)}), MemoryCentre(most_rows=0)
    push(site, centre)
    assert centre.positions["Reading"] == site.rows["Reading"][0][:3]
    assert [each.reason for each in site.kept.values()] == [Reason.SIZE]


@pytest.mark.parametrize("names_poison", [True, False])
def test_poison_goes_into_quarantine_and_the_rest_goes_on(names_poison: bool) -> None:
    rows = rows_of(95)
    bad = {rows[7], rows[8], rows[60], rows[94]}
    site = MemorySite({"Reading": rows})
    centre = MemoryCentre(is_poison=bad.__contains__, names_poison=names_poison)
    driver = push(site, centre)
    assert centre_rows(centre) == sorted(set(rows) - bad)
    assert set(site.kept) == {("Reading", *row[:3]) for row in bad}
    assert {each.reason for each in site.kept.values()} == {Reason.RANGE}
    assert centre.positions["Reading"] == rows[94][:3], "the position passes it, or it would be sent for ever"
    assert site.kept["Reading", *rows[7][:3]].row == dict(zip(READING.names, rows[7], strict=True))
    assert not driver.waits()


def test_what_is_in_quarantine_isnt_sent_again_until_it_changes() -> None:
    rows = rows_of(30)
    bad = rows[29]
    site, centre = MemorySite({"Reading": rows}), MemoryCentre(is_poison={bad}.__contains__)
    push(site, centre)
    driver = push(site, centre, lag_window_s=100)
    assert sum(isinstance(step, SendPage) for step in driver.steps) == 3, "no page was refused"
    site.rows["Reading"][29] = mended = (*bad[:4], 1.0)
    push(site, centre, lag_window_s=100)
    assert mended in centre_rows(centre)


def test_a_centre_that_refuses_every_page_is_no_reason_to_put_all_rows_away() -> None:
    site = MemorySite({"Reading": rows_of(500), "NodeState": [(NOW - 9, 1, 1, None, None, -70)]})
    centre = MemoryCentre(is_poison=lambda row: len(row) == 5, names_poison=False)
    report = Driver(site, centre).drive(pusher(site, page_rows=100).run())
    assert len(site.kept) < 30
    assert isinstance(report.tables["Reading"].trouble, RefusedPage)
    assert not report.tables["Reading"].is_pushed
    assert report.tables["NodeState"].is_pushed, "the other table goes on"
    assert centre.positions.get("Reading") is None or centre.positions["Reading"] < rows_of(500)[30]


def test_a_centre_that_blames_rows_which_werent_sent_gets_no_more_of_the_table() -> None:
    site, centre = MemorySite({"Reading": rows_of(25)}), MemoryCentre()
    faults = [PageFault(10, "value", Reason.RANGE, "too large")]
    driver = Driver(site, centre, before=failing(SendPage, [FaultyRows(faults)]))
    report = driver.drive(pusher(site).run())
    assert isinstance(report.tables["Reading"].trouble, RefusedPage)
    assert not site.kept
    assert not centre.pages


def test_a_table_that_the_centre_doesnt_know_is_given_up_at_once() -> None:
    site, centre = MemorySite({"Reading": rows_of(500)}), MemoryCentre()
    driver = Driver(site, centre, before=failing(SendPage, [RefusedPage("no such column", Reason.COLUMN)]))
    report = driver.drive(pusher(site).run())
    assert str(report.tables["Reading"].trouble) == "no such column"
    assert not site.kept


def test_rows_that_the_centre_misses_are_sent_and_the_page_again() -> None:
    rows = [reading(NOW - 99, node=69, kind=3), reading(NOW - 98, node=70, kind=3, location=None)]
    site = MemorySite({"Reading": rows}, {"Node": {69, 70}, "SensorType": {3}, "Location": {5}})
    centre = MemoryCentre(known={})
    driver = push(site, centre)
    assert centre_rows(centre) == rows
    asked = [step.wanted for step in driver.steps if isinstance(step, SendRows)]
    assert asked == [{"Node": {69, 70}, "SensorType": {3}, "Location": {5}}]


def test_rows_of_a_parent_that_the_centre_never_gets_are_put_away_and_no_others() -> None:
    rows = [reading(NOW - 100 + place, node=place % 3, kind=3, location=None) for place in range(40)]
    site = MemorySite({"Reading": rows}, {"Node": {0, 1}, "SensorType": {3}})
    centre = MemoryCentre(known={}, hopeless={("Node", 1)})
    driver = push(site, centre, page_rows=10)
    assert centre_rows(centre) == [row for row in rows if row[1] == 0]
    assert {each.reason for each in site.kept.values()} == {Reason.PARENT}
    words = {each.row["nodeId"]: each.words for each in site.kept.values()}
    assert words == {
        1: "the centre doesn't keep Node 1, though it was sent",
        2: "this site has no Node 2",
    }
    assert sum(isinstance(step, SendRows) for step in driver.steps) == 1, "what is hopeless isn't tried for each page"
    assert centre.positions["Reading"] == rows[39][:3]


def refusing(*refusals: tuple[str, int, Reason]) -> CataloguePlan:
    plans = {
        name: TablePlan(
            name, refused=tuple(Refusal(name, number, reason, "why") for of, number, reason in refusals if of == name)
        )
        for name, _, _ in refusals
    }
    return CataloguePlan.of(BUILDING, plans.values())


def test_what_the_centre_refused_isnt_sent_again_as_a_parent_but_what_lacked_one_is() -> None:
    """Room 1 is ambiguous only beside the room that it is confused with."""
    rows = [reading(NOW - 9 + place, node=place, location=None) for place in range(3)]
    site = MemorySite({"Reading": rows}, {"Node": {0, 1, 2}, "SensorType": {0}})
    centre = MemoryCentre(known={"SensorType": {0}})
    centre.plan = refusing(("Node", 0, Reason.AMBIGUOUS), ("Node", 1, Reason.PARENT))
    driver = push(site, centre)
    assert [step.wanted for step in driver.steps if isinstance(step, SendRows)] == [{"Node": {1, 2}}]
    assert centre_rows(centre) == rows[1:]
    assert {each.words for each in site.kept.values()} == {"the centre refuses Node 0: why"}


def test_readings_of_a_row_that_wasnt_changed_but_is_known_go_on() -> None:
    """A room that another site has too may not be renamed by this one; its readings are welcome."""
    rows = [reading(NOW - 9, location=None)]
    site = MemorySite({"Reading": rows}, {"Node": {1}, "SensorType": {0}})
    centre = MemoryCentre(known={"SensorType": {0}, "Node": {1}})
    centre.plan = refusing(("Node", 1, Reason.SHARED))
    push(site, centre)
    assert centre_rows(centre) == rows


def test_a_site_that_seems_to_be_another_database_sends_no_page() -> None:
    site, centre = MemorySite({"Reading": rows_of(5)}), MemoryCentre(plan=refusing(("Node", 1, Reason.ORIGIN)))
    with pytest.raises(DataError, match="another database") as caught:
        push(site, centre)
    assert "--accept-renames" in caught.value.hint
    assert not centre.pages


def test_rows_in_the_future_wait_until_their_time_has_come() -> None:
    rows = [reading(NOW + 3500), reading(NOW + 3601), reading(NOW + 400_000)]
    site, centre = MemorySite({"Reading": rows}), MemoryCentre()
    report = Driver(site, centre).drive(pusher(site, page_rows=2).run())
    assert centre_rows(centre) == rows[:1]
    assert report.tables["Reading"].future
    assert not site.kept
    assert centre.positions["Reading"] == rows[0][:3]


def test_a_centre_from_a_backup_gets_again_what_it_lost() -> None:
    site, centre = MemorySite({"Reading": rows_of(95)}), MemoryCentre()
    push(site, centre)
    kept = sorted(centre.rows["Reading"].items())[:40]
    centre.rows["Reading"] = dict(kept)
    centre.positions["Reading"] = kept[-1][0]
    push(site, centre)
    assert centre_rows(centre) == sorted(site.rows["Reading"])


def test_the_centre_decides_how_many_rows_a_page_has_at_most() -> None:
    site, centre = MemorySite({"Reading": rows_of(25)}), MemoryCentre(page_rows=4)
    push(site, centre)
    assert max(rows for _, rows, _ in centre.pages) == 4


def test_a_centre_that_asks_for_what_nobody_refers_to_is_left() -> None:
    site, centre = MemorySite({"Reading": rows_of(25)}, {"Node": {9}}), MemoryCentre(known=None)
    centre.known = {"Node": set(range(3)), "SensorType": {0}, "Location": {5}}
    errors: list[SameskyError] = [MissingRows({"Node": frozenset({9})})] * 3
    with pytest.raises(DataError, match="asks again for rows"):
        Driver(site, centre, before=failing(SendPage, errors)).drive(pusher(site).run())


@given(seed=st.integers(0, 1 << 32))
def test_every_row_arrives_once_through_any_history(seed: int) -> None:
    """Runs that are cut anywhere, answers that are lost, late rows, poison, parents that come late, small centres."""
    chance = random.Random(seed)
    rows = list({row[:3]: row for row in (any_row(chance) for _ in range(chance.randrange(120)))}.values())
    bad = {row for row in rows if chance.random() < 0.03}
    site = MemorySite({"Reading": rows}, {"Node": set(range(4)), "SensorType": {0}, "Location": {5}})
    centre = MemoryCentre(
        known={}, is_poison=bad.__contains__, names_poison=chance.random() < 0.7, most_rows=chance.choice([3, 8, 99])
    )

    def trouble(step: Step) -> None:
        if isinstance(step, Begin | SendPage | SendRows | ReadPage) and chance.random() < 0.1:
            raise chance.choice([Unreachable("lost"), NotNow("busy", wait_s=1.0), Fenced("a newer run")])

    for _ in range(30):
        driver = Driver(site, centre, before=trouble, after=trouble)
        try:
            driver.drive(pusher(site, page_rows=chance.choice([1, 5, 40]), lag_window_s=chance.choice([0, 50])).run())
        except SameskyError:
            continue
        if chance.random() < 0.5:
            break
    Driver(site, centre).drive(pusher(site, lag_window_s=0).run())
    assert centre_rows(centre) == sorted(set(rows) - bad)
    assert set(site.kept) == {("Reading", *row[:3]) for row in bad}


def any_row(chance: random.Random) -> Row:
    return reading(NOW - chance.randrange(60), node=chance.randrange(4), value=chance.choice([None, 0.5, 21.25]))
