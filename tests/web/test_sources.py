"""All that was written down on a machine is found, whoever wrote it; what can't be read is told, and hides nothing."""

import os
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.core.status import Snapshot
from samesky.push.cache_file import FILE_NAME as PUSH_FILE
from samesky.push.site_cache import SiteCache
from samesky.push.status import PushStatus
from samesky.station.state import FILE_NAME, State
from samesky.web.noticeboard import Heard, Noticeboard
from samesky.web.sources import Sources
from stands.small_disk import mounted_disk

NOW = time.time()
STREAM = "home/wx_binding"
COPY = Snapshot(stream=STREAM, role="requester", state="live", different=False)
PUSHED = PushStatus(target="centre", url="https://centre.example.org", state="idle", at=NOW - 9, since=NOW - 9)


@pytest.fixture
def board(tmp_path: Path) -> Noticeboard:
    return Noticeboard(tmp_path / "board")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "samesky.toml"
    path.write_text(
        f'[station.follow]\nstate_dir = "{tmp_path}/state"\n[station.follow.home.wx_binding]\nsqlite = "c.sdb"\n'
        '[push]\ndatabase = "sqlite:///site.db"\nstate_dir = "push"\n'
        '[push.targets.centre]\nurl = "https://centre.example.org"\nkey_file = "nobody.may.read.it"\n'
    )
    return path


def write(folder: Path, snapshot: Snapshot, *, age_s: float = 1.0, held: str = "") -> None:
    with closing(State(folder)) as state:
        state.write_snapshot(snapshot, NOW - age_s)
        state.write_hold(snapshot.stream, held)


def test_stations_pushes_and_posts_are_found_together(config: Path, board: Noticeboard) -> None:
    write(config.parent / "state", COPY)
    with SiteCache(config.parent / "push" / PUSH_FILE) as cache:
        cache.write_status(PUSHED)
        cache.write_status(replace(PUSHED, target="no more in the configuration"))
    board.post("mesh peer x", [replace(COPY, stream="data/north", role="peer", system="mesh")], NOW)
    board.post("blocks serve y", [replace(COPY, stream="spark.sensor", role="primary", system="blocks")], NOW)
    heard = Sources([config], board).read(NOW)
    assert [each.snapshot.stream for each in heard] == ["spark.sensor", "data/north", "centre", STREAM]
    assert [round(NOW - each.heard_at) for each in heard] == [0, 0, 9, 1]
    assert heard[3].owner == str(config)


def test_of_a_stream_that_is_told_twice_the_newest_is_taken(config: Path, board: Noticeboard) -> None:
    write(config.parent / "state", COPY, age_s=30)
    board.post(f"station follow {config}", [replace(COPY, state="disconnected", last_error="gone")], NOW - 3)
    (heard,) = Sources([config], board).read(NOW)
    assert heard.snapshot.state == "disconnected"


def test_a_hold_is_told_with_the_command_whatever_the_process_posts(config: Path, board: Noticeboard) -> None:
    reason = f"{STREAM}: a repair was undone by hand; samesky repair --stream {STREAM} makes it the primary's again"
    write(config.parent / "state", COPY, age_s=30, held=reason)
    board.post(f"station follow {config}", [COPY], NOW)
    (heard,) = Sources([config], board).read(NOW)
    assert (heard.snapshot.state, heard.snapshot.last_error) == ("stopped", "a repair was undone by hand")
    assert heard.snapshot.hint.startswith(f"samesky repair --config {config} --stream {STREAM} makes")


def test_hints_name_the_configuration(config: Path, board: Noticeboard) -> None:
    write(config.parent / "state", replace(COPY, state="disconnected", last_error="x", hint="samesky check --online"))
    (heard,) = Sources([config], board).read(NOW)
    assert heard.snapshot.hint == f"samesky check --online {config}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "station = 3"),
        ("a.toml", "broker = 1\n[station.serve]\ninstance = 'a'"),
        ("a.toml", "push = 3"),
        ("a.conf", "MQTTReplicate = 3"),
        ("a.conf", "DatabaseTypes = 3\n[MQTTReplicate]\n[[Responder]]\ninstance_name = a"),
    ],
)
def test_what_should_be_a_table_and_is_not_hides_no_other_configuration(
    config: Path, board: Noticeboard, tmp_path: Path, name: str, text: str
) -> None:
    write(config.parent / "state", COPY)
    (tmp_path / name).write_text(text)
    assert STREAM in [each.snapshot.stream for each in Sources([tmp_path / name, config], board).read(NOW)]


def test_a_configuration_that_cannot_be_read_hides_no_other(config: Path, board: Noticeboard, tmp_path: Path) -> None:
    write(config.parent / "state", COPY)
    broken, gone = tmp_path / "broken.toml", tmp_path / "gone.toml"
    broken.write_text("[station")
    sources = Sources([broken, gone, config], board)
    assert [each.snapshot.stream for each in sources.read(NOW)] == [STREAM]
    assert len(sources.troubles) == 2
    assert "broken.toml" in sources.troubles[0]
    assert "gone.toml" in sources.troubles[1]


def test_a_configuration_is_read_again_when_it_has_changed(config: Path, board: Noticeboard, tmp_path: Path) -> None:
    text = config.read_text()
    config.write_text("[station")
    sources = Sources([config], board)
    assert sources.read(NOW) == []
    write(tmp_path / "state", COPY)
    config.write_text(text)
    assert len(sources.read(NOW)) == 1
    assert sources.troubles == ()


def test_a_configuration_that_changes_twice_within_one_tick_of_the_clock_is_read_again(
    config: Path, board: Noticeboard, tmp_path: Path
) -> None:
    text = config.read_text()
    config.write_text("[station")
    then = config.stat()
    sources = Sources([config], board)
    assert sources.read(NOW) == []
    write(tmp_path / "state", COPY)
    config.write_text(text)
    os.utime(config, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert len(sources.read(NOW)) == 1


def test_a_damaged_state_file_is_told_and_nothing_is_made(config: Path, board: Noticeboard) -> None:
    folder = config.parent / "state"
    sources = Sources([config], board)
    assert sources.read(NOW) == []
    assert not folder.exists()
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(b"no database at all, but long enough to be looked at" * 100)
    assert sources.read(NOW) == []
    (trouble,) = sources.troubles
    assert str(config) in trouble


def test_the_original_pushers_configuration_names_its_targets(board: Noticeboard, tmp_path: Path) -> None:
    config = tmp_path / "synchronise.conf"
    config.write_text(
        "[general]\nlocalurl = sqlite:///x.db\n[locations]\ncentre = 1\n[centre]\nresturl = http://localhost/rest/\n"
    )
    with SiteCache(tmp_path / PUSH_FILE) as cache:
        cache.write_status(replace(PUSHED, last_error="the centre can't be reached"))
    (heard,) = Sources([config], board).read(NOW)
    assert (heard.snapshot.stream, heard.snapshot.state) == ("centre", "disconnected")


def test_a_full_disk_is_told_though_the_station_there_cannot_write_it_down(
    board: Noticeboard, config: Path, tmp_path: Path
) -> None:
    with mounted_disk(tmp_path / "state", "2m"):
        write(tmp_path / "state", COPY, age_s=300)
        (heard,) = Sources([config], board).read(NOW)
        assert heard.judge(NOW).words == "nothing was heard of it lately"
        with (tmp_path / "state" / "filling").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65_536))
            except OSError:
                pass
        (heard,) = Sources([config], board).read(NOW)
        verdict = heard.judge(NOW)
        assert (verdict.level, verdict.words) == ("bad", f"the disk of {tmp_path}/state is full")
        assert f"df -h {tmp_path}/state" in verdict.todo
        (tmp_path / "state" / "filling").unlink()


def test_a_silent_process_is_told_with_the_command_that_starts_it(board: Noticeboard) -> None:
    board.post("push daemon /etc/my sky.toml", [replace(COPY, stream="centre", role="pusher", system="push")], NOW - 99)
    board.post("mesh peer /srv/data id", [replace(COPY, stream="data/north", role="peer", system="mesh")], NOW - 99)
    todos = [each.judge(NOW).todo for each in Sources([], board).read(NOW)]
    assert "`samesky mesh peer`" in todos[0]
    assert "`samesky push daemon --config '/etc/my sky.toml'`" in todos[1]


def test_a_process_of_this_machine_that_tells_over_mqtt_as_well_is_shown_once(board: Noticeboard) -> None:
    here = Snapshot(stream="home/wx_binding", role="requester", state="live", since=5.25)
    board.post("copy", [here], NOW)
    told = [Heard(here, NOW, "roof", "roof"), Heard(replace(here, since=7.5), NOW, "cellar", "cellar")]
    found = Sources([], board, more=[lambda: told]).read(NOW)
    assert [each.place for each in found] == ["", "cellar"]
