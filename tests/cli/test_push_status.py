"""`samesky push status` tells what pushers have written down, how old that is, and what to do."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.core.strict import Reason
from samesky.push.cache_file import FILE_NAME
from samesky.push.proof import Proof
from samesky.push.site_cache import SiteCache
from samesky.push.status import PushStatus, TableStatus
from samesky.push.steps import Poison

NOW = time.time() - 1000  # whatever it is: `write` moves it
PROOF = Proof(
    table="Reading", same=True, rows=105_120, rows_at_centre=105_122, extra_at_centre=2, digest="3f" * 16, at=NOW - 120,
    from_s=1_600_000_000, to_s=1_700_000_000,
)  # fmt: skip
TABLE = TableStatus(table="Reading", position=(1_700_000_000, 69, 1), backlog=0, proof=PROOF)
IDLE = PushStatus(
    target="centre",
    url="https://centre.example.org",
    state="idle",
    at=NOW - 4,
    since=NOW - 4,
    tables=(TABLE, TableStatus(table="NodeState")),
)
POISON = Poison("Reading", (5, 69, 1), {"time": 5, "nodeId": 69, "value": 1.5}, Reason.PAST, "the time is before 1971")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "samesky.toml"
    path.write_text(
        '[push]\ndatabase = "sqlite:///site.db"\nstate_dir = "state"\n'
        '[push.targets.centre]\nurl = "https://centre.example.org"\nkey = "k.s"\n'
    )
    return path


def write(config: Path, *statuses: PushStatus) -> None:
    later_s = time.time() - NOW  # this module may have been imported long ago
    with SiteCache(config.parent / "state" / FILE_NAME) as cache:
        for status in statuses:
            cache.write_status(move(status, later_s))


def move(status: PushStatus, later_s: float) -> PushStatus:
    """The same status, everything of it so much later."""
    times = {
        name: time_s + later_s
        for name in ("at", "since", "last_push_at", "next_run_at")
        if (time_s := getattr(status, name)) is not None
    }
    tables = tuple(
        replace(table, proof=replace(table.proof, at=table.proof.at + later_s)) if table.proof else table
        for table in status.tables
    )
    return replace(status, **times, tables=tables)


def status(config: Path, *more: str) -> int:
    return main(["push", "status", "--config", str(config), *more])


def test_a_push_that_is_well_is_a_row_a_table_and_status_zero(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, IDLE)
    assert status(config) == 0
    said = capsys.readouterr().out
    for words in ("centre", "Reading", "NodeState", "idle", "2023-11-14 22:13 UTC", "not yet"):
        assert words in said
    assert "the same: 105,120 rows, 2 more there, 2 min ago" in said


def test_it_tells_how_much_was_pushed_when_and_how_fast(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, IDLE)
    status(config)
    assert "centre: never pushed to the end\n" in capsys.readouterr().out
    write(config, replace(IDLE, last_push_at=NOW - 130, sent_rows=20_000, rows_per_s=4567.8, next_run_at=NOW + 490))
    status(config)
    assert (
        "centre: pushed to the end 2 min ago, 20,000 rows sent in the last run at 4,568 rows/s, goes on in 8 min\n"
        in capsys.readouterr().out
    )
    write(config, replace(IDLE, state="pushing", sent_rows=1))
    status(config)
    assert "1 row sent in this run\n" in capsys.readouterr().out


def test_a_difference_is_status_one_with_what_to_type(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    different = replace(PROOF, same=False, different_groups=3, examples=("2023-11-14 69",))
    write(config, replace(IDLE, tables=(replace(TABLE, proof=different),)))
    assert status(config) == 1
    said = capsys.readouterr().out
    assert "different: 3 groups differ (2023-11-14 69)" in said
    assert f"samesky push verify --config {config} --target centre --repair" in said


def test_refused_rows_are_counted_by_reason_and_shown_when_asked_for(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(config, replace(IDLE, tables=(replace(TABLE, quarantined={"past": 1}),)))
    with SiteCache(config.parent / "state" / FILE_NAME) as cache:
        cache.quarantine("centre").add([POISON])
        cache.quarantine("gone").add([POISON])
    assert status(config) == 1
    said = capsys.readouterr().out
    assert "refused rows by reason: past 1" in said
    assert "1971" not in said
    assert status(config, "--quarantine") == 1
    assert "Reading [5, 69, 1]: past: the time is before 1971" in capsys.readouterr().out
    assert status(config, "--quarantine", "--json") == 1
    (row,) = json.loads(capsys.readouterr().out)["quarantine"]
    assert (row["key"], row["target"], json.loads(row["row"])["value"]) == ([5, 69, 1], "centre", 1.5)


def test_refused_dimensions_are_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, replace(IDLE, refused_dimensions=("House 5: two houses have this address",)))
    assert status(config) == 1
    assert "refused: House 5: two houses have this address" in capsys.readouterr().out


def test_trouble_and_silence_are_status_three_with_what_to_do(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, replace(IDLE, state="waiting", last_error="centre.example.org refused", hint="Is it running?"))
    assert status(config) == 3
    said = capsys.readouterr().out
    assert "centre: centre.example.org refused" in said
    assert "what to do: Is it running?" in said
    write(config, replace(IDLE, state="pushing", at=NOW - 7300))
    assert status(config) == 3
    assert "2 h ago: not running?" in capsys.readouterr().out
    write(config, replace(IDLE, next_run_at=NOW - 3600, at=NOW - 7300))
    assert status(config) == 3
    write(config, replace(IDLE, at=NOW - 73_000))
    assert status(config) == 0, "a single run has ended long ago, and well"


def test_before_the_first_run_it_says_how_to_begin_and_makes_no_file(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(config) == 3
    assert f"samesky push run --config {config}" in capsys.readouterr().out
    assert not (config.parent / "state").exists()


def test_only_the_target_that_is_asked_for_is_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text() + '[push.targets.second]\nurl = "https://second.example.org"\nkey = "k.s"\n')
    write(config, IDLE, replace(IDLE, target="second", state="stopped"), replace(IDLE, target="removed"))
    assert status(config, "--json") == 1
    assert [each["target"] for each in json.loads(capsys.readouterr().out)["targets"]] == ["centre", "second"]
    assert status(config, "--target", "centre") == 0
    assert "second" not in capsys.readouterr().out
    assert status(config, "--target", "third") == 2
