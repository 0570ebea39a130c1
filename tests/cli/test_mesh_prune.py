"""`samesky mesh prune` says what it removes, and with --dry-run what it would."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from samesky.cli.main import main


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    now = datetime.now(UTC)
    names = [f"{now - timedelta(hours=30):%Y%m%d%H}", f"{now - timedelta(hours=20):%Y%m%dT%H}", f"{now:%Y%m%d%H}"]
    for name in [*names, "archive"]:
        (tmp_path / name).mkdir()
    return names


def prune(folder: Path, *arguments: str) -> int:
    return main(["mesh", "prune", *arguments, str(folder)])


def test_it_removes_what_is_old_and_says_so(
    tmp_path: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert prune(tmp_path, "--hours", "13") == 0
    assert capsys.readouterr().out.splitlines() == [f"removed {tmp_path / name}" for name in names[:2]]
    assert sorted(os.listdir(tmp_path)) == sorted([names[2], "archive"])


def test_a_dry_run_removes_nothing(tmp_path: Path, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(tmp_path, "--hours", "13", "--dry_run") == 0
    assert capsys.readouterr().out.splitlines() == [f"would remove {tmp_path / name}" for name in names[:2]]
    assert prune(tmp_path, "--hours", "25", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"removed": names[:1], "failed": {}, "dry_run": True}
    assert len(os.listdir(tmp_path)) == 4


@pytest.mark.parametrize("hours", ["0", "-1", "x", "1.5"])
def test_how_old_must_be_told_in_whole_hours(tmp_path: Path, hours: str) -> None:
    assert prune(tmp_path, "--hours", hours) == 2
    assert prune(tmp_path) == 2
    assert prune(tmp_path / "absent", "--hours", "1") == 2
