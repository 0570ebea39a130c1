"""What is wrong with a station's stream is said apart from what to do about it."""

import shlex
from pathlib import Path

import pytest

from samesky.station.advice import advise
from samesky.station.reports import INTERVAL_S, MOVING_INTERVAL_S, SHORTEST_S, Reports
from samesky.station.source import with_config

STREAM = "home/wx"


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("", "", ""),
        ("a fault of samesky: ValueError: x", "a fault of samesky: ValueError: x", ""),
        (
            f"{STREAM}: the primary's database is another one; nothing was changed. "
            f"If that is right: samesky repair --stream {STREAM} --accept-origin ab",
            "the primary's database is another one; nothing was changed",
            f"If that is right: samesky repair --stream {STREAM} --accept-origin ab",
        ),
        (
            f"{STREAM}: the primary has 3 records; it had 9. Nothing was changed. Was it restored from an old backup? "
            f"If the primary is right: samesky repair --stream {STREAM} --accept-deletions 6",
            "the primary has 3 records; it had 9. Nothing was changed",
            "Was it restored from an old backup? If the primary is right: "
            f"samesky repair --stream {STREAM} --accept-deletions 6",
        ),
        (
            f"{STREAM}: a repair was undone by hand; samesky repair --stream {STREAM} makes it the primary's again",
            "a repair was undone by hand",
            f"samesky repair --stream {STREAM} makes it the primary's again",
        ),
        (
            "SQLite database /x: database is locked Another program holds the database; it is tried again.",
            "SQLite database /x: database is locked",
            "Another program holds the database; it is tried again.",
        ),
    ],
    ids=["nothing", "a-fault", "another-origin", "fewer-records", "undone", "locked"],
)
def test_words_and_what_to_do_are_told_apart(text: str, words: str, hint: str) -> None:
    assert advise(text, stream=STREAM) == (words, hint)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("SQLite database /x: database or disk is full Make room on the disk; it is tried again.", "df -h"),
        ("127.0.0.1:1883 refused the connection; is the broker running there?", "restart mosquitto"),
        ("127.0.0.1:1883 doesn't answer", "restart mosquitto"),
        (f"nobody answers for {STREAM}: does the primary run, and may it answer to x?", "weewxd"),
        ("the broker doesn't let us publish replicate/x: Not authorized", "ACL"),
    ],
    ids=["full", "refused", "silent-broker", "silent-primary", "forbidden"],
)
def test_what_stops_a_stream_most_often_comes_with_what_to_type(text: str, what: str) -> None:
    words, hint = advise(text, stream=STREAM)
    assert what in hint
    assert words
    assert "Make room" not in words


@pytest.mark.parametrize("path", ["/etc/weewx/weewx.conf", "/home/a b/weewx.conf", "samesky.toml"])
def test_commands_get_the_configuration_that_they_need(path: str) -> None:
    named = shlex.quote(path)
    text = "If so: samesky repair --stream a/b. To see: samesky check --online"
    filled = with_config(text, Path(path))
    assert filled == f"If so: samesky repair --config {named} --stream a/b. To see: samesky check --online {named}"
    assert with_config(filled, Path(path)) == filled
    assert with_config("`samesky check --online`", Path(path)) == f"`samesky check --online {named}`"
    assert with_config("samesky check --online says it", Path(path)) == "samesky check --online says it"


def test_news_are_written_down_at_once_but_not_all_the_time() -> None:
    reports = Reports()
    assert reports.is_due(0.0, "live")
    reports.note(0.0, "live", moves=False)
    assert not reports.is_due(INTERVAL_S - 1, "live")
    assert reports.is_due(INTERVAL_S, "live")
    assert not reports.is_due(SHORTEST_S / 2, "disconnected")
    assert reports.next_time("disconnected") == SHORTEST_S
    assert reports.is_due(SHORTEST_S, "disconnected")


def test_while_much_moves_it_is_written_down_often() -> None:
    reports = Reports()
    reports.note(0.0, "catching-up", moves=True)
    assert not reports.is_due(MOVING_INTERVAL_S - 0.1, "catching-up")
    assert reports.is_due(MOVING_INTERVAL_S, "catching-up")
