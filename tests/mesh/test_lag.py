"""Peers are asked over connections that disturb nobody, and silence has a name."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.errors import DataError, Unreachable
from samesky.link.broker import MosquittoBroker
from samesky.link.mqtt import MqttSettings
from samesky.mesh import lag as lag_module
from samesky.mesh.lag import Broker, read_lag
from stands.mesh_answerer import Answerer
from stands.mesh_trees import EXCHANGE, MemoryIndex, copy_of, make_tree
from stands.ports import free_port

pytestmark = pytest.mark.slow
TREE = make_tree(300)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoBroker]:
    with MosquittoBroker(dir=tmp_path_factory.mktemp("broker")) as broker:
        yield broker


def _broker(port: int, *, timeout_s: float = 60.0) -> Broker:
    settings = MqttSettings(f"lag-{secrets.token_hex(4)}", host="127.0.0.1", port=port)
    return Broker(f"mqtt://127.0.0.1:{port}", settings, exchange=EXCHANGE, timeout_s=timeout_s)


def test_equal_peers_cost_a_few_messages(running: MosquittoBroker) -> None:
    with Answerer(running.port, TREE, "one"), Answerer(running.port, copy_of(TREE), "two"):
        lag = read_lag([_broker(running.port)])
    assert (lag.survey.same, len(lag.survey.peers), lag.unanswered) == (True, 2, ())
    assert lag.messages <= 7
    assert lag.size_bytes < 6000


def test_a_peer_behind_two_brokers_is_counted_once(running: MosquittoBroker) -> None:
    with Answerer(running.port, TREE, "one"):
        lag = read_lag([_broker(running.port), _broker(running.port)])
    assert [each.node for each in lag.survey.peers] == ["one"]


def test_a_busy_peer_is_waited_for(running: MosquittoBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samesky.mesh.answers.MOST_AT_ONCE", 2.0)
    monkeypatch.setattr("samesky.mesh.answers.ANSWERS_A_SECOND", 0.5)
    monkeypatch.setattr("samesky.mesh.answers.BUSY_S", 1)
    with Answerer(running.port, TREE, "one") as one, Answerer(running.port, MemoryIndex(), "two"):
        lag = read_lag([_broker(running.port)])
        assert one.answering.refused["busy"] >= 1
    assert [each.lacking for each in lag.survey.peers] == [0, 300]


def test_a_peer_that_stops_answering_cannot_be_reached(
    running: MosquittoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag_module, "TRIES", 1)
    monkeypatch.setattr(lag_module, "OTHERS_SHARE", 1.0)  # else the one who answers later may be taken for not there
    silent = Answerer(running.port, TREE, "one", answers=1)
    with silent, Answerer(running.port, MemoryIndex(), "two"), pytest.raises(Unreachable, match="stopped answering"):
        read_lag([_broker(running.port, timeout_s=3.0)])


def test_a_broker_that_is_not_there_is_named_with_the_reason(running: MosquittoBroker) -> None:
    port = free_port()
    with Answerer(running.port, TREE, "one"):
        lag = read_lag([_broker(running.port), _broker(port)])
    assert [each.name for each in lag.unanswered] == [f"mqtt://127.0.0.1:{port}"]
    assert "refused" in lag.unanswered[0].reason
    with pytest.raises(Unreachable, match="refused"):
        read_lag([_broker(port)])


def test_a_peer_that_answers_nonsense_is_told_apart(running: MosquittoBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samesky.mesh.answers.encode_answer", lambda answer: b"nonsense")
    with Answerer(running.port, TREE, "one"), pytest.raises(DataError, match="makes no sense"):
        read_lag([_broker(running.port)])


def test_topics_that_the_broker_forbids_are_named(tmp_path: Path) -> None:
    broker = MosquittoBroker(dir=tmp_path / "broker", acl="topic read xpublic/samesky/answer/#\n")
    with broker, pytest.raises(Unreachable, match="forbids to publish xpublic/samesky/ask"):
        read_lag([_broker(broker.port)])
