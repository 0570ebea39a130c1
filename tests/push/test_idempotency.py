"""Idempotency-Key: done once, answered the same."""

import asyncio

import pytest
from starlette.responses import Response

from samesky.link.problems import Problem
from samesky.push.idempotency import MOST_KEPT, IdempotencyKeys


class Work:
    def __init__(self) -> None:
        self.done = 0

    async def __call__(self) -> Response:
        self.done += 1
        return Response(f"answer {self.done}")


def ask(keys: IdempotencyKeys, work: Work, *, caller: str = "a", key: str | None = "k", request: bytes = b"r") -> bytes:
    return bytes(asyncio.run(keys.once(caller, key, request, work)).body)


def test_the_same_request_is_done_once_and_answered_the_same() -> None:
    keys, work = IdempotencyKeys(), Work()
    assert [ask(keys, work), ask(keys, work)] == [b"answer 1", b"answer 1"]


def test_other_keys_other_callers_and_none_are_others() -> None:
    keys, work = IdempotencyKeys(), Work()
    for options in ({}, {"key": "l"}, {"caller": "b"}, {"key": None}, {"key": None}):
        ask(keys, work, **options)  # type: ignore[arg-type]
    assert work.done == 5


def test_another_request_with_the_same_key_is_422() -> None:
    keys, work = IdempotencyKeys(), Work()
    ask(keys, work)
    with pytest.raises(Problem) as problem:
        ask(keys, work, request=b"other")
    assert problem.value.status == 422


def test_the_same_request_while_the_first_is_under_way_comes_again_later() -> None:
    keys = IdempotencyKeys()

    async def first() -> Response:
        with pytest.raises(Problem) as problem:
            await keys.once("a", "k", b"r", first)
        assert problem.value.status == 429
        return Response("done")

    assert asyncio.run(keys.once("a", "k", b"r", first)).body == b"done"


def test_what_failed_is_done_again() -> None:
    keys, work = IdempotencyKeys(), Work()

    async def fail() -> Response:
        raise Problem(409, "conflict", "no")

    with pytest.raises(Problem):
        asyncio.run(keys.once("a", "k", b"r", fail))
    assert ask(keys, work) == b"answer 1"


@pytest.mark.parametrize("key", ["", "x" * 129])
def test_a_key_has_a_length(key: str) -> None:
    with pytest.raises(Problem) as problem:
        ask(IdempotencyKeys(), Work(), key=key)
    assert problem.value.status == 400


def test_the_oldest_keys_are_forgotten() -> None:
    keys, work = IdempotencyKeys(), Work()

    async def many() -> None:
        for number in range(MOST_KEPT + 1):
            await keys.once("a", str(number), b"r", work)
        await keys.once("a", "0", b"r", work)

    asyncio.run(many())
    assert work.done == MOST_KEPT + 2
