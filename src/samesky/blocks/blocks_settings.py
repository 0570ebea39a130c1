"""What ``[blocks]`` in samesky.toml says: services and where their blocks are, brokers, and who may do what.

[blocks]
listen = "127.0.0.1:5000"
state = "blocks.sdb"                            # where links are kept
amqp = "amqp://guest:guest@localhost/"          # or a list: the nodes of one cluster
mqtt = "mqtt://localhost"                       # the second link; one of the two is enough
exchange = "syncast"                            # over MQTT the first level of topics
ca_file = "/etc/samesky/ca.pem"                 # for amqps and mqtts; default: what the system trusts
token_file = "/etc/samesky/blocks.token"        # needed to listen beyond this machine

[blocks.services.spark-master]
store = "spark-master.json"                     # blocks in a JSON file

[blocks.services.spark-slave]
controller = "http://localhost:5001"            # a controller's service, over HTTP
generation = "2018"                             # or "today"
writable = ["dummy-*"]                          # default: all blocks

[blocks.services.spark-three]
controller = "mqtt://localhost/spark-3"         # one of today's over MQTT, by the name it has there
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from ..config import Findings, Options, find_table
from ..core.strict import Refused, check_topic_level
from ..errors import ConfigError
from ..link.amqp_settings import AmqpSettings
from ..link.amqp_url import read_amqp_url
from ..link.broker_url import BrokerUrl, cut_path, read_broker_url
from ..link.tls import TlsSettings
from ..link.urls import is_loopback

USUAL_HOST = "127.0.0.1"
DEFAULT_LISTEN = f"{USUAL_HOST}:5000"
"""The port of the seed's walkthrough."""
DEFAULT_STATE = "blocks.sdb"
DEFAULT_EXCHANGE = "syncast"
TOKEN_VARIABLE = "SAMESKY_BLOCKS_TOKEN"
SHORTEST_TOKEN = 16
Kind = Literal["store", "2018", "today", "brewcast"]
"""A file; a controller's service over HTTP, of one of two generations; one of today's over MQTT."""

_OF_BROKERS = ("amqp", "mqtt", "exchange", "heartbeat_s", "dead_letter_exchange", "ca_file", "cert_file", "key_file")
KNOWN = frozenset({"listen", "state", "token", "token_file", "strict", "services", *_OF_BROKERS})
KNOWN_OF_SERVICE = frozenset({"store", "controller", "generation", "writable"})
_SERVICE = re.compile(r"(?!remote$)[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]*):[0-9]{1,5}")
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_MQTT = re.compile("mqtts?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """One service: where its blocks are, and which of them may be written."""

    name: str
    kind: Kind
    place: str
    """A path, or a URL; over MQTT the name that the service has there."""
    writable: tuple[str, ...] = ("*",)
    broker: BrokerUrl | None = None
    """Over MQTT: where the service speaks."""
    tls: TlsSettings | None = None

    def may_write(self, id: str) -> bool:
        """Whether the block ``id`` may be written."""
        return any(fnmatchcase(id, pattern) for pattern in self.writable)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlocksSettings:
    """The configuration of `samesky blocks serve`."""

    services: tuple[ServiceSettings, ...]
    amqp: AmqpSettings | None = None
    mqtt: BrokerUrl | None = None
    exchange: str = DEFAULT_EXCHANGE
    tls: TlsSettings | None = None
    state: Path = Path(DEFAULT_STATE)
    listen: str = DEFAULT_LISTEN
    token: str = field(default="", repr=False)

    def may_write(self, service: str, id: str) -> bool:
        """Whether a replica may write to this block."""
        return any(each.name == service and each.may_write(id) for each in self.services)


def read_blocks(tables: Mapping[str, Any], findings: Findings, *, given: Mapping[str, Any]) -> BlocksSettings:
    """Return the settings of ``[blocks]``; every mistake goes to ``findings``.

    What is ``given`` (on the command line) is in place of what the file says.
    """
    section = find_table(tables, "blocks", findings)
    options = Options({**section, **given}, "blocks", findings)
    options.warn_unknown(KNOWN)
    told = {**section, **given}
    tls = _read_tls(options)
    settings = BlocksSettings(
        services=_read_services(told.get("services", {}), findings, tls),
        amqp=_read_amqp(told.get("amqp"), options, tls),
        mqtt=_read_mqtt(options),
        exchange=options.text("exchange", DEFAULT_EXCHANGE),
        tls=tls,
        state=Path(options.text("state", DEFAULT_STATE)).expanduser(),
        listen=_name_host(options.text("listen", DEFAULT_LISTEN)),
        token=options.secret("token", TOKEN_VARIABLE) or "",
    )
    if not options.has("amqp") and not options.has("mqtt"):
        findings.error("blocks", 'amqp is missing: name the broker, such as "amqp://guest:guest@localhost/"')
    if _LISTEN.fullmatch(settings.listen):
        _check_token(settings, findings)
    else:
        findings.error("blocks", f"listen = {settings.listen!r} should be HOST:PORT, such as {DEFAULT_LISTEN}")
    return settings


def _read_services(told: object, findings: Findings, tls: TlsSettings | None) -> tuple[ServiceSettings, ...]:
    if not isinstance(told, Mapping) or not told:
        findings.error("blocks", "there is no service: add [blocks.services.NAME] with a store or a controller")
        return ()
    found = []
    for name, values in told.items():
        where = f"blocks.services.{name}"
        if not _SERVICE.fullmatch(name):
            findings.error(where, "a service's name, part of addresses, has letters, digits, - and _, and isn't remote")
        elif not isinstance(values, Mapping):
            findings.error(where, f"it should be a table: [{where}]")
        else:
            service = _read_service(name, Options(values, where, findings), values.get("writable"))
            found.append(replace(service, tls=tls))
    return tuple(found)


def _read_service(name: str, options: Options, writable: object) -> ServiceSettings:
    options.warn_unknown(KNOWN_OF_SERVICE)
    patterns = ["*"] if writable is None else writable
    if not isinstance(patterns, list) or not all(isinstance(each, str) for each in patterns):
        options.findings.error(options.where, 'writable should be a list of ids, such as ["dummy-*"]')
        patterns = []
    store, controller = options.own("store", ""), options.own("controller", "")
    if bool(store) == bool(controller):
        options.findings.error(options.where, "it needs one of: store (a file), controller (a URL)")
    if store or not controller:
        return ServiceSettings(name, "store", store, tuple(patterns))
    if _MQTT.match(controller):
        return _read_brewcast(name, controller, options, tuple(patterns))
    if not _URL.fullmatch(controller):
        options.findings.error(options.where, f"controller = {controller!r} should be a URL, such as http://spark:5000")
    generation: Kind = "2018" if options.choice("generation", "today", ("2018", "today")) == "2018" else "today"
    return ServiceSettings(name, generation, controller.rstrip("/"), tuple(patterns))


def _read_brewcast(name: str, controller: str, options: Options, writable: tuple[str, ...]) -> ServiceSettings:
    """A service over MQTT: the URL of its broker, and behind it the name it has there, where that is another one."""
    url, path = cut_path(controller)
    if options.choice("generation", "today", ("2018", "today")) == "2018":
        options.findings.error(options.where, "a service of 2018 doesn't speak MQTT: give its http:// URL")
    try:
        return ServiceSettings(
            name, "brewcast", check_topic_level(path.strip("/") or name), writable, read_broker_url(url)
        )
    except Refused:
        options.findings.error(options.where, "controller should end with one name, such as mqtt://localhost/spark-one")
    except ConfigError as error:
        options.findings.error(options.where, f"controller: {error}")
    return ServiceSettings(name, "brewcast", name, writable)


def _read_amqp(told: object, options: Options, tls: TlsSettings | None) -> AmqpSettings | None:
    heartbeat_s = options.integer("heartbeat_s", 10, 4, 600)
    urls = [told] if isinstance(told, str) else told
    if urls is None:
        return None
    if not isinstance(urls, list | tuple) or not urls or not all(isinstance(url, str) for url in urls):
        options.findings.error(options.where, "amqp should be a URL, or a list of the URLs of one cluster")
        return None
    try:
        brokers = tuple(read_amqp_url(url) for url in urls)
    except ConfigError as error:
        options.findings.error(options.where, f"amqp: {error}")
        return None
    return AmqpSettings(
        urls=brokers,
        exchange=options.text("exchange", DEFAULT_EXCHANGE),
        heartbeat_s=heartbeat_s,
        dead_letter_exchange=options.text("dead_letter_exchange") or None,
        tls=tls,
    )


def _read_mqtt(options: Options) -> BrokerUrl | None:
    if not options.has("mqtt"):
        return None
    try:
        check_topic_level(options.text("exchange", DEFAULT_EXCHANGE))
        return read_broker_url(options.text("mqtt"))
    except Refused:
        options.findings.error(
            options.where, "exchange should be a name without / + # $: over MQTT it is part of topics"
        )
    except ConfigError as error:
        options.findings.error(options.where, f"mqtt: {error}")
    return None


def _read_tls(options: Options) -> TlsSettings | None:
    """The files for brokers whose URLs begin with amqps or mqtts; None for what the system trusts."""
    ca_file, cert_file, key_file = (options.path(name) for name in ("ca_file", "cert_file", "key_file"))
    if key_file and not cert_file:
        options.findings.error(options.where, "key_file is set without cert_file: set both, or neither")
    return TlsSettings(ca_file, cert_file, key_file) if ca_file or cert_file else None


def _check_token(settings: BlocksSettings, findings: Findings) -> None:
    """Whoever may register links decides what is written to controllers: beyond this machine that takes a token."""
    if settings.token and len(settings.token) < SHORTEST_TOKEN:
        findings.error("blocks", f"the token should have {SHORTEST_TOKEN} characters or more")
    if not settings.token and not is_local(settings.listen):
        findings.error(
            "blocks",
            f"listen = {settings.listen!r} is reached from other machines: set token_file, or listen on 127.0.0.1",
        )


def _name_host(listen: str) -> str:
    return f"{USUAL_HOST}{listen}" if listen.startswith(":") else listen


def is_local(listen: str) -> bool:
    """Whether only this machine reaches ``host:port``."""
    return is_loopback(listen.rpartition(":")[0].strip("[]"))
