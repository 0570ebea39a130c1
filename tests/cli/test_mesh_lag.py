"""`samesky mesh lag` says which peer lacks what, and its exit status whether any does."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.link.broker import MosquittoBroker
from stands.mesh_answerer import Answerer
from stands.mesh_trees import MemoryIndex, copy_of, make_entry, make_tree
from stands.ports import free_port

pytestmark = pytest.mark.slow
TREE = make_tree(500)


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[MosquittoBroker]]:
    with ExitStack() as stack:
        yield [stack.enter_context(MosquittoBroker(dir=tmp_path_factory.mktemp("broker"))) for _ in range(2)]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def url(broker: MosquittoBroker) -> str:
    return f"mqtt://127.0.0.1:{broker.port}"


def lag(*arguments: object) -> int:
    return main(["mesh", "lag", *map(str, arguments)])


def test_two_peers_with_the_same_tree_end_with_0(
    brokers: list[MosquittoBroker], stack: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, broker in enumerate(brokers):
        stack.enter_context(Answerer(broker.port, copy_of(TREE), f"node{number}"))
    assert lag(*map(url, brokers)) == 0
    said = capsys.readouterr().out
    assert "the same: 2 peers, 500 files (" in said
    assert all(url(broker) in said for broker in brokers)


def test_two_peers_that_differ_end_with_1_and_a_table_of_what_is_lacking(
    brokers: list[MosquittoBroker], stack: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    behind = copy_of(TREE)
    gone = [path for path in TREE.contents() if path.startswith("007/d2/")]
    for path in gone:
        behind.forget(path)
    stack.enter_context(Answerer(brokers[0].port, TREE, "whole"))
    stack.enter_context(Answerer(brokers[1].port, behind, "behind"))
    assert lag(*map(url, brokers)) == 1
    said = capsys.readouterr().out
    assert f"{url(brokers[1])} lacks {gone[0]}" in said
    assert "007/d2" in said
    assert lag("--json", *map(url, brokers)) == 1
    told = json.loads(capsys.readouterr().out)
    assert [each["lacking"] for each in told["peers"]] == [0, len(gone)]
    assert told["directories"] == [
        {"path": "007/d2", "files": [len(gone), 0], "lacking": [0, len(gone)], "listed": True}
    ]


def test_names_that_would_speak_to_the_terminal_are_escaped(
    brokers: list[MosquittoBroker], stack: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.enter_context(Answerer(brokers[0].port, MemoryIndex([make_entry("d\x1b[2J/e\u202etxt")]), "one"))
    stack.enter_context(Answerer(brokers[1].port, MemoryIndex(), "two"))
    assert lag(*map(url, brokers)) == 1
    said = capsys.readouterr().out
    assert r"'d\x1b[2J/e\u202etxt'" in said
    assert "\x1b" not in said


def test_several_peers_behind_one_broker_are_compared_with_each_other(
    brokers: list[MosquittoBroker], stack: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    for node in ("one", "two", "three"):
        stack.enter_context(Answerer(brokers[0].port, MemoryIndex() if node == "two" else copy_of(TREE), node))
    assert lag("--timeout", 50, "--json", url(brokers[0])) == 1  # the others have a tenth of it
    told = json.loads(capsys.readouterr().out)
    assert {each["node"]: each["lacking"] for each in told["peers"]} == {"one": 0, "three": 0, "two": 500}


def test_a_broker_that_cannot_be_reached_or_has_no_peer_ends_with_3_and_the_others_are_told(
    brokers: list[MosquittoBroker], stack: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.enter_context(Answerer(brokers[0].port, TREE, "alone"))
    nowhere = f"mqtt://user:secret@127.0.0.1:{free_port()}"
    # The one who is there has to answer within that time.
    assert lag("--timeout", 5, url(brokers[0]), url(brokers[1]), nowhere) == 3
    said = capsys.readouterr().out
    assert "no peer answers there" in said
    assert "500" in said
    assert "secret" not in said


def test_nobody_anywhere_ends_with_3(brokers: list[MosquittoBroker], capsys: pytest.CaptureFixture[str]) -> None:
    # Within that time the broker has to take the connection, else it is the broker that doesn't answer.
    assert lag("--timeout", 5, url(brokers[0])) == 3
    assert "no peer answers" in capsys.readouterr().err


def test_a_forbidden_topic_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with MosquittoBroker(dir=tmp_path / "broker", users={"guest": "guestpw"}) as broker:
        assert lag("--timeout", 3, f"mqtt://guest:wrong@127.0.0.1:{broker.port}") == 3
    assert "wrong" not in capsys.readouterr().err


def test_what_is_no_broker_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert lag("http://example.org") == 2
    assert lag() == 2
