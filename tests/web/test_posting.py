"""A process posts how its streams are doing while it runs, and takes it away at an orderly end."""

import threading
import time
from pathlib import Path

import pytest

from samesky.core.status import Snapshot
from samesky.web.noticeboard import Heard, open_noticeboard
from samesky.web.posting import Latest, posting
from stands.waiting import wait_for

LIVE = Snapshot(stream="data/north", role="peer", state="live", system="mesh")


def read(directory: Path, now: float | None = None) -> list[Heard]:
    return open_noticeboard(directory).read(time.time() if now is None else now)


def test_what_a_process_does_is_posted_and_withdrawn(tmp_path: Path) -> None:
    told = [LIVE]
    with posting("me", lambda: told, status_dir=tmp_path):
        wait_for(lambda: read(tmp_path), 30)
        told[:] = [Snapshot(stream="data/north", role="peer", state="stopped", system="mesh")]
        wait_for(lambda: read(tmp_path)[0].snapshot.state == "stopped", 30)
    assert read(tmp_path) == []


def test_the_folder_of_the_environment_is_taken(noticeboard_directory: Path) -> None:
    with posting("me", lambda: [LIVE]):
        wait_for(lambda: read(noticeboard_directory), 30)


def test_a_run_that_is_over_may_leave_its_post(tmp_path: Path) -> None:
    told: list[Snapshot] = []
    with posting("me", lambda: told, status_dir=tmp_path, stays=True):
        told.append(LIVE)
    assert [each.snapshot for each in read(tmp_path)] == [LIVE]


def test_what_is_known_too_late_is_posted_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samesky.web.posting.END_TIMEOUT_S", 0.01)
    asked, free = threading.Event(), threading.Event()
    before = set(threading.enumerate())

    def own() -> list[Snapshot]:
        asked.set()
        free.wait()
        return [LIVE]

    with posting("me", own, status_dir=tmp_path):
        assert asked.wait(60)
        (poster,) = set(threading.enumerate()) - before
    free.set()
    poster.join(60)
    assert read(tmp_path) == []


def test_a_loop_that_hangs_is_not_heard_of_any_more(tmp_path: Path) -> None:
    clock = [1_700_000_000.0]
    latest = Latest(clock=lambda: clock[0])
    latest.put([LIVE])
    clock[0] += 1000
    with posting("me", latest, status_dir=tmp_path):
        (heard,) = wait_for(lambda: read(tmp_path, clock[0]), 30)
        assert heard.heard_at == 1_700_000_000
        assert list(latest()) == [LIVE]


def test_what_cannot_be_told_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = [True]

    def own() -> list[Snapshot]:
        if broken[0]:
            raise RuntimeError("not now")
        return [LIVE]

    with posting("me", own, status_dir=tmp_path):
        wait_for(lambda: "status_not_known" in caplog.text, 30)
        broken[0] = False
        wait_for(lambda: read(tmp_path), 30)
