"""The HTTP client against real sockets: servers that do well, badly and worse."""

import asyncio
from collections.abc import Callable

from tests.stands.mesh_web import ScriptedWeb, answering, target_of, whole

from samesky.link.http import Get, HttpClient, Reply, UrlRules

LOCAL = UrlRules(hosts=("127.0.0.1", "localhost"))


def fetch(*urls: str, rules: UrlRules = LOCAL, most_bytes: int = 1 << 20, **settings: object) -> list[Reply]:
    """Ask for all ``urls`` at once; what came of each, in their order."""
    return fetch_all(lambda: [Get(url, most_bytes, ignore) for url in urls], rules=rules, **settings)


def fetch_all(make: Callable[[], list[Get]], *, rules: UrlRules = LOCAL, **settings: object) -> list[Reply]:
    """Ask for all that ``make`` returns, whose ``on_done`` are replaced; what came of each."""

    async def run() -> list[Reply]:
        requests = make()
        replies: dict[Get, Reply] = {}
        finished = asyncio.Event()

        def keep(request: Get, reply: Reply) -> None:
            assert request not in replies, "answered twice"
            replies[request] = reply
            if len(replies) == len(requests):
                finished.set()

        async with HttpClient(rules, **settings) as client:  # type: ignore[arg-type]
            for request in requests:
                request.on_done = keep
                client.get(request)
            assert client.waiting == len(requests)
            async with asyncio.timeout(20):
                await finished.wait()
            assert client.waiting == 0
        return [replies[request] for request in requests]

    return asyncio.run(run())


def ignore(request: Get, reply: Reply) -> None:
    """Nobody asks."""


def echo(request: str) -> bytes:
    """The path asked for, as the body."""
    return whole(target_of(request).encode(), 'ETag: "1"')


def test_a_file_is_fetched() -> None:
    with ScriptedWeb(answering(echo)) as web:
        assert fetch(f"{web.url}/a/b?c=%20") == [Reply(200, b"/a/b?c=%20", '"1"', None, 10)]


def test_a_thousand_files_come_over_few_connections_each_with_its_own_content() -> None:
    with ScriptedWeb(answering(echo)) as web:
        replies = fetch(*(f"{web.url}/file/{number}" for number in range(1000)))
        assert [reply.body for reply in replies] == [f"/file/{number}".encode() for number in range(1000)]
        assert web.visits <= 4
