"""Which roles a file configures, and the checks that are the same for a weewx.conf and a samesky.toml."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Findings, Options
from ..errors import ConfigError
from ..link.mqtt import MqttSettings
from ..link.packet import check_topic
from ..station.location import Location
from ..station.signatures import TrustSettings
from ..station.stanza import RequesterConfig, ResponderConfig
from .raised import describe_raised


@dataclass(frozen=True, slots=True)
class ResponderRole:
    """A primary; ``config`` is None when mistakes keep it from starting."""

    where: str
    config: ResponderConfig | None
    in_weewx: bool
    target_unit: int | None = None


@dataclass(frozen=True, slots=True)
class RequesterRole:
    """A copy; ``config`` is None when mistakes keep it from starting."""

    where: str
    config: RequesterConfig | None
    in_weewx: bool
    target_unit: int | None = None
    is_ours: bool = True
    """Whether samesky follows; another program of this family may run on this configuration, and it is fragile."""


@dataclass(frozen=True, slots=True)
class BindingRole:
    """One binding's database: what it is for, and whether something makes it when it is missing."""

    where: str
    name: str
    location: Location
    writes: bool
    in_weewx: bool
    made: bool
    target_unit: int | None


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles that are on."""

    responder: ResponderRole | None = None
    requester: RequesterRole | None = None

    @property
    def bindings(self) -> Iterator[BindingRole]:
        """The bindings of both."""
        if self.responder and self.responder.config:
            role = self.responder
            for served in self.responder.config.serve.bindings:
                unit = role.target_unit if served.main else None
                yield BindingRole(role.where, served.name, served.location, False, role.in_weewx, role.in_weewx, unit)
        if self.requester and self.requester.config:
            follower, config = self.requester, self.requester.config
            for copy in config.follow.copies:
                yield BindingRole(
                    follower.where,
                    config.bindings[copy.stream],
                    copy.location,
                    True,
                    follower.in_weewx,
                    copy.create or (follower.in_weewx and copy.main),
                    follower.target_unit if copy.main else None,
                )


def check_roles(roles: Roles, findings: Findings, path: Path, config: Mapping[str, Any]) -> None:
    """Note what is wrong with topics, client ids and secrets, and what each role will be."""
    if roles.responder and roles.responder.config:
        _check_responder(roles.responder.where, roles.responder.config, findings)
    if roles.requester and roles.requester.config:
        _check_requester(roles.requester.where, roles.requester.config, findings)
    for role in (roles.responder, roles.requester):
        if role is not None and role.config is not None:
            _check_tls(role.where, role.config.mqtt, findings)
    _check_client_ids(roles, findings)
    _check_secrecy(path, config, findings)


def describe_user(mqtt: MqttSettings) -> str:
    """``host:port as client_id`` with user and encryption, for findings."""
    user = f", user {mqtt.username}" if mqtt.username else ""
    return f"{mqtt.address} as {mqtt.client_id}{user}{', with TLS' if mqtt.tls else ''}"


def _check_responder(where: str, config: ResponderConfig, findings: Findings) -> None:
    serve = config.serve
    names = ", ".join(each.name for each in serve.bindings)
    findings.tell(where, f"a primary: instance {serve.instance}, bindings {names}, by {describe_user(config.mqtt)}")
    if serve.sign_key is not None:
        findings.tell(where, f"signs what it says; its public key: {serve.sign_key.public.line}")
    if not serve.bindings:
        findings.error(where, f"the instance {serve.instance} has no binding: add a subsection for each")
    topics = {"archive_topic": serve.archive_topic, "loop_topic": serve.loop_topic}
    topics |= {"request_topic": serve.request_topics[-1], "status_topic": config.status.topic}
    _check_topics(where, topics, findings)


def _check_requester(where: str, config: RequesterConfig, findings: Findings) -> None:
    follow = config.follow
    streams = ", ".join(each.stream for each in follow.copies)
    findings.tell(where, f"a copy: follows {streams}, by {describe_user(config.mqtt)}")
    topics = {"archive_topic": follow.archive_topic, "loop_topic": follow.loop_topic, "response_topic": follow.reply_to}
    topics |= {
        "request_topic": next(iter(follow.asking.values())).request_topics[-1],
        "status_topic": config.status.topic,
    }
    _check_topics(where, topics, findings)
    if follow.trust is not None:
        _check_trust(where, config, follow.trust, findings)
    if config.mqtt.session_expiry_s == 0:
        findings.warn(where, "session_expiry = 0: the broker keeps nothing for this copy while it is away")


def _check_trust(where: str, config: RequesterConfig, trust: TrustSettings, findings: Findings) -> None:
    """Say what signatures mean for who is followed."""
    if not trust.required:
        findings.warn(
            where,
            "require_signature = false: what isn't signed is believed too; remove it once the primary signs",
        )
        return
    findings.tell(
        where,
        f"believes what the keys of {trust.trusted_keys} have signed, and nothing else: a primary that doesn't sign "
        "(version 1, or without sign_key_file) is refused",
    )
    missing = {each.stream.partition("/")[0] for each in config.follow.copies} - set(config.follow.answer_keys)
    if config.answer and missing:
        findings.warn(
            where,
            f"answer = true without sign_key_file: copies that require signatures don't believe this one; "
            f"samesky station key make --copy {min(missing)}",
        )


def _check_topics(where: str, topics: Mapping[str, str], findings: Findings) -> None:
    """Each has to be a topic, and they have to differ: a request must not arrive as a record."""
    for name, topic in topics.items():
        try:
            check_topic(topic)
        except ValueError as error:
            findings.error(where, f"{name} = {topic!r}: {error}; write a plain topic such as replicate/request")
        if topic.startswith(("$", "/")):
            findings.error(where, f"{name} = {topic!r} begins with {topic[0]!r}: leave that out")
        same = [other for other in topics if other < name and topics[other] == topic]
        if same:
            findings.error(where, f"{name} and {same[0]} are both {topic}: each needs a topic of its own")


def _check_tls(where: str, mqtt: MqttSettings, findings: Findings) -> None:
    if mqtt.tls is not None:
        try:
            mqtt.tls.make_context()
        except ConfigError as error:
            findings.error(where, describe_raised(error))


def _check_client_ids(roles: Roles, findings: Findings) -> None:
    if not (roles.responder and roles.requester and roles.responder.config and roles.requester.config):
        return
    ours, theirs = roles.responder.config.mqtt, roles.requester.config.mqtt
    if (ours.client_id, ours.address) == (theirs.client_id, theirs.address):
        findings.error(
            roles.requester.where,
            f"client_id = {ours.client_id} is that of {roles.responder.where} too, and the broker throws out one of "
            "them: give each role its own, or leave client_id out",
        )


# ---------------------------------------------------------------------- secrets


def _check_secrecy(path: Path, config: Mapping[str, Any], findings: Findings) -> None:
    """The file itself, when it holds a password of ours, and private keys; a password_file is looked at when read."""
    for section in _our_sections(config):
        say = findings.error if section.flag("strict", False) else findings.warn
        for name in ("password", "sign_key"):
            if section.own(name, "") and _is_public(path):
                say(
                    section.where,
                    f"{name} is in {path}, which everybody can read: chmod 640 {path}, or use {name}_file",
                )
        key_file = section.own("key_file", "")
        if key_file and _is_public(Path(key_file).expanduser()):
            say(section.where, f"key_file = {key_file} can be read by everybody: chmod 600 {key_file}")


def _our_sections(config: Mapping[str, Any]) -> Iterator[Options]:
    """Every section in which a password of ours may stand."""
    for name, where in (("MQTTReplicate", "[MQTTReplicate]"), ("broker", "broker"), ("station", "station")):
        if isinstance(config.get(name), Mapping):
            yield from _with_subsections(Options(config[name], where, Findings()))


def _with_subsections(section: Options) -> Iterator[Options]:
    yield section
    for _, each in section.sections():
        yield from _with_subsections(each)


def _is_public(path: Path) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False


def check_lists(values: Mapping[str, Any], where: str, findings: Findings) -> None:
    """Note options that hold a comma: weewx.conf makes lists of them, and a password comes out as something else."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            check_lists(value, f"{where}/{name}" if where else name, findings)
        elif isinstance(value, list) and name != "extra_response_topics":
            text = ", ".join(map(str, value)) if name not in ("password", "username") else "…, …"
            findings.error(f"[{where}]", f'{name} holds a comma, so it is read as a list: write {name} = "{text}"')
