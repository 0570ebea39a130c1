"""Links that are kept through restarts (blocks/registry.py)."""

import sqlite3
from pathlib import Path

import pytest

from samesky.blocks.links import decode_primary, decode_replica
from samesky.blocks.registry import Registry
from samesky.core.strict import Reason, Refused
from samesky.errors import DataError, Unreachable

SENSOR = decode_primary("spark-master", {"id": "master-sensor", "interval": 5})
DUMMY = decode_replica("spark-slave", {"id": "dummy-sensor", "key": "spark-master.master-sensor", "translations": {}})


def test_links_are_there_after_a_restart(tmp_path: Path) -> None:
    with Registry(tmp_path / "new" / "links.sdb") as registry:
        assert registry.add(SENSOR)
        assert registry.add(DUMMY)
    with Registry(tmp_path / "new" / "links.sdb") as registry:
        assert registry.primaries() == [SENSOR]
        assert registry.replicas() == [DUMMY]


def test_the_same_link_twice_is_one_link(tmp_path: Path) -> None:
    with Registry(tmp_path / "links.sdb") as registry:
        assert [registry.add(SENSOR), registry.add(SENSOR)] == [True, False]
        assert registry.primaries() == [SENSOR]


def test_a_link_takes_the_place_of_the_one_of_its_name(tmp_path: Path) -> None:
    quicker = decode_primary("spark-master", {"id": "master-sensor", "interval": 1})
    with Registry(tmp_path / "links.sdb") as registry:
        registry.add(SENSOR)
        assert registry.add(quicker)
        assert registry.primaries() == [quicker]


def test_a_block_may_follow_two_keys(tmp_path: Path) -> None:
    other = decode_replica("spark-slave", {"id": "dummy-sensor", "key": "spark-master.setpoint"})
    with Registry(tmp_path / "links.sdb") as registry:
        registry.add(DUMMY)
        registry.add(other)
        assert registry.replicas() == [DUMMY, other]


def test_a_link_that_was_removed_is_gone(tmp_path: Path) -> None:
    with Registry(tmp_path / "links.sdb") as registry:
        registry.add(SENSOR)
        registry.add(DUMMY)
        assert registry.remove(SENSOR)
        assert registry.remove(DUMMY)
        assert not registry.remove(SENSOR)
        assert not registry.remove(DUMMY)
        assert registry.primaries() == []
        assert registry.replicas() == []


def test_a_block_that_would_follow_itself_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    back = decode_replica("spark-master", {"id": "master-sensor", "key": "spark-slave.*"})
    with Registry(tmp_path / "links.sdb") as registry:
        for link in (SENSOR, DUMMY, decode_primary("spark-slave", {"id": "dummy-sensor", "interval": 5})):
            registry.add(link)
        with pytest.raises(Refused, match=r"spark-slave\.dummy-sensor") as refusal:
            registry.add(back)
        assert refusal.value.reason is Reason.CONFLICT
        assert registry.replicas() == [DUMMY]


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "links.sdb").write_text("no database " * 100)
    with pytest.raises(DataError, match="damaged"):
        Registry(tmp_path / "links.sdb")


def test_a_link_that_somebody_has_spoilt_is_told(tmp_path: Path) -> None:
    with Registry(tmp_path / "links.sdb") as registry:
        registry.add(SENSOR)
    with sqlite3.connect(tmp_path / "links.sdb") as connection:
        connection.execute("UPDATE master SET told = '{}'")
    connection.close()
    with Registry(tmp_path / "links.sdb") as registry, pytest.raises(DataError, match="id is missing"):
        registry.primaries()


def test_a_file_of_a_later_samesky_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "links.sdb") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DataError, match="later samesky"):
        Registry(tmp_path / "links.sdb")


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="can't be used"):
        Registry(tmp_path)
