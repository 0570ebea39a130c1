"""The processes of the benchmarks: a primary, a copy, many copies, a watcher, the reference, a digest.

Run by `peers.Peer`. A role says ``ready`` with its memory once everything is imported, then obeys commands, one JSON
object a line, each answered by one line; the end of its stdin ends it.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from samesky.station.agreement import CopySettings
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.requester import Asking
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.signatures import TrustSettings
from samesky.station.signing_keys import SecretKey
from samesky.station.state import State

from .checkers import checked_copy, checked_primary
from .databases import Place, count_differences, location_of, read_digests, read_newest, write_plainly
from .primary import Primary
from .talk import STREAM, TOPICS, commands, links, read_memory_kib, say

PATIENCE_S = 60.0


def serve(port: int, place: Place, source: str = "", secret: str = "") -> None:
    """A primary that answers; with ``source`` it also records what that database has more, with ``secret`` it signs."""
    sign_key = SecretKey("home", bytes.fromhex(secret)) if secret else None
    settings = ServeSettings("home", (ServedBinding("wx_binding", location_of(place)),), TOPICS, sign_key=sign_key)
    say("ready", memory_kib=read_memory_kib("VmRSS"))
    with Serving(settings, links(port, "primary")) as serving:
        for command in commands():
            match command:
                case {"do": "memory"}:
                    say("memory", peak_kib=read_memory_kib("VmHWM"))
                case {"do": "sent"}:
                    say("sent", **serving.sent.copy())
                case {"do": "record", "count": count, "rate_hz": rate_hz, "batch": batch}:
                    with Primary(Path(place["path"]), Path(source)) as primary:
                        record = primary.record(serving, count=count, rate_hz=rate_hz, batch=batch)
                    say(
                        "record",
                        times=record.published,
                        slowest_publish_s=record.slowest_publish_s,
                        late_s=record.late_s,
                    )


def follow(port: int, place: Place, trusted: str = "") -> None:
    """A copy, which may trust a file of keys.

    ``start`` answers when it has caught up: seconds from the start of the threads to the last commit.
    """
    say("ready", memory_kib=read_memory_kib("VmRSS"))
    with ExitStack() as stack:
        for command in commands():
            match command:
                case {"do": "start"}:
                    start = time.perf_counter()
                    following = stack.enter_context(_following(port, "copy", place, trusted))
                    done = following.wait_caught_up(PATIENCE_S)
                    seconds = time.perf_counter() - start
                    say("start", done=done, seconds=seconds, peak_kib=read_memory_kib("VmHWM"))


def crowd(port: int, names: list[str], folder: str) -> None:
    """Many copies, each with its own client, thread and database."""
    places = {name: {"path": str(Path(folder) / f"{name}.sdb")} for name in names}
    followings: list[Following] = []
    say("ready", memory_kib=read_memory_kib("VmRSS"))
    with ExitStack() as stack:
        for command in commands():
            match command:
                case {"do": "start"}:
                    start = time.perf_counter()
                    for name, place in places.items():
                        followings.append(stack.enter_context(_following(port, name, place)))
                    done = [following.wait_caught_up(PATIENCE_S) for following in followings]
                    say("start", done=sum(done), seconds=time.perf_counter() - start)
                case {"do": "compare", "digests": digests, "settle_s": settle_s}:
                    say("compare", equal=_count_equal(list(places.values()), digests, settle_s))


def _following(port: int, name: str, place: Place, trusted: str = "") -> Following:
    reply_to = f"replicate/response/{name}"
    settings = FollowSettings(
        (CopySettings(STREAM, location_of(place), create=True),),
        {STREAM: Asking(reply_to, TOPICS)},
        reply_to,
        trust=TrustSettings(Path(trusted)) if trusted else None,
    )
    return Following(settings, links(port, name), state=State(None))


def _count_equal(places: list[Place], digests: dict[str, str], settle_s: float) -> int:
    """How many databases have these digests, each looked at again until the deadline."""
    end, waiting = time.monotonic() + settle_s, places
    while waiting:
        waiting = [place for place in waiting if count_differences(digests, read_digests(place))]
        if time.monotonic() > end:
            break
        time.sleep(0.2)
    return len(places) - len(waiting)


def watch(place: Place, every_s: float) -> None:
    """Looks every ``every_s`` for the newest record of a database; ``until`` answers with when each was first seen."""
    say("ready")
    for command in commands():
        match command:
            case {"do": "until", "newest": newest, "deadline_s": deadline_s}:
                say("until", seen=_watch(place, every_s, newest, time.monotonic() + deadline_s))


def _watch(place: Place, every_s: float, newest: int, deadline: float) -> list[tuple[int, float]]:
    from .databases import connect

    connection, seen = connect(place), [(read_newest(place), time.monotonic())]
    while seen[-1][0] < newest and time.monotonic() < deadline:
        time.sleep(every_s)
        (value,) = connection.execute("SELECT MAX(dateTime) FROM archive").fetchone()
        if value != seen[-1][0]:
            seen.append((value, time.monotonic()))
    connection.close()
    return seen[1:]


def reference(source: Place, target: Place) -> None:
    """Writes the plain way."""
    say("ready")
    for _ in commands():
        count, seconds = write_plainly(source, target)
        say("write", count=count, seconds=seconds)


def digest(place: Place) -> None:
    """Digests a whole database."""
    say("ready")
    for _ in commands():
        say("digest", digests=read_digests(place))


ROLES: dict[str, Callable[..., None]] = {
    "serve": serve,
    "follow": follow,
    "crowd": crowd,
    "watch": watch,
    "reference": reference,
    "digest": digest,
    "checked_primary": checked_primary,
    "checked_copy": checked_copy,
}

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    ROLES[sys.argv[1]](**json.loads(sys.argv[2]))
