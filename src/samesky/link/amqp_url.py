"""URLs of AMQP brokers, ``amqp://user:password@host:port/vhost``, read with what `broker_url` has for those of MQTT."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from ..errors import ConfigError
from .broker_url import AMQP_PORTS, BrokerUrl, cut_path, read_broker_url

PASSWORD_VARIABLE = "SAMESKY_AMQP_PASSWORD"

_VHOST = re.compile(r"/?|/(?P<name>(?:[^/?#%]|%[0-9A-Fa-f]{2}){1,255})/?")


@dataclass(frozen=True, slots=True)
class AmqpUrl:
    """Where an AMQP broker is, as whom we connect, and to which of its virtual hosts. ``str()`` has no password."""

    broker: BrokerUrl
    vhost: str = "/"

    def __str__(self) -> str:
        return str(self.broker) + ("" if self.vhost == "/" else f"/{quote(self.vhost, safe='')}")

    @property
    def address(self) -> str:
        """``host:port``, for messages."""
        host = f"[{self.broker.host}]" if ":" in self.broker.host else self.broker.host
        return f"{host}:{self.broker.port}"


def read_amqp_url(
    text: str, *, credentials: Path | None = None, environment: Mapping[str, str] | None = None
) -> AmqpUrl:
    """Return the broker that ``text`` names, with the password for it (`read_broker_url` says where it is looked for).

    Without a path the virtual host is RabbitMQ's first, ``/``; so it is with the path ``/``, which RFC-minded clients
    read as a virtual host without a name, and people don't. The variable is ``SAMESKY_AMQP_PASSWORD``. Raises
    ``ConfigError``.
    """
    where, path = cut_path(text)
    broker = read_broker_url(
        where, credentials=credentials, environment=environment, ports=AMQP_PORTS, variable=PASSWORD_VARIABLE
    )
    return AmqpUrl(broker, _decode_vhost(path))


def _decode_vhost(path: str) -> str:
    fault = ConfigError(
        "what follows the port in the URL of an AMQP broker isn't the name of one virtual host",
        hint="in its name, and in a user or password, write %2F for /, %3F for ?, %23 for #, %25 for %",
    )
    match = _VHOST.fullmatch(path)
    if match is None:
        raise fault
    try:
        name = unquote(match["name"] or "/", errors="strict")
    except UnicodeDecodeError:
        raise fault from None
    if not name.isprintable():
        raise fault
    return name
