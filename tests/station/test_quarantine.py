"""What repairs overwrote or deleted: kept exactly, listed, forgotten in time, and never a reason to go on without."""

import math
import os
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.errors import ConfigError, DataError, Unreachable
from samesky.station import quarantine as quarantine_module
from samesky.station.location import MysqlLocation, SqliteLocation
from samesky.station.quarantine import KEPT_S, KeptRows, Quarantine, Session, _decode, _encode, quarantine_path

NOW = 1_700_000_000.5
COLUMNS = ("dateTime", "outTemp", "note")


@pytest.fixture
def quarantine(tmp_path: Path) -> Iterator[Quarantine]:
    with Quarantine(tmp_path / "weewx.sdb.quarantine.sdb") as opened:
        yield opened


def keep(quarantine: Quarantine, session: str, *rows: tuple[Any, ...], **more: Any) -> None:
    options = {"table": "archive", "change": "overwritten", "now": NOW} | more
    quarantine.keep(session, options["table"], options["change"], columns=COLUMNS, rows=rows, now=options["now"])


def test_the_file_belongs_to_the_owner_of_its_folder_whoever_repairs(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 12_345, 12_345)
    with Quarantine(tmp_path / "weewx.sdb.quarantine.sdb") as quarantine:
        keep(quarantine, "s", (1_700_000_000, 1.5, None))
        assert quarantine.path.stat().st_uid == tmp_path.stat().st_uid


def test_without_anything_kept_there_is_no_file_and_nothing_to_undo(quarantine: Quarantine) -> None:
    assert quarantine.sessions() == []
    assert list(quarantine.read("s")) == []
    assert quarantine.new_session(NOW) == "2023-11-14T22:13:20Z-1"
    quarantine.keep("s", "archive", "deleted", columns=COLUMNS, rows=[], now=NOW)
    assert not quarantine.path.exists()


def test_sessions_say_what_they_changed_oldest_first(quarantine: Quarantine) -> None:
    keep(quarantine, "b", (1, 1.0, None), (2, 2.0, None))
    keep(quarantine, "b", (3, 1.0, None), change="deleted", now=NOW + 9)
    keep(quarantine, "a", (4, 1.0, None), table="summary", now=NOW + 10)
    keep(quarantine, "a", (5, 1.0, None), table="summary", change="deleted", now=NOW + 10)
    assert quarantine.sessions() == [
        Session("b", int(NOW), overwritten=2, deleted=1, summary_rows=0),
        Session("a", int(NOW) + 10, overwritten=0, deleted=0, summary_rows=2),
    ]


def test_what_was_kept_last_is_read_first_also_by_another_process_later(quarantine: Quarantine) -> None:
    keep(quarantine, "s", (1, 1.5, "Föhn"))
    keep(quarantine, "other", (1, 7.5, None))
    keep(quarantine, "s", (1, 2.5, None), change="deleted", now=NOW + 1)
    quarantine.close()
    with Quarantine(quarantine.path) as later:
        assert list(later.read("s")) == [
            KeptRows("archive", "deleted", int(NOW) + 1, COLUMNS, ((1, 2.5, None),)),
            KeptRows("archive", "overwritten", int(NOW), COLUMNS, ((1, 1.5, "Föhn"),)),
        ]


def test_each_session_has_a_name_of_its_own(quarantine: Quarantine) -> None:
    first = quarantine.new_session(NOW)
    keep(quarantine, first, (1, 1.0, None))
    second = quarantine.new_session(NOW)
    keep(quarantine, second, (1, 1.0, None))
    assert (first, second) == ("2023-11-14T22:13:20Z-1", "2023-11-14T22:13:20Z-2")
    assert quarantine.new_session(NOW + 1) == "2023-11-14T22:13:21Z-1"


def test_rows_are_kept_for_thirty_days(quarantine: Quarantine) -> None:
    keep(quarantine, "old", (1, 1.0, None), (2, 1.0, None))
    keep(quarantine, "new", (3, 1.0, None), now=NOW + KEPT_S)
    assert [session.name for session in quarantine.sessions()] == ["old", "new"]
    keep(quarantine, "newest", (3, 1.0, None), now=NOW + KEPT_S + 1)
    assert [session.name for session in quarantine.sessions()] == ["new", "newest"]
    keep(quarantine, "last", (4, 1.0, None), now=NOW + 2 * KEPT_S + 1)
    assert [session.name for session in quarantine.sessions()] == ["newest", "last"]


VALUES = st.one_of(
    st.none(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.text(st.characters()),
    st.binary(),
    st.decimals(allow_nan=False),
)


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=5))
def test_every_value_comes_back_as_it_was(rows: list[tuple[Any, ...]]) -> None:
    columns, again = _decode(_encode(COLUMNS, rows))
    assert columns == COLUMNS
    assert repr(list(again)) == repr(rows)


def test_infinities_zeros_and_texts_that_look_like_them_are_told_apart(quarantine: Quarantine) -> None:
    row = (-0.0, math.inf, "inf")
    keep(quarantine, "s", row, (1, -math.inf, "-inf"), (1, 5e-324, '{"real": "inf"}'), (1, Decimal("1.10"), b"\0"))
    (kept,) = quarantine.read("s")
    assert repr(kept.rows[0]) == repr(row)
    assert kept.rows[1:] == ((1, -math.inf, "-inf"), (1, 5e-324, '{"real": "inf"}'), (1, Decimal("1.10"), b"\0"))


def test_what_cannot_be_kept_exactly_is_refused(quarantine: Quarantine) -> None:
    with pytest.raises(DataError, match="type set can't be kept") as trouble:
        keep(quarantine, "s", (1, set(), None))
    assert "Move it away" not in trouble.value.hint
    assert quarantine.sessions() == []


def test_a_folder_that_is_not_there_is_trouble_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="unable to open") as trouble:
        keep(Quarantine(tmp_path / "nowhere" / "q.sdb"), "s", (1, 1.0, None))
    assert "folder" in trouble.value.hint


def test_a_file_that_another_program_holds_is_trouble_that_passes(
    quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_module, "BUSY_TIMEOUT_S", 0.05)
    keep(quarantine, "s", (1, 1.0, None))
    holder = sqlite3.connect(quarantine.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unreachable, match="locked"):
        keep(quarantine, "s", (2, 1.0, None))
    holder.close()
    keep(quarantine, "s", (3, 1.0, None))
    assert quarantine.sessions()[0].overwritten == 2


def test_a_damaged_file_is_said_to_be_so_with_what_to_do(quarantine: Quarantine) -> None:
    quarantine.path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(DataError, match="not a database") as trouble:
        keep(quarantine, "s", (1, 1.0, None))
    assert str(quarantine.path) in trouble.value.hint
    assert "Move it away" in trouble.value.hint


def test_rows_that_were_damaged_are_not_brought_back_as_something_else(quarantine: Quarantine) -> None:
    keep(quarantine, "s", (1, 1.0, None))
    quarantine.close()
    with sqlite3.connect(quarantine.path) as connection:
        connection.execute("UPDATE batch SET rows = zeroblob(50)")
    connection.close()
    with pytest.raises(DataError, match="can't be read"):
        list(quarantine.read("s"))


def test_the_file_is_beside_a_sqlite_copy(tmp_path: Path) -> None:
    path = tmp_path / "weewx.sdb"
    assert quarantine_path(SqliteLocation(path), None, "home/wx") == tmp_path / "weewx.sdb.quarantine.sdb"
    other = quarantine_path(SqliteLocation(path, table="air"), None, "home/wx")
    assert other == tmp_path / "weewx.sdb.air.quarantine.sdb"


def test_the_file_of_a_copy_on_a_server_is_in_the_state_directory(tmp_path: Path) -> None:
    location = MysqlLocation("weewx")
    assert quarantine_path(location, tmp_path, "home/wx_binding") == tmp_path / "home-wx_binding.quarantine.sdb"
    with pytest.raises(ConfigError) as trouble:
        quarantine_path(location, None, "home/wx_binding")
    assert "state_dir" in trouble.value.hint


@given(st.sets(st.text("ab-/. ü", min_size=1, max_size=6).map(lambda text: f"a/{text}"), min_size=2, max_size=9))
def test_no_two_streams_share_a_file_and_every_name_is_one(streams: set[str]) -> None:
    names = [quarantine_path(MysqlLocation("weewx"), Path("/state"), stream).name for stream in streams]
    assert len(set(names)) == len(streams)
    assert all(name.isascii() and len(name) < 255 and not set(name) & set("/ ") for name in names)
    assert len(quarantine_path(MysqlLocation("weewx"), Path("/state"), "a/" + "b" * 300).name) < 255
