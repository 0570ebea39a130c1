"""The two version 1 programs understand each other, so what they find of ours is ours."""

from collections.abc import Sequence
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from stands.databases import SqliteDatabase
from stands.peers import Peer
from stands.rows import read_count, wait_until_same
from stands.waiting import wait_for

HERE = Path(__file__).parent
END = 1_795_000_000
BINDINGS = ("aq_binding", "wx_binding")


def make_databases(folder: Path, *, count: int) -> list[SqliteDatabase]:
    folder.mkdir()
    databases = [SqliteDatabase(folder / f"{name}.sdb") for name in BINDINGS]
    for database in databases:
        write_year(database.path, count=count, end_time=END, schema="wview_small")
    return databases


def arguments(broker: MosquittoBroker, client_id: str, databases: Sequence[SqliteDatabase]) -> list[object]:
    bindings = (f"--binding={name}={database.path}" for name, database in zip(BINDINGS, databases, strict=True))
    return ["--port", broker.port, "--client-id", client_id, "--instance", "home", *bindings]


def send_request(port: int, payload: bytes) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = "replicate/response/stranger"
    properties.UserProperty = [("data_binding", "home/wx_binding")]
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="stranger", protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish("replicate/request/home", payload, qos=1, properties=properties).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_a_v1_copy_catches_up_with_a_v1_primary_and_follows_it(tmp_path: Path, broker: MosquittoBroker) -> None:
    primaries = make_databases(tmp_path / "primary", count=300)
    copies = make_databases(tmp_path / "copy", count=0)
    with Peer(HERE / "v1_responder.py", arguments(broker, "primary", primaries), folder=tmp_path) as responder:
        responder.wait_for_event("listening")
        with Peer(HERE / "v1_requester.py", arguments(broker, "copy", copies), folder=tmp_path) as requester:
            for primary, copy in zip(primaries, copies, strict=True):
                wait_until_same(primary, copy, 60, summaries=False)
            with primaries[1].connect() as connection:
                connection.execute(
                    "INSERT INTO archive (dateTime, usUnits, interval, outTemp) VALUES (?, 1, 5, 7.5)", (END,)
                )
            wait_until_same(primaries[1], copies[1], 60, summaries=False)
            counts = requester.stop()
        assert counts == {
            "received": 601,
            "catchup": 600,
            "live": 1,
            "stored": 601,
            "duplicates": 0,
            "others": 0,
            "requests": 2,
        }
        assert responder.stop() == {"requests": 2, "catchup": 600, "live": 1}


def test_the_two_seeds_request_topics_miss_each_other(tmp_path: Path, broker: MosquittoBroker) -> None:
    primaries = make_databases(tmp_path / "primary", count=10)
    copies = make_databases(tmp_path / "copy", count=0)
    plain = [*arguments(broker, "primary", primaries), "--plain"]
    with Peer(HERE / "v1_responder.py", plain, folder=tmp_path) as responder:
        responder.wait_for_event("listening")
        with Peer(HERE / "v1_requester.py", arguments(broker, "copy", copies), folder=tmp_path) as requester:
            requester.wait_for_event("asked")
            with primaries[1].connect() as connection:
                connection.execute("INSERT INTO archive (dateTime, usUnits, interval) VALUES (?, 1, 5)", (END,))
            wait_for(lambda: read_count(copies[1]) == 1, 30, what="the live record")
        assert responder.stop()["requests"] == 0


def test_a_v1_responder_falls_over_what_is_not_a_number(tmp_path: Path, broker: MosquittoBroker) -> None:
    primaries = make_databases(tmp_path / "primary", count=10)
    with Peer(HERE / "v1_responder.py", arguments(broker, "primary", primaries), folder=tmp_path) as responder:
        responder.wait_for_event("listening")
        send_request(broker.port, b"samesky=2")
        wait_for(lambda: not responder.running, 30, what="the end of the responder")
        assert "invalid literal for int()" in responder.error_text
