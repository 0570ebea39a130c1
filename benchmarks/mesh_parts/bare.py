"""The reference: fetch and write with aiohttp, nothing verified, nothing atomic, nothing announced, no broker.

    python -m benchmarks.mesh_parts.bare TREE BASE_URL < paths

Prints the seconds from the first request to the last file.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp

AT_ONCE = 32


async def fetch_all(tree: Path, base_url: str, paths: list[str]) -> float:
    """Fetch and write all ``paths``; returns the seconds."""
    for folder in {(tree / path).parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        start, following = time.perf_counter(), iter(paths)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(_fetch_some(session, tree, base_url, following))
        return time.perf_counter() - start


async def _fetch_some(session: aiohttp.ClientSession, tree: Path, base_url: str, paths: Iterator[str]) -> None:
    for path in paths:
        async with session.get(f"{base_url}/{path}") as response:
            content = await response.read()
        with open(f"{tree}/{path}", "wb", buffering=0) as file:
            file.write(content)


if __name__ == "__main__":
    print(asyncio.run(fetch_all(Path(sys.argv[1]), sys.argv[2], sys.stdin.read().splitlines())))
