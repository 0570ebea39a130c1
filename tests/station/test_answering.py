"""The responder's sums, where there is nothing to add up yet."""

from pathlib import Path

from samesky.station.answering import NO_TABLE_PAUSE_S, Answering
from samesky.station.archive import open_archive
from samesky.station.location import SqliteLocation
from samesky.station.tree_store import TreeStore
from stands.small_archive import describe_columns


def test_a_database_without_its_table_is_looked_at_now_and_then_until_it_has_one(tmp_path: Path) -> None:
    now = [100.0]
    answering = Answering(TreeStore(None), "home/wx_binding", clock=lambda: 1.7e9, timer=lambda: now[0])
    with open_archive(SqliteLocation(tmp_path / "weewx.sdb"), create=True) as archive:
        assert answering.next_time() <= now[0]
        answering.work(archive)
        assert answering.next_time() == now[0] + NO_TABLE_PAUSE_S
        archive.ensure_tables(describe_columns())
        now[0] = answering.next_time()
        answering.work(archive)
        assert answering.next_time() > now[0] + NO_TABLE_PAUSE_S
