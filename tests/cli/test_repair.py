"""`samesky repair` as it is typed: the copy becomes its primary, within bounds, and all of it can be undone."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.link.broker import MosquittoBroker
from samesky.link.mqtt import MqttLink
from samesky.station.checks import CheckSettings
from samesky.station.following import Following
from samesky.station.state import State
from samesky.station.tree_store import TreeStore
from stands.served_copy import COUNT, STREAM, ServedCopy
from stands.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(broker: MosquittoBroker, tmp_path: Path) -> Iterator[ServedCopy]:
    (tmp_path / "pair").mkdir()
    with ServedCopy(tmp_path / "pair", broker.port) as pair:
        yield pair


def call(pair: ServedCopy, command: str, *more: str) -> int:
    return main([command, "--config", str(pair.config_path), *more])


def only_lately(pair: ServedCopy, count: int) -> None:
    """Let the primary lose its first ``count`` records, but the very first, by which its database is known."""
    times = pair.times(pair.primary)
    pair.change(pair.primary, f"DELETE FROM archive WHERE dateTime BETWEEN {times[1]} AND {times[count]}")
    pair.restart_primary()


def hold_of(pair: ServedCopy) -> str:
    with closing(State(pair.state_dir)) as state:
        return state.read_hold(STREAM)


def test_after_a_repair_both_databases_hold_the_same(pair: ServedCopy, capsys: pytest.CaptureFixture[str]) -> None:
    pair.spoil()
    assert call(pair, "repair") == 0
    said = capsys.readouterr().out
    assert f"{STREAM}: repaired: 12 records inserted, 3 overwritten, 1 deleted, 1 row of daily summaries mended" in said
    assert f"; now the same: {COUNT:,} records up to " in said
    assert pair.everything() == pair.everything(pair.primary)
    assert call(pair, "verify", "--deep") == 0
    assert call(pair, "repair") == 0
    assert f"{STREAM}: nothing to repair; the same: " in capsys.readouterr().out


def test_what_sums_do_not_show_is_found_and_mended_by_a_deep_repair(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    time = pair.times()[400]
    pair.change(pair.primary, f"UPDATE archive SET outTemp = 12.5 WHERE dateTime = {time}")
    pair.change(pair.primary, f"DELETE FROM archive_day_outHumidity WHERE dateTime < {time}")
    assert call(pair, "verify") == 0
    assert call(pair, "verify", "--deep") == 1
    (command,) = re.findall(r"to mend it: samesky (repair .* --deep)\n", capsys.readouterr().out)
    assert main([*command.split(), "--dry-run"]) == 1
    assert main(command.split()) == 0
    assert "repaired: 0 records inserted, 1 overwritten, 0 deleted, " in capsys.readouterr().out
    assert pair.everything() == pair.everything(pair.primary)
    assert call(pair, "verify", "--deep") == 0


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.spoil()
    before = pair.copy.read_bytes()
    assert call(pair, "repair", "--dry-run") == 1
    said = capsys.readouterr().out
    assert (
        "would insert 12 records, overwrite 3, delete 1, and write the summaries of 1 day; nothing was changed" in said
    )
    assert pair.copy.read_bytes() == before
    assert sorted(each.name for each in pair.folder.glob("*.sdb")) == ["copy.sdb", "primary.sdb"]


def test_undo_brings_back_what_was_overwritten_or_deleted_and_stops_the_copy(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.spoil()
    spoilt = pair.everything()
    call(pair, "repair")
    (session,) = re.findall(r"--undo (\S+)\n", capsys.readouterr().out)
    assert call(pair, "repair", "--undo", "yesterday") == 2
    assert session in capsys.readouterr().err
    assert hold_of(pair) == ""
    assert call(pair, "repair", "--undo", session) == 0
    command = f"samesky repair --config {pair.config_path} --stream {STREAM}"
    said = capsys.readouterr().out
    assert f"undone {session}: 3 records as before, 1 back that were deleted" in said
    assert said.endswith(f"to let it go on: {command}\n")
    assert set(spoilt["archive"]) <= set(pair.everything()["archive"])
    assert spoilt["archive_day_outTemp"] == pair.everything()["archive_day_outTemp"]
    assert call(pair, "verify") == 1
    assert f"the copy is stopped: a repair was undone by hand; {command} makes it" in capsys.readouterr().out
    assert call(pair, "repair") == 0
    assert "the copy was stopped, and goes on now" in capsys.readouterr().out
    assert (hold_of(pair), pair.everything()) == ("", pair.everything(pair.primary))


def test_without_anything_kept_there_is_nothing_to_undo(pair: ServedCopy, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(pair, "repair", "--undo") == 0
    assert "nothing to undo" in capsys.readouterr().out
    assert hold_of(pair) == ""


def test_many_deletions_need_a_word(pair: ServedCopy, capsys: pytest.CaptureFixture[str]) -> None:
    only_lately(pair, 200)
    assert call(pair, "repair", "--dry-run") == 1
    assert "have to be allowed: --accept-deletions 200" in capsys.readouterr().out
    assert call(pair, "repair") == 1
    assert len(pair.times()) == COUNT
    command = f"samesky repair --config {pair.config_path} --stream {STREAM} --accept-deletions 200"
    assert command in capsys.readouterr().err
    assert main(command.split()[1:]) == 0
    assert pair.everything()["archive"] == pair.everything(pair.primary)["archive"]


def test_a_primary_with_far_fewer_records_than_before_needs_a_word(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(pair, "repair") == 0
    only_lately(pair, 300)
    assert call(pair, "repair") == 1
    assert f"the primary has {COUNT - 300:,} records; it had {COUNT:,}" in capsys.readouterr().err
    assert call(pair, "repair", "--accept-deletions", "300") == 0
    assert call(pair, "verify") == 0


@pytest.mark.parametrize("known", [False, True])
def test_a_primary_that_has_lost_everything_takes_nothing_with_it(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str], known: bool
) -> None:
    if known:
        assert call(pair, "repair") == 0
    pair.change(pair.primary, "DELETE FROM archive")
    pair.restart_primary()
    before = pair.everything()
    assert call(pair, "verify") == 1
    assert f"{COUNT:,} records only here" in capsys.readouterr().out
    assert call(pair, "repair") == 1
    assert f"--stream {STREAM} --accept-deletions {COUNT}" in capsys.readouterr().err
    assert pair.everything() == before


def test_another_database_at_the_primary_needs_a_word(pair: ServedCopy, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(State(pair.state_dir)) as state:
        state.write_origin(STREAM, "abc")
        state.write_hold(STREAM, "the primary's database is another one")
    pair.spoil()
    assert call(pair, "repair", "--accept-origin", "def") == 2
    assert call(pair, "repair") == 1
    (command,) = re.findall(r"samesky (repair --config .* --accept-origin [0-9a-f]+)", capsys.readouterr().err)
    assert call(pair, "verify") == 1
    assert main(command.split()) == 0
    assert (hold_of(pair), call(pair, "verify")) == ("", 0)


def test_a_copy_without_a_record_is_left_to_fetch_them(pair: ServedCopy, capsys: pytest.CaptureFixture[str]) -> None:
    pair.change(pair.copy, "DELETE FROM archive")
    assert call(pair, "repair") == 4
    assert "it fetches the whole history by itself" in capsys.readouterr().err


def test_json_says_what_was_done(pair: ServedCopy, capsys: pytest.CaptureFixture[str]) -> None:
    pair.spoil()
    assert call(pair, "repair", "--json") == 0
    (done,) = json.loads(capsys.readouterr().out)
    assert (done["repaired"]["inserted"], done["repaired"]["overwritten"], done["deleted"]) == (12, 3, 1)
    assert Path(done["quarantine"]).is_file()


@contextmanager
def follow(pair: ServedCopy) -> Iterator[Following]:
    """The copy, running."""
    settings = pair.config
    with closing(State(pair.state_dir)) as state, closing(TreeStore(pair.state_dir)) as sums:
        following = Following(
            settings.follow,
            lambda subscriptions, on_event: MqttLink(settings.mqtt, subscriptions, on_event),
            state=state,
            checks=CheckSettings(sums, pair.state_dir),
        )
        with following:
            yield following


def test_a_running_copy_is_stopped_by_an_undo_and_does_not_repair_what_was_undone(pair: ServedCopy) -> None:
    with follow(pair) as following:
        wait_for(lambda: following.check_counts(STREAM).get("proven"), 60, what="the proof")
        pair.spoil()
        spoilt = pair.everything()
        assert call(pair, "repair") == 0
        assert call(pair, "repair", "--undo") == 0
        following.request_check(STREAM)
        wait_for(lambda: following.snapshots()[0].state == "stopped", 60, what="the copy stopped")
        assert "a repair was undone by hand" in (following.snapshots()[0].last_error or "")
        assert set(spoilt["archive"]) <= set(pair.everything()["archive"])
        assert call(pair, "repair") == 0
        wait_for(lambda: following.snapshots()[0].state == "live", 60, what="the copy live again")
        assert pair.everything() == pair.everything(pair.primary)


def test_a_running_copy_learns_of_a_repair_and_goes_on_when_it_was_stopped(pair: ServedCopy) -> None:
    with closing(State(pair.state_dir)) as state:
        state.write_hold(STREAM, "undone")
    with follow(pair) as following:
        pair.spoil()
        wait_for(lambda: following.snapshots()[0].state == "stopped", 30, what="the copy stopped")
        began = time.time()  # it goes on, and proves, as soon as the repair is done: before we have compared
        assert call(pair, "repair") == 0
        assert pair.everything() == pair.everything(pair.primary)

        def proven() -> bool:
            (shown,) = following.snapshots()
            return shown.state == "live" and shown.proven_count == COUNT and (shown.proven_at or 0) > began

        wait_for(proven, 60, what="the copy live again, and proven")
        (shown,) = following.snapshots()
        assert (shown.repaired, shown.different) == (0, False)
