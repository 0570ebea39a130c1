"""`samesky check` on a samesky.toml."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from samesky.check import Report, check_file
from samesky.cli.main import main, samesky

from .conftest import find

SERVE = '[station.serve.home.wx_binding]\ntype = "main"\nsqlite = "{database}"\n'
FOLLOW = '[station.follow.home.wx_binding]\ntype = "main"\nsqlite = "{folder}/copy.sdb"\n'
BOTH = '[broker]\nhost = "localhost"\n' + SERVE + FOLLOW


@pytest.fixture
def check(tmp_path: Path, database: Path):
    def check_(text: str) -> Report:
        path = tmp_path / "samesky.toml"
        path.write_text(text.replace("{database}", str(database)).replace("{folder}", str(tmp_path)))
        path.chmod(0o600)
        return check_file(path)

    return check_


def test_a_file_without_a_mistake_has_a_line_for_each_thing_checked(check) -> None:
    report = check(BOTH)
    assert report.exit_status == 0, report.lines()
    assert not find(report, "warning")
    assert find(report, "info", "station.serve", "a primary: instance home")
    assert find(report, "info", "station.follow", "a copy: follows home/wx_binding")
    assert find(report, "info", "copy.sdb isn't there yet")


@pytest.mark.parametrize(
    ("text", "severity", "words"),
    [
        ("", "error", ("station", "neither [station.serve] (a primary) nor [station.follow] (a copy)")),
        ("station = 1", "error", ("have to be tables",)),
        ("broker = 1\n" + SERVE, "error", ("have to be tables",)),
        ("[[station.serve]]\ninstance = 1", "error", ("station.serve", "[station.serve]")),
        ("[station", "error", ("file", "isn't TOML")),
        (SERVE + "[brokr]\nhost = 1", "warning", ("brokr", "did you mean broker?")),
        (SERVE + "[station.folow.home.x]", "warning", ("folow", "did you mean follow?")),
        ("[broker]\nhots = 1\n" + SERVE, "warning", ("broker", "did you mean host?")),
        ("[broker]\nport = 0\n" + SERVE, "error", ("port = '0'", "1 to 65535")),
        ("[station.serve]\n", "error", ("station.serve", "one instance is needed")),
        ("[station.serve.home]\n", "error", ("station.serve", "has no binding")),
        (SERVE.replace('type = "main"', ""), "error", ("station.serve.home", "type = main")),
        (SERVE.replace("sqlite", "sqlight"), "error", ("station.serve.home.wx_binding", 'sqlite = "<path>"')),
        (SERVE.replace("sqlite", "sqlight"), "warning", ("sqlight", "did you mean sqlite?")),
        (SERVE.replace("{database}", "/nowhere/x.sdb"), "error", ("isn't there", "correct its path")),
        (SERVE + 'table = "other"\n', "error", ("has no table other", "correct its path or its name")),
        ('[broker]\nclient_id = "same"\n' + SERVE + FOLLOW, "error", ("client_id = same", "give each role its own")),
        (FOLLOW + FOLLOW.replace(".wx_binding", ".air").replace("main", "secondary"), "error", ("the same location",)),
        (FOLLOW + "initialize = false\n", "error", ("copy.sdb isn't there", "initialize = true")),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_mistake_is_named_with_its_table_and_what_to_write(
    check, text: str, severity: str, words: tuple[str, ...]
) -> None:
    report = check(text)
    assert find(report, severity, *words), report.lines()
    assert (report.exit_status == 2) or severity == "warning"


def test_the_command_prints_errors_first_and_sums_up(tmp_path: Path) -> None:
    path = tmp_path / "samesky.toml"
    path.write_text("[broker]\nhots = 1\nport = 0\n" + FOLLOW.replace("{folder}", str(tmp_path)))
    result = CliRunner().invoke(samesky, ["check", str(path)], standalone_mode=False)
    lines = result.output.splitlines()
    assert result.return_value == 2
    assert [line.split()[0] for line in lines[:2]] == ["error", "warning"]
    assert lines[-1] == f"{path}: 1 error, 1 warning"


# Libraries


@pytest.mark.parametrize(
    ("version", "severity"), [("1.5.1", "error"), ("1.6.1", "info"), ("2.1.0", "info"), (None, "error")]
)
def test_paho_must_be_there_and_not_older_than_debian_12_s(
    check, monkeypatch: pytest.MonkeyPatch, version: str | None, severity: str
) -> None:
    from samesky.check import installation

    monkeypatch.setattr(installation, "read_version", lambda _: version)
    assert find(check(BOTH), severity, "installation", "paho", version or "isn't installed")


def test_an_old_sqlite_is_good_to_know_and_no_failure(check, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    report = check(BOTH)
    assert report.exit_status == 0
    assert find(report, "info", "pages travel as columns")


@pytest.mark.parametrize(
    ("text", "name"), [("station = 3", "station"), ("broker = 1\n[station.serve]\ninstance = 'a'", "broker")]
)
@pytest.mark.parametrize("command", [("station", "serve"), ("station", "follow"), ("verify",)])
def test_what_should_be_a_table_is_a_mistake_for_those_who_run_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, name: str, command: tuple[str, ...]
) -> None:
    config = tmp_path / "samesky.toml"
    config.write_text(text)
    assert main([*command, "--config", str(config)]) == 2
    assert f"{name}: it should be a table: [{name}]" in capsys.readouterr().err
