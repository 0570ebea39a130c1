"""What a station remembers, and that it lives on when it can't."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.core.status import Snapshot
from samesky.link.message import Message
from samesky.station.state import FILE_NAME, KEPT_REFUSALS, State
from samesky.station.written_state import Written, read_written


def test_origins_outlive_the_process(tmp_path: Path) -> None:
    with closing(State(tmp_path / "deep" / "folder")) as state:
        assert state.read_origin("home/wx_binding") == ""
        state.write_origin("home/wx_binding", "abc")
        state.write_origin("home/wx_binding", "def")
    with closing(State(tmp_path / "deep" / "folder")) as state:
        assert state.read_origin("home/wx_binding") == "def"
        assert state.read_origin("home/aq_binding") == ""


def test_the_last_two_hundred_refusals_are_kept_with_the_first_four_kibibytes_of_each(tmp_path: Path) -> None:
    with closing(State(tmp_path)) as state:
        for number in range(KEPT_REFUSALS + 5):
            state.keep_refused(Message("t", b"%d" % number + b"x" * 5000), "json", float(number))
        kept = state.read_refused()
    assert len(kept) == KEPT_REFUSALS
    time, topic, reason, size, head = kept[0]
    assert (time, topic, reason, size, len(head), head[:2]) == (5.0, "t", "json", 5001, 4096, b"5x")


def test_counts_holds_and_snapshots_outlive_the_process(tmp_path: Path) -> None:
    live = Snapshot(stream="home/wx_binding", role="requester", state="live", refused={"json": 2}, repaired=3)
    with closing(State(tmp_path)) as state:
        state.write_count("home/wx_binding", 105_120)
        state.write_hold("home/wx_binding", "the primary's database is another one")
        state.write_snapshot(live, 1.5)
        state.write_snapshot(replace(live, state="stopped"), 2.5)
    with closing(State(tmp_path)) as state:
        assert (state.read_count("home/wx_binding"), state.read_count("home/aq_binding")) == (105_120, 0)
        assert state.read_hold("home/wx_binding").startswith("the primary's")
        state.write_hold("home/wx_binding", "")
        assert state.read_hold("home/wx_binding") == ""
        assert read_written(tmp_path) == [Written(replace(live, state="stopped"), 2.5)]
        state.forget_snapshots("responder", but=[])
        state.forget_snapshots("requester", but=["home/wx_binding"])
        assert len(read_written(tmp_path)) == 1
        state.forget_snapshots("requester", but=["home/aq_binding"])
        assert read_written(tmp_path) == []


def damage_as_text(path: Path) -> None:
    path.write_bytes(b"this is no database" * 500)


def damage_the_middle(path: Path) -> None:
    with closing(State(path.parent)) as state:
        state.write_origin("home/wx_binding", "abc")
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))


def make_a_folder_of_it(path: Path) -> None:
    path.mkdir()


def put_other_tables_there(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE origin (something INTEGER)")


@pytest.mark.parametrize(
    "damage", [damage_as_text, damage_the_middle, make_a_folder_of_it, put_other_tables_there], ids=lambda d: d.__name__
)
def test_a_state_file_that_is_damaged_stops_nobody(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    damage(tmp_path / FILE_NAME)
    with closing(State(tmp_path)) as state:
        assert state.read_origin("home/wx_binding") == ""
        state.write_origin("home/wx_binding", "abc")
        state.keep_refused(Message("t", b"x"), "json", 1.0)
        state.read_refused()


def test_without_a_folder_it_remembers_until_the_end() -> None:
    with closing(State(None)) as state:
        state.write_origin("home/wx_binding", "abc")
        assert state.read_origin("home/wx_binding") == "abc"
