"""A process that stores is killed again and again: each file is whole, none forgotten, none with too late a time."""

import hashlib
import multiprocessing
import random
from pathlib import Path

import pytest
from tests.stands.waiting import wait_for

from samesky.mesh.announcement import Announcement, integrity_of
from samesky.mesh.index import Index
from samesky.mesh.scan import scan_tree
from samesky.mesh.storing import Item, Storing
from samesky.mesh.tree import Tree
from samesky.mesh.waiting import Waiting, WaitingRow

pytestmark = pytest.mark.slow

KILLS = 5
PATHS = 60
BATCH = 20
NOW = 1_700_000_000_000_000_000


def content_of(path: str, number: int) -> bytes:
    return f"{path} {number} ".encode() + random.Random(number).randbytes(3000)


def store_for_ever(folder: Path, first: int, durable: bool) -> None:
    """Store new versions of the files, one after the other; each waits in a row before it is stored."""
    with Tree(folder) as tree, Index(folder, durable=durable) as index:
        waiting = Waiting(index.file, "me")
        storing = Storing(tree, index, waiting, durable=durable)
        for start in range(first, first + 1_000_000, BATCH):
            numbers = range(start, start + BATCH)
            ids = waiting.add([WaitingRow("t", str(number).encode(), "", "north") for number in numbers])
            storing.store([_item(number, row_id) for number, row_id in zip(numbers, ids, strict=True)])


def _item(number: int, row_id: int = 0) -> Item:
    path = f"d/{number % PATHS}"
    content = content_of(path, number)
    told = Announcement(path, NOW + number, integrity_of(content), len(content))
    return Item(told, content, sha512=hashlib.sha512(content).digest(), row_id=row_id)


def last_number(folder: Path) -> int:
    with Index(folder) as index:
        return max(index.newest - NOW, 0)


def wait_until_stored(folder: Path, number: int) -> None:
    wait_for(lambda: last_number(folder) > number, 60, what=f"number {number}", every_s=0.002)


@pytest.mark.parametrize("durable", [False, True], ids=["quick", "durable"])
def test_after_kills_every_file_is_whole_known_and_of_its_own_time(tmp_path: Path, durable: bool) -> None:
    spawn = multiprocessing.get_context("spawn")
    chance = random.Random(7)
    first = 0
    for _ in range(KILLS):
        child = spawn.Process(target=store_for_ever, args=(tmp_path, first, durable))
        child.start()
        wait_until_stored(tmp_path, first + PATHS + chance.randrange(10 * PATHS))
        child.kill()
        child.join()
        check_rows(tmp_path)
        scan_tree(tmp_path)
        check_tree(tmp_path)
        first = last_number(tmp_path) + 10 * BATCH


def check_rows(folder: Path) -> None:
    """What waits to be fetched can be, and what waits to be announced is here, or something newer."""
    with Index(folder) as index:
        waiting = Waiting(index.file, "me")
        for row in waiting.next_to_announce(1_000_000):
            assert index.read(f"d/{int(row.payload) % PATHS}").pub_time >= NOW + int(row.payload)
        rows = waiting.next(1_000_000, 1)
        with Tree(folder) as tree:
            outcomes = Storing(tree, index, waiting).store([_item(int(row.payload), row.id) for row in rows])
        assert {outcome.state for outcome in outcomes} <= {"stored", "same", "older"}
        waiting.done(row.id for row in waiting.next_to_announce(1_000_000))


def check_tree(folder: Path) -> None:
    files = list((folder / "d").iterdir())
    with Index(folder) as index:
        assert index.count == len(files)
        for file in files:
            path = f"d/{file.name}"
            content = file.read_bytes()
            number = int(content.split(b" ")[1])
            assert content == content_of(path, number)
            entry = index.read(path)
            assert entry.content == hashlib.sha512(content).digest()
            assert entry.pub_time == NOW + number
