"""What every implementation of `Objects` does alike (blocks/objects.py); a store, controllers and functions pass it."""

import asyncio
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samesky.blocks.objects import Block, NoSuchBlock
from stands.blocks_objects import KINDS, ObjectsWorld, open_world, run

pytestmark = pytest.mark.slow

DATA: dict[str, Any] = {
    "value[degC]": 20.5,
    "count": 3,
    "on": True,
    "sensor<>": None,
    "name": "Maische ⚗",
    "setting": {"__bloxtype": "Quantity", "unit": "degC", "value": 20.0},
    "list": [1, [2], {"three": 3}],
}
BLOCK = Block("dummy-sensor", DATA, "TempSensorMock", (0, 3))
ODD_IDS = ["a b", "ü ⚗", "a/b", "../a", "a%2Fb", "a?b#c", "a&b=c", "100 %", "'\"\\", "x" * 200]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c/d", ""]), values),
    max_leaves=6,
)  # fmt: skip
DATAS = st.dictionaries(st.sampled_from(["a", "b", "c", "value[degC]"]), VALUES)


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectsWorld]:
    with open_world(request.param, tmp_path) as world:
        yield world


def test_a_block_is_read_as_it_is(world: ObjectsWorld) -> None:
    world.put(BLOCK)
    assert run(lambda: world.objects.read(BLOCK.id)) == world.keeps(BLOCK)


def test_what_is_written_is_there_beside_all_that_was_there(world: ObjectsWorld) -> None:
    new = {**DATA, "value[degC]": 21.5, "sensor<>": "S1", "setting": {**DATA["setting"], "value": 5.5}, "new": [1]}
    world.put(BLOCK)

    async def change() -> Block:
        block = await world.objects.read(BLOCK.id)
        stored = await world.objects.write(block, new)
        assert stored is None or stored == new
        return await world.objects.read(BLOCK.id)

    after = run(change)
    assert after == world.keeps(Block(BLOCK.id, new, BLOCK.type, BLOCK.profiles))
    assert world.find_data(BLOCK.id) == new


@pytest.mark.parametrize(
    "new",
    [
        {},
        {"other": 1},
        {**DATA, "setting": {"value": 1.0}},
        {**DATA, "setting": 5},
        {**DATA, "setting": {}},
        {**DATA, "list": [{"four": 4}]},
        {**DATA, "list": {}},
        {name: value for name, value in DATA.items() if name != "on"},
    ],
)
def test_what_the_new_data_lack_is_gone(world: ObjectsWorld, new: dict[str, Any]) -> None:
    world.put(BLOCK)

    async def change() -> None:
        await world.objects.write(await world.objects.read(BLOCK.id), new)

    run(change)
    assert world.find_data(BLOCK.id) == new


def test_writing_what_is_there_changes_nothing(world: ObjectsWorld) -> None:
    world.put(BLOCK)

    async def change() -> None:
        await world.objects.write(await world.objects.read(BLOCK.id), deepcopy(DATA))

    run(change)
    assert world.find_data(BLOCK.id) == DATA


def test_other_blocks_stay_as_they_are(world: ObjectsWorld) -> None:
    for id in ("one", "other"):
        world.put(Block(id, {"value": 1}, "Mock"))

    async def change() -> None:
        await world.objects.write(await world.objects.read("one"), {"value": 2})

    run(change)
    assert (world.find_data("one"), world.find_data("other")) == ({"value": 2}, {"value": 1})


@pytest.mark.parametrize("id", ODD_IDS)
def test_an_id_may_have_any_characters(world: ObjectsWorld, id: str) -> None:
    world.put(Block(id, {"value": 1}, "Mock"))

    async def change() -> list[str]:
        await world.objects.write(await world.objects.read(id), {"value": 2})
        return await world.objects.list()

    assert run(change) == [id]
    assert world.find_data(id) == {"value": 2}


@pytest.mark.parametrize("id", ["nobody", "..", "."])
def test_a_block_that_is_not_there_is_told(world: ObjectsWorld, id: str) -> None:
    world.put(BLOCK)
    with pytest.raises(NoSuchBlock, match="no block"):
        run(lambda: world.objects.read(id))


def test_a_block_that_went_away_before_it_is_written_is_told_and_not_made(world: ObjectsWorld) -> None:
    world.put(BLOCK)

    async def change() -> None:
        block = await world.objects.read(BLOCK.id)
        world.remove(BLOCK.id)
        await world.objects.write(block, {"value": 1})

    with pytest.raises(NoSuchBlock, match="no block"):
        run(change)
    assert run(world.objects.list) == []


def test_blocks_are_listed_in_order(world: ObjectsWorld) -> None:
    for id in ("b", "a", "Ä", "c"):
        world.put(Block(id, {}, "Mock"))
    assert run(world.objects.list) == ["a", "b", "c", "Ä"]


def test_data_that_were_read_or_written_belong_to_whoever_has_them(world: ObjectsWorld) -> None:
    world.put(BLOCK)

    async def change() -> None:
        new: dict[str, Any] = {"list": [1]}
        block = await world.objects.read(BLOCK.id)
        block.data["list"].clear()  # type: ignore[attr-defined]
        assert world.find_data(BLOCK.id) == DATA
        await world.objects.write(block, new)
        new["list"].clear()

    run(change)
    assert world.find_data(BLOCK.id) == {"list": [1]}


def test_many_blocks_may_be_asked_for_at_once(world: ObjectsWorld) -> None:
    ids = [f"block-{number}" for number in range(20)]
    for id in ids:
        world.put(Block(id, {"value": 0}, "Mock"))

    async def change(number: int, id: str) -> None:
        await world.objects.write(await world.objects.read(id), {"value": number})

    async def change_all() -> None:
        await asyncio.gather(*(change(number, id) for number, id in enumerate(ids)))

    run(change_all)
    assert [world.find_data(id)["value"] for id in ids] == list(range(20))


@pytest.mark.parametrize("kind", KINDS)
def test_any_data_come_back_as_they_were_written(kind: str) -> None:
    with TemporaryDirectory() as folder, open_world(kind, Path(folder)) as world:

        @settings(max_examples=25, deadline=None)
        @given(DATAS, DATAS)
        def check(old: dict[str, Any], new: dict[str, Any]) -> None:
            world.put(Block("block", old, "Mock"))

            async def change() -> None:
                block = await world.objects.read("block")
                assert block.data == old
                await world.objects.write(block, new)
                assert (await world.objects.read("block")).data == new

            run(change)

        check()
