"""What the commands of the mesh have in common: brokers, where to listen, and which files hold what."""

import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import click

from ..errors import SetupError

if TYPE_CHECKING:
    from ..link.broker_url import BrokerUrl
    from ..link.mqtt import MqttSettings
    from ..link.tls import TlsSettings
    from ..mesh.publish import Telling

    _ListenParameter = click.ParamType["Listen"]
else:
    _ListenParameter = click.ParamType  # which takes no argument before click 8.3

INLINE_LIMIT_BYTES = 4096
"""What peers take, and WIS2 allows (row 44 of the design's table of bad inputs)."""
_BASE_URL_DEFAULT = "Default: http://<this host>:8000/<the folder's name>, as when the folder above is served."

credentials_option = click.option(
    "--credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Lines of broker URLs with their passwords (default: ~/.config/samesky/credentials.conf, if it's there).",
)
ca_file_option = click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="For mqtts://: the certificates to trust, in PEM (default: those that the system trusts).",
)
exchange_option = click.option("--exchange", default="xpublic", show_default=True, help="The topics' first level.")
inline_option = click.option("--inline", is_flag=True, help="Let small files travel inside of their announcements.")
inline_max_option = click.option(
    "--inline-max",
    type=click.IntRange(1, INLINE_LIMIT_BYTES),
    default=1024,
    show_default=True,
    metavar="BYTES",
    help=f"The largest file that does, at most {INLINE_LIMIT_BYTES}.",
)
encoding_option = click.option(
    "--encoding",
    type=click.Choice(["text", "binary", "guess"]),
    default="guess",
    show_default=True,
    help="How such a file is written: as UTF-8 where it is, or always in base64 (binary).",
)

Command = TypeVar("Command", bound=Callable[..., object])


def posting_options(command: Command) -> Command:
    """The options of commands that announce files of this machine."""
    options = (
        click.option(
            "--post-broker", required=True, metavar="URL", help="Announce here: mqtt[s]://user[:password]@host[:port]."
        ),
        click.option("--post-base-url", metavar="URL", help=f"Where others get the files. {_BASE_URL_DEFAULT}"),
        exchange_option,
        inline_option,
        inline_max_option,
        encoding_option,
        click.option(
            "--header",
            "headers",
            multiple=True,
            metavar="NAME=VALUE",
            help="A further field of the announcements, passed on by every peer; may be repeated.",
        ),
        click.option(
            "--format",
            "post_format",
            type=click.Choice(["v03", "wis2"]),
            default="v03",
            show_default=True,
            help="The announcements' dialect: the seed's and Sarracenia's, or WIS2 Notification Messages.",
        ),
        click.option("--centre-id", metavar="NAME", help="With --format wis2: who announces, such as ca-eccc-msc."),
        credentials_option,
        ca_file_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def with_dashes(name: str) -> str:
    """``--post_broker``, as the seed's programs spell it, is ``--post-broker``: for click's token_normalize_func."""
    return name.replace("_", "-")


SEED_SPELLING = {"token_normalize_func": with_dashes}
"""Context settings of commands that take the options of the seed's programs."""


class Listen(NamedTuple):
    """Where a server listens; ``host`` is empty for all of the machine's addresses."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address that others reach it by, as far as this machine knows its own name."""
        host = self.host if self.host not in ("", "0.0.0.0", "::") else socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class ListenType(_ListenParameter):
    """``[HOST:]PORT``; an IPv6 address stands in brackets. Without a host it is ``usual_host``: "", all addresses."""

    name = "[HOST:]PORT"

    def __init__(self, usual_host: str = "") -> None:
        self._usual_host = usual_host

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Listen:
        if isinstance(value, Listen):
            return value
        host, _, port = str(value).rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
            self.fail(f"{value} isn't a port, nor a host and a port, such as 8000 or 127.0.0.1:8000", param, ctx)
        if (host.startswith("[") != host.endswith("]")) or (":" in host and not host.startswith("[")):
            self.fail(f"the address in {value} must be in brackets, such as [::1]:8000", param, ctx)
        return Listen(host.strip("[]") or self._usual_host, int(port))


ON_THIS_MACHINE: Final = ListenType("127.0.0.1")
"""Where whoever reaches a server may also write, or learn who writes: more than a port has to be said for others."""


def choose_base_url(given: str | None, folder: Path) -> str:
    """Return ``--post-base-url``, or where the seed's README has a node's files; a usage error for what is no URL."""
    if given is None:
        return f"http://{socket.gethostname()}:8000/{quote(folder.resolve().name)}"
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise click.BadParameter(
            "it must be http://host/… or https://host/…, without a user", param_hint="--post-base-url"
        )
    if parts.query or parts.fragment:
        raise click.BadParameter("it can't have a ? or a #", param_hint="--post-base-url")
    return given


def read_headers(given: Sequence[str]) -> dict[str, object]:
    """Return the fields of ``--header``; a usage error for what isn't ``name=value``, or has a meaning already."""
    from ..mesh.publish import RESERVED_HEADERS

    headers: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals or not text.isprintable():
            raise click.BadParameter(f"{text!r} should be name=value", param_hint="--header")
        if name in RESERVED_HEADERS:
            raise click.BadParameter(f"{name} is told of every file anyway", param_hint="--header")
        headers[name] = value
    return headers


def check_exchange(exchange: str) -> str:
    """Return ``exchange`` when it can be the first level of a topic; a usage error otherwise."""
    from ..core.strict import Refused, check_topic_level

    try:
        return check_topic_level(exchange)
    except Refused as error:
        raise click.BadParameter(str(error), param_hint="--exchange") from None


def check_centre_id(options: Mapping[str, Any]) -> None:
    """Refuse, as a usage error, WIS2 messages of nobody."""
    if options["post_format"] == "wis2" and not options["centre_id"]:
        raise click.UsageError("--format wis2 needs --centre-id: who announces, such as ca-eccc-msc")


def read_broker(text: str, credentials: Path | None) -> "BrokerUrl":
    """The broker of ``--broker`` or ``--post-broker``. Raises ``ConfigError``."""
    from ..link.broker_url import read_broker_url

    return read_broker_url(text, credentials=credentials)


@contextmanager
def needing(library: str, extra: str = "mesh") -> Iterator[None]:
    """Around an import: a missing library becomes ``SetupError`` with the command that installs it."""
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != library:
            raise
        raise SetupError(
            f"the library {library} isn't installed", hint=f"pip install 'samesky[{extra}]', or {library} alone"
        ) from error


def read_telling(options: Mapping[str, Any]) -> "Telling":
    """In which dialect, and under which topics, files are to be announced."""
    from ..mesh.publish import Telling

    check_centre_id(options)
    exchange = check_exchange(options["exchange"])
    return Telling(exchange, options["encoding"], options["post_format"], options["centre_id"] or "")


def read_post_settings(options: Mapping[str, Any], client_id: str, *, window: int) -> "MqttSettings":
    """The connection to ``--post-broker``, with no session: what it doesn't get is announced again, or compared."""
    broker = read_broker(options["post_broker"], options["credentials"])
    return broker.make_settings(client_id, tls=read_tls(options["ca_file"]), session_expiry_s=0, window=window)


def read_tls(ca_file: Path | None) -> "TlsSettings | None":
    """The authorities of ``--ca-file``; None for those that the system trusts."""
    from ..link.tls import TlsSettings

    return TlsSettings(ca_file=str(ca_file)) if ca_file else None


def make_client_id(command: str) -> str:
    """A client id that nobody else has, for a connection that needs no session."""
    return f"samesky-{command}-{secrets.token_hex(6)}"
