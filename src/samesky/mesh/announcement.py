"""What is told of a file: `Announcement`, the same whatever dialect it came in (`v03`, `wis2`), and its `Integrity`.

The words are the seed's (MetPX wmo_mesh): ``pubTime`` is set where a file enters the mesh and never changed on the way,
``relPath`` names the file, ``baseUrl`` says where it can be had and is another at each hop.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

Operation = Literal["put", "remove", "rename", "link", "mkdir", "rmdir"]

METHODS: dict[str, Callable[..., Any]] = {
    "sha512": hashlib.sha512,
    "sha384": hashlib.sha384,
    "sha256": hashlib.sha256,
    "sha3-512": hashlib.sha3_512,
    "sha3-384": hashlib.sha3_384,
    "sha3-256": hashlib.sha3_256,
    "md5": lambda content=b"": hashlib.md5(content, usedforsecurity=False),
}
"""The checksums that are understood, by their names in WIS2 and Sarracenia."""
WEAK_METHODS = frozenset({"md5"})
"""Anybody can make two files of these: taken only when the user says so."""

_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*")
"""What quoting leaves as it is."""

Version = tuple[int, bytes]
"""Of two versions of a file the greater is kept, by every peer alike: pubTime, then the checksum."""


class Integrity(NamedTuple):
    """A file's checksum. A named tuple, as is all of which every file has one: it is made in a third of the time."""

    method: str
    """One of `METHODS`."""
    digest: bytes

    @property
    def value(self) -> str:
        """The checksum in base64, as announcements have it."""
        return base64.b64encode(self.digest).decode()

    def matches(self, content: bytes) -> bool:
        """Whether this is the checksum of ``content``."""
        return bool(METHODS[self.method](content).digest() == self.digest)


def integrity_of(content: bytes, method: str = "sha512") -> Integrity:
    """The checksum of ``content``."""
    return Integrity(method, METHODS[method](content).digest())


@dataclass(frozen=True, slots=True)
class Announcement:
    """A file is at ``url`` (or was removed, renamed …). ``path`` was checked (`paths`) when it came from outside."""

    path: str
    """relPath without a slash in front: what names the file in every peer's tree."""
    pub_time: int
    """When it entered the mesh, in nanoseconds since 1970."""
    integrity: Integrity | None = None
    """None for what has no content (a removal), or where the announcement doesn't tell."""
    size: int | None = None
    base_url: str = ""
    """Where the announcer's tree is, with or without a slash behind; empty when it has no web server."""
    retrieve: str = ""
    """Where the file is when not at ``base_url`` + ``path``: a URL, or a path below ``base_url``."""
    content: bytes | None = field(default=None, repr=False)
    """The file itself, when it is small and came along."""
    operation: Operation = "put"
    target: str = ""
    """Where a link points, or what a renamed file was called."""
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)
    """Fields that are passed on as they came."""
    replaces: bool = False
    """Whether the announcer had another content of this path before; only WIS2 has a word for it."""

    @property
    def version(self) -> Version:
        """What decides between two announcements of one path."""
        return self.pub_time, self.integrity.digest if self.integrity else b""

    @property
    def url(self) -> str:
        """Where to fetch the file, quoted; empty when it can't be fetched."""
        if "://" in self.retrieve:
            return self.retrieve
        if not self.base_url:
            return ""
        where = self.retrieve.lstrip("/") or self.path
        return f"{self.base_url.rstrip('/')}/{where if _PLAIN.fullmatch(where) else quote(where)}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a peer knows of one path of its tree."""

    path: str
    pub_time: int
    integrity: Integrity | None
    """As it was announced, and verified; None for a removal."""
    size: int
    mtime_ns: int
    """Of the file when it was last looked at, to notice a change."""
    content: bytes = b""
    """The file's SHA-512, which comparisons are made of, whatever checksum it was announced with."""
    state: Literal["here", "removed", "pruned"] = "here"
    """``removed``: a removal was announced, and stays known; ``pruned``: it was here, and is too old to keep."""
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def version(self) -> Version:
        """As `Announcement.version`."""
        return self.pub_time, self.integrity.digest if self.integrity else b""
