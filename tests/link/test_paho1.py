"""The MQTT link under paho-mqtt 1.6.1, which Debian 12 ships, in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.link.test_will import DYING, WILL

from samesky.link.broker import MosquittoBroker
from samesky.link.message import Arrived

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "paho-1.6.1"

CONVERSATION = """
import json, sys, threading, time
from samesky.link.message import Arrived, Connected, Denied, Disconnected, Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
import paho.mqtt

port = int(sys.argv[1])
seen = {"version": paho.mqtt.__version__, "answering": [], "asking": []}
done = threading.Event()

def note(name, event):
    seen[name].append(type(event).__name__)

def answer(event):
    note("answering", event)
    if isinstance(event, Arrived):
        question = event.message
        answering.publish(Message(question.response_topic, question.payload, correlation=question.correlation,
            content_type="t/x", properties=(("samesky", "2"), ("again", "ä"), ("again", "€"))))
        answering.acknowledge(question)

def ask(event):
    note("asking", event)
    if isinstance(event, Denied):
        seen["denied"] = [event.topic, event.action, event.reason]
    if isinstance(event, Arrived):
        answer = event.message
        seen["answer"] = [len(answer.payload), answer.correlation.decode(), answer.content_type, answer.properties]
        asking.acknowledge(answer)
        done.set()

def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

user = {"port": port, "username": "station", "password": "right"}
answering = MqttLink(MqttSettings("answering", **user), [Subscription("ours/request/+")], answer)
asking = MqttLink(MqttSettings("asking", **user), [Subscription("ours/response/asking")], ask)
with answering, asking:
    wait_for(lambda: answering.connected and asking.connected)
    question = Message("ours/request/home", b"x" * (1 << 20), response_topic="ours/response/asking", correlation=b"123")
    seen["published"] = asking.publish(question)
    seen["answered"] = done.wait(60)
    seen["large"] = asking.publish(Message("ours/a", b"x" * (1 << 21)))
    seen["forbidden"] = asking.publish(Message("theirs/a", b""))
    seen["drained"] = asking.drain(30) and answering.drain(30)
refused = []
with MqttLink(MqttSettings("wrong", port=port, username="station", password="wrong"), [], refused.append):
    wait_for(lambda: refused)
seen["refused"] = refused[0].reason

for attempt in ("first", "second"):
    seen[attempt] = []
    def keep(event):
        if isinstance(event, Arrived):
            seen[attempt].append(event.message.payload.decode())
            if event.message.payload == b"1":
                careful.acknowledge(event.message)
    with MqttLink(MqttSettings("careful", **user), [Subscription("ours/kept")], keep) as careful:
        wait_for(lambda: careful.connected)
        if attempt == "first":
            careful.publish(Message("ours/kept", b"1"))
            careful.publish(Message("ours/kept", b"2"))
            careful.drain(30)
        wait_for(lambda: len(seen[attempt]) == (2 if attempt == "first" else 1))
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def paho1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that holds paho-mqtt 1.6.1, installed the first time."""
    if not CACHE.exists():
        new = tmp_path_factory.mktemp("paho") / "new"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(new), "paho-mqtt==1.6.1"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if made.returncode:
            pytest.skip(f"paho-mqtt 1.6.1 can't be installed here: {made.stderr.strip().splitlines()[-1]}")
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=CACHE.parent) as beside, suppress(OSError):  # another process may be first
            Path(shutil.copytree(new, Path(beside) / "new")).rename(CACHE)
    return CACHE


BURST = """
import logging, sys, threading
from samesky.link.message import Arrived, Connected, Disconnected, Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings

came, done, connected, pings = [], threading.Event(), threading.Event(), threading.Semaphore(0)

class Pings(logging.Handler):
    def emit(self, record):
        if "PINGRESP" in record.getMessage():
            pings.release()

def take(event):
    if isinstance(event, Connected):
        connected.set()
    if isinstance(event, Disconnected) and not event.final:
        print("lost", event.reason)
    if isinstance(event, Arrived):
        came.append(event.message.payload)
        link.acknowledge(event.message)
        if len(came) == 3000:
            done.set()

logging.getLogger("samesky").addHandler(Pings())
settings = MqttSettings("burst", port=int(sys.argv[1]), keepalive_s=1, log_mqtt=True)
link = MqttLink(settings, [Subscription("burst")], take)
with link:
    connected.wait(60)
    sent = [b"%d " % number + b"x" * (number * 7 % 2000) for number in range(3000)]
    for payload in sent:
        assert link.publish(Message("burst", payload), timeout_s=30)
    done.wait(60)
    logging.getLogger("samesky").setLevel("DEBUG")
    for _ in range(2):
        pings.acquire(timeout=30) or print("no ping")
print(came == sent)
"""


def converse(script: str, broker: MosquittoBroker, paho1: Path) -> subprocess.CompletedProcess[str]:
    """Run ``script`` under paho 1.6.1."""
    environment = {**os.environ, "PYTHONPATH": f"{paho1}{os.pathsep}{ROOT / 'src'}"}
    command = [sys.executable, "-c", script, str(broker.port)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)


@pytest.mark.slow
def test_a_burst_and_then_silence_work_under_paho_1_6_1(paho1: Path) -> None:
    with MosquittoBroker(options=["max_queued_messages 10000"]) as broker:
        ran = converse(BURST, broker, paho1)
    assert (ran.returncode, ran.stdout) == (0, "True\n"), ran.stderr
    assert "Exception" not in ran.stderr


def test_the_same_conversation_works_under_paho_1_6_1(paho1: Path) -> None:
    acl = "user station\ntopic readwrite ours/#\n"
    options = ["max_packet_size 2000000"]
    with MosquittoBroker(users={"station": "right"}, acl=acl, options=options) as broker:
        ran = converse(CONVERSATION, broker, paho1)
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["version"] == "1.6.1"
    assert seen["answering"] == ["Connected", "Arrived", "Disconnected"]
    assert seen["asking"] == ["Connected", "Arrived", "Denied", "Disconnected"]
    assert seen["denied"] == ["theirs/a", "publish", "the broker refused it: Not authorized"]
    assert seen["answer"] == [1 << 20, "123", "t/x", [["samesky", "2"], ["again", "ä"], ["again", "€"]]]
    assert (seen["published"], seen["answered"], seen["large"], seen["drained"]) == (True, True, False, True)
    assert "check username and password" in seen["refused"]
    assert (seen["first"], seen["second"]) == (["1", "2"], ["2"])
    assert "Exception" not in ran.stderr


def test_a_will_is_left_under_paho_1_6_1(paho1: Path, open_link) -> None:
    with MosquittoBroker() as broker:
        heir = open_link(broker.port, "wills/#")
        assert converse(DYING, broker, paho1).returncode == 9
        came = heir.seen.wait_for(Arrived).message
    assert (came.payload, came.content_type, came.properties) == (WILL.payload, WILL.content_type, WILL.properties)
