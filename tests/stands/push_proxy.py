"""A way between a site and its centre: counts what goes over it, slows it down, holds it up, and cuts it in a body."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Self

HOST = "127.0.0.1"
READ_BYTES = 1 << 14
START_TIMEOUT_S = 60.0


class PushProxy:
    """A TCP proxy on a loopback port in front of 127.0.0.1:``target_port``. A context manager; runs in its own thread.

    Every byte arrives ``delay_s`` later on the other side, and each direction carries at most ``rate_bytes_s`` bytes a
    second (0: as fast as it goes), all connections together, as one line does.
    """

    def __init__(self, target_port: int, *, delay_s: float = 0.0, rate_bytes_s: float = 0.0) -> None:
        self.target_port = target_port
        self.port = 0
        self.bytes_up = 0
        """Bytes from the site to the centre so far."""
        self.bytes_down = 0
        self.connections = 0
        self.cuts = 0
        self.holds = 0
        """How often it was held up."""
        self._delay_s = delay_s
        self._rate_bytes_s = rate_bytes_s
        self._free_at = {"up": 0.0, "down": 0.0}
        self._cut_at: int | None = None
        self._hold_at: int | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="push proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_TIMEOUT_S), "the proxy didn't start"
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(START_TIMEOUT_S)

    @property
    def url(self) -> str:
        """Where sites find the centre."""
        return f"http://{HOST}:{self.port}"

    @property
    def bytes_total(self) -> int:
        """Bytes in both directions so far."""
        return self.bytes_up + self.bytes_down

    def cut_after(self, more_bytes: int) -> None:
        """Once: end all connections, without a word, as soon as so many more bytes have come from the sites."""
        self._cut_at = self.bytes_up + more_bytes

    def hold_after(self, more_bytes: int) -> None:
        """Once: let nothing through to the centre, when so many more bytes have come from the sites, until `go_on`."""
        self._hold_at = self.bytes_up + more_bytes

    def go_on(self) -> None:
        """Let everything through again."""
        self._loop.call_soon_threadsafe(self._passable.set)

    def cut(self) -> None:
        """End all connections now, without a word."""
        self._loop.call_soon_threadsafe(self._cut)

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._ended, self._passable = asyncio.Event(), asyncio.Event()
        self._passable.set()
        server = await asyncio.start_server(self._join, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        self._cut()
        for task in self._tasks:
            task.cancel()  # what was about to be connected isn't among those that were cut
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        writers = [writer]
        try:
            await self._passable.wait()  # a centre that is away while all is held up refuses nobody
            target_reader, target_writer = await asyncio.open_connection(HOST, self.target_port)
            writers.append(target_writer)
            self._writers |= {*writers}
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, target_writer, "up", self._count_up))
                both.create_task(self._carry(target_reader, writer, "down", self._count_down))
        except* OSError:
            pass  # one end has gone, so the other has to
        finally:
            self._tasks.discard(task)
            self._writers -= {*writers}
            for each in writers:
                each.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str, count: Callable[[int], None]
    ) -> None:
        """Carry one direction to its end. What is on its way waits in a queue, so that the delay costs no rate."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=32)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._deliver(under_way, writer))
            data = b"begin"
            while data:
                data = await reader.read(READ_BYTES)
                count(len(data))
                if way == "up":
                    await self._passable.wait()
                await under_way.put((self._plan_arrival(way, len(data)), data))

    async def _deliver(self, under_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        while True:
            arrival, data = await under_way.get()
            if (early_s := arrival - self._loop.time()) > 0:
                await asyncio.sleep(early_s)
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()  # says so when the connection was cut

    def _plan_arrival(self, way: str, size: int) -> float:
        """When the last of ``size`` bytes that come now is on the other side."""
        now = self._loop.time()
        sent = max(now, self._free_at[way])
        if self._rate_bytes_s:
            sent += size / self._rate_bytes_s
        self._free_at[way] = sent
        return sent + self._delay_s

    def _count_up(self, size: int) -> None:
        self.bytes_up += size
        if self._cut_at is not None and self.bytes_up >= self._cut_at:
            self._cut_at = None
            self.cuts += 1
            self._cut()
            raise ConnectionAbortedError("cut")
        if self._hold_at is not None and self.bytes_up >= self._hold_at:
            self._hold_at = None
            self.holds += 1
            self._passable.clear()

    def _count_down(self, size: int) -> None:
        self.bytes_down += size

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
