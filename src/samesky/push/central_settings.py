"""What the centre's part of samesky.toml says: ``[push.central]``, and how much the server takes at once.

[push.central]
database = "postgresql://samesky@db.example.org/central"
database_password_file = "/etc/samesky/central.password"
listen = "127.0.0.1:6543"
base_path = "/building"
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import Findings, Options

DEFAULT_DATABASE = "sqlite:///central.db"
DEFAULT_LISTEN = "127.0.0.1:6543"
"""The port of the seed's web interface."""
PASSWORD_VARIABLE = "SAMESKY_CENTRAL_PASSWORD"
_KNOWN = frozenset(
    {
        "database",
        "database_password",
        "database_password_file",
        "strict",
        "listen",
        "base_path",
        "tls_cert",
        "tls_key",
        "page_rows",
        "requests_per_s",
    }
)
_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the server takes; what is over is answered with 413, 408, 431 or 429, and nothing is stored of it."""

    body_bytes: int = 1 << 20
    """A request's body as it travels."""
    inflated_bytes: int = 8 << 20
    """The same after inflating it."""
    page_rows: int = 5_000
    """Rows of one page; pushers are told."""
    body_idle_s: float = 20.0
    """How long the next piece of a body may take."""
    body_total_s: float = 180.0
    """How long the whole body may take: 1 MiB at 50 kbit/s."""
    header_count: int = 64
    header_bytes: int = 16 << 10
    authorization_bytes: int = 1 << 10
    requests_per_s: float = 200.0
    """Requests of one key, or of one address without a key, over longer spans; twice as many may come at once."""
    lists_at_once: int = 2
    """Lists that one key may have under way."""
    turn_s: float = 30.0
    """How long a request may wait until it's its turn at the database; then 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralSettings:
    """Which database the centre has, and how it is served."""

    database: str = DEFAULT_DATABASE
    password: str = field(default="", repr=False)
    listen: str = DEFAULT_LISTEN
    base_path: str = ""
    """Where a proxy in front puts the server, such as /building; every address is served without it, too."""
    tls_cert: str | None = None
    tls_key: str | None = None
    limits: Limits = Limits()


def read_central(tables: Mapping[str, Any], findings: Findings, *, given: Mapping[str, str]) -> CentralSettings:
    """Return the settings of ``[push.central]`` in samesky.toml, or the defaults; mistakes go to ``findings``.

    What is ``given`` (on the command line) is in place of what the file says.
    """
    push = tables.get("push", {})
    section = push.get("central", {}) if isinstance(push, Mapping) else None
    if not isinstance(section, Mapping):
        findings.error("push.central", "it should be a table: [push.central]")
        return CentralSettings()
    file_only = {name: value for name, value in section.items() if name.removesuffix("_file") not in given}
    options = Options({**file_only, **given}, "push.central", findings)
    options.warn_unknown(_KNOWN)
    cert, key = options.path("tls_cert"), options.path("tls_key")
    if key and not cert:
        findings.error("push.central", "tls_key is set without tls_cert")
    return CentralSettings(
        database=options.text("database", DEFAULT_DATABASE),
        password=options.secret("database_password", PASSWORD_VARIABLE) or "",
        listen=options.text("listen", DEFAULT_LISTEN),
        base_path=_read_base_path(options),
        tls_cert=cert,
        tls_key=key,
        limits=_read_limits(options),
    )


def _read_base_path(options: Options) -> str:
    path = options.text("base_path").rstrip("/")
    if path and not _BASE_PATH.fullmatch(path):
        options.findings.error(options.where, f"base_path = {path!r} should be a path, such as /building")
    return path


def _read_limits(options: Options) -> Limits:
    usual = Limits()
    return Limits(
        page_rows=options.integer("page_rows", usual.page_rows, 100, 50_000),
        requests_per_s=options.number("requests_per_s", usual.requests_per_s, 0.1, 100_000),
    )
