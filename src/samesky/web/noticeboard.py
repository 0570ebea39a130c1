"""Where the processes of a machine write down how their streams are doing, for the commands and the page beside them.

    board = open_noticeboard()
    board.post("mesh-peer-/srv/data", snapshots, now)   each few seconds
    board.withdraw("mesh-peer-/srv/data")               at an orderly end: what was killed stays, and is told as silent
    board.read(now)                                     what all processes have posted

One JSON file a process, replaced as a whole. Losing all of it loses nothing but what is shown until the next post.
"""

import hashlib
import json
import logging
import math
import os
import re
import shlex
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from ..core.snapshot_document import decode_snapshot
from ..core.status import Snapshot, System, Verdict, judge
from ..core.strict import Reason, Refused, decode_json_object
from .process_mark import has_ended, read_own_mark

_log = logging.getLogger(__name__)

DIRECTORY_VARIABLE = "SAMESKY_STATUS_DIR"
SYSTEM_DIRECTORY = Path("/run/samesky/status")
SUFFIX = ".status.json"
MOST_FILES = 256
MOST_BYTES = 16 << 20
MOST_STREAMS = 10_000
SAME_MOMENT_S = 10.0
"""A process that posts, and writes down elsewhere as well, does both more often than this, if there is news."""
FORGOTTEN_AFTER_S = 30 * 86_400
"""What a process that was killed has left is no news any more."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of one stream, when that was written down (Unix seconds), and who said it."""

    snapshot: Snapshot
    heard_at: float
    owner: str
    place: str = ""
    """Where it is, if it isn't on this machine, or isn't the only one here: a primary has many copies of one name."""
    has_ended: bool = False
    """Whether the process that wrote it runs no more, and hasn't said so: it was killed."""

    def age_s(self, now: float) -> float:
        """How long ago it was heard of."""
        return max(0.0, now - self.heard_at)

    def is_silent(self, now: float) -> bool:
        """Whether the process that wrote it should have been heard of since."""
        patience_s = self.snapshot.silent_after_s
        return patience_s is not None and (self.has_ended or self.age_s(now) > patience_s)

    def judge(self, now: float, *, max_lag_s: float | None = None) -> Verdict:
        """What to think of it (`core.status.judge`); of a process that isn't heard of, how to start it again."""
        if not self.is_silent(now):
            return judge(self.snapshot, age_s=self.age_s(now), max_lag_s=max_lag_s)
        silent = judge(self.snapshot, age_s=math.inf)
        words = "its process has ended" if self.has_ended else silent.words
        return replace(silent, words=words, todo=_find_start(self.owner) or silent.todo)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is of: system, stream, role, place."""
        return self.snapshot.system, self.snapshot.stream, self.snapshot.role, self.place

    @property
    def origin(self) -> str:
        """What who says it works on: a configuration, a folder. Two that work on the same tell of the same stream."""
        system, _, rest = self.owner.partition(" ")
        return rest.partition(" ")[2] if system in get_args(System) else self.owner


class Noticeboard:
    """The files in ``directory``, which is made when something is posted; those in the folders ``also`` are read, too.

    Several processes may use it at once. What can't be written or read is a line in the log, and nothing else: nobody
    stops working because it can't be shown.
    """

    def __init__(self, directory: Path, *, also: Sequence[Path] = ()) -> None:
        self.directory = directory
        self.troubles: tuple[str, ...] = ()
        """What couldn't be read the last time, in sentences."""
        self._read_from = tuple(dict.fromkeys([directory, *also]))
        self._mark = read_own_mark()
        self._failed = False

    def post(self, owner: str, snapshots: Sequence[Snapshot], now: float) -> None:
        """Write down how the streams of ``owner`` are doing; what it posted before is forgotten."""
        streams = [each.as_dict() for each in snapshots[:MOST_STREAMS]]
        document = {
            "version": 1,
            "owner": owner,
            "process": self._mark,
            "heard_at": round(now, 3),
            "streams": streams,
        }
        try:
            self._replace(self._path(owner), json.dumps(document, ensure_ascii=False).encode())
        except OSError as error:
            if not self._failed:
                _log.warning("status_not_written directory=%s error=%r", self.directory, error.strerror or str(error))
            self._failed = True
        else:
            self._failed = False

    def withdraw(self, owner: str) -> None:
        """Forget what ``owner`` has posted: it ends, as it should."""
        with suppress(OSError):
            self._path(owner).unlink()

    def read(self, now: float) -> list[Heard]:
        """What all processes have posted, by system and stream; `troubles` is set anew."""
        troubles: list[str] = []
        found = [heard for path in self._paths() for heard in self._read_file(path, now, troubles)]
        self.troubles = tuple(troubles)
        return keep_newest(found)

    def _path(self, owner: str) -> Path:
        """A name that says who it is, and is nobody else's."""
        words = re.sub(r"[^A-Za-z0-9._-]+", "-", owner).strip("-.")[-60:]
        return self.directory / f"{words}-{hashlib.sha256(owner.encode()).hexdigest()[:8]}{SUFFIX}"

    def _replace(self, path: Path, text: bytes) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(dir=self.directory, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise

    def _paths(self) -> Iterator[Path]:
        for directory in self._read_from:
            with suppress(OSError):  # a folder that isn't there: nothing was posted
                yield from sorted(directory.glob(f"*{SUFFIX}"))[:MOST_FILES]

    def _read_file(self, path: Path, now: float, troubles: list[str]) -> list[Heard]:
        try:
            heard = _decode(_read_bytes(path), now)
        except FileNotFoundError:
            return []  # withdrawn just now
        except OSError as error:
            troubles.append(f"{path} can't be read: {error.strerror or error}")
            return []
        except Refused as refusal:
            troubles.append(f"{path} isn't what a samesky writes: {refusal}")
            return []
        if any(now - each.heard_at > FORGOTTEN_AFTER_S for each in heard):
            with suppress(OSError):
                path.unlink()
            return []
        return heard


def keep_newest(heard: Sequence[Heard]) -> list[Heard]:
    """Of each stream what was heard last, by system, stream, role and place.

    Streams of one name that work on different things, two copies on one machine, say, are told apart by their places.
    """
    newest: dict[tuple[tuple[str, str, str, str], str], Heard] = {}
    for each in heard:
        known = newest.get((each.key, each.origin))
        if known is None or _weigh(each) > _weigh(known):
            newest[each.key, each.origin] = each
    names = Counter(key for key, _ in newest)
    told = [replace(each, place=_name_place(each)) if names[each.key] > 1 else each for each in newest.values()]
    return sorted(told, key=lambda each: (each.key, each.origin))


def _weigh(heard: Heard) -> float:
    """When it was heard; that a process was killed counts for more than what it wrote elsewhere at about that time."""
    return heard.heard_at + (SAME_MOMENT_S if heard.has_ended else 0.0)


def _name_place(heard: Heard) -> str:
    """Where a stream is that isn't the only one of its name: the folder of its configuration, in a word."""
    origin = Path(heard.origin)
    return heard.place or origin.parent.name or heard.origin


def open_noticeboard(given: Path | None = None, *, environment: Mapping[str, str] = os.environ) -> Noticeboard:
    """The noticeboard in the folder ``given``, or that SAMESKY_STATUS_DIR names; else this machine's, or this user's.

    A service of systemd with a RuntimeDirectory has its own there. What isn't given is looked for in all these places.
    """
    named = given or _as_path(environment.get(DIRECTORY_VARIABLE))
    if named is not None:
        return Noticeboard(named)
    home = _as_path(environment.get("XDG_STATE_HOME")) or Path(environment.get("HOME", "/")) / ".local" / "state"
    places = [SYSTEM_DIRECTORY, home / "samesky" / "status"]
    if runtime := environment.get("RUNTIME_DIRECTORY"):
        places.insert(0, Path(runtime.split(":")[0]) / "status")
    usable = [place for place in places if _may_write(place)]
    return Noticeboard(usable[0] if usable else places[-1], also=places)


def _find_start(owner: str) -> str:
    """How to start what wrote a post: its owner is a command with what it works on, or a station's configuration."""
    if owner.endswith(".conf"):
        return "See whether weewxd runs: `systemctl status weewx`. Its log says why it ended."
    system, _, rest = owner.partition(" ")
    name, _, path = rest.partition(" ")
    if system not in get_args(System) or not name.isalpha():
        return ""
    config = f" --config {shlex.quote(path)}" if system in ("station", "push") and path.startswith("/") else ""
    return f"Start it again: `samesky {system} {name}{config}`. Its log says why it ended."


def _as_path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def _may_write(directory: Path) -> bool:
    """Whether this user may write to it, or make it."""
    nearest = next((each for each in (directory, *directory.parents) if each.exists()), Path("/"))
    return os.access(nearest, os.W_OK)


def _read_bytes(path: Path) -> bytes:
    """The contents of a plain file; others may be able to write to the folder, so no link is followed."""
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise Refused(Reason.SHAPE, "it is no plain file")
        return file.read(MOST_BYTES + 1)


def _decode(text: bytes, now: float) -> list[Heard]:
    document = decode_json_object(text, max_bytes=MOST_BYTES, max_depth=6)
    owner, heard_at, streams = document.get("owner"), document.get("heard_at"), document.get("streams")
    if not isinstance(owner, str) or not isinstance(streams, list) or len(streams) > MOST_STREAMS:
        raise Refused(Reason.SHAPE, "it should say who wrote it, and have a list of streams")
    if isinstance(heard_at, bool) or not isinstance(heard_at, int | float):
        raise Refused(Reason.TYPE, "heard_at should be a number")
    mark = document.get("process")
    ended = isinstance(mark, str) and has_ended(mark)
    return [Heard(decode_snapshot(each), min(float(heard_at), now), owner, has_ended=ended) for each in streams]
