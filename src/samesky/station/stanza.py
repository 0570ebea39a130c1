"""The ``[MQTTReplicate]`` stanza of weewx.conf, and the same tables of samesky.toml -> settings.

Option names and defaults are those that users of this family of extensions know; ours stand beside them. Each instance
has subsections of any name, one a binding, with ``data_binding`` (responder) or ``primary_data_binding`` and
``secondary_data_binding`` (requester); where these are missing the subsection's name is the binding's.
"""

import hashlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from ..config import Findings, Options, find_table
from ..core.strict import Refused, check_topic_level
from ..link.mqtt import MqttSettings
from ..link.tls import TlsSettings
from .agreement import CopySettings, Policy
from .checker import CHECK_INTERVAL_S
from .databases import read_toml_location
from .follow_settings import FollowSettings
from .location import Location
from .requester import Asking
from .requests import RESPONSE_PREFIX, check_reply_topic, spell_reply_topic
from .responder import Throttle
from .serve_settings import ServedBinding, ServeSettings
from .signing_keys import SecretKey
from .signing_settings import SIGN_OPTIONS, TRUST_OPTIONS, read_sign_key, read_trust
from .status_settings import OPTIONS as STATUS_OPTIONS
from .status_settings import StatusSettings, read_status_settings

Locate = Callable[[str, Options], Location | None]
"""(binding's name at this side, its section) -> its database."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LINK = _names(
    "host port keepalive username password password_file client_id tls ca_file cert_file key_file session_expiry "
    "log_mqtt subscribe_qos publish_qos strict state_dir enable request_topic archive_topic loop_topic loop_packets "
    "track_changes " + " ".join((*STATUS_OPTIONS, *SIGN_OPTIONS))
)
RESPONDER_OPTIONS = _LINK | _names(
    "delta throttle_count throttle_sleep max_responder_threads extra_response_topics max_page_bytes share"
)
REQUESTER_OPTIONS = _LINK | _names(
    "response_topic loop_interval archive_interval startup_max_tries startup_wait_before_retry archive_max_tries "
    "archive_wait_before_retry wait_before_retry main exact missing_columns newest accept_origin protocol "
    "check_interval answer " + " ".join(TRUST_OPTIONS)
)
RESPONDER_BINDING_OPTIONS = _names("data_binding type delta sqlite table")
REQUESTER_BINDING_OPTIONS = _names(
    "primary_data_binding secondary_data_binding type initialize missing_columns sqlite table"
)


@dataclass(frozen=True, slots=True)
class ResponderConfig:
    """All that a responder needs."""

    serve: ServeSettings
    mqtt: MqttSettings
    enabled: bool
    status: StatusSettings
    state_dir: Path | None
    """Where `State` is kept; None: the caller's usual place."""


@dataclass(frozen=True, slots=True)
class RequesterConfig:
    """All that a requester needs; the rest is the WeeWX driver's."""

    follow: FollowSettings
    mqtt: MqttSettings
    main: Literal["engine", "direct"]
    main_binding: str
    """The copy's own name of the binding it archives into; empty without WeeWX."""
    bindings: Mapping[str, str]
    """Stream -> the copy's own name of its binding."""
    loop_interval_s: float
    archive_interval_s: int
    startup_wait_s: float
    archive_wait_s: float
    check_interval_s: float
    """From one check of the copy to the next, when nothing else asks for one."""
    answer: bool
    """Whether this copy answers for its primary."""
    track_changes: bool
    """Whether triggers note changes by hand in the copy's databases."""
    status: StatusSettings
    state_dir: Path | None
    """Where `State` is kept; None: the caller's usual place."""


def read_responder(options: Options, locate: Locate) -> ResponderConfig | None:
    """The ``[[Responder]]`` section as settings; None when mistakes were noted."""
    findings = options.findings
    options.warn_unknown(RESPONDER_OPTIONS)
    instances = list(options.sections())
    if len(instances) != 1:
        findings.error(options.where, f"one instance is needed, a subsection of its name; there are {len(instances)}")
        read_link(options, "samesky")  # for the mistakes in there
        return None
    instance, section = instances[0]
    _check_level(section, instance, "the instance's name")
    bindings = tuple(_served_binding(name, each, locate) for name, each in section.sections())
    _check_main([binding.main for binding in bindings if binding], section)
    settings = ServeSettings(
        instance=instance,
        bindings=tuple(binding for binding in bindings if binding),
        request_topics=_request_topics(options, instance),
        archive_topic=options.text("archive_topic", "replicate/archive"),
        loop_topic=options.text("loop_topic", "replicate/loop"),
        loop_packets=options.flag("loop_packets", True),
        response_topics=tuple(options.text("extra_response_topics").replace(",", " ").split()),
        publish_qos=options.integer("publish_qos", 1, 0, 1),
        subscribe_qos=options.integer("subscribe_qos", 1, 0, 1),
        shared=options.flag("share", False),
        track_changes=options.flag("track_changes", False),
        throttle=Throttle(
            options.integer("throttle_count", 1000, 0, 10**6), options.number("throttle_sleep", 1.0, 0, 3600)
        ),
        max_page_bytes=options.integer("max_page_bytes", 1 << 20, 4096, 1 << 20),
        sign_key=read_sign_key(section, instance),
    )
    mqtt = read_link(options, f"samesky-{instance}-primary-{_machine_mark(*(str(each) for each in settings.bindings))}")
    if settings.shared:
        # A broker hands an absent member of the group its share too, as long as it remembers it.
        mqtt = replace(mqtt, session_expiry_s=0)
    enabled = options.flag("enable", True)
    status = read_status_settings(options)
    return None if findings.errors else ResponderConfig(settings, mqtt, enabled, status, _state_dir(options))


def read_requester(
    options: Options, locate: Locate, *, own_days: bool, unit_system: int | None = None
) -> RequesterConfig | None:
    """The ``[[Requester]]`` section as settings; None when mistakes were noted.

    ``own_days`` and ``unit_system`` are what a WeeWX at the copy means for it (`CopySettings`).
    """
    findings = options.findings
    options.warn_unknown(REQUESTER_OPTIONS)
    copies: list[CopySettings] = []
    bindings: dict[str, str] = {}
    for instance, section in options.sections():
        _check_level(section, instance, "the instance's name")
        for name, each in section.sections():
            own_name = _copied_binding(instance, name, each, locate, copies, own_days=own_days, unit_system=unit_system)
            bindings[copies[-1].stream if copies else name] = own_name
    if not copies and not findings.errors:
        findings.error(options.where, "no instance is followed: add a subsection of the primary's instance name")
    _check_main([each.main for each in copies], options)
    _check_distinct(options, copies)
    if not copies:
        read_link(options, "samesky")  # for the mistakes in there
        return None
    return _requester_config(options, tuple(copies), bindings)


def _requester_config(
    options: Options, copies: tuple[CopySettings, ...], bindings: Mapping[str, str]
) -> RequesterConfig | None:
    instance = copies[0].stream.partition("/")[0]
    mqtt = read_link(options, f"samesky-{instance}-copy-{_machine_mark(*(str(each.location) for each in copies))}")
    reply_to = _reply_topic(options, mqtt)
    asking = {each.stream: _asking(options, each.stream.partition("/")[0], reply_to) for each in copies}
    follow = FollowSettings(
        copies=copies,
        asking=asking,
        reply_to=reply_to,
        archive_topic=options.text("archive_topic", "replicate/archive"),
        loop_topic=options.text("loop_topic", "replicate/loop"),
        loop_packets=options.flag("loop_packets", True),
        subscribe_qos=options.integer("subscribe_qos", 1, 0, 1),
        accept_origin=options.text("accept_origin"),
        trust=read_trust(options, {each.stream.partition("/")[0] for each in copies}),
        answer_keys=_answer_keys(options) if options.flag("answer", False) else {},
    )
    config = RequesterConfig(
        follow=follow,
        mqtt=mqtt,
        main=cast(Literal["engine", "direct"], options.choice("main", "engine", ("engine", "direct"))),
        main_binding=next((bindings[each.stream] for each in copies if each.main), ""),
        bindings=bindings,
        loop_interval_s=options.number("loop_interval", 2.5, 0.01, 3600),
        archive_interval_s=options.integer("archive_interval", 300, 1, 86_400),
        startup_wait_s=_patience(options, "startup"),
        archive_wait_s=_patience(options, "archive"),
        answer=options.flag("answer", False),
        track_changes=options.flag("track_changes", False),
        check_interval_s=options.number("check_interval", CHECK_INTERVAL_S, 10, 30 * 86_400),
        status=read_status_settings(options),
        state_dir=_state_dir(options),
    )
    return None if options.findings.errors else config


def read_link(options: Options, default_client_id: str) -> MqttSettings:
    """The options that concern the broker."""
    files = [options.path(name) for name in ("ca_file", "cert_file", "key_file")]
    wants_tls = options.flag("tls", any(files))
    if any(files) and not wants_tls:
        options.findings.error(
            options.where, "tls = false, but ca_file, cert_file or key_file is set: remove one or the other"
        )
    username = options.text("username") or None
    password = options.secret("password", "SAMESKY_MQTT_PASSWORD")
    if password and not username:
        options.findings.error(options.where, "a password is set, but no username")
    if password and not wants_tls and options.text("host", "localhost") not in ("localhost", "127.0.0.1", "::1"):
        options.findings.warn(
            options.where, "the password goes over the network unencrypted: set ca_file or tls = true"
        )
    client_id = options.text("client_id", default_client_id)
    _check_level(options, client_id, "client_id")
    return MqttSettings(
        client_id=client_id,
        host=options.text("host", "localhost"),
        port=options.integer("port", 8883 if wants_tls else 1883, 1, 65_535),
        username=username,
        password=password,
        tls=TlsSettings(*files) if wants_tls else None,
        keepalive_s=options.integer("keepalive", 60, 5, 65_535),
        session_expiry_s=options.integer("session_expiry", 3600, 0, 0xFFFFFFFF),
        log_mqtt=options.flag("log_mqtt", False),
    )


def _served_binding(name: str, options: Options, locate: Locate) -> ServedBinding | None:
    options.warn_unknown(RESPONDER_BINDING_OPTIONS)
    binding = options.text("data_binding", name)
    _check_level(options, binding, "data_binding")
    location = locate(binding, options)
    main = options.choice("type", "secondary", ("main", "secondary")) == "main"
    delta_s = options.integer("delta", 60, 0, 86_400)
    return ServedBinding(binding, location, main, delta_s) if location else None


def _copied_binding(
    instance: str,
    name: str,
    options: Options,
    locate: Locate,
    copies: list[CopySettings],
    *,
    own_days: bool,
    unit_system: int | None,
) -> str:
    """Append the copy's settings to ``copies``; returns the copy's own name of the binding."""
    options.warn_unknown(REQUESTER_BINDING_OPTIONS)
    primary = options.text("primary_data_binding", name)
    own_name = options.text("secondary_data_binding", primary)
    _check_level(options, primary, "primary_data_binding")
    location = locate(own_name, options)
    if location is not None:
        copies.append(
            CopySettings(
                stream=f"{instance}/{primary}",
                location=location,
                main=options.choice("type", "secondary", ("main", "secondary")) == "main",
                create=options.flag("initialize", not own_days),
                missing_columns=cast(Policy, options.choice("missing_columns", "ignore", ("add", "ignore", "stop"))),
                unit_system=unit_system,
                own_days=own_days,
                newest=options.integer("newest", 288, 1, 100_000),
                exact=options.flag("exact", True),
            )
        )
    return own_name


def _answer_keys(options: Options) -> dict[str, SecretKey]:
    """What a copy that answers signs with, by instance."""
    keys = {instance: read_sign_key(section, instance, copy=True) for instance, section in options.sections()}
    return {instance: key for instance, key in keys.items() if key is not None}


def _asking(options: Options, instance: str, reply_to: str) -> Asking:
    base = options.text("request_topic", "replicate/request").rstrip("/").removesuffix(f"/{instance}")
    return Asking(
        reply_to=reply_to,
        request_topics=(f"{base}/{instance}", base),
        qos=options.integer("publish_qos", 1, 0, 1),
        protocol=options.integer("protocol", 2, 1, 2),
    )


def _request_topics(options: Options, instance: str) -> tuple[str, ...]:
    """Both forms, whichever is configured: programs in the field publish to either (seeds 000 and 001)."""
    base = options.text("request_topic", "replicate/request").rstrip("/").removesuffix(f"/{instance}")
    return (f"{base}/{instance}", base)


def _reply_topic(options: Options, mqtt: MqttSettings) -> str:
    """The configured response topic; given without a level of its own, user and client id are appended (seed 001)."""
    topic = options.text("response_topic", RESPONSE_PREFIX).rstrip("/")
    if topic == RESPONSE_PREFIX.rstrip("/"):
        return spell_reply_topic(mqtt.client_id, mqtt.username)
    try:
        check_reply_topic(topic)
    except Refused:
        options.findings.warn(
            options.where,
            f"response_topic = {topic}: a primary answers to {RESPONSE_PREFIX}<name> alone, "
            "unless its extra_response_topics has this one",
        )
    return topic


def _state_dir(options: Options) -> Path | None:
    text = options.text("state_dir")
    return Path(text).expanduser() if text else None


def _patience(options: Options, when: str) -> float:
    tries = options.integer(f"{when}_max_tries", 2, 0, 10_000)
    return tries * options.number(
        f"{when}_wait_before_retry", options.number("wait_before_retry", 10.0, 0, 86_400), 0, 86_400
    )


def _check_main(mains: list[bool], options: Options) -> None:
    if mains and mains.count(True) != 1:
        options.findings.error(options.where, f"exactly one binding needs type = main; {mains.count(True)} have it")


def _check_distinct(options: Options, copies: list[CopySettings]) -> None:
    for attribute in ("stream", "location"):
        values = [getattr(each, attribute) for each in copies]
        for twice in {value for value in values if values.count(value) > 1}:
            options.findings.error(options.where, f"two bindings have the same {attribute}, {twice}")


def _check_level(options: Options, text: str, what: str) -> None:
    try:
        check_topic_level(text)
    except Refused as refusal:
        options.findings.error(options.where, f"{what} {text!r} can't be part of an MQTT topic: {refusal}")


def _machine_mark(*texts: str) -> str:
    """Eight hex digits that are this machine's and these databases' own: a stable client id."""
    return hashlib.blake2b("\0".join([socket.gethostname(), *texts]).encode(), digest_size=4).hexdigest()


def read_stanza(config: Mapping[str, Any], findings: Findings) -> Options:
    """``[MQTTReplicate]`` of a weewx.conf."""
    section = config.get("MQTTReplicate")
    if not isinstance(section, Mapping):
        findings.error("[MQTTReplicate]", "the section is missing")
        section = {}
    return Options(section, "[MQTTReplicate]", findings)


def read_roles_in_use(config: Mapping[str, Any], stanza: Options) -> tuple[Options | None, Options | None]:
    """``[[Responder]]`` and ``[[Requester]]`` of a weewx.conf, None where the section isn't there or stands unused.

    The extension writes both: a copy's ``[[Responder]]`` says ``enable = false``, and at a primary, whose driver is an
    instrument's, nothing follows what ``[[Requester]]`` names.
    """
    serve, follow = stanza.section("Responder"), stanza.section("Requester")
    if serve is not None and not serve.flag("enable", True):
        serve = None
    return serve, follow if serve is None or has_copys_driver(config) else None


def has_copys_driver(config: Mapping[str, Any]) -> bool:
    """Whether the station of a weewx.conf is a copy by its driver: ours, or another program's of the family."""
    station = config.get("Station")
    station_type = str(station.get("station_type", "")) if isinstance(station, Mapping) else ""
    section = config.get(station_type)
    driver = str(section.get("driver", "")) if isinstance(section, Mapping) else ""
    return station_type == "MQTTReplicate" or "replicate" in driver.lower() or driver.endswith(".station.weewx_driver")


def read_toml_responder(tables: Mapping[str, Any], findings: Findings) -> ResponderConfig | None:
    """``[station.serve]`` of samesky.toml, with ``[broker]`` around it; None when mistakes were noted."""
    options = _toml_section(tables, "serve", findings)
    if options is None:
        return None
    config = read_responder(options, lambda _, section: read_toml_location(section))
    return None if config is None else replace(config, serve=replace(config.serve, tail=True))


def read_toml_requester(tables: Mapping[str, Any], findings: Findings) -> RequesterConfig | None:
    """``[station.follow]`` of samesky.toml, with ``[broker]`` around it; None when mistakes were noted."""
    options = _toml_section(tables, "follow", findings)
    if options is None:
        return None
    return read_requester(options, lambda _, section: read_toml_location(section), own_days=False)


def _toml_section(tables: Mapping[str, Any], name: str, findings: Findings) -> Options | None:
    broker = Options(find_table(tables, "broker", findings), "broker", findings)
    broker.warn_unknown(_LINK)
    section = find_table(tables, "station", findings).get(name)
    if not isinstance(section, Mapping):
        findings.error("station", f"the table [station.{name}] is missing")
        return None
    return Options(section, f"station.{name}", findings, broker)
