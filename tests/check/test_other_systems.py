"""`samesky check` on what isn't a station: push, blocks and the page in samesky.toml, and a synchronise.conf."""

from collections.abc import Callable
from pathlib import Path

import pytest

from samesky.check import Report, check_file
from samesky.link.child_process import find_free_port

from .conftest import find

PUSH = """
[push]
database = "sqlite:///{folder}/site.db"
[push.targets.centre]
url = "http://127.0.0.1:{port}"
key = "abcdefgh"
"""
CENTRAL = '[push.central]\ndatabase = "sqlite:///{folder}/central.db"\n'
BLOCKS = """
[blocks]
mqtt = "mqtt://127.0.0.1:{port}"
state = "{folder}/blocks.json"
[blocks.services.spark]
store = "{folder}/spark.json"
"""
WEB = '[web]\nlisten = "127.0.0.1:{port}"\n'
ALL = PUSH + CENTRAL + BLOCKS + WEB
SEED = "[general]\nlocalurl = sqlite:///site.db\n[locations]\ncentre = 1\n[centre]\nresturl = http://127.0.0.1:{port}/rest/\n"

Check = Callable[..., Report]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Write a file and check it; {folder} and {port}, where nobody listens, are filled in."""

    def check_(text: str, *, name: str = "samesky.toml", mode: int = 0o600, online: bool = False) -> Report:
        path = tmp_path / name
        path.write_text(text.replace("{folder}", str(tmp_path)).replace("{port}", str(find_free_port())))
        path.chmod(mode)
        return check_file(path, online=online)

    return check_


def test_a_file_without_a_mistake_has_a_line_for_each_system(check: Check) -> None:
    report = check(ALL)
    assert report.exit_status == 0, report.lines()
    assert not find(report, "warning"), report.lines()
    assert find(report, "info", "push", "a site: pushes to centre at http://127.0.0.1")
    assert find(report, "info", "push.central", "a centre: serves at 127.0.0.1:6543")
    assert find(report, "info", "blocks", "services spark")
    assert find(report, "info", "web", "the page", "without a token")


def test_every_mistake_of_every_system_is_told_at_once(check: Check) -> None:
    report = check(
        '[push]\ndatabse = "x"\n[push.targets.centre]\nurl = "ftp://x"\n'
        '[push.central]\npage_rows = 1\nlisten = "nowhere"\n'
        '[blocks]\nlisten = "0.0.0.0:5000"\n[blocks.services.spark]\ncontroller = "spark"\n'
        '[web]\nlisten = "0.0.0.0:80"\ntokn = "x"\n'
        "[station.serve]\n"
    )
    assert report.exit_status == 2
    for severity, *words in (
        ("warning", "push", "databse is no option", "did you mean database?"),
        ("error", "push", "database is missing"),
        ("error", "push.targets.centre", "url should be http://"),
        ("error", "push.targets.centre", "key and key_file are missing"),
        ("error", "push.central", "page_rows"),
        ("error", "push.central", "listen = 'nowhere'"),
        ("error", "blocks", "set token_file"),
        ("error", "blocks", "amqp is missing"),
        ("error", "blocks.services.spark", "should be a URL"),
        ("error", "web", "a token is needed"),
        ("warning", "web", "did you mean token?"),
        ("error", "station.serve", "one instance is needed"),
    ):
        assert find(report, severity, *words), (words, report.lines())


@pytest.mark.parametrize("name", ["push", "blocks", "web"])
def test_a_table_that_is_none_is_told(name: str, check: Check) -> None:
    report = check(f"{name} = 1\n")
    assert find(report, "error", name, f"it should be a table: [{name}]")


def test_a_table_that_nobody_knows_is_told_with_the_name_that_is_near(check: Check) -> None:
    assert find(check(WEB + "[bloks]\n"), "warning", "bloks", "did you mean blocks?")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (WEB + 'token = "0123456789abcdef"\n', "web"),
        (BLOCKS.replace("mqtt://", "mqtt://me:secret@"), "blocks"),
        (CENTRAL + 'database_password = "secret"\n', "push.central"),
        (PUSH, "samesky.toml"),
    ],
)
def test_a_secret_in_a_file_that_everybody_can_read_is_told(text: str, where: str, check: Check) -> None:
    report = check(text, mode=0o644)
    assert [line for line in find(report, "warning", "everybody") if where in line], report.lines()
    assert not find(check(text, mode=0o600), "warning", "everybody")


@pytest.mark.parametrize(
    ("text", "name"), [(WEB, "token"), (CENTRAL, "database_password"), (BLOCKS.partition("[blocks.s")[0], "token")]
)
def test_secret_files_are_looked_at(text: str, name: str, check: Check, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef\n")
    secret.chmod(0o644)
    named = f'{name}_file = "{secret}"\n'
    assert find(check(text + named), "warning", f"{name}_file", "chmod 600")
    assert find(check(text + named + "strict = true\n"), "error", f"{name}_file", "chmod 600") or "blocks" in text
    assert find(check(text + named + f'{name} = "0123456789abcdef"\n'), "error", "both set: keep one")
    assert find(check(text + f'{name}_file = "/nowhere"\n'), "error", f"{name}_file = /nowhere can't be read")


def test_a_store_in_a_folder_that_is_not_there_is_told(check: Check) -> None:
    report = check(BLOCKS.replace("{folder}/spark.json", "{folder}/none/spark.json"))
    assert find(report, "error", "blocks.services.spark", "isn't there", "make it")


def test_a_library_that_is_missing_is_told_with_what_to_type(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name))
    assert find(check(WEB), "error", "installation", "uvicorn isn't installed", "pip install 'samesky[web]'")


def test_a_synchronise_conf_is_checked_too(check: Check) -> None:
    report = check(SEED, name="synchronise.conf")
    assert find(report, "error", "[centre]", "key and key_file are missing"), report.lines()
    assert report.exit_status == 2
    fine = check(SEED + "key = abcdefgh\n", name="synchronise.conf")
    assert fine.exit_status == 0, fine.lines()


def test_online_nobody_there_is_told_as_such(check: Check) -> None:
    report = check(CENTRAL + BLOCKS + WEB, online=True)
    assert find(report, "error", "blocks", "no connection to the broker")
    assert find(report, "info", "push.central", "is made at the start")
    assert find(report, "info", "web", "is free")
    assert find(report, "info", "blocks.services.spark", "0 blocks")
    assert report.exit_status == 3, report.lines()
