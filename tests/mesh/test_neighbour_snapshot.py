"""A peer's neighbours are told as every system's streams are."""

from dataclasses import replace

import pytest

from samesky.core.snapshot_document import decode_snapshot
from samesky.core.status import Snapshot, judge
from samesky.mesh.neighbour_snapshot import name_tree, snapshot_folder, snapshot_neighbours
from samesky.mesh.status import Lag, MeshStatus, NeighbourStatus

NOW = 1_700_000_000.0
NORTH = NeighbourStatus(
    name="mqtt://north",
    state="live",
    since=NOW - 60,
    received=12,
    fetched=7,
    inlined=3,
    failed=1,
    skipped={"known": 2},
    refused={"path": 4},
    lag=Lag(10, 0.25, 0.4, 0.5),
    same=True,
    proven_at=NOW - 30,
    rate_per_s=2.5,
)
PEER = MeshStatus(node="ab", tree="/srv/mesh", at=NOW, started_at=NOW - 99, files=1234, neighbours=(NORTH,))


def snapshots(*neighbours: NeighbourStatus, **changes: object) -> list[Snapshot]:
    made = snapshot_neighbours(replace(PEER, neighbours=neighbours or (NORTH,), **changes))
    assert [decode_snapshot(each.as_dict()) for each in made] == made
    return made


def test_a_neighbour_that_has_nothing_else_is_the_same() -> None:
    (made,) = snapshots()
    assert judge(made).level == "good"
    assert (made.stream, made.unit, made.behind, made.stored) == ("mesh/mqtt://north", "files", 0, 10)
    assert (made.lag_s, made.rate_per_s, made.proven_at, made.proven_count) == (0.25, 2.5, NOW - 30, 1234)
    assert made.refused == {"path": 4, "failed": 1}
    assert (made.details["tree"], made.details["lacking"], made.details["queue"]) == ("/srv/mesh", 0, 0)


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"same": False, "lacking": 3, "state": "catching-up"}, "working", "differs, and is being mended"),
        ({"queue": 3, "state": "catching-up", "same": None}, "working", "catching up"),
        ({"state": "waiting", "same": None}, "working", "waiting"),
        ({"same": None}, "working", "live, not compared yet"),
        ({"same": None, "compares": False}, "good", "live, without comparisons"),
        ({"last_error": "its sums don't add up"}, "attention", "its sums don't add up"),
    ],
    ids=["lacking", "queue", "waiting", "not-yet", "never", "trouble"],
)
def test_a_neighbour_is_judged_by_what_we_lack(changes: dict[str, object], level: str, words: str) -> None:
    (made,) = snapshots(replace(NORTH, **changes))
    verdict = judge(made)
    assert (verdict.level, verdict.words) == (level, words)


def test_a_broker_that_is_away_is_told_with_what_to_type() -> None:
    away = replace(NORTH, state="disconnected", last_error="north:1883 refused the connection; is the broker running?")
    (made,) = snapshots(away)
    assert judge(made).level == "bad"
    assert "`sudo systemctl restart mosquitto`" in judge(made).todo


def test_removals_that_are_held_are_told_with_what_to_type() -> None:
    trouble = "150 files were removed in the neighbour's tree, more than the 100 done unasked: nothing was removed here"
    remedy = "If they are to go here too, start this peer once with `--accept-removals 150`."
    held = replace(NORTH, same=False, lacking=150, state="catching-up", last_error=trouble, remedy=remedy)
    (made,) = snapshots(held)
    verdict = judge(made)
    assert (verdict.level, verdict.words, verdict.todo) == ("bad", trouble, remedy)


def test_what_stops_the_whole_peer_is_told_of_each_neighbour() -> None:
    (made,) = snapshots(last_error="a file can't be written: No space left on device")
    assert made.last_error == "a file can't be written: No space left on device"
    assert "df -h" in made.hint


def test_one_broker_twice_and_several_workers_are_told_apart() -> None:
    first, second = snapshot_neighbours(replace(PEER, neighbours=(NORTH, NORTH)), worker="01")
    assert (first.stream, second.stream) == ("mesh/mqtt://north worker 01", "mesh/mqtt://north (2) worker 01")


def test_a_tree_of_the_usual_name_is_called_by_the_folder_around_it_too() -> None:
    assert [name_tree(each) for each in ("/srv/north/data", "data", "/srv/tree", "/srv/mesh", "/")] == [
        "north/data",
        "data",
        "srv/tree",
        "mesh",
        "tree",
    ]


def test_a_folder_that_is_announced_is_no_copy() -> None:
    made = snapshot_folder(
        "/srv/out", "here:1883", state="catching-up", announced=4, waiting=2, trouble="", since=NOW, now=NOW
    )
    assert (made.stream, made.role, made.behind, made.is_copy) == ("out/here:1883", "primary", 2, False)
    assert judge(replace(made, state="live")).level == "good"
