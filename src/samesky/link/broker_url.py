"""Broker URLs, ``mqtt://user:password@host:port``, and the file that keeps their passwords off the command line.

A URL is what the commands of the mesh take (seed 002). Its password may be left out of it, and is then looked for in a
credentials file: one URL a line, with its password, as Sarracenia keeps them, so that one file serves both. Nothing
here ever shows a password: not ``str``, not ``repr``, not an error. (`amqp_url` reads those of AMQP with this.)
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote

from ..errors import ConfigError
from .mqtt import MqttSettings
from .tls import TlsSettings

log = logging.getLogger(__name__)

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
AMQP_PORTS = {"amqp": 5672, "amqps": 5671}
USUAL_CREDENTIALS = "~/.config/samesky/credentials.conf"
PASSWORD_VARIABLE = "SAMESKY_BROKER_PASSWORD"

_ALL_PORTS = DEFAULT_PORTS | AMQP_PORTS
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\s:\[\]@]+)(?::(?P<port>[0-9]{1,5})?)?")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """Where a broker is, and as whom we connect to it. ``str()`` is the URL without the password."""

    scheme: str
    """``mqtt``, or ``mqtts`` for TLS; of an AMQP broker ``amqp`` or ``amqps``."""
    host: str
    """A name or an address; an IPv6 address without brackets."""
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        user = "" if self.username is None else f"{quote(self.username, safe='')}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _ALL_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{user}{host}{port}"

    def make_settings(
        self,
        client_id: str,
        *,
        tls: TlsSettings | None = None,
        session_expiry_s: int = 3600,
        window: int = 64,
        receive_maximum: int = 64,
    ) -> MqttSettings:
        """Return how a link connects there as ``client_id``.

        ``tls`` says which certificates to use with ``mqtts`` (default: those the system trusts); with ``mqtt`` it is
        left out.
        """
        return MqttSettings(
            client_id=client_id,
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            tls=(tls or TlsSettings()) if self.scheme == "mqtts" else None,
            session_expiry_s=session_expiry_s,
            window=window,
            receive_maximum=receive_maximum,
        )


def read_broker_url(
    text: str,
    *,
    credentials: Path | None = None,
    environment: Mapping[str, str] | None = None,
    ports: Mapping[str, int] = DEFAULT_PORTS,
    variable: str = PASSWORD_VARIABLE,
) -> BrokerUrl:
    """Return the broker that ``text`` names, with the password for it.

    Looked for, when the URL has a user but no password: in the file ``credentials`` (default: `USUAL_CREDENTIALS`, if
    it is there), then in the ``variable`` of ``environment`` (default: the process's). A user without a
    password anywhere connects without one. Raises ``ConfigError``: `decode_broker_url`, a credentials file that can't
    be read, or one that was asked for and has no password for this broker.
    """
    url = decode_broker_url(text, ports=ports)
    if url.username is None or url.password is not None:
        return url
    found = _read_password(url, credentials)
    if found is None:
        found = (os.environ if environment is None else environment).get(variable)
    if found is None and credentials is not None:
        raise ConfigError(
            f"{credentials} has no password for {url}",
            hint="add a line to it: the same URL, with :password behind the user",
        )
    return replace(url, password=found)


def decode_broker_url(text: str, *, ports: Mapping[str, int] = DEFAULT_PORTS) -> BrokerUrl:
    """Return the broker that ``text`` names, with nothing but what ``text`` says.

    User and password are percent-decoded. ``ports`` are the schemes that are meant, with their ports. Raises
    ``ConfigError`` for what is no broker's URL, in words without the password.
    """
    match = _URL.fullmatch(text.strip())
    beginning = f"a broker's URL begins with {' or '.join(f'{each}://' for each in ports)}"
    if match is None:
        raise ConfigError(beginning, hint=_show_example(ports))
    scheme = match["scheme"].lower()
    if scheme not in ports:
        raise ConfigError(f"{beginning}, not {scheme}://", hint=_show_example(ports))
    user, at, where = match["authority"].rpartition("@")
    if match["rest"] not in ("", "/"):
        raise ConfigError(
            "a broker's URL ends with its host and port",
            hint="in a user or password write %2F for /, %3F for ?, %23 for #, %25 for %",
        )
    host, port = _decode_where(where, scheme, ports)
    name, colon, password = user.partition(":")
    if at and not name:
        raise ConfigError(f"the URL of the broker at {host} has an @ but no user before it", hint=_show_example(ports))
    return BrokerUrl(
        scheme, host, port, _unquote(name, host) if at else None, _unquote(password, host) if colon else None
    )


def cut_path(text: str) -> tuple[str, str]:
    """Return a URL up to its path, and the path, which begins with ``/`` or is empty."""
    match = _URL.fullmatch(text.strip())
    return (text.strip(), "") if match is None else (f"{match['scheme']}://{match['authority']}", match["rest"])


def _decode_where(where: str, scheme: str, ports: Mapping[str, int]) -> tuple[str, int]:
    """Host and port; the words of an error hold nothing of ``where``, which may be a password with a stray @."""
    match = _HOST_PORT.fullmatch(where)
    if match is None or not where.isprintable():
        raise ConfigError("the broker's URL has no usable host and port", hint=_show_example(ports))
    port = int(match["port"] or ports[scheme])
    if not 1 <= port <= 65_535:
        raise ConfigError("the port in the broker's URL isn't between 1 and 65535", hint=_show_example(ports))
    return match["host"].strip("[]").lower(), port


def _show_example(ports: Mapping[str, int]) -> str:
    plain, safe = ports
    return f"write {plain}://user@host, or {safe}://user:password@host:{ports[safe]}"


def _unquote(text: str, host: str) -> str:
    fault = ConfigError(
        f"the user or password for the broker at {host} isn't percent-encoded as it should be",
        hint="write %25 for %, %40 for @, %3A for :, %2F for /",
    )
    if _BAD_PERCENT.search(text):
        raise fault
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise fault from None  # its words would hold the password
    if "\0" in decoded:
        raise fault
    return decoded


def _read_password(url: BrokerUrl, given: Path | None) -> str | None:
    """The password that the credentials file has for ``url``: of the same scheme, user, host and port."""
    path = (given or Path(USUAL_CREDENTIALS)).expanduser()
    if given is None and not path.is_file():
        return None
    for each in _read_credentials(path, DEFAULT_PORTS if url.scheme in DEFAULT_PORTS else AMQP_PORTS):
        if replace(each, password=None) == url and each.password is not None:
            return each.password
    return None


def _read_credentials(path: Path, ports: Mapping[str, int]) -> Iterator[BrokerUrl]:
    """The brokers in a credentials file. Empty lines, comments, and URLs of other protocols are passed over."""
    try:
        text = path.read_text(encoding="utf-8")
        is_public = bool(path.stat().st_mode & 0o007)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the credentials in {path} can't be read: {_words(error)}") from None
    if is_public:
        log.warning("credentials_public path=%s hint=%r", path, f"chmod 600 {path}")
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()  # Sarracenia has options behind the URL
        if not words or words[0].partition("://")[0].lower() not in ports:
            continue
        try:
            yield decode_broker_url(cut_path(words[0])[0] if ports is AMQP_PORTS else words[0], ports=ports)
        except ConfigError as error:
            raise ConfigError(f"{path}, line {number}: {error}", hint=error.hint) from None


def _words(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it isn't UTF-8 text"
