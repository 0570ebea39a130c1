"""A version 1 responder, written from the seeds and nothing else: somebody else's primary.

    python v1_responder.py --port 1883 --client-id primary --instance home --binding aq_binding=aq.sdb \
        --binding wx_binding=weewx.sdb

Answers each request with every later record, one message each, as fast as the socket takes them (or throttled);
publishes rows that appear in its databases as live records, the last binding (the main one) last. As trusting as the
programs in the field: a request that isn't a whole number, or comes without its properties, ends it with a traceback.
On SIGTERM it prints one JSON line of counts.
"""

import argparse
import json
import os
import queue
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

COUNTS = {"requests": 0, "catchup": 0, "live": 0}


def read_records(path: str, after: int) -> Iterator[dict[str, Any]]:
    with closing(sqlite3.connect(path, timeout=20)) as connection:
        cursor = connection.execute("SELECT * FROM archive WHERE dateTime > ? ORDER BY dateTime", (after,))
        names = [entry[0] for entry in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))


def read_newest(path: str) -> int:
    with closing(sqlite3.connect(path, timeout=20)) as connection:
        (newest,) = connection.execute("SELECT MAX(dateTime) FROM archive").fetchone()
    return newest or 0


def make_client(options: argparse.Namespace, suffix: str = "") -> mqtt.Client:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=options.client_id + suffix, protocol=mqtt.MQTTv5)
    if options.username:
        client.username_pw_set(options.username, options.password)
    return client


def make_properties(stream: str) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("data_binding", stream)]
    return properties


class Responder:
    """One thread runs the MQTT loop and queues requests, one answers them, the main thread publishes live records."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._paths = dict(text.split("=", 1) for text in options.binding)
        self._requests: queue.Queue[tuple[str, str, int]] = queue.Queue()
        self._topic = options.request_topic if options.plain else f"{options.request_topic}/{options.instance}"
        self._live = make_client(options)
        self._live.on_connect = lambda client, *_: client.subscribe(self._topic, options.qos)
        self._live.on_subscribe = lambda *_: print(json.dumps({"event": "listening"}), flush=True)
        self._live.on_message = self._on_request

    def run(self) -> None:
        """Publish rows as they appear; never returns."""
        newest = {name: read_newest(path) for name, path in self._paths.items()}
        self._live.connect(self._options.host, self._options.port, clean_start=True)
        self._start_thread("loop", self._live.loop_forever)
        self._start_thread("answers", self._answer_requests)
        while True:
            time.sleep(self._options.poll)
            for name, path in self._paths.items():
                for record in read_records(path, newest[name]):
                    COUNTS["live"] += 1  # not afterwards: who has got it may end us
                    self._publish(self._live, self._options.archive_topic, name, record)
                    newest[name] = record["dateTime"]

    def _start_thread(self, name: str, work: Any) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException:
                traceback.print_exc()
                os._exit(1)  # the program in the field takes its weewxd with it

        threading.Thread(target=guarded, name=name, daemon=True).start()

    def _on_request(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        stream = dict(message.properties.UserProperty)["data_binding"]
        request = (message.properties.ResponseTopic, stream.split("/")[1], int(message.payload))
        COUNTS["requests"] += 1
        self._requests.put(request)

    def _answer_requests(self) -> None:
        number = 0
        while True:
            topic, name, after = self._requests.get()
            number += 1
            client = make_client(self._options, f"-{number}")
            client.connect(self._options.host, self._options.port, clean_start=True)
            client.loop_start()
            self._answer(client, topic, name, after)
            client.disconnect()
            client.loop_stop()

    def _answer(self, client: mqtt.Client, topic: str, name: str, after: int) -> None:
        last = None
        for number, record in enumerate(read_records(self._paths[name], after), start=1):
            COUNTS["catchup"] += 1
            last = self._publish(client, topic, name, record)
            if self._options.throttle_count and number % self._options.throttle_count == 0:
                time.sleep(self._options.throttle_sleep)
        if last:
            last.wait_for_publish()

    def _publish(self, client: mqtt.Client, topic: str, name: str, record: dict[str, Any]) -> mqtt.MQTTMessageInfo:
        properties = make_properties(f"{self._options.instance}/{name}")
        return client.publish(topic, json.dumps(record), qos=self._options.qos, properties=properties)


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
    parser.add_argument("--plain", action="store_true", help="listen on the request topic itself, without the instance")
    parser.add_argument("--archive-topic", default="replicate/archive")
    parser.add_argument("--qos", type=int, default=1)
    parser.add_argument("--throttle-count", type=int, default=0, help="records between two pauses (0: no pauses)")
    parser.add_argument("--throttle-sleep", type=float, default=1.0, help="seconds of a pause")
    parser.add_argument("--poll", type=float, default=0.2, help="seconds between two looks for new rows")
    return parser.parse_args()


def main() -> None:
    responder = Responder(read_options())

    def end(*_: Any) -> None:
        print(json.dumps(COUNTS), flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    responder.run()


if __name__ == "__main__":
    main()
