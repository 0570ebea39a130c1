"""A copy that follows, or a primary that answers, as a program of its own: to be killed."""

import argparse
import json
import sys
from pathlib import Path

from samesky.link.message import OnEvent, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.agreement import CopySettings
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.location import SqliteLocation
from samesky.station.requester import Asking
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.state import State

STREAM = "home/wx_binding"
REQUESTS = ("replicate/request/home", "replicate/request")
ANSWERS = "replicate/response/copy"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["serve", "follow"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--page-bytes", type=int, default=1 << 20)
    options = parser.parse_args()
    settings = MqttSettings(client_id=options.role, host="127.0.0.1", port=options.port)

    def make_link(topics: tuple[Subscription, ...], on_event: OnEvent) -> MqttLink:
        return MqttLink(settings, topics, on_event)

    location = SqliteLocation(options.database)
    if options.role == "serve":
        served = ServeSettings(
            "home", (ServedBinding("wx_binding", location),), REQUESTS, max_page_bytes=options.page_bytes, tail=True
        )
        with Serving(served, make_link):
            say(event="ready")
            sys.stdin.read()
        return
    followed = FollowSettings(
        (CopySettings(STREAM, location, create=True),), {STREAM: Asking(ANSWERS, REQUESTS)}, ANSWERS
    )
    with Following(followed, make_link, state=State(options.database.parent)):
        say(event="ready")
        sys.stdin.read()


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
