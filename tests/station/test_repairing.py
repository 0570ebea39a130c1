"""Repairs of a copy: what they insert, overwrite and delete, what they keep of it, and that all of it can be undone."""

import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samesky.core.columns import Column, Kind
from samesky.core.strict import Refused
from samesky.errors import ConfigError, DataError, Unreachable
from samesky.station.agreement import CopySettings
from samesky.station.archive_repair import padded
from samesky.station.copying import Copy
from samesky.station.engine_queue import EngineQueue
from samesky.station.location import Location, MysqlLocation, SqliteLocation
from samesky.station.quarantine import Quarantine, quarantine_path
from samesky.station.repairing import Repaired, Repairing, Undone
from stands.small_archive import describe_columns
from stands.small_disk import mounted_disk

if TYPE_CHECKING:
    from stands.mariadb import MariadbServer

START = 1_700_000_100
DAY = START // 86_400 * 86_400
NEXT_DAY = DAY + 86_400
NOW = float(START + 300 * 1000)
COUNT = 600
NAMES = ("dateTime", "usUnits", "interval", "outTemp", "note")
STREAM = "home/wx_binding"
DESCRIPTION = describe_columns(texts=["note"], summaries=[("outTemp", "scalar"), ("wind", "vector")])
Row = tuple[Any, ...]


def row(number: int, temperature: float | None = None, note: str | None = "Föhn") -> Row:
    return (START + 300 * number, 1, 5, number / 7 if temperature is None else temperature, note)


def record(number: int, *values: Any, **more: Any) -> dict[str, Any]:
    return dict(zip(NAMES, row(number, *values), strict=True)) | more


def summary(obs: str, day: int, low: float) -> Row:
    scalar = (obs, day, low, day + 5, 9.5, day + 9, 1.0, 2, 3.0, 4)
    return tuple(padded((*scalar, 270.0, 1.0, 2.0, 3, 4.0, 5.0) if obs == "wind" else scalar))


def fill(copy: Copy, *, count: int = COUNT) -> None:
    """Records of three days with their summaries."""
    copy.open()
    copy.archive.ensure_tables(DESCRIPTION)
    copy.prepare(DESCRIPTION)
    copy.archive.apply_rows(NAMES, [row(number) for number in range(count)], mark_update=True)
    days = [DAY, NEXT_DAY, NEXT_DAY + 86_400]
    copy.archive.write_summaries([summary(obs, day, 1.0) for obs in ("outTemp", "wind") for day in days])


class Stand:
    """A copy with its quarantine, and what was marked dirty, in order."""

    def __init__(self, location: Location, folder: Path, **options: Any) -> None:
        self.engine: EngineQueue | None = options.pop("engine", None)
        weewx_code = options.pop("weewx_code", None)
        self.copy = Copy(
            CopySettings(STREAM, location, create=True, **options), engine=self.engine, weewx_code=weewx_code
        )
        self.quarantine = Quarantine(quarantine_path(location, folder, STREAM))
        self.marked: list[tuple[str, list[int]]] = []
        self.on_mark: Callable[[], object] = lambda: None
        self.repairing = Repairing(self.copy, self.quarantine, mark_dirty=self.mark)
        fill(self.copy)

    def mark(self, table: str, times: Iterable[int]) -> None:
        self.marked.append((table, sorted(times)))
        self.on_mark()

    def apply(self, *records: dict[str, Any], session: str = "s", now: float = NOW) -> Repaired:
        return self.repairing.apply_rows(records, now, session)

    def rows(self) -> list[Row]:
        return [tuple(each) for each in self.copy.archive.read_rows(NAMES, 0, 10_000)]

    def state(self) -> str:
        """Everything that is stored, told apart to the last bit."""
        archive = self.copy.archive
        return repr((self.rows(), sorted(archive.read_summaries(0, int(NOW)).rows()), archive.read_metadata()))

    def close(self) -> None:
        self.copy.close()
        self.quarantine.close()


MakeStand = Callable[..., Stand]


@pytest.fixture
def make_stand(location: Location, tmp_path: Path) -> Iterator[MakeStand]:
    stands: list[Stand] = []

    def make(**options: Any) -> Stand:
        stands.append(Stand(location, tmp_path, **options))
        return stands[-1]

    yield make
    for stand in stands:
        stand.close()


@pytest.fixture
def stand(make_stand: MakeStand) -> Stand:
    return make_stand()


@pytest.fixture
def sqlite_stand(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(SqliteLocation(tmp_path / "copy.sdb"), tmp_path)
    yield stand
    stand.close()


# ---------------------------------------------------------------------- rows


def test_what_is_missing_is_inserted_and_what_differs_overwritten_and_kept(stand: Stand) -> None:
    between = record(3) | {"dateTime": START + 7}
    repaired = stand.apply(record(4, -5.5, None), between, record(5))
    assert repaired == Repaired(inserted=1, overwritten=1)
    assert stand.rows() == [row(0), (START + 7, *row(3)[1:]), *(row(n) for n in range(1, 4)), row(4, -5.5, None)] + [
        row(n) for n in range(5, COUNT)
    ]
    (kept,) = stand.quarantine.read("s")
    assert (kept.table, kept.change, kept.columns, kept.rows) == ("archive", "overwritten", NAMES, (row(4),))


def test_the_same_repair_again_changes_and_keeps_nothing(stand: Stand) -> None:
    stand.apply(record(4, -5.5))
    stand.marked.clear()
    assert stand.apply(record(4, -5.5), record(5), session="again") == Repaired()
    assert [session.name for session in stand.quarantine.sessions()] == ["s"]
    assert stand.marked == []


def test_changed_times_are_marked_before_and_after_the_write(stand: Stand) -> None:
    seen: list[Row] = []
    stand.on_mark = lambda: seen.append(stand.rows()[4])
    stand.apply(record(4, -5.5), record(5))
    stand.repairing.delete([row(3)[0], row(3)[0] + 1], NOW, "s")
    assert seen == [row(4), row(4, -5.5), row(4, -5.5), row(5)]
    assert stand.marked == [("archive", [row(4)[0]])] * 2 + [("archive", [row(3)[0]])] * 2


def test_what_is_no_record_is_refused_and_its_neighbours_are_repaired(stand: Stand) -> None:
    bad: list[dict[str, Any]] = [
        record(1, dateTime=int(NOW) + 7200),
        record(1, dateTime=300),
        record(1, dateTime="yesterday"),
        record(1, dateTime=None),
        record(1, usUnits=3),
        record(1, usUnits=16),
        record(1, outTemp="warm"),
        record(1, note=5.5 + 1j),
        record(1, interval=None),
        record(1, **{"a name": 1}),
        {"outTemp": 1.0},
    ]
    assert stand.apply(*bad, record(2, -5.5)) == Repaired(overwritten=1, refused=len(bad))
    assert stand.rows()[:4] == [row(0), row(1), row(2, -5.5), row(3)]


def test_an_infinite_value_is_no_reason_to_refuse_a_record(sqlite_stand: Stand) -> None:
    assert sqlite_stand.apply(record(2, math.inf)) == Repaired(overwritten=1)
    assert sqlite_stand.rows()[2] == row(2, math.inf)
    sqlite_stand.apply(record(2, -math.inf), session="t")
    sqlite_stand.repairing.undo()
    assert sqlite_stand.rows()[2] == row(2, math.inf)


def test_columns_that_the_records_do_not_name_and_those_not_agreed_on_are_left_alone(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.copy.archive.ensure_columns([Column("own", Kind.TEXT)], {})
    stand.copy.archive._execute("UPDATE archive SET own = 'mine'")
    few = {name: value for name, value in record(4, -5.5, None).items() if name != "note"}
    stand.apply(few | {"own": "theirs"})
    assert stand.rows()[4] == row(4, -5.5)
    names = [*NAMES, "own"]
    assert stand.copy.archive.read_record(row(4)[0]) == dict(zip(names, (*row(4, -5.5), "mine"), strict=True))
    stand.repairing.delete([row(4)[0]], NOW, "t")
    stand.repairing.undo("t")
    assert stand.copy.archive.read_record(row(4)[0]) == dict(zip(names, (*row(4, -5.5), "mine"), strict=True))


def test_records_newer_than_the_position_are_left_to_pages(stand: Stand) -> None:
    assert stand.apply(record(COUNT), record(COUNT + 5)) == Repaired(later=2)
    assert stand.rows()[-1] == row(COUNT - 1)


def test_records_on_their_way_through_the_engine_are_neither_overtaken_nor_lost(make_stand: MakeStand) -> None:
    stand = make_stand(engine=EngineQueue())
    assert stand.engine is not None
    waiting = [record(number) for number in range(COUNT, COUNT + 3)]
    stand.engine.put(waiting)
    repaired = stand.apply(record(COUNT + 1, -5.5), record(COUNT + 7), record(4, -5.5))
    assert repaired == Repaired(overwritten=1, later=2)
    assert stand.engine.pending() == waiting
    assert stand.rows()[-1] == row(COUNT - 1)


def test_a_long_repair_is_done_in_portions_that_are_all_kept(stand: Stand) -> None:
    before = stand.state()
    repaired = stand.apply(*(record(number, -1.0 - number) for number in range(COUNT)))
    assert repaired == Repaired(overwritten=COUNT)
    assert stand.repairing.undo() == Undone("s", overwritten=COUNT)
    assert stand.state() == before


# ---------------------------------------------------------------------- deletions


def test_what_is_deleted_is_kept_and_the_last_update_follows(stand: Stand) -> None:
    gone = [row(COUNT - 1)[0], row(2)[0], START + 1]
    assert stand.repairing.delete(gone, NOW, "s") == 2
    assert stand.rows() == [row(0), row(1), *(row(n) for n in range(3, COUNT - 1))]
    assert stand.copy.archive.read_metadata()["lastUpdate"] == str(row(COUNT - 2)[0])
    (kept,) = stand.quarantine.read("s")
    assert (kept.change, sorted(kept.rows)) == ("deleted", [row(2), row(COUNT - 1)])
    assert stand.repairing.delete(gone, NOW, "t") == 0


def test_a_table_that_was_emptied_comes_back_whole(stand: Stand) -> None:
    before = stand.state()
    assert stand.repairing.delete([each[0] for each in stand.rows()], NOW, "s") == COUNT
    assert stand.rows() == []
    assert stand.repairing.undo() == Undone("s", deleted=COUNT)
    assert stand.state() == before


# ---------------------------------------------------------------------- summaries


def test_the_summaries_of_days_are_replaced_as_a_whole_and_kept(stand: Stand) -> None:
    before = stand.state()
    new = [summary("outTemp", DAY, -9.0), summary("outTemp", NEXT_DAY, 1.0)]
    assert stand.repairing.replace_days([DAY, NEXT_DAY], new, NOW, "s") == 3
    stored = list(stand.copy.archive.read_summaries(DAY, NEXT_DAY).rows())
    assert stored == new
    assert stand.marked == [("summary", [DAY, NEXT_DAY])] * 2
    assert stand.repairing.replace_days([DAY, NEXT_DAY], new, NOW, "t") == 0
    assert stand.quarantine.sessions()[-1].summary_rows == 3
    assert stand.repairing.undo() == Undone("s", summary_rows=3)
    assert stand.state() == before


def test_summaries_that_only_one_side_has_are_left_alone(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.copy.archive.ensure_columns([Column("own", Kind.REAL)], {"own": "scalar"})
    stand.copy.archive.write_summaries([summary("own", DAY, 3.0)])
    new = [summary("own", DAY, 4.0), summary("theirs", DAY, 4.0)]
    assert stand.repairing.replace_days([DAY], new, NOW, "s") == 2
    assert list(stand.copy.archive.read_summaries(DAY, DAY).rows()) == [summary("own", DAY, 3.0)]


def test_summaries_of_days_that_were_not_named_or_are_no_days_are_refused(stand: Stand) -> None:
    before = stand.state()
    for days, rows in (
        ([DAY], [summary("outTemp", NEXT_DAY, 2.0)]),
        ([DAY], [("outTemp", DAY, 2.0)]),
        ([300], []),
        ([int(NOW) + 7200], []),
        (["today"], []),
    ):
        with pytest.raises(Refused):
            stand.repairing.replace_days(days, rows, NOW, "s")  # type: ignore[arg-type]
    assert stand.state() == before


@pytest.mark.parametrize(("engine", "changed"), [(None, 3), (EngineQueue(), 2)])
def test_the_summaries_of_a_day_wait_until_the_engine_has_stored_its_records(
    make_stand: MakeStand, engine: EngineQueue | None, changed: int
) -> None:
    stand = make_stand(engine=engine)
    under_way = NEXT_DAY + 2 * 86_400
    assert under_way < row(COUNT - 1)[0]
    days = [NEXT_DAY, under_way, under_way + 86_400]
    new = [summary("outTemp", day, -9.0) for day in days]
    assert stand.repairing.replace_days(days, new, NOW, "s") == changed
    assert stand.copy.archive.read_summaries(under_way, int(NOW)).count == changed - 2


class CountingCode:
    """As `weewx_code`: another unit system, and summaries that count the day's records."""

    def convert(self, record: dict[str, Any], unit_system: int) -> dict[str, Any]:
        return record | {"usUnits": unit_system, "outTemp": (record["outTemp"] - 32) / 1.8}

    def rebuild_summaries(self) -> None:
        raise AssertionError("only the days concerned are rebuilt")

    def summarize_day(self, day: int, records: Sequence[dict[str, Any]]) -> list[Row]:
        return [("outTemp", day, *(None,) * 5, len(records), None, None), ("own", day, 1), ("wind", day, 1)]


def test_where_summaries_are_rebuilt_the_days_concerned_are_made_anew(make_stand: MakeStand) -> None:
    stand = make_stand(weewx_code=CountingCode())
    stand.copy.archive._execute("UPDATE archive SET usUnits = 17")
    assert stand.copy.prepare(DESCRIPTION).summaries == "rebuilt"

    def counts() -> list[object]:
        return [
            (obs, day, count)
            for obs, day, count in zip(
                *(stand.copy.archive.read_summaries(0, int(NOW)).column(name) for name in ("obs", "dateTime", "count")),
                strict=True,
            )
            if day == DAY
        ]

    last = (NEXT_DAY - START) // 300
    assert stand.apply(record(1, 50.0), record(0) | {"dateTime": START + 7}) == Repaired(inserted=1, overwritten=1)
    assert stand.rows()[2] == (row(1)[0], 17, 5, 10.0, "Föhn")
    assert counts() == [("outTemp", DAY, last + 2), ("wind", DAY, 2)]
    assert ("summary", [DAY]) in stand.marked
    stand.repairing.delete([row(2)[0]], NOW, "s")
    assert counts() == [("outTemp", DAY, last + 1), ("wind", DAY, 2)]
    stand.repairing.delete([START + 7, *(row(n)[0] for n in range(last + 1))], NOW, "t")
    assert counts() == []
    stand.repairing.undo("s")
    assert counts() == [("outTemp", DAY, 2)]
    assert stand.repairing.replace_days([DAY], [], NOW, "u") == 0


# ---------------------------------------------------------------------- undo


def test_without_a_repair_there_is_nothing_to_undo_and_one_that_is_unknown_is_said_to_be(stand: Stand) -> None:
    assert stand.repairing.undo() == Undone()
    with pytest.raises(ConfigError, match="'nosuch'") as trouble:
        stand.repairing.undo("nosuch")
    assert trouble.value.hint == "Nothing has been kept."
    stand.apply(record(4, -5.5))
    with pytest.raises(ConfigError) as trouble:
        stand.repairing.undo("nosuch")
    assert trouble.value.hint == "Those that can be undone: s."


def test_undoing_again_changes_nothing(stand: Stand) -> None:
    stand.apply(record(4, -5.5))
    assert stand.repairing.undo() == Undone("s", overwritten=1)
    before = stand.state()
    stand.marked.clear()
    assert stand.repairing.undo() == Undone("s")
    assert (stand.state(), stand.marked) == (before, [])


def test_the_last_repair_is_undone_unless_another_is_named(stand: Stand) -> None:
    stand.apply(record(4, -5.5), session="first")
    stand.apply(record(4, -6.5), session="second")
    assert stand.repairing.undo().session == "second"
    assert stand.rows()[4] == row(4, -5.5)
    assert stand.repairing.undo("first").overwritten == 1
    assert stand.rows()[4] == row(4)


def test_undoing_marks_what_it_changes_and_needs_no_description(stand: Stand) -> None:
    before = stand.state()
    stand.apply(record(4, -5.5))
    stand.repairing.delete([row(COUNT - 1)[0]], NOW, "s")
    stand.repairing.replace_days([DAY], [], NOW, "s")
    copy = Copy(stand.copy.settings)
    marked: list[tuple[str, list[int]]] = []
    Repairing(copy, stand.quarantine, mark_dirty=lambda name, times: marked.append((name, sorted(times)))).undo()
    copy.close()
    assert stand.state() == before
    expected = [("archive", [row(4)[0], row(COUNT - 1)[0]]), ("summary", [DAY])]
    assert sorted(marked[-2:]) == expected


def test_what_comes_back_does_not_overtake_records_in_the_engine(make_stand: MakeStand) -> None:
    stand = make_stand(engine=EngineQueue())
    assert stand.engine is not None
    stand.repairing.delete([row(n)[0] for n in range(COUNT - 5, COUNT)], NOW, "s")
    stand.engine.put([record(COUNT - 5)])
    stand.repairing.undo()
    assert stand.rows() == [row(n) for n in range(COUNT)]
    assert stand.engine.pending() == []


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("over"), st.integers(0, 39), st.floats(-90, 90) | st.just(math.inf) | st.none()),
        st.tuples(st.just("gone"), st.integers(0, 39), st.none()),
        st.tuples(st.just("day"), st.integers(0, 2), st.floats(-90, 90) | st.none()),
    ),
    max_size=25,
)


def play(stand: Stand, changes: Sequence[tuple[str, int, float | None]]) -> None:
    """Overwrite and delete rows in one session; what isn't there any more isn't inserted again."""
    for what, number, value in changes:
        if what == "over" and stand.copy.archive.read_record(row(number)[0]):
            stand.apply(record(number) | {"outTemp": value, "note": None})
        elif what == "gone":
            stand.repairing.delete([row(number)[0]], NOW, "s")
        elif what == "day" and any(
            stand.copy.archive.read_summaries(DAY + 86_400 * number, DAY + 86_400 * number).rows()
        ):
            rows = [] if value is None else [summary("wind", DAY + 86_400 * number, value)]
            stand.repairing.replace_days([DAY + 86_400 * number], rows, NOW, "s")


@pytest.mark.slow
@settings(max_examples=40)
@given(CHANGES)
def test_whatever_was_overwritten_or_deleted_undoing_makes_the_tables_what_they_were(
    changes: Sequence[tuple[str, int, float | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(SqliteLocation(Path(folder) / "copy.sdb"), Path(folder))
        before = stand.state()
        play(stand, changes)
        stand.repairing.undo()
        assert stand.state() == before
        stand.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_whatever_was_changed_on_a_server_undoing_makes_the_tables_what_they_were(
    tmp_path: Path, mariadb: "MariadbServer", seed: int
) -> None:
    random, made = Random(seed), mariadb.create_database()
    stand = Stand(MysqlLocation(made.name, made.host, made.port, made.user, made.password), tmp_path)
    before = stand.state()
    kinds = [("over", 39), ("gone", 39), ("day", 2)]
    changes = [
        (what, random.randint(0, most), random.choice([None, random.uniform(-90, 90)]))
        for what, most in random.choices(kinds, k=40)
    ]
    play(stand, changes)
    assert stand.state() != before
    stand.repairing.undo()
    assert stand.state() == before
    stand.close()


# ---------------------------------------------------------------------- failures


def repair_and_die(folder: Path, moment: int) -> None:
    """A process that is killed in a repair: as it announces its changes (1), or as it says that they are done (2)."""
    stand = Stand(SqliteLocation(folder / "copy.sdb"), folder)

    def die() -> None:
        if len(stand.marked) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    stand.on_mark = die
    stand.apply(record(4, -5.5), record(5, -5.5))


@pytest.mark.parametrize("moment", [1, 2])
def test_a_kill_between_keeping_and_writing_loses_nothing(tmp_path: Path, moment: int) -> None:
    command = [sys.executable, __file__, str(tmp_path), str(moment)]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    stand = Stand(SqliteLocation(tmp_path / "copy.sdb"), tmp_path)
    assert stand.quarantine.sessions()[0].overwritten == 2
    written = [row(4, -5.5), row(5, -5.5)]
    assert stand.rows()[4:6] == ([row(4), row(5)] if moment == 1 else written)
    stand.apply(record(4, -5.5), record(5, -5.5), session="again")
    assert stand.rows()[4:6] == written
    stand.repairing.undo("s")
    assert stand.rows() == [row(n) for n in range(COUNT)]
    stand.close()


def fill_up(path: Path) -> None:
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))


def test_without_room_to_keep_what_would_be_overwritten_nothing_is_changed(stand: Stand, tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", "100k") as disk:
        stand.quarantine.path = disk.folder / "quarantine.sdb"
        stand.apply(record(4, -5.5), session="first")
        fill_up(disk.folder / "filler")
        before = stand.state()
        for change in (
            lambda: stand.apply(*(record(n, Random(n).random(), None) for n in range(COUNT))),
            lambda: stand.repairing.delete([row(n)[0] for n in range(COUNT)], NOW, "s"),
            lambda: stand.repairing.replace_days([DAY + 86_400 * n for n in range(2)], [], NOW, "s"),
        ):
            with pytest.raises(Unreachable, match="full") as trouble:
                change()
            assert "Make room" in trouble.value.hint
        assert stand.state() == before
        (disk.folder / "filler").unlink()
        assert stand.apply(*(record(n, -1.0, None) for n in range(COUNT))).overwritten == COUNT
        stand.repairing.undo()
        assert stand.state() == before
        stand.quarantine.close()


def test_a_damaged_quarantine_stops_repairs_but_not_what_keeps_nothing(stand: Stand) -> None:
    stand.quarantine.path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    before = stand.state()
    with pytest.raises(DataError, match="not a database"):
        stand.apply(record(4, -5.5))
    assert stand.state() == before
    assert stand.apply(record(4) | {"dateTime": START + 7}) == Repaired(inserted=1)


if __name__ == "__main__":
    repair_and_die(Path(sys.argv[1]), int(sys.argv[2]))
