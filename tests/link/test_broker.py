"""The private brokers: both carry a conversation in MQTT v5, and end when they should."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.stands.waiting import wait_for

from samesky.errors import SetupError
from samesky.link import broker as broker_module
from samesky.link.broker import IotcoreBroker, MosquittoBroker, choose_broker, find_broker
from samesky.link.message import Arrived, Event, Message

BOTH = pytest.mark.parametrize("make", [MosquittoBroker, IotcoreBroker], ids=["mosquitto", "iotcore"])


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the latter when it ends while that is read
        return False
    return state != "Z"


@BOTH
def test_a_question_and_a_megabyte_of_answer_with_all_properties(make, open_link) -> None:
    answer = Message(
        "replicate/response/asking",
        os.urandom(1 << 20),
        correlation=b"\0\xff7",
        content_type="application/vnd.sqlite3",
        properties=(("samesky", "2"), ("data_binding", "home/wx_binding"), ("ü", "€")),
    )

    def reply(event: Event) -> None:
        if isinstance(event, Arrived):
            answering.publish(answer)
            answering.acknowledge(event.message)

    with make() as broker:
        answering = open_link(broker.port, "replicate/request/+", client_id="answering", on_event=reply)
        asking = open_link(broker.port, "replicate/response/asking", client_id="asking")
        question = Message("replicate/request/home", b"1700000000", response_topic=answer.topic, correlation=b"\0\xff7")
        assert asking.publish(question)
        assert asking.seen.wait_for(Arrived).message == answer
        assert answering.seen.of(Arrived)[0].message == question
        assert asking.drain(30)
        assert answering.drain(30)


@BOTH
def test_many_messages_are_acknowledged_out_of_order_without_trouble(make, open_link) -> None:
    with make() as broker:
        link = open_link(broker.port, "many", receive_maximum=20)
        held: list[Message] = []
        for start in range(0, 200, 10):
            for number in range(start, start + 10):
                assert link.publish(Message("many", b"%d" % number), timeout_s=30)
            held = (
                [event.message for event in link.seen.of(Arrived)]
                if link.seen.wait_for(Arrived, count=start + 10)
                else []
            )
            for message in reversed(held[start:]):
                link.acknowledge(message)
        assert [int(message.payload) for message in held] == list(range(200))
        assert link.drain(30)


@BOTH
def test_a_broker_that_was_killed_can_be_started_again_on_its_port(make, open_link) -> None:
    with make() as broker:
        link = open_link(broker.port, "a")
        first = broker.pid
        broker.kill()
        assert broker.pid is None
        broker.start()
        assert broker.pid not in (None, first)
        wait_for(lambda: link.connected and link.publish(Message("a", b"")), 30)
        link.seen.wait_for(Arrived)


@BOTH
def test_leaving_the_block_ends_the_process_and_removes_its_directory(make) -> None:
    with make() as broker:
        pid, place = broker.pid, broker.dir
        assert pid
        assert is_running(pid)
    assert not is_running(pid)
    assert not place.exists()


@BOTH
def test_a_given_directory_stays(make, tmp_path) -> None:
    with make(dir=tmp_path / "broker") as broker:
        assert broker.log_file.parent == tmp_path / "broker"
    assert broker.log_file.exists()


@BOTH
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_broker_ends_when_the_program_that_started_it_does(make, how, tmp_path) -> None:
    program = (
        f"import sys, time; from samesky.link.broker import {make.__name__} as Broker\n"
        f"broker = Broker(dir={str(tmp_path)!r}).start(); print(broker.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(broker_module.__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.send_signal(how)
    wait_for(lambda: not is_running(pid), 30, what="the end of the broker")


@BOTH
def test_a_broker_started_in_a_thread_outlives_that_thread(make) -> None:
    broker = make()
    starter = threading.Thread(target=broker.start)
    starter.start()
    starter.join()
    pid = broker.pid
    assert pid
    with pytest.raises(AssertionError):
        wait_for(lambda: not is_running(pid), 0.3)
    broker.__exit__()
    assert not is_running(pid)


def test_mosquitto_keeps_its_sessions_over_a_stop(open_link) -> None:
    with MosquittoBroker() as broker:
        link = open_link(broker.port, "a", client_id="kept")
        link.close()
        broker.stop()
        broker.start()
        again = open_link(broker.port, "a", client_id="kept")
        assert again.seen.events[0].session_present  # type: ignore[union-attr]


def test_mosquitto_without_persistence_forgets(open_link) -> None:
    with MosquittoBroker(persistence=False) as broker:
        open_link(broker.port, "a", client_id="forgotten").close()
        broker.stop()
        broker.start()
        again = open_link(broker.port, "a", client_id="forgotten")
        assert not again.seen.events[0].session_present  # type: ignore[union-attr]


def test_a_mistake_in_the_options_is_told_with_the_brokers_words() -> None:
    with (
        pytest.raises(SetupError, match=r"the private mosquitto broker ended with status .*nonsense") as caught,
        MosquittoBroker(options=["nonsense 1"]),
    ):
        pass
    assert "its log are in" in caught.value.hint


def test_a_port_in_use_is_told() -> None:
    with MosquittoBroker() as first, pytest.raises(SetupError, match="in use"), MosquittoBroker(port=first.port):
        pass


def test_passwords_are_readable_by_the_owner_alone_and_not_in_clear() -> None:
    with MosquittoBroker(users={"station": "secret"}) as broker:
        passwords = broker.dir / "passwords"
        assert passwords.stat().st_mode & 0o077 == 0
        assert "secret" not in passwords.read_text()


def test_mosquitto_is_found_where_debian_puts_it_and_chosen(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_broker() == "/usr/sbin/mosquitto"
    assert isinstance(choose_broker(), MosquittoBroker)


def test_without_mosquitto_iotcore_is_chosen_and_without_both_we_say_what_to_install(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(broker_module, "MOSQUITTO_PLACES", ())
    assert isinstance(choose_broker(), IotcoreBroker)
    monkeypatch.setattr(sys, "path", [])
    sys.path_importer_cache.clear()
    for make in (choose_broker, MosquittoBroker, IotcoreBroker):
        with pytest.raises(SetupError) as caught:
            make()  # type: ignore[operator]
        assert "install" in caught.value.hint
