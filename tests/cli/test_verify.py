"""`samesky verify` as it is typed: sentences, what to type next, and an exit status."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.link.broker import MosquittoBroker
from samesky.link.child_process import find_free_port
from stands.served_copy import COUNT, STREAM, ServedCopy

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[2] / "docs" / "station.md"
WEEWX_CONF = """
WEEWX_ROOT = {root}
[Station]
    station_type = MQTTReplicate
[MQTTReplicate]
    driver = samesky.station.weewx_driver
    host = 127.0.0.1
    port = {port}
    [[Requester]]
        client_id = copy
        [[[home]]]
            [[[[wx_binding]]]]
                type = main
[DataBindings]
    [[wx_binding]]
        database = archive_sqlite
[Databases]
    [[archive_sqlite]]
        database_name = copy.sdb
        database_type = SQLite
[DatabaseTypes]
    [[SQLite]]
        driver = weedb.sqlite
        SQLITE_ROOT = .
"""


@pytest.fixture
def pair(broker: MosquittoBroker, tmp_path: Path) -> Iterator[ServedCopy]:
    (tmp_path / "pair").mkdir()
    with ServedCopy(tmp_path / "pair", broker.port) as pair:
        yield pair


def verify(pair: ServedCopy, *more: str) -> int:
    return main(["verify", "--config", str(pair.config_path), *more])


def test_a_copy_that_is_the_same_is_said_to_be_so_in_one_line(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(pair) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{STREAM}: the same: {COUNT:,} records up to ")
    assert (said.out.count("\n"), said.err) == (1, "")


@pytest.mark.parametrize("option", ["", "--deep", "--sample=40%"])
def test_a_difference_comes_with_the_command_that_mends_it(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    pair.spoil()
    assert verify(pair, *([option] if option else [])) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "12 records missing here, 3 different, 1 only here; between" in lines[0]
    command = f"samesky repair --config {pair.config_path} --stream {STREAM}{' --deep' if option else ''}"
    assert lines[-1] == f"  to mend it: {command}"


def test_json_has_every_figure(pair: ServedCopy, capsys: pytest.CaptureFixture[str]) -> None:
    pair.spoil()
    assert verify(pair, "--json") == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["stream"], found["same"], found["here"], found["there"]) == (STREAM, False, COUNT - 11, COUNT)
    assert (found["missing"]["count"], found["different"]["count"], found["days"]["count"]) == (12, 3, 1)


def test_a_weewx_conf_does_as_well_whatever_it_is_called(
    pair: ServedCopy, broker: MosquittoBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pair.folder / "station.config"
    path.write_text(WEEWX_CONF.format(root=pair.folder, port=broker.port))
    assert main(["verify", "-c", str(path), "--stream", STREAM]) == 0
    path.write_text(pair.config_path.read_text())
    assert main(["verify", "-c", str(path), "--stream", STREAM]) == 0
    assert capsys.readouterr().out.count(": the same: ") == 2


def test_the_configuration_is_looked_for_where_it_usually_is(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pair.folder)
    assert main(["verify"]) == 0
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", str(pair.folder / "nowhere"))
    if not Path("/etc/weewx/weewx.conf").exists():
        assert main(["verify"]) == 2
        assert "Name one with --config" in capsys.readouterr().err


def test_mistakes_have_the_status_of_mistakes(pair: ServedCopy, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(pair, "--stream", "home/other") == 2
    assert f"Those that are: {STREAM}" in capsys.readouterr().err
    assert verify(pair, "--sample", "100%") == 2
    assert verify(pair, "--sample", "5%", "--deep") == 2
    pair.config_path.write_text('[broker]\nhost = "x"\n[station.serve.home.wx_binding]\nsqlite = "a"\n')
    assert verify(pair) == 2
    assert "[station.follow] is missing" in capsys.readouterr().err


def test_a_primary_is_told_that_it_is_no_copy_though_the_extension_wrote_both_sections(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pair.folder / "weewx.conf"
    primary = WEEWX_CONF.format(root=pair.folder, port=1).replace("= MQTTReplicate", "= Simulator")
    path.write_text(primary.replace("    [[Requester]]", "    [[Responder]]\n        [[[home]]]\n    [[Requester]]"))
    assert main(["verify", "-c", str(path)]) == 2
    assert "this station is no copy, its driver follows nobody: ask at a copy" in capsys.readouterr().err


def test_a_broker_that_is_gone_is_status_three_and_a_damaged_copy_four(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.copy.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    assert verify(pair, "--deep") == 4
    pair.write_config(find_free_port(), [], f'sqlite = "{pair.primary}"')
    assert verify(pair) == 3
    said = capsys.readouterr().err
    assert f"{STREAM}: no connection to the broker: 127.0.0.1" in said
    assert "what to do: " in said


def test_every_command_of_the_guide_does_what_the_guide_says(
    pair: ServedCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    section = GUIDE.read_text().partition("## Is my copy right?")[2].partition("\n## ")[0]
    commands = re.findall(r"^samesky (.*)$", section, re.MULTILINE)
    assert len(commands) == 8
    pair.spoil()
    statuses = [main(each.replace("/etc/samesky.toml", str(pair.config_path)).split()) for each in commands]
    # status hears nothing of a copy that doesn't run; a sample misses a few records, but the sums don't.
    assert statuses == [3, 1, 0, 1, 1, 1, 0, 0]
    assert "the copy is stopped now, else it would be repaired again" in capsys.readouterr().out
