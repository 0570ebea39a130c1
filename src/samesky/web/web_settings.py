"""The settings of the page: the table ``[web]`` of samesky.toml, and what the command line says in its place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import Findings, Options, find_table
from ..link.urls import is_loopback

DEFAULT_LISTEN = "127.0.0.1:8080"
TOKEN_VARIABLE = "SAMESKY_WEB_TOKEN"
SHORTEST_TOKEN = 16
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
KNOWN = frozenset({"listen", "token", "token_file", "max_lag", "hosts", "tls_cert", "tls_key", "path", "strict"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """How the page is served."""

    listen: str = DEFAULT_LISTEN
    """``HOST:PORT``; without a host it is this machine alone. Port 0 takes a free one."""
    token: str | None = field(default=None, repr=False)
    """What one must know to see the page; None: everybody may who reaches it."""
    max_lag_s: float | None = None
    """What is further behind is told as bad, and /health/ready says 503."""
    hosts: tuple[str, ...] = ()
    """Names by which the page is asked for, beside this machine's addresses: those of a proxy."""
    path: str = ""
    """The path of another site below which a proxy shows the page, such as ``/samesky``; empty for none."""
    tls_cert: str | None = None
    tls_key: str | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where to listen; all addresses are ``0.0.0.0`` or ``::``."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(port)

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.address[0])


def read_web(tables: Mapping[str, Any], findings: Findings, *, given: Mapping[str, Any]) -> WebSettings:
    """Return the settings of ``[web]``; every mistake goes to ``findings``.

    What is ``given`` (on the command line) is in place of what the file says.
    """
    section = find_table(tables, "web", findings)
    options = Options({**section, **given}, "web", findings)
    options.warn_unknown(KNOWN)
    listen = options.text("listen", DEFAULT_LISTEN)
    if not _is_address(listen):
        findings.error("web", f"listen = {listen!r} should be HOST:PORT, such as {DEFAULT_LISTEN}")
        listen = DEFAULT_LISTEN
    settings = WebSettings(
        listen=listen,
        token=options.secret("token", TOKEN_VARIABLE),
        max_lag_s=options.number("max_lag", 0, 1, 31_536_000) if options.has("max_lag") else None,
        hosts=tuple(each for each in options.text("hosts").replace(",", " ").split() if each),
        path=_read_path(options, findings),
        tls_cert=options.path("tls_cert"),
        tls_key=options.path("tls_key"),
    )
    if settings.tls_key is not None and settings.tls_cert is None:
        findings.error("web", "tls_key is set without tls_cert")
    check_access(settings, findings)
    return settings


def check_access(settings: WebSettings, findings: Findings) -> None:
    """Note what would let people see the page who may not be meant to."""
    if settings.token is not None and len(settings.token) < SHORTEST_TOKEN:
        findings.error("web", f"the token is shorter than {SHORTEST_TOKEN} characters")
    if settings.is_local:
        return
    if settings.token is None:
        findings.error(
            "web",
            f"listen = {settings.listen} can be reached from other machines, so a token is needed: put "
            f"{SHORTEST_TOKEN} characters or more into a file and name it (token_file, or --token-file), or listen on "
            "127.0.0.1",
        )
    elif settings.tls_cert is None:
        findings.warn(
            "web",
            "the token travels unencrypted to this page: give a certificate (tls_cert), or listen on 127.0.0.1 behind "
            "a web server that has one",
        )


def _read_path(options: Options, findings: Findings) -> str:
    path = options.text("path", "").rstrip("/")
    if not path or (_PATH.fullmatch(path) and not {".", ".."} & set(path.split("/"))):
        return path
    findings.error("web", f"path = {path!r} should be one of a site, such as /samesky: letters, digits and - . _ ~")
    return ""


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return False
    return port.isascii() and port.isdigit() and int(port) <= 65_535 and not any(each.isspace() for each in host)
