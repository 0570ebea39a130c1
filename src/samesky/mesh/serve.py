"""A plain web server over a tree: files by GET with ranges and conditions, and lists of directories. It only reads.

Served are regular files and directories below the tree's folder. Names that begin with a dot (the peer's own state, for
one) and symbolic links don't exist for it, wherever they point (`beneath`).
"""

import asyncio
import errno
import logging
import mimetypes
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..errors import ConfigError
from .beneath import open_beneath
from .conditional import Part, Representation, plan_part
from .listing import read_listing, render_listing

log = logging.getLogger(__name__)
_http_log = logging.getLogger(f"{__name__}.http")
Answer = TypeVar("Answer")

AT_ONCE_BYTES = 256 << 10
"""A file up to this size is read and sent in one piece; larger ones piece by piece, in another thread."""
WRITE_TIMEOUT_S = 60.0
"""A client that takes nothing of a large file for so long is given up."""
IDLE_TIMEOUT_S = 75.0
"""How long a connection is kept after its latest request."""
MOST_CONNECTIONS = 400
"""Less than the descriptors that a process may have, 1024 usually."""
CLOSE_TIMEOUT_S = 2.0
LINGER_S = 1.0
"""What comes behind a request that has no body is read for so long, so that the client sees the answer."""
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY  # a pipe must not make us wait
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EINVAL, errno.EXDEV}
_WORDS = {
    301: "It has a slash behind",
    400: "Bad request",
    403: "Not allowed",
    404: "Not found",
    405: "Only GET and HEAD",
    412: "The file is another one",
    416: "The file isn't that long",
    500: "It can't be read",
    503: "Try again",
}
# Whatever a file says it is, a browser must not run it in this server's name.
_GUARD = {"Server": "samesky", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
_PAGE_GUARD = _GUARD | {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


@dataclass(frozen=True, slots=True)
class Page:
    """A page that isn't a file: its Content-Type, and what it holds."""

    content_type: str
    body: bytes


class WebServer:
    """Serves the tree in ``folder`` while its ``async with`` block runs, in the event loop that entered it.

    ``host`` is a name or an address, "" for all of the machine's; ``port`` 0 takes a free one. ``pages`` are functions
    that make a page when its path is asked for; a path below ``/.samesky/`` can't hide a file. Whoever can reach the
    server can read them. Entering raises ``ConfigError`` when the folder or the port can't be used.
    """

    def __init__(
        self, folder: Path, *, host: str = "", port: int = 0, pages: Mapping[str, Callable[[], Page]] | None = None
    ) -> None:
        self.folder = folder
        self.host = host
        self.port = port
        """Inside of the block the port that it listens on, whatever was asked for."""
        self._pages = dict(pages or {})
        self._root = -1
        self._runner: web.ServerRunner | None = None
        self._reading = ThreadPoolExecutor(4, thread_name_prefix="samesky-serve")

    async def __aenter__(self) -> Self:
        try:
            self._root = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(f"the folder {self.folder} can't be served: {error.strerror}") from error
        try:
            await self._listen()
        except BaseException:
            await self.__aexit__()
            raise
        log.info("web_serving folder=%s host=%s port=%d", self.folder, self.host or "*", self.port)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._reading.shutdown(cancel_futures=True)
        os.close(self._root)

    async def _listen(self) -> None:
        _http_log.addFilter(_is_our_fault)
        server = _BoundedServer(
            self._handle, access_log=None, logger=_http_log, lingering_time=LINGER_S, keepalive_timeout=IDLE_TIMEOUT_S
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=CLOSE_TIMEOUT_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host or None, self.port, backlog=1024).start()
        except OSError as error:
            raise ConfigError(
                f"nothing can be served on {self.host or '*'}:{self.port}: {error.strerror or error}",
                hint="choose another address or port, or end the program that uses this one",
            ) from error
        self.port = self._runner.addresses[0][1]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._answer(request)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("web_answered method=%s path=%r status=%d", request.method, request.raw_path, response.status)
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return _refuse(405, {"Allow": "GET, HEAD"})
        path = unquote_to_bytes(request.raw_path.partition("?")[0])
        if not path.startswith(b"/"):
            return _refuse(400)
        if (make_page := self._pages.get(os.fsdecode(path))) is not None:
            return _send_page(make_page(), {"Cache-Control": "no-store"})
        parts = [part for part in path.split(b"/") if part]  # baseUrl and relPath may both bring a slash
        if any(part.startswith(b".") or b"\0" in part for part in parts):
            return _refuse(404)
        try:
            descriptor = open_beneath(self._root, os.fsdecode(b"/".join(parts)) or ".", _FILE)
        except OSError as error:
            return _refuse(_status_of(error))
        try:
            return await self._send(request, descriptor, parts, wants_directory=path.endswith(b"/"))
        finally:
            os.close(descriptor)

    async def _send(
        self, request: web.BaseRequest, descriptor: int, parts: list[bytes], *, wants_directory: bool
    ) -> web.StreamResponse:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            if not wants_directory:
                return _refuse(301, {"Location": f"/{'/'.join(map(quote, parts))}/"})
            return _send_page(await self._in_thread(_make_listing, descriptor, parts))
        if not stat.S_ISREG(found.st_mode) or wants_directory:
            return _refuse(404)
        file = Representation(found.st_size, found.st_mtime_ns, found.st_ino)
        return await self._send_file(request, descriptor, file, os.fsdecode(parts[-1]))

    async def _send_file(
        self, request: web.BaseRequest, descriptor: int, file: Representation, name: str
    ) -> web.StreamResponse:
        part = plan_part(request.headers, file)
        headers = _GUARD | {"ETag": file.etag, "Last-Modified": file.last_modified, "Accept-Ranges": "bytes"}
        match part.status:
            case 206:
                headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
            case 304:
                return web.Response(status=304, headers=headers)
            case 416:
                return _refuse(416, headers | {"Content-Range": f"bytes */{file.size}"})
            case 412:
                return _refuse(412, headers)
        headers["Content-Type"] = _guess_type(os.path.splitext(name)[1])
        size = part.stop - part.start
        if request.method == "HEAD" or size > AT_ONCE_BYTES:
            return await self._send_pieces(request, descriptor, part, headers)
        try:
            body = os.pread(descriptor, size, part.start)
        except OSError as error:
            return _refuse(_status_of(error))
        if len(body) < size:
            return _refuse(503)  # somebody writes to the file at this moment
        return web.Response(status=part.status, headers=headers, body=body)

    async def _send_pieces(
        self, request: web.BaseRequest, descriptor: int, part: Part, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """A large file, or the headers alone. What fails under way ends the connection: the client sees it's cut."""
        response = web.StreamResponse(status=part.status, headers=headers)
        response.content_length = part.stop - part.start
        await response.prepare(request)
        if request.method == "GET":
            try:
                await self._write_pieces(response, descriptor, part)
            except OSError as error:  # TimeoutError is one
                if request.transport is not None:
                    request.transport.abort()
                raise ConnectionResetError("the answer was cut") from error
        await response.write_eof()
        return response

    async def _write_pieces(self, response: web.StreamResponse, descriptor: int, part: Part) -> None:
        for at in range(part.start, part.stop, AT_ONCE_BYTES):
            size = min(AT_ONCE_BYTES, part.stop - at)
            piece = await self._in_thread(os.pread, descriptor, size, at)
            if len(piece) < size:
                raise OSError(errno.EIO, "the file became shorter")
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await response.write(piece)

    async def _in_thread(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._reading, function, *arguments)


class _BoundedServer(web.Server):
    """aiohttp's server with a bound on its connections: the peer that it may be part of needs descriptors as well.

    The one that has been quiet for longest makes room for a new one, so nobody can keep others out by asking nothing.
    """

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], **options: Any) -> None:
        super().__init__(self._handle, **options)
        self._handle_one = handle
        self._quiet: dict[web.RequestHandler, asyncio.Transport] = {}
        """Those that no request is being answered of, the longest quiet first."""
        self._count = 0

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._count += 1
        if self._count > MOST_CONNECTIONS:
            self._quiet.pop(next(iter(self._quiet), handler), transport).abort()
        self._quiet[handler] = transport

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._count -= 1
        self._quiet.pop(handler, None)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = self._quiet.pop(request.protocol, None)
        try:
            return await self._handle_one(request)
        finally:
            if transport is not None and not transport.is_closing():
                self._quiet[request.protocol] = transport


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Whether to log it: anybody can send what is no request, as often as he likes, and is told so."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _status_of(error: OSError) -> int:
    if error.errno in _MISSING:
        return 404
    if error.errno in (errno.EACCES, errno.EPERM):
        return 403
    log.warning("web_read_failed error=%r", error.strerror)
    return 503 if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN) else 500


def _make_listing(descriptor: int, parts: list[bytes]) -> Page:
    return Page("text/html; charset=utf-8", render_listing(b"/".join(parts), read_listing(descriptor)))


def _send_page(page: Page, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=page.body, headers={**_PAGE_GUARD, **(headers or {}), "Content-Type": page.content_type})


def _refuse(status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    body = f"{status} {_WORDS[status]}\n".encode()
    return web.Response(status=status, body=body, headers={**_GUARD, **(headers or {}), "Content-Type": "text/plain"})


@lru_cache(maxsize=1024)
def _guess_type(suffix: str) -> str:
    """Never a Content-Encoding: a file that is compressed is that file, and its checksum is of what is in it."""
    kind, encoding = mimetypes.guess_type("name" + suffix.lower())
    if encoding:
        return "application/gzip" if encoding == "gzip" else "application/octet-stream"
    return kind or "application/octet-stream"
