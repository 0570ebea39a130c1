"""How the tests ask the HTTP client: many requests at once, in a loop of their own, and what came of each."""

import asyncio
from collections.abc import Sequence

from samesky.link.http import Get, HttpClient, Reply, UrlRules

LOCAL = UrlRules(hosts=("127.0.0.1", "localhost"))


def fetch(*urls: str, rules: UrlRules = LOCAL, most_bytes: int = 100_000, **settings: object) -> list[Reply]:
    """Ask for all ``urls`` at once; what came of each, in their order. ``settings`` are those of `HttpClient`."""
    return ask([Get(url, most_bytes, ignore) for url in urls], rules=rules, **settings)


def ask(requests: Sequence[Get], *, rules: UrlRules = LOCAL, **settings: object) -> list[Reply]:
    """Ask for all ``requests``, whose ``on_done`` are replaced; what came of each."""

    async def run() -> list[Reply]:
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
            assert not replies, "answered from within get"
            async with asyncio.timeout(60):
                await finished.wait()
            assert client.waiting == 0
        return [replies[request] for request in requests]

    return asyncio.run(run())


def failures(replies: list[Reply]) -> list[str]:
    """The kinds of the failures among ``replies``."""
    return [reply.failure.kind for reply in replies if reply.failure is not None]


def ignore(request: Get, reply: Reply) -> None:
    """Nobody asks."""
