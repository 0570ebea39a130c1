"""deploy/mosquitto: the configuration and the ACL that we ship, as a real mosquitto understands them.

First each right by itself: who may publish what, and who gets what, for each user and each topic that there is. Then
the programs: with these rights all of them work, over TLS, as their configuration is by default.
"""

import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from samesky.check import check_file
from samesky.cli.main import main
from samesky.config import Findings, read_toml
from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker, _hash_password
from samesky.link.message import Arrived, Denied, Event, Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.link.tls import TlsSettings
from samesky.station.checks import CheckSettings
from samesky.station.following import Following
from samesky.station.serving import Serving
from samesky.station.standing_in import make_stand_ins
from samesky.station.stanza import RequesterConfig, read_toml_requester, read_toml_responder
from samesky.station.state import State
from samesky.station.status_publishing import StatusPublishing
from samesky.station.tree_store import TreeStore
from stands.databases import SqliteDatabase
from stands.rows import Rows, find_differences, read_rows
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

SHIPPED = Path(__file__).parents[2] / "deploy" / "mosquitto"
USERS = ("primary", "copy", "copy2", "status", "unlisted", "all")
STREAM = "home/wx_binding"


class ShippedBroker(MosquittoBroker):
    """mosquitto with our files, but for their places; another copy's user, and one who may do all, come on top."""

    def __init__(self, folder: Path, *, acl: Callable[[str], str] = lambda text: text) -> None:
        super().__init__(dir=folder)
        make_certificate(folder)
        passwords = "".join(f"{user}:{_hash_password(f'{user} secret')}\n" for user in USERS)
        self._write("passwords", passwords)
        text = acl((SHIPPED / "acl").read_text())
        self._write("acl", f"{text}\n{lines_of(text, 'copy', 'copy2')}\nuser all\ntopic readwrite #\n")

    def _prepare(self) -> list[str]:
        text = (SHIPPED / "mosquitto.conf").read_text()
        text = text.replace("/etc/mosquitto/", f"{self.dir}/").replace("/var/lib/mosquitto/", f"{self.dir}/")
        text = text.replace("listener 8883", f"listener {self.port} 127.0.0.1")
        text += "user root\n" if os.getuid() == 0 else ""
        self._write("mosquitto.conf", text)
        return [str(self._program), "-c", str(self.dir / "mosquitto.conf")]


def lines_of(acl: str, user: str, other: str) -> str:
    """The lines of a user, as they are repeated for another."""
    found = re.search(rf"^user {user}\n(.*?)(?=^user |\Z)", acl, re.MULTILINE | re.DOTALL)
    assert found
    return f"user {other}\n{found[1]}"


def make_certificate(folder: Path) -> None:
    """An authority, and a certificate that it has signed for this machine's own names."""
    make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-addext"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-CA", "ca.crt", "-CAkey", "ca.key"]
    is_authority = "basicConstraints=critical,CA"
    for command in (
        [*make, f"{is_authority}:TRUE", "-subj", "/CN=CA", "-keyout", "ca.key", "-out", "ca.crt"],
        [*make, f"{is_authority}:FALSE", "-subj", "/CN=b", *names, "-keyout", "broker.key", "-out", "broker.crt"],
    ):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShippedBroker]:
    with ShippedBroker(tmp_path_factory.mktemp("shipped")) as broker:
        yield broker


def settings_of(broker: ShippedBroker, user: str, client_id: str = "") -> MqttSettings:
    return MqttSettings(
        client_id or f"{user}-client",
        port=broker.port,
        username=user,
        password=f"{user} secret",
        tls=TlsSettings(str(broker.dir / "ca.crt")),
        tell_published=True,
    )


class Client:
    """One user's connection."""

    def __init__(self, broker: ShippedBroker, user: str, *topics: str) -> None:
        self.events: list[Event] = []
        self.link = MqttLink(settings_of(broker, user), [Subscription(topic) for topic in topics], self._take)

    def __enter__(self) -> "Client":
        self.link.start()
        wait_for(lambda: self.link.connected, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Arrived):
            self.link.acknowledge(event.message)

    def publish(self, topic: str, payload: bytes = b"x") -> None:
        assert self.link.publish(Message(topic, payload), timeout_s=30)
        assert self.link.drain(30)

    @property
    def heard(self) -> set[str]:
        """The topics on which something came."""
        return {event.message.topic for event in list(self.events) if isinstance(event, Arrived)}

    @property
    def denied(self) -> set[str]:
        """The topics on which the broker took nothing."""
        return {event.topic for event in list(self.events) if isinstance(event, Denied)}


WRITES = {
    "primary": {
        "replicate/archive",
        "replicate/archive/summary",
        "replicate/loop",
        "replicate/response/copy/copy-client",
        "replicate/response/copy2/c",
        "replicate/response/v1",
        "replicate/status/someone",
        "replicate/status/home/wx_binding/primary/p",
    },
    "copy": {
        "replicate/request/home",
        "replicate/request",
        "replicate/status/someone",
        "replicate/status/home/wx_binding/copy/c",
    },
    "status": set[str](),
    "unlisted": set[str](),
}
STATUS = {
    "replicate/status/someone",
    "replicate/status/home/wx_binding/primary/p",
    "replicate/status/home/wx_binding/copy/c",
    "replicate/status/away/wx_binding/copy/c",
}
READS = {
    "primary": {"replicate/request/home", "replicate/request", *STATUS},
    "copy": {
        "replicate/archive",
        "replicate/archive/summary",
        "replicate/loop",
        "replicate/response/copy/copy-client",
        *STATUS,
    },
    "copy2": {
        "replicate/archive",
        "replicate/archive/summary",
        "replicate/loop",
        "replicate/response/copy2/c",
        *STATUS,
    },
    "status": STATUS,
    "unlisted": set[str](),
}
TOPICS = sorted(
    set().union(*WRITES.values(), *READS.values())
    | {"replicate/request/away", "homeassistant/device/x/config", "replicate", "house/door", "replicate/archive/other"}
)


@pytest.mark.parametrize("user", WRITES)
def test_a_user_may_publish_what_its_role_needs_and_nothing_else(broker: ShippedBroker, user: str) -> None:
    with Client(broker, "all", "#") as everybody, Client(broker, user) as client:
        for topic in TOPICS:
            client.publish(topic)
        everybody.publish("end")
        wait_for(lambda: "end" in everybody.heard, 30)
        assert everybody.heard - {"end"} == WRITES[user]
        # Of the last one the network's thread tells a moment after the broker has settled it.
        wait_for(lambda: client.denied >= set(TOPICS) - WRITES[user], 30, explain=lambda: str(client.denied))
        assert client.denied == set(TOPICS) - WRITES[user]


@pytest.mark.parametrize("user", READS)
def test_a_user_gets_what_its_role_needs_and_nothing_else(broker: ShippedBroker, user: str) -> None:
    with Client(broker, user, "#", *TOPICS) as client, Client(broker, "all", "end") as everybody:
        for topic in TOPICS:
            everybody.publish(topic)
        # What a client may read is sent to it before the broker answers to what came later from the same sender.
        everybody.publish("end")
        wait_for(lambda: "end" in everybody.heard, 30)
        wait_for(lambda: client.heard >= READS[user], 30, explain=lambda: str(READS[user] - client.heard))
        assert client.heard == READS[user]


def test_nobody_comes_in_without_a_password_or_without_tls(broker: ShippedBroker) -> None:
    good = settings_of(broker, "copy")
    nameless = MqttSettings("x", port=broker.port, tls=good.tls)
    wrong = MqttSettings("x", port=broker.port, username="copy", password="guessed", tls=good.tls)
    plain = MqttSettings("x", port=broker.port, username="copy", password=good.password)
    for settings in (nameless, wrong, plain):
        events: list[Event] = []
        with MqttLink(settings, [], events.append) as link:
            wait_for(lambda events=events: events, 30)  # type: ignore[misc]
            assert not link.connected


def test_the_broker_finds_nothing_to_complain_about_in_our_files(broker: ShippedBroker) -> None:
    said, _, _ = broker.log_file.read_text().partition("New connection")
    assert "mosquitto version" in said
    ours = [line for line in said.splitlines() if "as root" not in line and "Client connection" not in line]
    assert not [line for line in ours if re.search("error|warning|unknown|deprecated", line, re.IGNORECASE)]


# ---------------------------------------------------------------------- the programs

BROKER = """
[broker]
host = "localhost"
port = {port}
ca_file = "{broker}/ca.crt"
username = "{user}"
password = "{user} secret"
"""
PRIMARY = """
[station.serve]
share = {share}
[station.serve.home.wx_binding]
type = "main"
sqlite = "{folder}/primary.sdb"
"""
COPY = """
[station.follow]
answer = {answer}
[station.follow.home.wx_binding]
type = "main"
sqlite = "{folder}/{user}.sdb"
"""


class Pair:
    """A primary and its copies with configurations as users write them; a context manager."""

    def __init__(self, broker: ShippedBroker, folder: Path) -> None:
        self._broker, self._folder = broker, folder
        self._stack = ExitStack()
        write_year(folder / "primary.sdb", count=500, end_time=int(time.time()) // 300 * 300 - 600)

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def database(self, user: str) -> SqliteDatabase:
        return SqliteDatabase(self._folder / f"{user}.sdb")

    def write_config(self, user: str, text: str, **values: str) -> Path:
        directory = self._folder / f"{user}-config"
        directory.mkdir(exist_ok=True)
        path = directory / "samesky.toml"
        values = {"port": str(self._broker.port), "user": user, "answer": "false", "share": "false", **values}
        path.write_text((BROKER + text).format(broker=self._broker.dir, folder=self._folder, **values))
        path.chmod(0o600)
        return path

    def serve(self, *, share: bool = False) -> Serving:
        findings = Findings()
        path = self.write_config("primary", PRIMARY, share=str(share).lower())
        config = read_toml_responder(read_toml(path), findings)
        assert config is not None, findings.errors
        status = StatusPublishing(config.status, config.mqtt.client_id)
        serving = Serving(config.serve, status.link_to(config.mqtt), status=status)
        self._stack.enter_context(serving)
        wait_for(lambda: serving.snapshots()[0].state == "live", 30)
        return serving

    def follow(self, user: str, *, answer: bool = False) -> Following:
        findings = Findings()
        path = self.write_config(user, COPY, answer=str(answer).lower())
        config = read_toml_requester(read_toml(path), findings)
        assert config is not None, findings.errors
        status = StatusPublishing(config.status, config.mqtt.client_id)
        checks = CheckSettings(TreeStore(None))
        following = Following(
            config.follow, status.link_to(config.mqtt), state=State(None), status=status, checks=checks
        )
        self._stack.enter_context(following)
        if answer:
            self._answer(config, following)
        return following

    def _answer(self, config: RequesterConfig, following: Following) -> None:
        for stand_in in make_stand_ins(config.follow, config.mqtt, following, state=State(None), sums=TreeStore(None)):
            self._stack.enter_context(stand_in)
            wait_for(lambda stand_in=stand_in: stand_in.snapshots()[0].state == "live", 30)  # type: ignore[misc]


def read_all(database: SqliteDatabase) -> Rows:
    """The records; none while the database or its table isn't there."""
    try:
        return read_rows(database, "archive")
    except (OSError, sqlite3.OperationalError):
        return {}


def await_proof(following: Following) -> None:
    wait_for(
        lambda: following.check_counts(STREAM).get("proven"),
        30,
        what="the proof",
        explain=lambda: f"{following.snapshots()} {following.check_counts(STREAM)}",
    )


def test_with_these_rights_a_copy_follows_is_checked_and_tells_how_it_does(
    broker: ShippedBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        Pair(broker, tmp_path) as pair,
        Client(broker, "status", "replicate/status/#") as viewer,
    ):
        serving = pair.serve()
        following = pair.follow("copy")
        await_proof(following)
        newest = max(read_rows(pair.database("primary"), "archive")) + 300
        with pair.database("primary").connect() as connection:
            connection.execute("INSERT INTO archive (dateTime, usUnits, interval) VALUES (?, 1, 5)", (newest,))
        serving.publish_record({"dateTime": newest, "usUnits": 1, "interval": 5})
        wait_for(lambda: not find_differences(pair.database("primary"), pair.database("copy"), summaries=False), 30)
        config = pair.write_config("copy", COPY)
        capsys.readouterr()
        assert main(["verify", "--config", str(config)]) == 0, capsys.readouterr().err
        roles = {topic.split("/")[-2] for topic in wait_for(lambda: len(viewer.heard) >= 4 and viewer.heard, 30) or ()}
        assert {"primary", "copy"} <= roles
        for path in (config, pair.write_config("primary", PRIMARY)):
            report = check_file(path, online=True, patience_s=5.0)
            assert report.ok, report.findings
            assert not report.unreachable


def allow_answering(acl: str) -> str:
    """The ACL with the lines of a copy that answers."""
    lines = "#topic read replicate/request/home\n#topic write replicate/response/#\n"
    assert acl.count(lines) == 1
    return acl.replace(lines, lines.replace("#topic", "topic"))


def test_a_copy_that_may_answers_for_its_primary(tmp_path: Path) -> None:
    with ShippedBroker(tmp_path, acl=allow_answering) as broker, Pair(broker, tmp_path) as pair:
        serving = pair.serve(share=True)
        await_proof(pair.follow("copy", answer=True))
        serving.close()
        pair.follow("copy2")
        wait_for(lambda: read_all(pair.database("copy2")) == read_all(pair.database("primary")), 30)
