"""A client of one REST server: one request at a time, every wait bounded, every answer within a cap before it is read.

What a server answers is an `Answer`, be it good or bad; what comes of no answer is `Unreachable`, with words for the
user. Redirections aren't followed: the key would go where they point. This is the only import of httpx2.
"""

import logging
import re
import ssl
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx2

from .. import __version__
from ..core.strict import Refused, decode_json
from ..errors import Unreachable
from .tls import TlsSettings

USER_AGENT = f"samesky/{__version__}"
MOST_ANSWER_BYTES = 8 << 20
MOST_WAIT_S = 86_400.0
"""A server may ask for no longer pause than this."""
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RestTimeouts:
    """How long a request may take."""

    connect_s: float = 10.0
    idle_s: float = 30.0
    """Without a byte, either way."""
    total_s: float = 120.0
    """From its beginning to the last byte of its answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in small letters."""
    json: object = None
    """The document, strictly decoded; None when there is none."""
    mistake: str = ""
    """Why there is no document, though something came."""
    retry_after_s: float | None = None
    """The pause that the server asks for, 0 to a day."""

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success: 2xx, nothing else is."""
        return 200 <= self.status < 300


class RestClient:
    """Requests to the server at ``base_url``, with ``headers`` in each, over one connection that is kept.

    For one thread at a time. ``tls`` is for servers with an authority of their own; raises `ConfigError` when its files
    can't be used. A proxy of the environment (``https_proxy``) is used, as by curl.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: TlsSettings | None = None,
        timeouts: RestTimeouts | None = None,
        most_answer_bytes: int = MOST_ANSWER_BYTES,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.timeouts = timeouts or RestTimeouts()
        self._most_answer_bytes = most_answer_bytes
        self._deadline = _Deadline(self.timeouts.total_s)
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells of each request
        self._client = httpx2.Client(
            headers={
                "User-Agent": USER_AGENT,
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                **(headers or {}),
            },
            verify=_make_context(self.base_url, tls),
            timeout=httpx2.Timeout(self.timeouts.idle_s, connect=self.timeouts.connect_s),
            limits=httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=55.0),
            follow_redirects=False,
        )

    def get(self, path: str, *, query: Mapping[str, str] | None = None) -> Answer:
        """Ask for ``path``, which begins with a slash. Raises `Unreachable`."""
        return self._request("GET", path, query=query)

    def post(
        self,
        path: str,
        body: bytes,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send ``body``, JSON unless ``headers`` say otherwise. Raises `Unreachable`: then it may have been taken."""
        told = {"Content-Type": "application/json", **(headers or {})}
        return self._request("POST", path, query=query, content=body, headers=told)

    def put(self, path: str, body: bytes) -> Answer:
        """Put ``body``, JSON, in the place of what is at ``path``. Raises `Unreachable`: it may have been taken."""
        return self._request("PUT", path, query=None, content=body, headers={"Content-Type": "application/json"})

    def delete(self, path: str, *, query: Mapping[str, str] | None = None) -> Answer:
        """Ask for what is at ``path`` to be removed. Raises `Unreachable`: then it may have been."""
        return self._request("DELETE", path, query=query)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _request(self, method: str, path: str, **rest: Any) -> Answer:
        url, extensions = self.base_url + path, {"trace": self._deadline.trace}
        try:
            with (
                self._deadline.watch(),
                self._client.stream(method, url, params=rest.pop("query"), extensions=extensions, **rest) as response,
            ):
                return self._read_answer(response)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, zlib.error, _NoAnswer) as error:
            words = f"it took longer than {self.timeouts.total_s:g} s" if self._deadline.passed else self._words(error)
            raise Unreachable(f"{self.base_url} doesn't answer: {words}", hint=_find_hint(error)) from None

    def _read_answer(self, response: httpx2.Response) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = _read_body(response, headers.get("content-encoding", ""), self._most_answer_bytes)
        document, mistake = _decode(body, headers.get("content-type", ""), self._most_answer_bytes)
        return Answer(response.status_code, headers, document, mistake, read_retry_after(headers, now=time.time()))

    def _words(self, error: Exception) -> str:
        match error:
            case httpx2.ConnectTimeout():
                return f"no connection within {self.timeouts.connect_s:g} s"
            case httpx2.TimeoutException():
                return f"nothing moved for {self.timeouts.idle_s:g} s"
            case httpx2.ConnectError():
                return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or "no connection"
            case httpx2.NetworkError() | httpx2.RemoteProtocolError():
                return "the connection ended before the answer did"
            case zlib.error():
                return "its answer is damaged"
        return str(error) or type(error).__name__


def read_retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """The seconds to wait that an answer's Retry-After tells, as a number or as a time (RFC 9110, 10.2.3).

    A time counts from the answer's own Date, ``now`` (Unix seconds) without one. None without a sound Retry-After.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MOST_WAIT_S)
    until = _read_time(text)
    if until is None:
        return None
    since = _read_time(headers.get("date", ""))
    return min(max(until - (now if since is None else since), 0.0), MOST_WAIT_S)


class _NoAnswer(Exception):
    """An answer that isn't read to its end."""


class _Deadline:
    """Cuts the connection of a request that takes too long, however slowly its bytes drip."""

    def __init__(self, total_s: float) -> None:
        self.passed = False
        self._total_s = total_s
        self._stream: Any = None
        """The connection's, as the library tells of it."""

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._stream = info["return_value"]

    @contextmanager
    def watch(self) -> Iterator[None]:
        self.passed = False
        timer = threading.Timer(self._total_s, self._cut)
        timer.name = "rest-deadline"
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        self.passed = True
        connection = self._stream and self._stream.get_extra_info("socket")
        if connection is not None:
            try:
                connection.shutdown(2)
            except OSError:
                pass  # it has ended by itself


def _make_context(base_url: str, tls: TlsSettings | None) -> ssl.SSLContext | bool:
    if tls is not None:
        return tls.make_context()
    return TlsSettings().make_context() if base_url.startswith("https:") else False  # which takes some 20 ms


def _read_body(response: httpx2.Response, encoding: str, most_bytes: int) -> bytes:
    """The whole body, at most ``most_bytes`` of it, however small it was packed."""
    if encoding.lower() not in ("", "identity", "gzip"):
        raise _NoAnswer(f"its answer has an encoding that wasn't asked for, {encoding[:20]!r}")
    inflate = zlib.decompressobj(31).decompress if encoding.lower() == "gzip" else None
    body = bytearray()
    for piece in response.iter_raw():
        body += piece if inflate is None else inflate(piece, most_bytes + 1 - len(body))
        if len(body) > most_bytes:
            raise _NoAnswer(f"its answer is larger than {most_bytes} bytes")
    return bytes(body)


def _decode(body: bytes, media_type: str, most_bytes: int) -> tuple[object, str]:
    """The document in ``body``, or why there is none."""
    if not body:
        return None, ""
    if not _JSON_TYPE.fullmatch(media_type.strip()):
        return None, f"its answer is {media_type.partition(';')[0][:40] or 'of no type'}, not JSON"
    try:
        return decode_json(body, max_bytes=most_bytes), ""
    except Refused as refusal:
        return None, f"its answer isn't sound: {refusal}"


def _read_time(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _find_hint(error: Exception) -> str:
    words = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return "If the server has an authority of its own, name its certificate with ca_file."
    if "WRONG_VERSION_NUMBER" in words or "record layer failure" in words:
        return "The server doesn't speak TLS there: should the address begin with http://?"
    return ""
