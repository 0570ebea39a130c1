"""``[blocks]`` of samesky.toml: services whose blocks are broadcast and follow."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..blocks.blocks_settings import BlocksSettings, ServiceSettings, read_blocks
from ..config import Findings
from ..errors import SameskyError
from ..link.amqp_settings import AmqpSettings
from ..link.message import Message
from .installation import check_packages
from .listening import check_listening
from .probe import Probe, check_connection
from .raised import note_raised

CONNECT_TIMEOUT_S = 10.0
PATIENCE_S = 3.0
_PACKAGES = {"aio_pika": "aio-pika", "fastapi": "fastapi", "uvicorn": "uvicorn", "httpx2": "httpx2"}
_NOBODY = "samesky-check.nobody"
_LOOK_AGAIN_S = 0.05


def check_blocks(tables: Mapping[str, Any], findings: Findings) -> BlocksSettings | None:
    """Note mistakes in [blocks]; None when they keep it from being served."""
    own = Findings()
    settings = read_blocks(tables, own, given={})
    _check_folder("blocks", settings.state, own)
    for each in settings.services:
        if each.kind == "store":
            _check_folder(f"blocks.services.{each.name}", Path(each.place).expanduser(), own)
    findings.include(own)
    if own.errors or not check_packages("blocks", _PACKAGES, findings):
        return None
    names = ", ".join(each.name for each in settings.services)
    findings.tell("blocks", f"services {names}, at {settings.listen}")
    return settings


def check_blocks_online(settings: BlocksSettings, findings: Findings, unreachable: Findings) -> None:
    """Note which brokers don't let us hear what is broadcast, and which controllers don't tell their blocks."""
    if settings.amqp is not None:
        asyncio.run(_check_amqp(settings.amqp, findings, unreachable))
    if settings.mqtt is not None:
        _check_mqtt(settings, findings, unreachable)
    for each in settings.services:
        asyncio.run(_check_service(each, findings, unreachable))
    check_listening("blocks", settings.listen, findings)


async def _check_amqp(settings: AmqpSettings, findings: Findings, unreachable: Findings) -> None:
    """The exchange is declared, as the service does it, and a queue of our own bound to it for a moment."""
    from ..link.amqp import AmqpLink

    addresses = ", ".join(url.address for url in settings.urls)
    async with AmqpLink(settings, lambda _: None) as link:
        await link.subscribe(_NOBODY)
        end = asyncio.get_running_loop().time() + CONNECT_TIMEOUT_S
        while not link.connected and not link.consuming_trouble and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(_LOOK_AGAIN_S)
        if link.connected:
            findings.tell("blocks", f"connected to {addresses}, and may hear what is on {settings.exchange}")
        else:
            unreachable.error("blocks", f"amqp: {link.consuming_trouble or f'{addresses} does not answer'}")


def _check_mqtt(settings: BlocksSettings, findings: Findings, unreachable: Findings) -> None:
    """A message that is nobody's goes out and has to come back: that it took a subscription says nothing ."""
    assert settings.mqtt is not None
    topic, nobody = f"{settings.exchange}/#", f"{settings.exchange}/{_NOBODY.replace('.', '/')}"
    with Probe(settings.mqtt.make_settings("samesky-blocks", tls=settings.tls), [topic]) as probe:
        if not check_connection(probe, "blocks", findings, unreachable):
            return
        if reason := probe.publish(Message(nobody, b"?"), PATIENCE_S):
            findings.error(
                "blocks", f"the broker denies publishing to {topic} ({reason}): in its ACL write topic write {topic}"
            )
        elif probe.find(lambda each: each.topic == nobody, PATIENCE_S):
            findings.tell("blocks", f"may publish and hear what is on {topic}")
        else:
            findings.error("blocks", f"what is on {topic} doesn't come: in the broker's ACL write topic read {topic}")


async def _check_service(service: ServiceSettings, findings: Findings, unreachable: Findings) -> None:
    from ..blocks.controllers import open_objects

    where = f"blocks.services.{service.name}"
    try:
        objects = open_objects(service)
        try:
            found = await objects.list()
        finally:
            await objects.close()
    except SameskyError as error:
        note_raised(where, error, findings, unreachable)
    else:
        findings.tell(where, f"{len(found)} blocks")


def _check_folder(where: str, file: Path, findings: Findings) -> None:
    """Note a folder in which a file of ours can't be written."""
    folder = file.absolute().parent
    if not folder.is_dir():
        findings.error(where, f"the folder of {file} isn't there: make it, or correct the path")
    elif not os.access(folder, os.W_OK | os.X_OK) or (file.exists() and not os.access(file, os.W_OK)):
        findings.error(where, f"{file} can't be written by this user: chown or chmod it, or choose another place")
