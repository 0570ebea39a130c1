"""A version 1 requester, written from the seeds and nothing else: somebody else's copy.

    python v1_requester.py --port 1883 --client-id copy1 --instance home --binding aq_binding=aq.sdb \
        --binding wx_binding=weewx.sdb

Asks once for each binding (the last one is the main one, so it is asked for last), stores what comes, and asks for
nothing twice. The main binding's records go through a queue to the main thread, others straight into their databases.
As trusting as the programs in the field: whatever isn't a JSON record ends it with a traceback.
On SIGTERM it prints one JSON line of counts.
"""

import argparse
import json
import os
import queue
import signal
import sqlite3
import threading
import time
import traceback
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Copy:
    """One binding's SQLite database, whose archive table is there already."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._columns = {row[1] for row in self._connection.execute("PRAGMA table_info(archive)")}

    def last_timestamp(self) -> int:
        (newest,) = self._connection.execute("SELECT MAX(dateTime) FROM archive").fetchone()
        return newest or 0

    def store(self, record: dict[str, Any]) -> int:
        names = [name for name in record if name in self._columns]
        marks = ", ".join("?" * len(names))
        quoted = ", ".join(f"`{name}`" for name in names)
        statement = f"INSERT OR IGNORE INTO archive ({quoted}) VALUES ({marks})"
        return self._connection.execute(statement, [record[name] for name in names]).rowcount


class Requester:
    """Subscribes, asks, stores."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        pairs = (text.split("=", 1) for text in options.binding)
        self._copies = {f"{options.instance}/{name}": Copy(path) for name, path in pairs}
        self._response_topic = f"{options.response_topic}/{options.client_id}"
        self._main = next(reversed(self._copies))
        self._records: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._asked = False
        self.counts = {"received": 0, "catchup": 0, "live": 0, "stored": 0, "duplicates": 0, "others": 0, "requests": 0}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=options.client_id, protocol=mqtt.MQTTv5)
        if options.username:
            self.client.username_pw_set(options.username, options.password)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message

    def run(self) -> None:
        """Store the main binding's records as they come, until `end`."""
        self.client.connect(self._options.host, self._options.port, clean_start=True)
        threading.Thread(target=self._loop, name="loop", daemon=True).start()
        while (record := self._records.get()) is not None:
            time.sleep(self._options.store_delay)
            self._store(self._main, record)

    def end(self) -> None:
        """Have `run` return once the record that is being stored is counted; a signal handler may call it."""
        self._records.put(None)

    def _loop(self) -> None:
        try:
            self.client.loop_forever()
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def _store(self, stream: str, record: dict[str, Any]) -> None:
        stored = self._copies[stream].store(record)
        self.counts["stored" if stored else "duplicates"] += 1

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe([(topic, self._options.qos) for topic in (self._response_topic, self._options.archive_topic)])

    def _on_subscribe(self, *_: Any) -> None:
        if self._asked:
            return  # it has connected again; a version 1 requester doesn't ask again
        self._asked = True
        for stream, copy in self._copies.items():
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic = self._response_topic
            properties.UserProperty = [("data_binding", stream)]
            topic = self._options.request_topic if self._options.plain else self._instance_topic()
            self.client.publish(topic, str(copy.last_timestamp()), qos=self._options.qos, properties=properties)
            self.counts["requests"] += 1
        print(json.dumps({"event": "asked", "requests": self.counts["requests"]}), flush=True)

    def _instance_topic(self) -> str:
        return f"{self._options.request_topic}/{self._options.instance}"

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        self.counts["received"] += 1
        self.counts["live" if message.topic == self._options.archive_topic else "catchup"] += 1
        stream = dict(message.properties.UserProperty)["data_binding"]
        record = json.loads(message.payload)
        if stream == self._main:
            self._records.put(record)
        elif stream in self._copies:
            self._store(stream, record)
        else:
            self.counts["others"] += 1


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--username")
    parser.add_argument("--password")
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--instance", required=True)
    parser.add_argument("--binding", action="append", required=True, metavar="NAME=DATABASE")
    parser.add_argument("--request-topic", default="replicate/request")
    parser.add_argument("--plain", action="store_true", help="ask on the request topic itself, without the instance")
    parser.add_argument("--response-topic", default="replicate/response")
    parser.add_argument("--archive-topic", default="replicate/archive")
    parser.add_argument("--qos", type=int, default=1)
    parser.add_argument("--store-delay", type=float, default=0.0, help="seconds to take over each main record")
    return parser.parse_args()


def main() -> None:
    requester = Requester(read_options())

    signal.signal(signal.SIGTERM, lambda *_: requester.end())
    requester.run()
    print(json.dumps(requester.counts), flush=True)


if __name__ == "__main__":
    main()
