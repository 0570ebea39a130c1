"""`samesky mesh peer`: what its options mean, and what it says. What a peer then does is in tests/mesh/."""

import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from samesky.cli.main import main
from samesky.cli.mesh_peer import command, read_settings
from samesky.link.broker import MosquittoBroker
from samesky.link.message import Subscription
from samesky.link.urls import ANY_PUBLIC
from samesky.mesh.announcement import Announcement, integrity_of
from samesky.mesh.fields import MAX_INLINE_BYTES
from samesky.mesh.index import Index
from samesky.mesh.peer_settings import PeerSettings
from samesky.mesh.statefile import FILE_NAME, FOLDER
from stands.mesh_command import RunningCommand
from stands.mesh_node import Announcer, MeshNode
from stands.mesh_web import ScriptedWeb, answering, whole
from stands.waiting import wait_for

ALL = "xpublic/v03/post/#"
POST = ("--post-broker", "mqtt://owner:ownerpw@here")
Look = Callable[[PeerSettings], Any]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a peer keeps its tree unless it is told another place; no credentials of the user are read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SAMESKY_BROKER_PASSWORD", raising=False)
    return tmp_path / "data"


def settings_of(*arguments: object) -> PeerSettings:
    """What a peer of the broker blacklab does with these options."""
    words = ["--broker", "mqtt://guest:guestpw@blacklab", *map(str, arguments)]
    return read_settings(command.make_context("peer", words).params)


def test_without_options_a_peer_keeps_the_seeds_tree_and_does_no_harm(tree: Path) -> None:
    settings = settings_of()
    with Index(tree) as index:
        name = f"samesky-mesh-{index.id}"
    (neighbour,) = settings.neighbours
    assert (settings.folder, settings.consumer, settings.posting) == (Path("data"), name, None)
    assert (neighbour.name, neighbour.mqtt.client_id) == ("mqtt://guest@blacklab", f"{name}-0")
    assert neighbour.subscriptions == (Subscription(ALL),)
    assert (settings.download, settings.durable, neighbour.compares) == (True, True, True)
    assert (settings.lag_warn_s, settings.compare_interval_s) == (120.0, 600.0)
    assert settings.urls.hosts == ("blacklab", ANY_PUBLIC)
    rules = settings.rules
    assert (rules.take_removals, rules.allow_weak, rules.allow_unchecked) == (False, False, False)
    assert (rules.late_after_s, rules.drop_late) == (7200.0, False)


def test_what_is_kept_for_a_peer_that_is_away_is_its_own_at_the_next_start(tree: Path) -> None:
    first, again = settings_of(), settings_of()
    assert first.neighbours[0].mqtt == again.neighbours[0].mqtt
    assert not first.neighbours[0].mqtt.clean_start
    assert (first.neighbours[0].mqtt.session_expiry_s or 0) >= 3600


@pytest.mark.parametrize(
    ("arguments", "look", "meant"),
    [
        (["--client-id", "awzz"], lambda it: (it.consumer, it.neighbours[0].mqtt.client_id), ("awzz", "awzz-0")),
        (["--clean-session"], lambda it: it.neighbours[0].mqtt.clean_start, True),
        (["--clean_session"], lambda it: it.neighbours[0].mqtt.clean_start, True),
        (["--exchange", "x"], lambda it: it.neighbours[0].subscriptions, (Subscription("x/v03/post/#"),)),
        (
            ["--subtopic", "+/GTS/+/IU/#", "--subtopic", "a"],
            lambda it: it.neighbours[0].subscriptions,
            (Subscription("xpublic/v03/post/+/GTS/+/IU/#"), Subscription("xpublic/v03/post/a")),
        ),
        (["--subtopic", "a/#"], lambda it: it.neighbours[0].subtopics, ("a/#",)),
        (["--share", "g"], lambda it: it.neighbours[0].subscriptions, (Subscription(f"$share/g/{ALL}"),)),
        (["--broker", "mqtt://awzz"], lambda it: len({each.mqtt.client_id for each in it.neighbours}), 2),
        (["--no-compare"], lambda it: it.neighbours[0].compares, False),
        (["--compare-interval", "5"], lambda it: it.compare_interval_s, 5.0),
        (["--no-download"], lambda it: it.download, False),
        (["--not-durable"], lambda it: it.durable, False),
        (["--lag-warn", "5"], lambda it: it.lag_warn_s, 5.0),
        (["--lag-drop", "60"], lambda it: (it.rules.late_after_s, it.rules.drop_late), (60.0, True)),
        (["--removals"], lambda it: it.rules.take_removals, True),
        (["--allow-md5"], lambda it: (it.rules.allow_weak, it.rules.allow_unchecked), (True, False)),
        (["--allow-unchecked"], lambda it: (it.rules.allow_weak, it.rules.allow_unchecked), (False, True)),
        (["--max-size", "99"], lambda it: it.rules.most_bytes, 99),
        (["--allow-host", "h"], lambda it: it.urls.hosts, ("blacklab", "h", ANY_PUBLIC)),
        (["--select", "reject /a"], lambda it: (it.rules.selection.takes("a"), it.rules.selection.takes("b")), (0, 1)),
        (["--inline-max", "100"], lambda it: it.inline_max_bytes, MAX_INLINE_BYTES),
        (["--inline-max", "9000"], lambda it: it.inline_max_bytes, 9000),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_means_what_it_says(tree: Path, arguments: list[str], look: Look, meant: object) -> None:
    assert look(settings_of(*arguments)) == meant
    assert look(settings_of()) != meant or arguments == ["--inline-max", "100"]


def test_directories_that_come_first_have_a_subscription_of_their_own_that_is_not_compared_twice(tree: Path) -> None:
    first, usual = settings_of("--high-priority", "warnings/#").neighbours
    assert first.priority > usual.priority
    assert first.subscriptions == (Subscription("xpublic/v03/post/warnings/#"),)
    assert usual.subscriptions == (Subscription(ALL),)
    assert (first.compares, usual.compares) == (False, True)
    assert first.mqtt.client_id != usual.mqtt.client_id


@pytest.mark.parametrize(
    ("arguments", "look", "meant"),
    [
        ([], lambda it: (it.exchange, it.split, it.inline_most_bytes, it.encoding), ("xpublic", 0, 0, "guess")),
        (["--post-exchange", "y"], lambda it: it.exchange, "y"),
        (["--exchange", "x"], lambda it: it.exchange, "x"),
        (["--post-exchange-split", "5"], lambda it: it.split, 5),
        (["--inline"], lambda it: it.inline_most_bytes, 1024),
        (["--inline-max", "200"], lambda it: it.inline_most_bytes, 0),
        (["--inline", "--inline-max", "200"], lambda it: it.inline_most_bytes, 200),
        (["--encoding", "binary"], lambda it: it.encoding, "binary"),
        (["--post-base-url", "http://n/d/"], lambda it: it.base_url, "http://n/d/"),
        (["--serve", "127.0.0.1:8001"], lambda it: it.base_url, "http://127.0.0.1:8001/"),
        (["--no-download"], lambda it: it.base_url, ""),
        (["--format", "wis2", "--centre-id", "ca-dwd"], lambda it: (it.format, it.centre_id), ("wis2", "ca-dwd")),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, list) else "",
)
def test_where_and_how_it_announces(
    tree: Path, arguments: list[str], look: Callable[[Any], Any], meant: object
) -> None:
    settings = settings_of(*POST, *arguments)
    assert settings.posting is not None
    assert settings.posting.name == "mqtt://owner@here"
    assert look(settings.posting) == meant


def test_what_comes_from_our_own_server_is_known_as_ours(tree: Path) -> None:
    assert settings_of(*POST, "--post-base-url", "http://n/d/").rules.own_urls == {"http://n/d"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--select", "maybe x"], "accept REGEX"),
        (["--subtopic", "a#"], "no subtopic"),
        (["--exchange", "a/b"], "without /"),
        (["--inline-max", "0"], "--inline-max"),
        (["--inline-max", "131073"], "--inline-max"),
        (["--lag-drop", "-1"], "--lag-drop"),
        ([*POST, "--format", "wis2"], "needs --centre-id"),
        ([*POST, "--post-base-url", "file:///etc"], "http://"),
    ],
)
def test_what_the_user_cannot_have_meant_is_status_2(
    tree: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["mesh", "peer", "--broker", "mqtt://blacklab", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_neighbour_that_is_far_behind_is_warned_of_and_who_asks_is_told_everything(
    tmp_path: Path, broker: MosquittoBroker
) -> None:
    url, tree = f"mqtt://127.0.0.1:{broker.port}", tmp_path / "data"
    environment = {"SAMESKY_STATUS_DIR": str(tmp_path / "status")}
    options = ["--broker", url, "--dir-prefix", tree, "--lag-warn", "0", "--no-compare", "--verbose=2"]
    with RunningCommand("mesh", "peer", *options, environment=environment) as peer:
        wait_for(lambda: any(": live" in line for line in peer.output), 60, explain=lambda: peer.errors)
        with MeshNode(tmp_path / "node", broker.port) as node, Announcer(broker.port) as announcer:
            announcer.put(node, "a.txt", b"content")
            wait_for((tree / "a.txt").exists, 60, explain=lambda: peer.errors)
        broker.stop()  # it says how it does once a minute, and when that changes
        wait_for(lambda: "mesh_lag neighbour=" in peer.errors, 40, explain=lambda: peer.errors)
    assert f"mesh_lag neighbour={url}" in peer.errors
    assert " DEBUG " in peer.errors


@pytest.mark.slow
def test_an_announcement_that_was_not_written_down_before_a_kill_comes_again(
    tmp_path: Path, broker: MosquittoBroker
) -> None:
    asked: list[str] = []

    def answer(request: str) -> bytes:
        asked.append(request)
        return whole(b"content")

    tree, environment = tmp_path / "data", {"SAMESKY_STATUS_DIR": str(tmp_path / "status")}
    options = ["--broker", f"mqtt://127.0.0.1:{broker.port}", "--dir-prefix", tree, "--no-compare"]
    with RunningCommand("mesh", "peer", *options, environment=environment) as peer:
        wait_for(lambda: any(": live" in line for line in peer.output), 60, explain=lambda: peer.errors)
        with ScriptedWeb(answering(answer)) as web, Announcer(broker.port) as announcer:
            with closing(sqlite3.connect(tree / FOLDER / FILE_NAME, isolation_level=None)) as locking:
                locking.execute("BEGIN IMMEDIATE")  # nothing can be written down
                announcer.announce(Announcement("a.txt", time.time_ns(), integrity_of(b"content"), 7, web.url))
                wait_for(lambda: asked, 60, what="the download", explain=lambda: peer.errors)
                peer.end(signal.SIGKILL)
            assert not (tree / "a.txt").exists()
            with RunningCommand("mesh", "peer", *options, environment=environment) as again:
                wait_for((tree / "a.txt").exists, 60, what="the file", explain=lambda: again.errors)
