"""Files to be fetched, and their announcements, written by hand: ours and other programs get the very same."""

import base64
import hashlib
import json
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

EXCHANGE = "xpublic"
WIS2_TOPIC = "origin/a/wis2/xx-samesky/data/core/weather"
FOLDERS = 64
SIZE_BYTES = 2000

Message = tuple[str, bytes]
"""Topic and payload."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of the origin."""

    path: str
    content: bytes = field(repr=False)

    @property
    def folder(self) -> str:
        """Where it is."""
        return self.path.rpartition("/")[0]


def write_files(tree: Path, count: int, *, size_bytes: int = SIZE_BYTES, prefix: str = "f") -> list[File]:
    """Write ``count`` files of ``size_bytes`` below ``tree``, in `FOLDERS` folders as the seed has them."""
    rng, files = random.Random(f"{prefix}{count}"), []
    hour = time.strftime("%Y%m%dT%H", time.gmtime())
    for number in range(count):
        file = File(f"{hour}/GTS/C{number % FOLDERS:03}/SM/{prefix}{number:06}.txt", rng.randbytes(size_bytes))
        place = tree / file.path
        if number < FOLDERS:
            place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.content)
        files.append(file)
    return files


def announce_v03(files: Sequence[File], base_url: str) -> list[Message]:
    """What Sarracenia would say of them."""
    now = time.time()
    seconds = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    return [
        (
            f"{EXCHANGE}/v03/post/{file.folder}",
            _json(
                pubTime=f"{seconds}.{int(now % 1 * 1e6):06}",
                baseUrl=base_url,
                relPath=file.path,
                size=len(file.content),
                integrity=_checksum(file.content),
            ),
        )
        for file in files
    ]


def announce_wis2(files: Sequence[File], base_url: str) -> list[Message]:
    """What a WIS2 node would say of them, each folder on a topic of its own."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return [(f"{WIS2_TOPIC}/{file.folder}", _wis2(file, base_url, now)) for file in files]


def _wis2(file: File, base_url: str, now: str) -> bytes:
    url = f"{base_url}/{file.path}"
    return _json(
        id=str(uuid.UUID(bytes=hashlib.md5(url.encode()).digest())),
        type="Feature",
        conformsTo=["http://wis.wmo.int/spec/wnm/1/conf/core"],
        geometry=None,
        properties={
            "data_id": f"xx-samesky/{file.path}",
            "datetime": now,
            "pubtime": now,
            "integrity": _checksum(file.content),
        },
        links=[{"rel": "canonical", "href": url, "type": "text/plain", "length": len(file.content)}],
    )


def _checksum(content: bytes) -> dict[str, str]:
    return {"method": "sha512", "value": base64.b64encode(hashlib.sha512(content).digest()).decode()}


def _json(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
