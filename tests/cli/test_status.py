"""`samesky status` tells what running processes have written down, how old that is, and what to do."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.core.status import Snapshot
from samesky.station.state import FILE_NAME, State
from samesky.web.noticeboard import Noticeboard
from stands.children import die_with_parent
from stands.mesh_command import RunningCommand
from stands.waiting import wait_for

STREAM = "home/wx_binding"
LIVE = Snapshot(
    stream=STREAM,
    role="requester",
    state="live",
    position=1_700_000_100,
    newest=1_700_000_100,
    behind=0,
    proven_through=1_700_000_100,
    proven_count=105_120,
    proven_digest="1ae757973098d51c",
    proven_at=1_700_000_101.0,
    different=False,
    repaired=7,
    since=1.0,
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "samesky.toml"
    path.write_text(
        f'[station.follow]\nstate_dir = "{tmp_path}/state"\n[station.follow.home.wx_binding]\nsqlite = "c.sdb"\n'
    )
    return path


def write(config: Path, snapshot: Snapshot, *, age_s: float = 1.0, held: str = "") -> None:
    with closing(State(config.parent / "state")) as state:
        state.write_snapshot(snapshot, time.time() - age_s)
        state.write_hold(snapshot.stream, held)


def status(config: Path, *more: str) -> int:
    return main(["status", "--config", str(config), *more])


def test_a_copy_that_is_well_is_one_row_and_status_zero(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, replace(LIVE, proven_at=time.time() - 125))
    assert status(config) == 0
    said = capsys.readouterr().out
    assert "105,120 records, 2 min ago, digest 1ae757973098d51c" in said
    for word in (STREAM, "copy", "live", " 7 "):
        assert word in said
    assert re.search(r"\b[0-9]+ s ago", said)


def test_a_difference_or_a_stop_is_status_one_with_what_to_type(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(config, replace(LIVE, different=True, position=1_700_000_400))
    assert status(config) == 1
    assert "different; was 105,120 records up to 2023-11-1" in capsys.readouterr().out
    write(config, LIVE, held=f"{STREAM}: the primary is empty; samesky repair --stream {STREAM} --accept-deletions 9")
    assert status(config) == 1
    said = capsys.readouterr().out
    assert f"{STREAM}: stopped: the primary is empty\n" in said
    assert f"  what to do: samesky repair --config {config} --stream {STREAM} --accept-deletions 9" in said


def test_silence_and_a_missing_broker_are_status_three(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, LIVE, age_s=7300)
    assert status(config) == 3
    assert "2 h ago: not running?" in capsys.readouterr().out
    write(config, replace(LIVE, state="disconnected", last_error="127.0.0.1:1883 refused the connection"))
    assert status(config) == 3
    assert f"{STREAM}: 127.0.0.1:1883 refused the connection" in capsys.readouterr().out


def test_nothing_written_down_is_status_three_and_makes_no_file(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(config) == 3
    assert f"nothing was written down in {config.parent}/state" in capsys.readouterr().out
    assert not (config.parent / "state").exists()


def test_what_cannot_be_read_is_status_three(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, LIVE)
    assert status(config) == 0
    capsys.readouterr()
    broken = tmp_path / "broken.toml"
    broken.write_text("[station")
    assert status(config, "--config", str(broken), "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert told["level"] == "attention"
    assert "broken.toml" in told["troubles"][0]


def test_json_and_one_stream_alone(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, LIVE)
    write(config, replace(LIVE, stream="home/other", role="responder", proven_through=None))
    assert status(config, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {each["stream"] for each in told["streams"]} == {STREAM, "home/other"}
    assert (told["level"], told["counts"]["good"]) == ("good", 2)
    assert status(config, "--json", "--stream", STREAM) == 0
    (shown,) = json.loads(capsys.readouterr().out)["streams"]
    assert (shown["proven_count"], shown["level"]) == (105_120, "good")
    assert 1 <= shown["age_s"] < 60
    assert status(config, "--stream", "home/wx_bind") == 3
    assert f"no such stream here; those that are: home/other, {STREAM}" in capsys.readouterr().out


def test_a_primary_and_a_copy_with_the_usual_state_directory_are_shown_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weewx.conf"
    path.write_text(
        "WEEWX_ROOT = .\n[MQTTReplicate]\n[[Responder]]\n[[Requester]]\nstate_dir = " + f"{tmp_path}/own\n"
        "[DatabaseTypes]\n[[SQLite]]\nSQLITE_ROOT = archive\n"
    )
    for folder, shown in (("archive", replace(LIVE, role="responder")), ("own", LIVE)):
        with closing(State(tmp_path / folder)) as state:
            state.write_snapshot(shown, time.time())
    assert (tmp_path / "own" / FILE_NAME).is_file()
    assert status(path) == 0
    said = capsys.readouterr().out
    assert " primary " in said
    assert " copy " in said


def test_all_systems_of_this_machine_are_shown_without_a_configuration(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    noticeboard_directory: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["status"]) == 3
    assert f"nothing was written down in {noticeboard_directory}; name a --config" in capsys.readouterr().out
    posted = [
        Snapshot(stream="data/mqtt://north", role="peer", state="live", system="mesh", unit="files", different=False),
        Snapshot(stream="spark.sensor", role="primary", state="live", system="blocks", unit="values"),
    ]
    Noticeboard(noticeboard_directory).post("me", posted, time.time())
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert "data/mqtt://north" in said
    assert "neighbour" in said
    assert "spark.sensor" in said
    assert main(["status", "--system", "blocks"]) == 0
    assert "north" not in capsys.readouterr().out


def test_what_is_too_far_behind_is_status_one(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, replace(LIVE, lag_s=1000.0))
    assert status(config) == 0
    assert status(config, "--max-lag", "900") == 1
    assert f"{STREAM}: 1,000 s behind, more than 900" in capsys.readouterr().out


def test_what_keeps_a_stream_from_going_on_is_status_three_with_what_to_do(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(config, replace(LIVE, state="waiting", last_error="the disk is full", hint="Make room: `df -h`"))
    assert status(config) == 3
    said = capsys.readouterr().out
    assert f"{STREAM}: the disk is full\n  what to do: Make room: `df -h`" in said


def test_names_are_shown_as_they_are_whatever_is_in_them(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(config, replace(LIVE, stream="home/[bold]x[/bold]"))
    assert status(config) == 0
    assert "home/[bold]x[/bold]" in capsys.readouterr().out


@pytest.mark.slow
def test_watched_by_a_program_it_tells_a_document_a_line(config: Path) -> None:
    write(config, replace(LIVE, proven_at=time.time() - 5))
    with RunningCommand("status", "--watch", "--json", "--config", config) as watching:

        def shown() -> list[str]:
            return [json.loads(line)["streams"][0]["state"] for line in watching.output]

        wait_for(lambda: "live" in shown(), 60, what="the stream")
        write(config, replace(LIVE, state="stopped", last_error="another origin"), age_s=0)
        wait_for(lambda: shown()[-1] == "stopped", 60, what="the change")
        assert watching.end(signal.SIGINT) == 130


@pytest.mark.slow
def test_watched_in_a_terminal_it_follows_what_happens_until_ctrl_c(config: Path) -> None:
    write(config, replace(LIVE, proven_at=time.time() - 5))
    ours, theirs = pty.openpty()
    said = bytearray()

    def says(word: bytes) -> bool:
        while select.select([ours], [], [], 0)[0]:
            said.extend(os.read(ours, 65536))
        return word in said

    arguments = [sys.executable, "-m", "samesky", "status", "--watch", "--config", str(config)]
    process = subprocess.Popen(arguments, stdout=theirs, stderr=theirs, stdin=theirs, preexec_fn=die_with_parent())
    try:
        wait_for(lambda: says(STREAM.encode()), 60, what="the stream")
        assert not says(b"stopped")
        write(config, replace(LIVE, state="stopped", last_error="another origin"), age_s=0)
        wait_for(lambda: says(b"stopped"), 60, what="the change", explain=lambda: said.decode(errors="replace"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
    assert b"Traceback" not in said
