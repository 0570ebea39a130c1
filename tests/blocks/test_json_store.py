"""Blocks in a JSON file (blocks/json_store.py); what it has in common with others is in test_objects.py."""

import asyncio
import json
from multiprocessing import get_context
from pathlib import Path

import pytest

from samesky.blocks.json_store import JsonStore
from samesky.blocks.objects import Block
from samesky.errors import DataError, Unreachable


def count_up(path: Path, name: str, times: int) -> None:
    """Add 1 to a member of a block's data again and again, as a process of its own."""
    store = JsonStore(path)

    async def run() -> None:
        for number in range(1, times + 1):
            block = await store.read(name)
            await store.write(block, {"value": number})

    asyncio.run(run())


def test_a_file_that_is_not_there_has_no_blocks_and_is_made_when_one_is_put(tmp_path: Path) -> None:
    store = JsonStore(tmp_path / "new" / "blocks.json")
    assert asyncio.run(store.list()) == []
    store.put(Block("sensor", {"value": 1}))
    assert json.loads(store.path.read_text()) == {"sensor": {"data": {"value": 1}}}


def test_what_somebody_edited_is_read(tmp_path: Path) -> None:
    store = JsonStore(tmp_path / "blocks.json")
    store.put(Block("sensor", {"value": 1}))
    store.path.write_text('{"sensor": {"type": "Mock", "profiles": [0, 3], "colour": "red", "data": {"value": 2}}}')
    block = asyncio.run(store.read("sensor"))
    assert block == Block("sensor", {"value": 2}, "Mock", (0, 3), {"colour": "red"})
    asyncio.run(store.write(block, {"value": 3}))
    assert json.loads(store.path.read_text()) == {
        "sensor": {"colour": "red", "type": "Mock", "profiles": [0, 3], "data": {"value": 3}}
    }


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"a": 1}', '{"a": {}}', '{"a": {"data": 1}}', '{"a": {"data": {}, "profiles": 5}}', '{"a": NaN}'],
)
def test_a_file_that_is_none_of_blocks_is_told_and_left_alone(tmp_path: Path, content: str) -> None:
    store = JsonStore(tmp_path / "blocks.json")
    store.path.write_text(content)
    with pytest.raises(DataError, match="isn't a file of blocks"):
        asyncio.run(store.list())
    with pytest.raises(DataError):
        store.put(Block("sensor", {"value": 1}))
    assert store.path.read_text() == content


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="can't be used"):
        asyncio.run(JsonStore(tmp_path).list())


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    store = JsonStore(tmp_path / "blocks.json")
    for name in ("one", "other"):
        store.put(Block(name, {"value": 0}))
    context = get_context("spawn")
    processes = [context.Process(target=count_up, args=(store.path, name, 50)) for name in ("one", "other")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert {name: asyncio.run(store.read(name)).data for name in ("one", "other")} == {
        "one": {"value": 50},
        "other": {"value": 50},
    }
