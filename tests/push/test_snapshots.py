"""A push, as its site sees it, and a site, as its centre sees it, told as every system's streams are."""

from dataclasses import replace

import pytest

from samesky.core.snapshot_document import decode_snapshot
from samesky.core.status import Snapshot, judge
from samesky.errors import Unreachable
from samesky.push.fleet import SiteStatus
from samesky.push.fleet import TableStatus as CentralTable
from samesky.push.proof import Proof
from samesky.push.site_snapshot import LONGEST_PAUSE_S, READ_INTERVAL_S, FleetSnapshots, snapshot_site
from samesky.push.status import PushStatus, TableStatus
from samesky.push.target_snapshot import SILENT_S, snapshot_target

NOW = 1_700_000_000.0
PROOF = Proof(
    table="Reading",
    same=True,
    rows=105_120,
    rows_at_centre=105_120,
    digest="3f" * 16,
    at=NOW - 120,
    to_s=1_699_999_000,
)
TABLE = TableStatus(table="Reading", position=(1_699_999_990, 69, 1), backlog=3, proof=PROOF)
PUSH = PushStatus(
    target="centre",
    url="https://centre.example.org",
    state="idle",
    at=NOW - 5,
    since=NOW - 60,
    tables=(TABLE, TableStatus(table="NodeState", backlog=0)),
    next_run_at=NOW + 600,
    last_push_at=NOW - 60,
    sent_rows=40,
    rows_per_s=1234.5,
)
SITE = SiteStatus(
    site="north",
    created_s=1_600_000_000,
    heartbeat_s=int(NOW) - 60,
    clock_ahead_s=1,
    hostname="pi",
    backlog=0,
    tables=(CentralTable(table="Reading", position=[1_699_999_990, 69, 1], rows=105_120, pushed_s=int(NOW) - 60),),
    proofs=(PROOF.as_dict(),),
)


def push(**changes: object) -> Snapshot:
    made = snapshot_target(replace(PUSH, **changes), NOW, command=lambda name: f"samesky push {name} --config x")
    assert decode_snapshot(made.as_dict()) == made
    return made


def site(**changes: object) -> Snapshot:
    made = snapshot_site(replace(SITE, **changes), NOW)
    assert decode_snapshot(made.as_dict()) == made
    return made


def test_a_push_that_is_well_tells_what_was_proven() -> None:
    made = push()
    assert judge(made).level == "good"
    assert (made.stream, made.role, made.unit, made.behind, made.stored) == ("centre", "pusher", "rows", 3, 40)
    assert (made.proven_count, made.proven_at, made.proven_digest) == (105_120, NOW - 120, "3f" * 16)
    assert (made.lag_s, made.rate_per_s) == (60, 1234.5)
    assert made.details["Reading: rows to push"] == 3


@pytest.mark.parametrize(
    ("changes", "level", "todo"),
    [
        ({"state": "pushing"}, "working", ""),
        ({"last_error": "the centre can't be reached", "hint": "Does it run?"}, "bad", "Does it run?"),
        ({"state": "stopped", "last_error": "the key isn't known", "hint": "Make one."}, "bad", "Make one."),
        (
            {"tables": (replace(TABLE, quarantined={"past": 2}),)},
            "bad",
            "samesky push status --config x --quarantine",
        ),
        (
            {"tables": (replace(TABLE, proof=replace(PROOF, same=False, different_groups=1)),)},
            "bad",
            "samesky push verify --config x --repair",
        ),
        ({"refused_dimensions": ("Node 3: no name",)}, "attention", "samesky push status --config x"),
        ({"tables": (replace(TABLE, proof=None),)}, "working", ""),
    ],
    ids=["pushing", "away", "stopped", "quarantined", "different", "dimension", "not-compared"],
)
def test_what_is_wrong_with_a_push_comes_with_what_to_type(changes: dict[str, object], level: str, todo: str) -> None:
    verdict = judge(push(**changes))
    assert (verdict.level, verdict.todo) == (level, todo)


def test_a_daemon_is_to_be_heard_of_at_its_next_run_and_a_single_run_never() -> None:
    assert push().silent_after_s == pytest.approx(605 + SILENT_S)
    assert push(next_run_at=None).silent_after_s is None
    assert push(state="pushing", next_run_at=None).silent_after_s == SILENT_S


def test_a_site_that_is_well_tells_what_was_proven() -> None:
    made = site()
    assert judge(made).level == "good"
    assert (made.stream, made.role, made.behind, made.stored, made.lag_s) == ("north", "site", 0, 105_120, 60)
    assert (made.position, made.proven_count, made.proven_through) == (1_699_999_990, 105_120, 1_699_999_000)
    assert made.details["host"] == "pi"


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"backlog": 7}, "working"),
        ({"heartbeat_s": None, "proofs": (), "tables": ()}, "working"),
        ({"heartbeat_s": int(NOW - LONGEST_PAUSE_S) - 1}, "bad"),
        ({"proofs": (replace(PROOF, same=False).as_dict(),)}, "bad"),
    ],
    ids=["backlog", "never", "silent", "different"],
)
def test_what_is_wrong_with_a_site_is_told(changes: dict[str, object], level: str) -> None:
    assert judge(site(**changes)).level == level


class Centre:
    """A centre whose fleet is set by hand."""

    def __init__(self) -> None:
        self.fleet, self.reads, self.failure, self.now = [SITE], 0, "", NOW

    def read(self) -> list[SiteStatus]:
        self.reads += 1
        if self.failure:
            raise Unreachable(self.failure, hint="Start it.")
        return self.fleet


def test_the_centres_database_is_not_asked_all_the_time_and_may_be_away() -> None:
    centre = Centre()
    fleet = FleetSnapshots(centre.read, clock=lambda: centre.now)
    assert [each.state for each in fleet()] == ["live"]
    fleet()
    assert centre.reads == 1
    centre.now, centre.failure = NOW + READ_INTERVAL_S, "it is away"
    (away,) = fleet()
    assert (away.state, away.last_error, away.hint) == (
        "disconnected",
        "the centre's database can't be read: it is away",
        "Start it.",
    )


def test_a_site_is_missed_after_three_times_its_own_pace() -> None:
    centre = Centre()
    fleet = FleetSnapshots(centre.read, clock=lambda: centre.now)
    fleet()
    centre.now = NOW + 600
    centre.fleet = [replace(SITE, heartbeat_s=int(NOW) + 540)]
    assert [each.state for each in fleet()] == ["live"]
    centre.now = NOW + 540 + 3 * 600 - 30
    assert [each.state for each in fleet()] == ["live"]
    centre.now += 60
    assert [each.state for each in fleet()] == ["disconnected"]
