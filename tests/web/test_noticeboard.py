"""Processes write down how their streams are doing; what others find there is taken strictly."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.core.status import Snapshot, take_snapshot
from samesky.web.noticeboard import FORGOTTEN_AFTER_S, Heard, Noticeboard, keep_newest, open_noticeboard
from samesky.web.process_mark import has_ended, read_own_mark

NOW = 1_700_000_000.0
PEER = take_snapshot(
    Snapshot(
        stream="data/mqtt://north",
        role="peer",
        state="live",
        system="mesh",
        unit="files",
        refused={"path": 2},
        details={"lacking": 0, "lag": 0.25, "url": None},
    ),
    NOW,
)


@pytest.fixture
def board(tmp_path: Path) -> Noticeboard:
    return Noticeboard(tmp_path / "status")


def test_what_is_posted_is_read_by_others(board: Noticeboard) -> None:
    board.post("mesh-peer-data", [PEER], NOW)
    (heard,) = Noticeboard(board.directory).read(NOW + 7)
    assert heard.snapshot == PEER
    assert (heard.heard_at, heard.owner, heard.age_s(NOW + 7)) == (NOW, "mesh-peer-data", 7)


def test_a_process_has_one_file_and_takes_it_away(board: Noticeboard) -> None:
    board.post("mesh peer /srv/data", [PEER], NOW)
    board.post("mesh peer /srv/data", [replace(PEER, state="disconnected")], NOW + 1)
    assert len(list(board.directory.iterdir())) == 1
    assert [each.snapshot.state for each in board.read(NOW + 1)] == ["disconnected"]
    board.withdraw("mesh peer /srv/data")
    board.withdraw("mesh peer /srv/data")
    assert board.read(NOW + 1) == []


def test_names_that_look_alike_are_not_mixed_up(board: Noticeboard) -> None:
    board.post("peer a/b", [PEER], NOW)
    board.post("peer a-b", [replace(PEER, stream="other")], NOW)
    assert len(board.read(NOW)) == 2


def test_of_one_stream_the_newest_is_told(board: Noticeboard) -> None:
    board.post("push run /etc/a.toml", [replace(PEER, state="disconnected")], NOW)
    board.post("push daemon /etc/a.toml", [PEER], NOW + 10)
    assert [each.owner for each in board.read(NOW + 20)] == ["push daemon /etc/a.toml"]


def test_streams_of_one_name_that_are_not_one_are_told_apart(board: Noticeboard) -> None:
    board.post("push daemon /srv/harbour/samesky.toml", [PEER], NOW)
    board.post("push daemon /srv/hillside/samesky.toml", [PEER], NOW)
    board.post("push daemon /srv/hillside/other.toml", [replace(PEER, stream="other")], NOW)
    assert [(each.snapshot.stream, each.place) for each in board.read(NOW)] == [
        (PEER.stream, "harbour"),
        (PEER.stream, "hillside"),
        ("other", ""),
    ]


def test_a_process_that_was_killed_is_told_as_ended_at_once(board: Noticeboard) -> None:
    text = (
        "import sys, pathlib\nfrom samesky.core.status import Snapshot\n"
        "from samesky.web.noticeboard import Noticeboard\n"
        "Noticeboard(pathlib.Path(sys.argv[1])).post('mesh peer x', [Snapshot(stream='a', role='peer', state='live'), "
        "Snapshot(stream='b', role='peer', state='live', silent_after_s=None)], float(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", text, board.directory, str(NOW)], check=True)
    board.post("mesh peer y", [replace(PEER, stream="c")], NOW)
    verdicts = {each.snapshot.stream: each.judge(NOW + 1) for each in board.read(NOW + 1)}
    assert verdicts["a"].words == "its process has ended"
    assert "`samesky mesh peer`" in verdicts["a"].todo
    assert verdicts["b"].level != "bad"
    assert verdicts["c"].level != "bad"


def test_that_a_process_was_killed_outweighs_what_it_wrote_elsewhere_at_that_time() -> None:
    killed = Heard(PEER, NOW, "station follow /etc/a.toml", has_ended=True)
    written = Heard(PEER, NOW + 2, "/etc/a.toml")
    assert keep_newest([killed, written]) == keep_newest([written, killed]) == [killed]
    started_again = replace(written, heard_at=NOW + 30)
    assert keep_newest([killed, started_again]) == [started_again]


@pytest.mark.parametrize("mark", ["", "x", "1", "1 2", "99999999999 1 x", "1 1 another-machine pid:[1]"])
def test_of_a_process_elsewhere_nothing_is_said(mark: str) -> None:
    assert not has_ended(mark)


def test_a_process_whose_number_another_has_now_has_ended() -> None:
    pid, start, world = read_own_mark().split(" ", 2)
    assert not has_ended(f"{pid} {start} {world}")
    assert has_ended(f"{pid} {int(start) + 1} {world}")


def test_nothing_was_posted_yet(board: Noticeboard) -> None:
    assert board.read(NOW) == []
    assert board.troubles == ()


def test_a_killed_process_is_told_as_silent_and_forgotten_in_the_end(board: Noticeboard) -> None:
    board.post("killed", [PEER], NOW)
    (heard,) = board.read(NOW + 3600)
    assert heard.judge(NOW + 3600).level == "bad"
    assert board.read(NOW + FORGOTTEN_AFTER_S + 1) == []
    assert list(board.directory.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b'{"owner": "a", "heard_at": 1, "streams": [{}]}',
        b'{"owner": "a", "heard_at": true, "streams": []}',
        b'{"owner": "a", "heard_at": 1e999, "streams": []}',
        b'{"owner": "a", "heard_at": 1, "streams": [{"stream": "a", "role": "king", "state": "live"}]}',
        b'{"owner": "a", "heard_at": 1, "streams": [{"stream": "a", "role": "peer", "state": "live", "behind": "7"}]}',
        b'{"owner": "a", "heard_at": 1, "streams": [{"stream": "a", "role": "peer", "state": "live", "unit": "\\n"}]}',
    ],
    ids=["empty", "not-utf-8", "deep", "list", "no-stream", "time-bool", "infinite", "role", "type", "line-break"],
)
def test_a_file_that_no_samesky_wrote_is_told_and_harms_no_other(board: Noticeboard, text: bytes) -> None:
    board.post("well", [PEER], NOW)
    (board.directory / "evil.status.json").write_bytes(text)
    assert [each.owner for each in board.read(NOW)] == ["well"]
    (trouble,) = board.troubles
    assert "evil.status.json" in trouble


def test_no_link_and_no_pipe_is_followed(board: Noticeboard, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"owner": "x", "heard_at": NOW, "streams": [PEER.as_dict()]}))
    board.directory.mkdir()
    (board.directory / "a.status.json").symlink_to(secret)
    os.mkfifo(board.directory / "b.status.json")
    assert board.read(NOW) == []
    assert len(board.troubles) == 2


def test_a_folder_that_cannot_be_written_to_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    board = Noticeboard(tmp_path / "file" / "status")
    board.post("me", [PEER], NOW)
    board.post("me", [PEER], NOW + 1)
    assert [record.message.split()[0] for record in caplog.records] == ["status_not_written"]
    assert board.read(NOW) == []


def test_fields_of_a_later_samesky_are_left_out(board: Noticeboard) -> None:
    board.post("me", [PEER], NOW)
    (path,) = board.directory.iterdir()
    document = json.loads(path.read_text())
    document["streams"][0]["mood"] = "good"
    document["more"] = 1
    path.write_text(json.dumps(document))
    assert [each.snapshot for each in board.read(NOW)] == [PEER]


def test_the_folder_is_the_one_that_was_named_or_the_services_or_the_users(tmp_path: Path) -> None:
    named = {"SAMESKY_STATUS_DIR": str(tmp_path / "named"), "RUNTIME_DIRECTORY": str(tmp_path / "run")}
    assert open_noticeboard(tmp_path / "given", environment=named).directory == tmp_path / "given"
    assert open_noticeboard(environment=named).directory == tmp_path / "named"
    del named["SAMESKY_STATUS_DIR"]
    assert open_noticeboard(environment=named).directory == tmp_path / "run" / "status"


def test_a_reader_looks_where_services_and_users_post(tmp_path: Path) -> None:
    home = {"XDG_STATE_HOME": str(tmp_path / "state")}
    Noticeboard(tmp_path / "state/samesky/status").post("mine", [PEER], NOW)
    reader = open_noticeboard(environment={**home, "RUNTIME_DIRECTORY": str(tmp_path / "run")})
    assert [each.owner for each in reader.read(NOW) if each.owner == "mine"] == ["mine"]
