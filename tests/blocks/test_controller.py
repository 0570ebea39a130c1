"""Controllers over HTTP that are slow, away or something else (blocks/controller.py, spark_2018.py, spark.py)."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from samesky.blocks.blocks_settings import ServiceSettings
from samesky.blocks.controllers import open_objects
from samesky.blocks.json_store import JsonStore
from samesky.blocks.objects import Block, NoSuchBlock, Objects
from samesky.blocks.spark import Spark
from samesky.blocks.spark_2018 import Spark2018
from samesky.errors import DataError, SameskyError, Unreachable
from samesky.link.rest import RestTimeouts
from stands.amqp_ends import wait_until
from stands.blocks_controllers import Controller2018, ControllerStand, ControllerToday
from stands.blocks_objects import run

pytestmark = pytest.mark.slow

PATIENT = RestTimeouts(connect_s=30, idle_s=30, total_s=30)
BLOCK = Block("dummy", {"value": 1, "other": 1}, "Mock", (0,))
JSON = "application/json"
SECRET = "s3cret"


@pytest.fixture(params=["2018", "today"])
def stand(request: pytest.FixtureRequest) -> Iterator[ControllerStand]:
    with Controller2018() if request.param == "2018" else ControllerToday() as stand:
        stand.put(BLOCK)
        yield stand


def connect(stand: ControllerStand, *, url: str | None = None, timeouts: RestTimeouts = PATIENT) -> Objects:
    make = Spark2018 if isinstance(stand, Controller2018) else Spark
    return make(url or stand.url, stand.service, timeouts=timeouts)


async def fail(stand: ControllerStand, *, writing: bool = False) -> SameskyError:
    """What comes of reading, or of writing, which goes wrong from the time of `spoil`."""
    objects, spoil, stand.spoil = connect(stand), stand.spoil, None
    try:
        block = await objects.read(BLOCK.id)
        stand.spoil = spoil
        with pytest.raises(SameskyError) as caught:
            await (objects.write(block, {"value": SECRET}) if writing else objects.read(BLOCK.id))
    finally:
        await objects.close()
    assert SECRET not in str(caught.value) + caught.value.hint
    return caught.value


def test_a_url_without_a_path_has_the_name_of_the_service_behind_it(stand: ControllerStand) -> None:
    async def read(url: str) -> Block:
        objects = connect(stand, url=url)
        try:
            return await objects.read(BLOCK.id)
        finally:
            await objects.close()

    for url in (stand.url, f"{stand.url}/", f"{stand.url}/spark", f"{stand.url}/spark/"):
        assert run(lambda url=url: read(url)).data == BLOCK.data  # type: ignore[misc]
    with pytest.raises(NoSuchBlock) as caught:
        run(lambda: read(f"{stand.url}/elsewhere"))
    assert "the controller's URL is right, its path included" in caught.value.hint


def test_a_controller_is_called_what_its_url_says() -> None:
    with ControllerToday("spark-one") as stand:
        stand.put(BLOCK)

        async def change() -> None:
            objects = Spark(f"{stand.url}/spark-one", "our-name-for-it")
            await objects.write(await objects.read(BLOCK.id), {"value": 2, "other": 1})
            await objects.close()

        run(change)
        assert stand.written == [{"value": 2, "other": 1}]


@pytest.mark.parametrize("writing", [False, True])
@pytest.mark.parametrize("status", [424, 429, 500, 502, 503, 504])
def test_what_passes_by_itself_is_no_answer(stand: ControllerStand, status: int, writing: bool) -> None:
    stand.spoil = lambda: (status, "text/html", SECRET.encode())
    error = run(lambda: fail(stand, writing=writing))
    assert isinstance(error, Unreachable)
    assert f"status {status}" in str(error)


@pytest.mark.parametrize(("status", "hint"), [(401, "who asks"), (403, "who asks"), (302, "moved"), (422, "log")])
def test_what_stays_so_is_told_with_what_to_do(stand: ControllerStand, status: int, hint: str) -> None:
    stand.spoil = lambda: (status, JSON, b'{"error": "s3cret"}')
    error = run(lambda: fail(stand, writing=True))
    assert isinstance(error, DataError)
    assert not isinstance(error, NoSuchBlock)
    assert f"status {status}" in str(error)
    assert hint in error.hint


def test_a_write_that_is_refused_is_not_taken_for_a_block_that_is_gone(stand: ControllerStand) -> None:
    def refuse_writing() -> tuple[int, str, bytes]:
        stand.spoil = None  # the block is looked for after that
        return 400, JSON, b'{"error": "s3cret"}'

    stand.spoil = refuse_writing
    error = run(lambda: fail(stand, writing=True))
    assert "refuses what is written: status 400" in str(error)
    assert not isinstance(error, NoSuchBlock)


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("text/html", b"<html>s3cret</html>"),
        (JSON, b""),
        (JSON, b"s3cret"),
        (JSON, b'["s3cret"]'),
        (JSON, b"5"),
        (JSON, b'{"id": "dummy"}'),
        (JSON, b'{"id": "dummy", "data": ["s3cret"]}'),
        (JSON, b'{"id": "dummy", "data": {"value": NaN}}'),
        (JSON, b'{"id": "dummy", "data": {"value": 1e999}}'),
        (JSON, b'{"id": "dummy", "data": {}, "data": {"value": "s3cret"}}'),
        (JSON, b'{"id": "s3cret", "data": {}}'),
        (JSON, b'{"id": "dummy", "data": {}, "type": 5}'),
        (JSON, b'{"id": "dummy", "data": {}, "profiles": "s3cret"}'),
        (JSON, b'{"id": "dummy", "data": {"s3cret": ' + b"[" * 5000 + b"]" * 5000 + b"}}"),
    ],
)
def test_an_answer_that_is_no_block_is_told_and_not_believed(
    stand: ControllerStand, media_type: str, body: bytes
) -> None:
    stand.spoil = lambda: (200, media_type, body)
    error = run(lambda: fail(stand))
    assert isinstance(error, DataError)
    assert "something else than blocks" in str(error)


@pytest.mark.parametrize("body", [b"{}", b"[5]", b'[{"id": 5}]', b'[{"data": {}}]'])
def test_a_list_that_is_none_of_blocks_is_told(stand: ControllerStand, body: bytes) -> None:
    stand.spoil = lambda: (200, JSON, body)

    async def read() -> None:
        objects = connect(stand)
        try:
            await objects.list()
        finally:
            await objects.close()

    with pytest.raises(DataError, match="something else than blocks"):
        run(read)


def test_what_the_controller_makes_of_the_data_is_told(stand: ControllerStand) -> None:
    stand.adjust = lambda data: {**data, "value": min(data["value"], 10)}

    async def change() -> Any:
        objects = connect(stand)
        try:
            return await objects.write(await objects.read(BLOCK.id), {"value": 99, "other": 1})
        finally:
            await objects.close()

    assert run(change) == {"value": 10, "other": 1}


def test_what_others_change_meanwhile_stays_where_the_controller_takes_patches() -> None:
    with ControllerToday() as stand:
        stand.put(BLOCK)

        async def change() -> None:
            objects = connect(stand)
            block = await objects.read(BLOCK.id)
            stand.put(Block(BLOCK.id, {"value": 1, "other": 2}, BLOCK.type))
            await objects.write(block, {"value": 5, "other": 1})
            await objects.close()

        run(change)
        assert stand.blocks[BLOCK.id]["data"] == {"value": 5, "other": 2}


def test_a_controller_that_is_away_is_told_and_used_again_when_it_is_back(stand: ControllerStand) -> None:
    async def read() -> None:
        objects = connect(stand)
        await objects.read(BLOCK.id)
        await asyncio.to_thread(stand.stop)
        for _ in range(5):
            with pytest.raises(Unreachable, match="doesn't answer"):
                await objects.read(BLOCK.id)
        stand.start()
        assert (await objects.read(BLOCK.id)).data == BLOCK.data
        await objects.close()

    run(read)


def test_a_controller_that_never_answers_is_waited_for_no_longer_than_it_may_take(stand: ControllerStand) -> None:
    async def read() -> None:
        objects = connect(stand, timeouts=replace(PATIENT, total_s=0.5))
        stand.answers.clear()
        with pytest.raises(Unreachable, match=r"took longer than 0\.5 s"):
            await objects.read(BLOCK.id)
        stand.answers.set()
        await objects.close()

    run(read)


def test_a_value_that_nobody_waits_for_any_more_never_comes_after_a_newer_one(stand: ControllerStand) -> None:
    """The controller is slow: one write is under way, the next is given up before its turn, the third is wanted."""

    async def change() -> None:
        objects = connect(stand)
        block = await objects.read(BLOCK.id)
        stand.answers.clear()
        first, second, third = (
            asyncio.create_task(given)
            for given in [objects.write(block, {"value": number, "other": 1}) for number in (10, 20, 30)]
        )
        await wait_until(lambda: stand.begun == 2, 30, what="the first write")
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        stand.answers.set()
        await third
        await objects.close()

    run(change)
    assert [data["value"] for data in stand.written] == [10, 30]


def test_a_block_that_takes_long_delays_few_others(stand: ControllerStand) -> None:
    ids = [f"block-{number}" for number in range(12)]

    async def read() -> None:
        objects = connect(stand)
        stand.answers.clear()
        tasks = [asyncio.create_task(objects.read(id)) for id in ids]
        await wait_until(lambda: stand.begun == 4, 30, what="a request in each lane")
        stand.answers.set()
        await asyncio.gather(*tasks)
        await objects.close()

    for id in ids:
        stand.put(Block(id, {}, "Mock"))
    run(read)


def test_numbers_that_json_has_no_word_for_are_not_sent(stand: ControllerStand) -> None:
    async def change() -> None:
        objects = connect(stand)
        try:
            await objects.write(await objects.read(BLOCK.id), {"value": float("nan")})
        finally:
            await objects.close()

    with pytest.raises(DataError, match="infinite, or none"):
        run(change)
    assert stand.written == []


OPENERS: list[tuple[ServiceSettings, Callable[[Objects], bool]]] = [
    (
        ServiceSettings("a", "store", "~/blocks.json"),
        lambda made: isinstance(made, JsonStore) and made.path.is_absolute(),
    ),
    (ServiceSettings("a", "2018", "http://spark:5000"), lambda made: isinstance(made, Spark2018)),
    (ServiceSettings("a", "today", "https://spark/spark-one"), lambda made: isinstance(made, Spark)),
]


@pytest.mark.parametrize(("settings", "is_right"), OPENERS, ids=lambda each: getattr(each, "kind", ""))
def test_the_configuration_says_where_blocks_are(
    settings: ServiceSettings, is_right: Callable[[Objects], bool]
) -> None:
    made = open_objects(settings)
    assert is_right(made)
    run(made.close)
