"""Files of our own that are to be announced: what is read of them, told of them, and entered in the tree's index.

A file is read once: its checksum, its size and, when it's small, the content that travels with the announcement are of
the same moment, or it isn't announced. Where the tree has an index (`index`), a file is entered there before it is
announced, so that a neighbour who compares trees with us agrees that it is here.
"""

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ..core.strict import Reason, Refused
from ..errors import DataError
from ..link.message import Message
from .announcement import Announcement, Entry, Integrity
from .index import Index
from .paths import check_path, topic_of
from .statefile import FILE_NAME, FOLDER
from .v03 import CONTENT_TYPE, InlineEncoding, encode_v03
from .wis2 import encode_wis2
from .wis2_topics import wis2_topic

PIECE_BYTES = 1 << 20
TRIES = 3
RESERVED_HEADERS = frozenset(
    {"pubTime", "baseUrl", "relPath", "size", "integrity", "identity", "content", "fileOp", "retrievePath", "retPath"}
    | {"parts", "blocks"}
)
"""Fields with a meaning of their own, which no header of the user's may replace."""
MICROSECOND_NS = 1000
_NO_HEADERS: Mapping[str, object] = MappingProxyType({})
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class ReadFile:
    """One version of a file of a tree."""

    path: str
    """Below the tree, as announcements have it."""
    size: int
    mtime_ns: int
    sha512: bytes
    content: bytes | None = field(default=None, repr=False)
    """All of it, where it is no larger than was asked for, and not empty."""


def path_below(file: Path, base: Path) -> str:
    """Return the path by which ``file`` is announced: where it is below the folder ``base``.

    Links above the file are followed, so that /srv/data and what it is a link to are one place. Raises ``Refused``:
    PATH when it isn't below ``base``, and whatever `check_path` refuses in its name.
    """
    place = Path(os.path.realpath(file.parent)) / file.name
    try:
        below = place.relative_to(os.path.realpath(base))
    except ValueError:
        raise Refused(Reason.PATH, f"it isn't below {base}, the folder that is announced") from None
    return check_path(below.as_posix())


def read_file(file: Path, path: str, *, inline_most_bytes: int = 0) -> ReadFile:
    """Read ``file`` once, to be announced as ``path``.

    Raises ``OSError``; ``Refused`` (PATH) for what is no regular file; `DataError` when it is written to meanwhile.
    """
    descriptor = os.open(file, _OPEN)
    try:
        return read_open_file(descriptor, path, inline_most_bytes=inline_most_bytes)
    finally:
        os.close(descriptor)


def read_open_file(descriptor: int, path: str, *, inline_most_bytes: int = 0) -> ReadFile:
    """As `read_file`, from an open file."""
    for _ in range(TRIES):
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise Refused(Reason.PATH, "it is no regular file")
        size, digest, content = _read_whole(descriptor, inline_most_bytes)
        after = os.fstat(descriptor)
        if size == after.st_size and before.st_mtime_ns == after.st_mtime_ns:
            return ReadFile(path, size, after.st_mtime_ns, digest, content or None)
    raise DataError("it is being written to: announce it when it is complete")


def _read_whole(descriptor: int, inline_most_bytes: int) -> tuple[int, bytes, bytes | None]:
    """Size, SHA-512, and the content unless it is longer than ``inline_most_bytes``."""
    digest, size, kept = hashlib.sha512(), 0, b""
    while piece := os.pread(descriptor, PIECE_BYTES, size):
        digest.update(piece)
        size += len(piece)
        kept = kept + piece if size <= inline_most_bytes else b""
    return size, digest.digest(), kept if size <= inline_most_bytes else None


def make_announcement(
    file: ReadFile,
    *,
    base_url: str,
    pub_time: int,
    headers: Mapping[str, object] = _NO_HEADERS,
    known: Entry | None = None,
) -> Announcement:
    """Return what is told of ``file``: it can be had below ``base_url``, and enters the mesh at ``pub_time`` (ns).

    ``known`` is what the tree's index knew of its path before.

    ``headers`` are further fields, which every peer passes on.
    """
    return Announcement(
        path=file.path,
        pub_time=pub_time,
        integrity=Integrity("sha512", file.sha512),
        size=file.size,
        base_url=base_url,
        content=file.content,
        extra=dict(headers),
        replaces=known is not None and known.state == "here" and known.content != file.sha512,
    )


def make_removal(path: str, *, base_url: str, pub_time: int) -> Announcement:
    """Return what is told when a file was removed."""
    return Announcement(path=path, pub_time=pub_time, base_url=base_url, operation="remove")


def make_entry(announcement: Announcement, file: ReadFile | None) -> Entry:
    """Return what our own tree's index knows after ``announcement`` of ``file``; None: it was removed."""
    return Entry(
        path=announcement.path,
        pub_time=announcement.pub_time,
        integrity=announcement.integrity,
        size=file.size if file else 0,
        mtime_ns=file.mtime_ns if file else 0,
        content=file.sha512 if file else b"",
        state="here" if file else "removed",
        extra=announcement.extra,
    )


def make_message(announcement: Announcement, *, exchange: str, encoding: InlineEncoding = "guess") -> Message:
    """Return the MQTT message that tells ``announcement`` in the dialect v03."""
    topic = topic_of(exchange, announcement.path)
    return Message(topic, encode_v03(announcement, encoding=encoding), content_type=CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class Telling:
    """How announcements are told: in which dialect, and under which topics."""

    exchange: str = "xpublic"
    encoding: InlineEncoding = "guess"
    format: Literal["v03", "wis2"] = "v03"
    centre_id: str = ""
    """Who tells, in WIS2: its own files are told under ``origin/a/wis2/<centre-id>/``."""

    def make_message(self, announcement: Announcement) -> Message:
        """Return the message that tells ``announcement``; ``Refused`` for what WIS2 has no name or no words for."""
        if self.format == "v03":
            return make_message(announcement, exchange=self.exchange, encoding=self.encoding)
        topic = wis2_topic(announcement, centre_id=self.centre_id)
        if topic is None:
            raise Refused(Reason.PATH, "its place is no topic of WIS2, such as wis2/<centre-id>/data/core/weather/…")
        return Message(topic, encode_wis2(announcement, centre_id=self.centre_id), content_type=CONTENT_TYPE)


def choose_pub_time(known: Entry | None, now_ns: int) -> int:
    """Return when a new version enters the mesh: now, in whole microseconds, but after what is ``known`` of its path.

    A version from another node may be of a clock that is ahead of ours, and the greater time wins everywhere.
    """
    now_ns -= now_ns % MICROSECOND_NS
    return now_ns if known is None else max(now_ns, known.pub_time + MICROSECOND_NS)


def enter_files(
    index: Index | None, files: Sequence[ReadFile], *, base_url: str, headers: Mapping[str, object] = _NO_HEADERS
) -> list[Announcement]:
    """Enter ``files`` in the tree's index, if it has one, and return their announcements, in one transaction."""
    made: list[Announcement] = []
    with index.file.writing() if index else nullcontext():
        for file in files:
            known = index.read(file.path) if index else None
            pub_time = choose_pub_time(known, time.time_ns())
            made.append(make_announcement(file, base_url=base_url, pub_time=pub_time, headers=headers, known=known))
        if index:
            index.apply(map(make_entry, made, files))
    return made


def open_index(folder: Path) -> Index | None:
    """Return the index of the tree at ``folder`` when a peer has made one; None for a folder without."""
    return Index(folder) if (folder / FOLDER / FILE_NAME).is_file() else None


def find_files(folder: Path) -> Iterator[Path]:
    """Yield the files below ``folder``, without links and whatever begins with a dot, in order of their names."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda each: each.name)
    for each in found:
        if each.name.startswith("."):
            continue
        if each.is_dir(follow_symlinks=False):
            yield from find_files(Path(each.path))
        elif each.is_file(follow_symlinks=False):
            yield Path(each.path)
