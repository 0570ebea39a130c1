"""What the commands of the mesh have in common: brokers, where to listen, and which files hold what."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ..errors import SetupError

if TYPE_CHECKING:
    from ..link.broker_url import BrokerUrl

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


class Listen(NamedTuple):
    """Where a server listens; ``host`` is empty for all of the machine's addresses."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address that others reach it by, as far as this machine knows its own name."""
        host = self.host if self.host not in ("", "0.0.0.0", "::") else socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"


class ListenType(click.ParamType):
    """``[HOST:]PORT``; an IPv6 address stands in brackets."""

    name = "[HOST:]PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Listen:
        if isinstance(value, Listen):
            return value
        host, _, port = str(value).rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
            self.fail(f"{value} isn't a port, nor a host and a port, such as 8000 or 127.0.0.1:8000", param, ctx)
        if (host.startswith("[") != host.endswith("]")) or (":" in host and not host.startswith("[")):
            self.fail(f"the address in {value} must be in brackets, such as [::1]:8000", param, ctx)
        return Listen(host.strip("[]"), int(port))


def check_exchange(exchange: str) -> str:
    """Return ``exchange`` when it can be the first level of a topic; a usage error otherwise."""
    from ..core.strict import Refused, check_topic_level

    try:
        return check_topic_level(exchange)
    except Refused as error:
        raise click.BadParameter(str(error), param_hint="--exchange") from None


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


def make_client_id(command: str) -> str:
    """A client id that nobody else has, for a connection that needs no session."""
    return f"samesky-{command}-{secrets.token_hex(6)}"
