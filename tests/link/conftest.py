"""What the tests of links share: links that end with the test, and a record of their events to wait for."""

import itertools
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from samesky.link.message import Arrived, Connected, Event, Message, OnEvent, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings

Kind = TypeVar("Kind")
numbers = itertools.count()


class Record:
    """Keeps every event, and waits for one that fits."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, kind: type[Kind], *, count: int = 1, deadline_s: float = 60.0) -> Kind:
        """Return the ``count``-th event of ``kind``, when it has come."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.of(kind)) >= count, deadline_s)
        assert came, f"no {count}. {kind.__name__} within {deadline_s} s, only {self.events}"
        return self.of(kind)[count - 1]

    def wait_for_messages(self, count: int, *, deadline_s: float = 60.0) -> list[Message]:
        self.wait_for(Arrived, count=count, deadline_s=deadline_s)
        return [event.message for event in self.of(Arrived)]


class TestLink(MqttLink):
    """A link with its record, under the name ``seen``."""

    __test__ = False
    seen: Record


Open = Callable[..., TestLink]


@pytest.fixture
def open_link() -> Iterator[Open]:
    """Make links: ``open_link(port, "a/#", client_id="x", **settings)``; waits until connected unless told not to.

    Without ``client_id`` each has its own: the broker keeps sessions, with their subscriptions, from test to test.
    """
    links: list[TestLink] = []

    def open_(
        port: int,
        *topics: str,
        client_id: str = "",
        on_event: OnEvent | None = None,
        wait: bool = True,
        **settings: object,
    ) -> TestLink:
        seen = Record()

        def tell(event: Event) -> None:
            seen(event)
            if on_event:
                on_event(event)

        made = MqttSettings(client_id=client_id or f"test-{next(numbers)}", port=port, **settings)  # type: ignore[arg-type]
        link = TestLink(made, [Subscription(topic) for topic in topics], tell)
        link.seen = seen
        links.append(link)
        link.start()
        if wait:
            seen.wait_for(Connected)
        return link

    yield open_
    for link in links:
        link.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem; server.pem for localhost and client.pem, with their keys, signed by that CA."""
    place = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=place, check=True, capture_output=True)

    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=CA",
        "-days",
        "2",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    )
    (place / "names").write_text("subjectAltName=DNS:localhost\n")
    for name in ("server", "client"):
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
        )
        sign = [
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
        ]
        openssl(*sign, "-extfile", "names", "-out", f"{name}.pem")
    return place
