"""What a pusher is told to do: ``[push]`` of samesky.toml, or the seed's ``synchronise.conf`` as it is.

    [push]                                             [general]
    database = "mysql://logger@localhost/ch"           localurl = mysql://logger@localhost/ch
    database_password_file = "/etc/samesky/database"   pushlimit = 5000
                                                       synctime = 600
    [push.targets.centre]                              [locations]
    url = "https://centre.example.org"                 centre = 1
    key_file = "/etc/samesky/centre.key"               [centre]
                                                       resturl = https://centre.example.org/rest/

Every mistake is told at once. What the left side can say is in docs/push.md; the right side takes our names too.
"""

import configparser
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..config import CREDENTIAL, Findings, Options, read_toml
from ..errors import ConfigError
from ..link.tls import TlsSettings
from ..link.urls import is_loopback
from .building import BUILDING
from .described import read_model
from .model import Model

LAG_WINDOW_S = 3600
PAGE_ROWS = 5000
PERIOD_S = 600
COMPARE_PERIOD_S = 3600
TIMEOUT_S = 120
KEY_VARIABLE = "SAMESKY_PUSH_KEY"
PASSWORD_VARIABLE = "SAMESKY_PUSH_DATABASE_PASSWORD"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON = _names("key key_file ca_file cert_file page_rows timeout_s accept_renames strict")
_OPTIONS = _COMMON | _names(
    "database database_password database_password_file state_dir lag_window_s period_s compare compare_period_s"
)
_TARGET_OPTIONS = _COMMON | _names("url enabled")
_SEED_NAMES = {"localurl": "database", "pushlimit": "page_rows", "synctime": "period_s", "resturl": "url"}
_FILES = _names("key_file database_password_file ca_file cert_file")
_SQLITE = re.compile(r"sqlite:///(?!/|:memory:)")
_PASSWORD = re.compile(r"^[^/]+//[^/@:]*:[^/]*@")
_Targets = list[tuple[str, Options]]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """One central server."""

    name: str
    url: str
    """Its base, without a slash behind: routes follow (``/sync/v1/…``)."""
    key: str = field(repr=False)
    enabled: bool = True
    tls: TlsSettings | None = None
    """None: the authorities that the system trusts."""
    page_rows: int = PAGE_ROWS
    """So many rows a page at most; the centre may want fewer."""
    timeout_s: float = TIMEOUT_S
    """For one request, from its first byte to the last of its answer."""
    accept_renames: bool = False
    """Whether most rows of a table may change their natural key at once; else that is taken for another database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """A site's database, and where it is pushed to."""

    database: str = field(repr=False)
    database_password: str = field(default="", repr=False)
    model: Model = BUILDING
    targets: tuple[TargetSettings, ...]
    state_dir: Path
    """Where the pusher's own file is: sums, quarantine, how the last push went."""
    lag_window_s: int = LAG_WINDOW_S
    """So much before the last position is read again each time: rows may be committed out of order."""
    period_s: int = PERIOD_S
    """From one run of the daemon to the next."""
    compare: bool = True
    """Whether a run ends with a comparison of all rows."""
    compare_period_s: int = COMPARE_PERIOD_S
    """The daemon compares when so much time has passed since it did last; a single run always does."""

    @property
    def enabled(self) -> tuple[TargetSettings, ...]:
        """The targets that are pushed to."""
        return tuple(target for target in self.targets if target.enabled)

    def choose(self, name: str | None) -> tuple[TargetSettings, ...]:
        """The target called ``name``, enabled or not; all that are enabled when None. Raises `ConfigError`."""
        chosen = self.enabled if name is None else tuple(target for target in self.targets if target.name == name)
        if not chosen:
            names = ", ".join(target.name for target in self.targets)
            what = "no target is enabled" if name is None else f"there is no target {name}"
            raise ConfigError(f"{what}; the configuration has {names}", hint="Set enabled = true in its section.")
        return chosen


def read_push_settings(path: Path) -> tuple[PushSettings, Findings]:
    """The settings in samesky.toml or synchronise.conf at ``path``, and what else there is to say of them.

    A file whose name ends in .toml is the former. Raises `ConfigError` with every mistake in it.
    """
    findings = Findings()
    settings = read_push(path, findings)
    findings.raise_errors(str(path))
    return settings, findings


def read_push(path: Path, findings: Findings) -> PushSettings:
    """As `read_push_settings`, but every mistake goes to ``findings``.

    Raises `ConfigError` only for a file that can't be read, or has nothing of a push in it.
    """
    read = _find_sections if path.suffix.lower() == ".toml" else _find_seed_sections
    options, targets, model = read(path, findings)
    settings = _read_push(options, targets, read_model(model, findings), path.absolute().parent)
    if path.stat().st_mode & stat.S_IROTH and _has_secret([options, *(each for _, each in targets)]):
        say = findings.error if options.flag("strict", False) else findings.warn
        say("file", f"it has a key or a password, and can be read by everybody: chmod 600 {path}")
    return settings


def _has_secret(sections: Iterable[Options]) -> bool:
    """Whether a secret is in the configuration itself, not in a file that it names."""
    return any(
        section.text("key") or section.text("database_password") or _PASSWORD.search(section.text("database"))
        for section in sections
    )


def _anchor(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """``values`` with the paths in them, if they are relative, taken from the folder of the configuration."""

    def anchor(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return _anchor(value, folder)
        if name in _FILES and isinstance(value, str) and value and not value.startswith(CREDENTIAL):
            return str(folder / Path(value).expanduser())
        if name == "database" and isinstance(value, str) and _SQLITE.match(value):
            return f"sqlite:///{folder / Path(value[len('sqlite:///') :]).expanduser()}"
        return value

    return {name: anchor(name, value) for name, value in values.items()}


def _find_sections(path: Path, findings: Findings) -> tuple[Options, _Targets, object]:
    section = read_toml(path).get("push")
    if not isinstance(section, Mapping):
        raise ConfigError(f"{path}: the section [push] is missing", hint="docs/push.md has one to start from.")
    options = Options(_anchor(section, path.absolute().parent), "push", findings)
    options.warn_unknown(_OPTIONS)
    targets = options.section("targets")
    return options, list(targets.sections()) if targets else [], section.get("model")


def _read_push(options: Options, targets: _Targets, model: Model, folder: Path) -> PushSettings:
    database = options.text("database")
    if not database:
        options.findings.error(options.where, "database is missing: mysql://user@host/name, or sqlite:///path")
    settings = PushSettings(
        database=database,
        database_password=options.secret("database_password", PASSWORD_VARIABLE) or "",
        model=model,
        targets=tuple(_read_target(name, each) for name, each in targets),
        state_dir=folder / Path(options.text("state_dir")).expanduser(),
        lag_window_s=options.integer("lag_window_s", LAG_WINDOW_S, 0, 30 * 86_400),
        period_s=options.integer("period_s", PERIOD_S, 1, 7 * 86_400),
        compare=options.flag("compare", True),
        compare_period_s=options.integer("compare_period_s", COMPARE_PERIOD_S, 0, 30 * 86_400),
    )
    if not targets:
        options.findings.error(options.where, "there is no target: add a section [push.targets.NAME] with url and key")
    elif not settings.enabled:
        options.findings.warn(options.where, "no target is enabled")
    return settings


def _read_target(name: str, options: Options) -> TargetSettings:
    options.warn_unknown(_TARGET_OPTIONS)
    if not _NAME.fullmatch(name):
        options.findings.error(options.where, "a target's name has 1 to 64 letters, digits and . _ -")
    enabled = Options({"enabled": options.own("enabled", "true")}, options.where, options.findings).flag(
        "enabled", True
    )
    return TargetSettings(
        name=name,
        url=_read_url(options),
        key=_read_key(options) if enabled else "",
        enabled=enabled,
        tls=_read_tls(options),
        page_rows=options.integer("page_rows", PAGE_ROWS, 1, 100_000),
        timeout_s=options.number("timeout_s", TIMEOUT_S, 1, 3600),
        accept_renames=options.flag("accept_renames", False),
    )


def _read_key(options: Options) -> str:
    key = options.secret("key", KEY_VARIABLE) or ""
    if not key and not options.has("key_file"):
        options.findings.error(
            options.where, "key and key_file are missing: `samesky push key add SITE` at the centre makes a key"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        options.findings.error(options.where, "the key isn't one: it has spaces or other characters than ASCII")
    return key


def _read_tls(options: Options) -> TlsSettings | None:
    ca_file, cert_file = options.path("ca_file"), options.path("cert_file")
    return TlsSettings(ca_file=ca_file, cert_file=cert_file) if ca_file or cert_file else None


def _read_url(options: Options) -> str:
    text = options.own("url", "").strip()
    try:
        return check_base_url(text, options)
    except ValueError:
        options.findings.error(
            options.where,
            "url is missing"
            if not text
            else "url should be http:// or https://, a host, and perhaps a path: no password, no ? and no #",
        )
        return ""


def check_base_url(text: str, options: Options) -> str:
    """Return the base of a central server: ``text`` without slashes and ``/rest`` at its end; notes an open link.

    Raises ValueError for what is no such URL.
    """
    url = urlsplit(text)
    port = url.port  # its ValueError included
    if url.scheme not in ("http", "https") or "@" in url.netloc or url.query or url.fragment or "\\" in text:
        raise ValueError("not a base URL")
    if not _HOST.fullmatch(url.netloc if port is None else url.netloc.rpartition(":")[0]) or not text.isprintable():
        raise ValueError("not a base URL")
    if url.scheme == "http" and not _is_local(url.hostname or ""):
        options.findings.warn(options.where, "url is http:// to another machine: the key can be read on the way")
    return text.rstrip("/").removesuffix("/rest").rstrip("/")


def _is_local(host: str) -> bool:
    return is_loopback(host) or host.endswith(".localhost")


def _find_seed_sections(path: Path, findings: Findings) -> tuple[Options, _Targets, object]:
    """What the seed's synchronise.conf says, under our names."""
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # [locations] has names of sections
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", hint="Give its path with --config.") from error
    except (configparser.Error, UnicodeDecodeError):  # whose words quote lines of the file, keys among them
        raise ConfigError(f"{path} isn't written like synchronise.conf", hint="docs/push.md has one.") from None
    if not parser.has_section("general") or not parser.has_section("locations"):
        raise ConfigError(
            f"{path} has no sections [general] and [locations]", hint="Name a samesky.toml, or a synchronise.conf."
        )
    folder = path.absolute().parent
    options = Options(_anchor(_rename(parser["general"]), folder), "[general]", findings)
    options.warn_unknown(_OPTIONS)
    return options, list(_find_locations(parser, options, folder)), None


def _find_locations(parser: configparser.ConfigParser, around: Options, folder: Path) -> Iterator[tuple[str, Options]]:
    for name, enabled in parser["locations"].items():
        if parser.has_section(name):
            values = {**_anchor(_rename(parser[name]), folder), "enabled": enabled}
            yield name, Options(values, f"[{name}]", around.findings, around)
        else:
            around.findings.error("[locations]", f"{name} has no section [{name}] with its resturl")


def _rename(section: Mapping[str, str]) -> dict[str, str]:
    """The options of a section by our names, but for the one that the centre knows better."""
    renamed = {_SEED_NAMES.get(name.lower(), name.lower()): value for name, value in section.items()}
    renamed.pop("lastupdate", None)
    return renamed
