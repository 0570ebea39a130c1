"""Whatever appears in a folder is announced once, when it is complete, through absences of the broker and our own."""

import errno
import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from samesky.errors import ConfigError, Locked
from samesky.link.broker import MosquittoBroker
from samesky.link.mqtt import MqttSettings
from samesky.mesh import complete_files
from samesky.mesh import watching as watching_module
from samesky.mesh.announcement import Entry, integrity_of
from samesky.mesh.complete_files import QUIET_S, CompleteFiles
from samesky.mesh.index import Index
from samesky.mesh.pending import Pending
from samesky.mesh.publish import Telling
from samesky.mesh.tree import Tree
from samesky.mesh.watching import Watching, WatchSettings
from stands.mesh_listener import Listener
from stands.small_disk import mounted_disk
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

URL = "http://blacklab:8000/data"


class RunningWatch:
    """A `Watching` in a thread of its own, while the ``with`` block runs."""

    def __init__(self, settings: WatchSettings, *, hold_turn: int = 0) -> None:
        """``hold_turn``: this one of its turns doesn't begin before ``going_on`` is set."""
        self._settings, self._hold_turn = settings, hold_turn
        self.going_on = threading.Event()
        self._stop, self._ready = threading.Event(), threading.Event()
        self.error: BaseException | None = None
        self.turns = 0
        self._thread = threading.Thread(target=self._run, name="watching-stand", daemon=True)

    def _run(self) -> None:
        try:
            with Watching(self._settings) as self.watching:
                self._ready.set()
                self.watching.run(self._turn)
        except BaseException as error:
            self.error = error
        finally:
            self._ready.set()

    def _turn(self) -> bool:
        self.turns += 1
        if self.turns == self._hold_turn:
            assert self.going_on.wait(60)
        return not self._stop.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def end(self) -> None:
        assert self.ends_within(60)

    def ends_within(self, deadline_s: float) -> bool:
        self._stop.set()
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def wait_for_error(self, deadline_s: float = 60) -> BaseException:
        return wait_for(lambda: self.error, deadline_s, what="the error")  # type: ignore[return-value]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def settings(tree: Path, broker: MosquittoBroker) -> WatchSettings:
    mqtt = MqttSettings(client_id="watch", host="127.0.0.1", port=broker.port, session_expiry_s=0, window=500)
    return WatchSettings(folder=tree, mqtt=mqtt, base_url=URL)


@pytest.fixture
def listener(broker: MosquittoBroker) -> Iterator[Listener]:
    with Listener(f"mqtt://127.0.0.1:{broker.port}", ["xpublic/#"]) as listening:
        yield listening


def told(listener: Listener) -> list[str]:
    """relPaths in their order, those of removals with a minus."""
    return [("-" if "fileOp" in each.json else "") + each.json["relPath"] for each in listener.heard]


def expect(listener: Listener, *paths: str, deadline_s: float = 60) -> list[dict[str, Any]]:
    """Wait until exactly these, in any order, have been announced."""
    wait_for(
        lambda: sorted(told(listener)) == sorted(paths),
        deadline_s,
        what=str(paths),
        explain=lambda: str(told(listener)),
    )
    return [each.json for each in listener.heard]


def test_a_file_that_appears_is_announced_with_what_it_holds(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    with RunningWatch(replace(settings, inline_most_bytes=100, headers={"source": "CWAO"})):
        (tree / "GTS").mkdir()
        (tree / "GTS" / "a.txt").write_bytes(b"hello\n")
        (heard,) = expect(listener, "GTS/a.txt")
    assert listener.heard[0].topic == "xpublic/v03/post/GTS"
    assert heard["integrity"] == {"method": "sha512", "value": integrity_of(b"hello\n").value}
    assert (heard["baseUrl"], heard["size"], heard["source"]) == (URL, 6, "CWAO")
    assert heard["content"]["value"] == "hello\n"
    with Index(tree) as index:
        entry = index.read("GTS/a.txt")
        assert entry is not None
        assert entry.content == hashlib.sha512(b"hello\n").digest()


def test_a_file_is_announced_when_its_writer_has_closed_it(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    with RunningWatch(settings):
        with open(tree / "slow", "wb", buffering=0) as writer:
            for number in range(4):
                writer.write(b"part %d\n" % number)
                (tree / f"beside{number}").write_bytes(b"x")
                wait_for(lambda number=number: f"beside{number}" in told(listener), 60)
            assert "slow" not in told(listener)
        heard = expect(listener, "slow", *(f"beside{number}" for number in range(4)))
    assert next(each for each in heard if each["relPath"] == "slow")["size"] == 28


def test_a_changed_file_is_announced_again_and_one_with_the_same_content_is_not(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    with RunningWatch(settings):
        (tree / "a").write_bytes(b"one")
        expect(listener, "a")
        (tree / "a").write_bytes(b"one")
        os.utime(tree / "a", ns=(1, 1))
        (tree / "mark").write_bytes(b"x")
        expect(listener, "a", "mark")
        (tree / "a").write_bytes(b"two")
        heard = expect(listener, "a", "mark", "a")
    assert heard[0]["pubTime"] < heard[-1]["pubTime"]


def test_directories_that_are_moved_in_are_announced_with_all_that_is_in_them(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    made = tree.parent / "made"
    for name in ("a/1", "a/b/2", "a/b/c/3", "a/.git/x", "4"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(name.encode())
    (made / "link").symlink_to(made / "4")
    with RunningWatch(settings):
        made.rename(tree / "in")
        expect(listener, "in/a/1", "in/a/b/2", "in/a/b/c/3", "in/4")
        (tree / "in" / "a" / "b" / "late").write_bytes(b"x")  # the system watches what came as well
        expect(listener, "in/a/1", "in/a/b/2", "in/a/b/c/3", "in/4", "in/a/b/late")


def test_names_that_peers_refuse_are_told_once_and_left_out(
    tree: Path, settings: WatchSettings, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("CON", ".hidden", "-rf", "ends.", "good"):
        (tree / name).write_bytes(b"x")
    (tree / os.fsdecode(b"\xff")).write_bytes(b"x")
    (tree / "link").symlink_to(tree / "good")
    os.mkfifo(tree / "pipe")
    with RunningWatch(replace(settings, asks_system=False, look_interval_s=0.1)) as watch:
        expect(listener, "good")
        turns = watch.turns
        wait_for(lambda: watch.turns > turns + 5, 60)
    assert told(listener) == ["good"]
    assert caplog.text.count("path='CON'") == 1


def test_what_appeared_between_two_runs_is_announced_at_the_start_and_nothing_twice(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    (tree / "existing").write_bytes(b"x")
    with RunningWatch(settings):
        expect(listener, "existing")
    (tree / "between").write_bytes(b"x")
    with RunningWatch(settings):
        expect(listener, "existing", "between")
        (tree / "after").write_bytes(b"x")
        expect(listener, "existing", "between", "after")


def test_without_existing_what_is_there_is_known_and_not_announced(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    (tree / "existing").write_bytes(b"x")
    written_ns = (tree / "existing").stat().st_ctime_ns
    wait_for(lambda: time.time_ns() > written_ns + 2 * complete_files.CLOCK_TICK_NS, 60)
    with RunningWatch(replace(settings, existing=False)):
        (tree / "new").write_bytes(b"x")
        expect(listener, "new")

        def count() -> int:
            with Index(tree) as index:
                return index.count

        wait_for(lambda: count() == 2, 60)
        (tree / "existing").write_bytes(b"changed")
        expect(listener, "new", "existing")


def test_what_a_peer_has_put_into_the_tree_is_left_alone(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    content = hashlib.sha512(b"fetched").digest()
    with RunningWatch(settings), Index(tree) as index:
        for number in range(50):  # as `storing` does: the file is renamed to its place inside of the transaction
            with index.file.writing():
                (tree / ".samesky" / "incoming" / "x").write_bytes(b"fetched")
                (tree / ".samesky" / "incoming" / "x").rename(tree / f"fetched{number}")
                mtime_ns = (tree / f"fetched{number}").stat().st_mtime_ns
                index.apply([Entry(f"fetched{number}", 1, integrity_of(b"fetched"), 7, mtime_ns, content)])
        (tree / "own").write_bytes(b"x")
        expect(listener, "own")
        entry = index.read("fetched49")
        assert entry is not None
        assert entry.pub_time == 1


def test_announcements_wait_for_a_broker_that_is_away_even_through_our_own_end(
    tree: Path, settings: WatchSettings, broker: MosquittoBroker
) -> None:
    broker.stop()
    with RunningWatch(settings):
        (tree / "a").write_bytes(b"x")

        def entered() -> bool:
            with Index(tree) as index:
                return index.read("a") is not None

        wait_for(entered, 60)
    broker.start()
    with Listener(f"mqtt://127.0.0.1:{broker.port}", ["xpublic/#"]) as listener:
        with RunningWatch(settings):
            expect(listener, "a")
        with RunningWatch(settings):
            (tree / "b").write_bytes(b"x")
            expect(listener, "a", "b")


def test_the_end_waits_for_the_brokers_word_so_that_nothing_is_announced_twice(
    tree: Path, settings: WatchSettings, broker: MosquittoBroker, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "END_S", 60.0)
    assert broker.pid
    with RunningWatch(settings) as watch:
        wait_for(lambda: watch.watching._publisher.is_connected, 60)
        os.kill(broker.pid, signal.SIGSTOP)
        (tree / "a").write_bytes(b"x")
        wait_for(lambda: watch.watching._publisher.room < settings.mqtt.window, 60, what="what is under way")
        assert not watch.ends_within(1)
        os.kill(broker.pid, signal.SIGCONT)
    with RunningWatch(settings):
        (tree / "b").write_bytes(b"x")
        expect(listener, "a", "b")


def test_what_the_broker_refuses_is_tried_again_when_it_may_be_mended(
    tree: Path, settings: WatchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samesky.mesh.outgoing.REFUSED_PAUSE_S", 0.3)
    acl = tmp_path / "strict" / "acl"
    with MosquittoBroker(dir=tmp_path / "strict", users={"owner": "right"}, acl="user owner\ntopic read #\n") as strict:
        mqtt = MqttSettings("watch", "127.0.0.1", strict.port, "owner", "right", session_expiry_s=0)
        url = f"mqtt://owner:right@127.0.0.1:{strict.port}"
        with Listener(url, ["xpublic/#"]) as listener, RunningWatch(replace(settings, mqtt=mqtt)) as watch:
            (tree / "a").write_bytes(b"x")
            turns = watch.turns
            wait_for(lambda: watch.turns > turns + 1, 60)
            acl.write_text("user owner\ntopic readwrite #\n")
            assert strict.pid
            os.kill(strict.pid, signal.SIGHUP)  # it reads the ACL again
            expect(listener, "a")


# ---------------------------------------------------------------------- removals


def test_files_that_go_are_told_of_only_when_that_is_wanted(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    (tree / "a").write_bytes(b"x")
    with RunningWatch(settings):
        expect(listener, "a")
        (tree / "a").unlink()
        (tree / "b").write_bytes(b"x")
        expect(listener, "a", "b")


def test_removed_and_renamed_files_and_directories_are_announced_as_gone(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    for name in ("a", "d/1", "d/e/2", "kept/3"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"x")
    first = ["a", "d/1", "d/e/2", "kept/3"]
    with RunningWatch(replace(settings, removals=True)):
        expect(listener, *first)
        (tree / "a").rename(tree / "b")
        expect(listener, *first, "-a", "b")
        (tree / "d").rename(tree.parent / "out")
        heard = expect(listener, *first, "-a", "b", "-d/1", "-d/e/2")
        shutil.rmtree(tree / "kept")
        expect(listener, *first, "-a", "b", "-d/1", "-d/e/2", "-kept/3")
    (gone,) = (each for each in heard if each["relPath"] == "d/1" and "fileOp" in each)
    assert gone["fileOp"] == {"remove": ""}
    assert gone["pubTime"] > heard[0]["pubTime"]
    with Index(tree) as index:
        assert {path: index.read(path).state for path in ("a", "b", "d/1")} == {  # type: ignore[union-attr]
            "a": "removed",
            "b": "here",
            "d/1": "removed",
        }


def test_a_file_that_is_replaced_is_never_announced_as_gone(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    with RunningWatch(replace(settings, removals=True)):
        for number in range(30):
            (tree / ".new").write_bytes(b"%d" % number)
            (tree / ".new").rename(tree / "a")
        (tree / "mark").write_bytes(b"x")
        wait_for(lambda: "mark" in told(listener), 60)
        last = integrity_of(b"29").value
        wait_for(lambda: [each["integrity"]["value"] for each in listener.announced("a")][-1:] == [last], 60)
    assert "-a" not in told(listener)


def test_removals_between_two_runs_are_announced_unless_they_are_too_many(
    tree: Path,
    settings: WatchSettings,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watching_module, "MOST_GONE", 2)
    names = [f"f{number}" for number in range(10)]
    for name in names:
        (tree / name).write_bytes(b"x")
    with RunningWatch(replace(settings, removals=True)):
        expect(listener, *names)
    (tree / "f0").unlink()
    (tree / "f1").unlink()
    with RunningWatch(replace(settings, removals=True)):
        expect(listener, *names, "-f0", "-f1")
    for name in names[2:6]:
        (tree / name).unlink()
    with RunningWatch(replace(settings, removals=True)):
        wait_for(lambda: "watch_removals_held" in caplog.text, 60)
        (tree / "new").write_bytes(b"x")
        expect(listener, *names, "-f0", "-f1", "new")


def test_a_folder_that_is_replaced_ends_the_watch_and_removes_nothing(
    tree: Path, settings: WatchSettings, listener: Listener
) -> None:
    (tree / "a").write_bytes(b"x")
    with RunningWatch(replace(settings, removals=True)) as watch:
        expect(listener, "a")
        tree.rename(tree.parent / "away")
        tree.mkdir()
        (tree.parent / "away" / "a").unlink()
        assert isinstance(watch.wait_for_error(), ConfigError)
    assert told(listener) == ["a"]


# ---------------------------------------------------------------------- the rest


def test_without_the_system_files_are_found_by_looking(tree: Path, settings: WatchSettings, listener: Listener) -> None:
    with RunningWatch(replace(settings, asks_system=False, look_interval_s=0.2, removals=True)):
        (tree / "d").mkdir()
        (tree / "d" / "a").write_bytes(b"x")
        expect(listener, "d/a")
        (tree / "d" / "a").write_bytes(b"changed")
        expect(listener, "d/a", "d/a")
        shutil.rmtree(tree / "d")
        expect(listener, "d/a", "d/a", "-d/a")


def test_where_the_system_cannot_watch_files_are_found_by_looking_too(
    tree: Path,
    settings: WatchSettings,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def watch(*_: object, **__: object) -> Iterator[set[object]]:
        raise OSError(errno.ENOSPC, "OS file watch limit reached")

    monkeypatch.setattr("watchfiles.watch", watch)
    monkeypatch.setattr(watching_module, "POLL_INTERVAL_S", 0.2)
    with RunningWatch(settings):
        assert "max_user_watches" in caplog.text
        (tree / "a").write_bytes(b"x")
        expect(listener, "a")
        (tree / "b").write_bytes(b"x")
        expect(listener, "a", "b")


def test_a_file_whose_writers_are_not_known_is_announced_too(
    tree: Path, settings: WatchSettings, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(complete_files, "read_open_for_writing", lambda _: None)
    monkeypatch.setattr(complete_files, "QUIET_S", 0.2)
    with RunningWatch(settings):
        (tree / "a").write_bytes(b"x")
        expect(listener, "a")


def test_a_file_whose_writers_are_not_known_is_complete_when_it_has_come_to_rest(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(complete_files, "read_open_for_writing", lambda _: None)
    pending, nothing = Pending(), ([], [])
    with Tree(tree) as opened:
        reading = CompleteFiles(opened, pending, inline_most_bytes=0, since_ns=0)
        for now in range(1, 10):
            with open(tree / "slow", "ab") as writer:
                writer.write(b"x")
            pending.notice("slow", now)
            assert reading.read_due(10, now) == nothing
            assert reading.read_due(10, now + QUIET_S / 2) == nothing
        assert reading.read_due(10, 9 + 0.99 * QUIET_S) == nothing
        (read,), _ = reading.read_due(10, 9 + 2 * QUIET_S)
    assert read.size == 9


def test_a_full_disk_is_waited_for(
    settings: WatchSettings, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "RETRY_S", 0.3)
    with mounted_disk(tmp_path / "disk", "2m") as disk:
        names = [f"{number}" for number in range(500)]
        with RunningWatch(replace(settings, folder=disk.folder)) as watch:
            (disk.folder / "first").write_bytes(b"x")
            expect(listener, "first")
            with open(disk.folder / ".fill", "wb", buffering=0) as filler, suppress(OSError):
                while filler.write(bytes(4096)):
                    pass
            for name in names:
                (disk.folder / name).write_bytes(b"")  # takes no room
            wait_for(lambda: watch.watching._trouble, 60, what="the full disk")
            disk.grow("16m")
            expect(listener, "first", *names)


def test_what_has_no_name_in_wis2_is_entered_and_not_announced(
    tree: Path, settings: WatchSettings, broker: MosquittoBroker, caplog: pytest.LogCaptureFixture
) -> None:
    place = "wis2/ca-eccc-msc/data/core/weather"
    (tree / place).mkdir(parents=True)
    telling = Telling(format="wis2", centre_id="ca-eccc-msc")
    url = f"mqtt://127.0.0.1:{broker.port}"
    with Listener(url, ["#"]) as listener, RunningWatch(replace(settings, telling=telling)):
        (tree / "nameless").write_bytes(b"x")
        (tree / place / "a.bufr").write_bytes(b"BUFR")
        (heard,) = wait_for(lambda: listener.heard, 60)
        wait_for(lambda: "path='nameless' reason='its place is no topic of WIS2" in caplog.text, 60)
    assert heard.topic == f"origin/a/{place}"
    assert heard.json["properties"]["data_id"] == f"{place}/a.bufr"


def test_a_folder_is_watched_by_one_process_alone(settings: WatchSettings) -> None:
    with RunningWatch(settings), RunningWatch(settings) as second:
        assert isinstance(second.error, Locked)


def test_a_new_file_is_announced_while_many_old_ones_are_read(
    tree: Path, settings: WatchSettings, tmp_path: Path
) -> None:
    for number in range(3000):
        (tree / f"{number % 30}").mkdir(exist_ok=True)
        (tree / f"{number % 30}" / f"{number}").write_bytes(b"%d" % number)
    with ExitStack() as stack:
        # One that keeps all of them for a listener who is slower than the watch: by default it drops some.
        patient = MosquittoBroker(dir=tmp_path / "patient", options=["max_queued_messages 0"])
        stack.enter_context(patient)
        listener = stack.enter_context(Listener(f"mqtt://127.0.0.1:{patient.port}", ["xpublic/#"]))
        settings = replace(settings, mqtt=replace(settings.mqtt, port=patient.port))
        watch = stack.enter_context(RunningWatch(settings, hold_turn=3))
        (tree / "new").write_bytes(b"x")  # however long that takes us, most of the others aren't read yet
        watch.going_on.set()
        listener.wait_for(3001, 120)
        paths = told(listener)
    assert paths[-1] != "new"
    assert len(set(paths)) == 3001
