"""Directories of past hours are removed, and nothing else, ever."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.errors import ConfigError
from samesky.mesh.announcement import Entry
from samesky.mesh.index import Index
from samesky.mesh.prune import apply_prune, decode_hour, find_tree, plan_prune, read_directories

NOW = datetime(2026, 11, 21, 17, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", ["2026112117", "20261121T17"])
def test_a_directory_is_named_by_an_hour_in_two_ways(name: str) -> None:
    assert decode_hour(name) == datetime(2026, 11, 21, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    [
        *("", "20261121", "202611211", "20261121170", "2026112124", "2026023010", "2026130100", "0000010100"),
        *("2019013099", "20261121t17", "2026-11-21T17", " 2026112117", "2026112117 ", "2026112117\n", "x2026112117"),
        *(
            "20261121T17.old",
            "２０２６１１２１１７",
            "٢٠٢٦١١٢١١٧",
            "+026112117",
            "2026 12117",
            "archive",
            ".2026112117",
        ),
    ],
)
def test_every_other_name_is_none(name: str) -> None:
    assert decode_hour(name) is None


@given(st.text("0123456789Tt.-+ _/\n٣", max_size=13))
def test_whatever_the_name_only_a_true_hour_is_one(name: str) -> None:
    hour = decode_hour(name)
    assert hour is None or name in (f"{hour:%Y%m%d%H}", f"{hour:%Y%m%dT%H}")


def test_an_hour_is_old_when_it_has_ended_that_long_ago() -> None:
    names = ["2026112104", "20261121T03", "2026112103", "2026112004", "2026112117", "2030010100", "archive"]
    assert plan_prune(names, hours=13, now=NOW) == ["2026112004", "2026112103", "20261121T03"]
    assert plan_prune(["2026112104"], hours=13, now=NOW + timedelta(minutes=29, seconds=59)) == []
    assert plan_prune(["2026112104"], hours=13, now=NOW + timedelta(minutes=30)) == ["2026112104"]


@given(st.integers(0, 400), st.integers(1, 400))
def test_the_current_and_coming_hours_are_never_old(ahead: int, hours: int) -> None:
    name = f"{NOW + timedelta(hours=ahead):%Y%m%d%H}"
    assert plan_prune([name], hours=hours, now=NOW) == []


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name / "GTS" / "CWAO").mkdir(parents=True)
        (folder / name / "GTS" / "CWAO" / "a.txt").write_bytes(b"x")


def test_links_files_and_other_names_stay(tmp_path: Path) -> None:
    data = tmp_path / "data"
    fill(data, "2026112001", "2026112002", "archive", "2026112099")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "keep").write_bytes(b"x")
    (data / "2026112003").symlink_to(tmp_path / "outside")
    (data / "2026112004").write_bytes(b"a file")
    (data / "2026112002" / "linked").symlink_to(tmp_path / "outside")
    told: list[str] = []
    names = plan_prune(read_directories(data), hours=13, now=NOW)
    done = apply_prune(data, names, on_removed=told.append)
    assert list(done.removed) == told == ["2026112001", "2026112002"]
    assert sorted(os.listdir(data)) == ["2026112003", "2026112004", "2026112099", "archive"]
    assert (tmp_path / "outside" / "keep").exists()


def test_a_link_that_was_put_in_the_place_of_a_directory_stays_and_is_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    fill(data, "2026112002")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "keep").write_bytes(b"x")
    (data / "2026112001").symlink_to(tmp_path / "outside")
    done = apply_prune(data, ["2026112001", "2026112002"], on_removed=lambda _: None)
    assert done.removed == ("2026112002",)
    assert done.failed == {"2026112001": "Not a directory"}
    assert (tmp_path / "outside" / "keep").exists()


def test_what_another_pruner_has_removed_is_no_failure(tmp_path: Path) -> None:
    assert not apply_prune(tmp_path, ["2026112001"], on_removed=lambda _: None).failed


@pytest.mark.parametrize("name", ["..", ".", "archive", "../data", "/etc", "2026112001/../archive", ".samesky"])
def test_a_name_that_names_no_hour_is_never_removed(tmp_path: Path, name: str) -> None:
    fill(tmp_path, "archive", "2026112001")
    with pytest.raises(ConfigError):
        apply_prune(tmp_path, ["2026112001", name], on_removed=lambda _: None)
    assert sorted(os.listdir(tmp_path)) == ["2026112001", "archive"]


def test_what_was_removed_stays_known_as_pruned(tmp_path: Path) -> None:
    fill(tmp_path, "2026112001", "2026112117")
    entries = [Entry(f"{hour}/GTS/CWAO/a.txt", 1, None, 1, 1, content=b"c" * 64) for hour in (2026112001, 2026112117)]
    with Index(tmp_path) as index:
        index.apply(entries)
    apply_prune(tmp_path, ["2026112001"], on_removed=lambda _: None)
    with Index(tmp_path) as index:
        states = [index.read(each.path).state for each in entries]  # type: ignore[union-attr]
        assert (states, index.count) == (["pruned", "here"], 1)


def test_the_tree_may_be_further_up(tmp_path: Path) -> None:
    fill(tmp_path / "data" / "GTS", "2026112001")
    assert find_tree(tmp_path / "data" / "GTS") is None
    with Index(tmp_path / "data") as index:
        index.apply([Entry("GTS/2026112001/GTS/CWAO/a.txt", 1, None, 1, 1, content=b"c" * 64)])
    apply_prune(tmp_path / "data" / "GTS", ["2026112001"], on_removed=lambda _: None)
    with Index(tmp_path / "data") as index:
        assert index.count == 0


def test_a_directory_is_removed_though_a_peer_puts_files_into_it(tmp_path: Path) -> None:
    fill(tmp_path, "2026112001")
    stop = threading.Event()

    def put() -> None:
        for number in range(300):
            try:
                (tmp_path / "2026112001" / f"late{number}").write_bytes(b"x")
            except FileNotFoundError:
                break
        stop.set()

    putting = threading.Thread(target=put)
    putting.start()
    apply_prune(tmp_path, ["2026112001"], on_removed=lambda _: None)
    putting.join()
    again = apply_prune(tmp_path, read_directories(tmp_path), on_removed=lambda _: None)
    assert not again.failed
    assert os.listdir(tmp_path) == []
