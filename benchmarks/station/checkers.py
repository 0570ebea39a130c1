"""The processes of the benchmark of checks: a primary that records a record a second, and a copy that checks itself."""

import threading
import time
from pathlib import Path
from typing import Any, Self

from tests.stands.meter import Meter

from samesky.link.mqtt import MqttSettings
from samesky.station.agreement import CopySettings
from samesky.station.checks import CheckSettings
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.requester import Asking
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.state import State
from samesky.station.tree_store import TreeStore

from .databases import Place, location_of
from .primary import Primary
from .talk import STREAM, TOPICS, commands, links, read_memory_kib, say

INTERVAL_S = 1.0
LOOK_S = 0.005
NEVER_S = 1e6


class _Recorder:
    """Records a record a second, as WeeWX does, until told to stop. A context manager."""

    def __init__(self, path: Path, source: Path, serving: Serving) -> None:
        self.count = 0
        self.late_s = self.slowest_publish_s = 0.0
        self._path, self._source, self._serving = path, source, serving
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with Primary(self._path, self._source) as primary:
            due = time.monotonic() + INTERVAL_S
            while not self._stopping.wait(max(0.0, due - time.monotonic())):
                done = primary.record(self._serving, count=1, rate_hz=1.0, batch=1)
                self.late_s = max(self.late_s, time.monotonic() - due)
                self.slowest_publish_s = max(self.slowest_publish_s, done.slowest_publish_s)
                self.count += 1
                due += INTERVAL_S


def checked_primary(port: int, place: Place, source: str, folder: str) -> None:
    """A primary that answers checks. ``record`` begins to record what ``source`` has more, ``recorded`` ends it."""
    settings = ServeSettings("home", (ServedBinding("wx_binding", location_of(place)),), TOPICS, track_changes=True)
    say("ready", memory_kib=read_memory_kib("VmRSS"))
    with Serving(settings, links(port, "primary"), sums=TreeStore(Path(folder))) as serving:
        recorder = None
        for command in commands():
            match command:
                case {"do": "record"}:
                    recorder = _Recorder(Path(place["path"]), Path(source), serving).__enter__()
                    say("record")
                case {"do": "recorded"} if recorder:
                    recorder.__exit__()
                    say(
                        "recorded",
                        count=recorder.count,
                        late_s=recorder.late_s,
                        slowest_publish_s=recorder.slowest_publish_s,
                    )
                case {"do": "usage"}:
                    say("usage", **_read_usage())


def checked_copy(port: int, place: Place, folder: str) -> None:
    """A copy that checks itself when it is told to, and after catching up; its answers tell what was counted."""
    reply_to = "replicate/response/copy"
    settings = FollowSettings(
        (CopySettings(STREAM, location_of(place), create=True),), {STREAM: Asking(reply_to, TOPICS)}, reply_to
    )
    meter, state_dir = Meter(), Path(folder)
    link = meter.make_link(MqttSettings(client_id="copy", host="127.0.0.1", port=port))
    checks = CheckSettings(TreeStore(state_dir), state_dir, interval_s=NEVER_S, track_changes=True)
    say("ready", memory_kib=read_memory_kib("VmRSS"))
    with Following(settings, link, state=State(None), checks=checks) as following:
        for command in commands():
            match command:
                case {"do": "first"}:
                    say("first", seconds=_wait_proven(following, 0))
                case {"do": "check", "allow": allowed}:
                    say("check", **_check(following, meter, allowed))
                case {"do": "reach", "position": position}:
                    while (following.snapshots()[0].position or 0) < position:
                        time.sleep(LOOK_S)
                    say("reach")
                case {"do": "usage"}:
                    say("usage", **_read_usage())


def _check(following: Following, meter: Meter, allowed: int) -> dict[str, Any]:
    """Have a check made now; what it took until the copy was proven, and what it changed."""
    meter.take()
    proven, repaired = following.check_counts(STREAM).get("proven", 0), following.snapshots()[0].repaired
    # What a person says by `samesky repair --accept-deletions`.
    following.request_check(STREAM, allowed_deletions=allowed)
    seconds = _wait_proven(following, proven)
    return {
        "seconds": seconds,
        "repaired": following.snapshots()[0].repaired - repaired,
        "messages": [(each.kind, each.size_bytes, each.packet_bytes) for each in meter.take()],
        "trouble": following.snapshots()[0].last_error,
    }


def _wait_proven(following: Following, before: int) -> float:
    """Seconds until more than ``before`` checks have found both sides the same; the benchmark's deadline ends it."""
    start = time.perf_counter()
    while following.check_counts(STREAM).get("proven", 0) <= before:
        time.sleep(LOOK_S)
    return time.perf_counter() - start


def _read_usage() -> dict[str, Any]:
    return {"peak_kib": read_memory_kib("VmHWM"), "cpu_s": time.process_time()}
