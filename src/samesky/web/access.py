"""Who may see the page: the token, the cookie that a browser gets for it, and by which names the page is asked for."""

import hashlib
import hmac
import ipaddress
import logging
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..link.problems import Problem
from ..link.urls import is_loopback
from .below_path import place_links
from .layout import SECURITY_HEADERS, render_page
from .web_settings import WebSettings

LOGIN = "/login"
COOKIE = "samesky_page"
COOKIE_KEPT_S = 90 * 86_400
MOST_FORM_BYTES = 4096
_OPEN = frozenset({LOGIN, "/health/live", "/style.css", "/drawing.css", "/page.js", "/icon.svg"})
_log = logging.getLogger(__name__)


class Access:
    """Stands before the application: asks for the token, and lets nobody in who calls the page by another's name.

    Where no token is needed, a foreign name in Host means that a web page from elsewhere has its own name lead here,
    to read what only this machine may. Programs send ``Authorization: Bearer``; browsers get a cookie by `LOGIN`, which
    holds what is made from the token, not the token.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = await self._answer(Request(scope, receive))
        await (answer or self._app)(scope, receive, send_guarded)

    async def _answer(self, request: Request) -> Response | None:
        """What to answer in place of the application; None: it may."""
        if not self._knows_host(request.headers.get("host", "")):
            return _WRONG_HOST.response()
        if request.url.path == LOGIN:
            return await self._log_in(request)
        if request.url.path in _OPEN or self._is_let_in(request):
            return None
        if "text/html" not in request.headers.get("accept", ""):
            return _NO_TOKEN.response()
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return self._ask_for_token(target, 401)

    def _knows_host(self, host: str) -> bool:
        if self._settings.token is not None:
            return True
        name = _host_name(host)
        if name in self._settings.hosts or is_loopback(name):
            return True
        return name == self._settings.address[0].lower() or _is_number(name)

    def _is_let_in(self, request: Request) -> bool:
        token = self._settings.token
        if token is None:
            return True
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _is_equal(given.strip(), token):
            return True
        return _is_equal(_read_cookie(request.headers.get("cookie", "")), _make_cookie(token))

    async def _log_in(self, request: Request) -> Response:
        token, target = self._settings.token, _local_path(request.query_params.get("next", "/"))
        if token is None:
            return self._lead_to(target)
        if request.method != "POST":
            return self._ask_for_token(target, 200)
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_FORM_BYTES:
                return Problem(413, "size", f"the form may have at most {MOST_FORM_BYTES} bytes").response()
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        if not _is_equal(given, token):
            _log.warning("page_token_refused from=%s", request.client.host if request.client else "-")
            return self._ask_for_token(target, 401, wrong=True)
        answer = self._lead_to(target)
        answer.set_cookie(
            COOKIE,
            _make_cookie(token),
            path=f"{self._settings.path}/",
            max_age=COOKIE_KEPT_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    def _ask_for_token(self, target: str, status: int, *, wrong: bool = False) -> Response:
        html = place_links(_render_login(target, wrong=wrong), self._settings.path)
        return HTMLResponse(html, status, {"cache-control": "no-store"})

    def _lead_to(self, target: str) -> Response:
        return RedirectResponse(f"{self._settings.path}{target}", 303)


_NO_TOKEN = Problem(
    401,
    "token",
    "a token is needed: send it as Authorization: Bearer TOKEN, or open this page in a browser",
    headers={"www-authenticate": "Bearer"},
)
_WRONG_HOST = Problem(
    421,
    "host",
    "the page was asked for by a name that it doesn't know; if that is a name of this machine, or of the proxy before "
    "it, add it to hosts in [web] of samesky.toml",
)


def _render_login(target: str, *, wrong: bool) -> str:
    trouble = '<p class="words bad" role="alert">That isn\'t the token.</p>' if wrong else ""
    body = f"""<section class="card prose login"><h1>This page needs a token</h1>
<p>It is in the file that <code>--token-file</code>, or <code>token_file</code> in samesky.toml, names.</p>{trouble}
<form method="post" action="{LOGIN}?next={quote(target, safe="")}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Show the page</button>
</form></section>"""
    return render_page("samesky: token", body, live=False)


def _make_cookie(token: str) -> str:
    return hmac.new(token.encode(), b"samesky page", hashlib.sha256).hexdigest()


def _read_cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _is_equal(given: str, wanted: str) -> bool:
    """Whether the two are the same, in a time that doesn't tell how much of it is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def _local_path(target: str) -> str:
    """``target`` if it leads to this page, else the overview."""
    parts = urlsplit(target)
    is_local = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return target if is_local and target.isprintable() else "/"


def _host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_number(name: str) -> bool:
    """Whether it is an address, which nobody else can make lead here."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
