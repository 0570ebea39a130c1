"""`samesky check --online` over a real mosquitto with passwords and an ACL, and real primaries."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.stands.waiting import wait_for

from samesky.check import Report, check_file
from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.child_process import find_free_port
from samesky.link.message import Arrived, Connected, Event, Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.archive import open_archive
from samesky.station.description import encode_description
from samesky.station.location import SqliteLocation
from samesky.station.messages import encode_loop, encode_record
from samesky.station.requests import COLUMNS_TYPE, decode_request
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving

from .conftest import find

pytestmark = pytest.mark.slow

USERS = {"home": "h", "copy": "c"}
HOME_RIGHTS = """\
user home
topic write replicate/archive/#
topic write replicate/loop
topic write replicate/response/#
topic read replicate/request/#
"""
STATUS_RIGHTS = """\
pattern write replicate/status/+
pattern write replicate/status/home/+/+/+
"""
COPY_RIGHTS = """\
user copy
topic read replicate/archive/#
topic read replicate/loop
topic read replicate/response/copy
topic write replicate/request/home
topic write replicate/request
"""
PATIENCE_S = 10.0
WITHOUT_ANSWER_S = 1.5
"""Where an answer is waited for in vain, several times over."""
FOLLOW = """
[broker]
host = "127.0.0.1"
port = {port}
username = "copy"
password = "c"
client_id = "copy"
[station.follow.home.wx_binding]
type = "main"
sqlite = "{folder}/copy.sdb"
"""
SERVE = """
[broker]
host = "127.0.0.1"
port = {port}
username = "home"
password = "h"
client_id = "home"
[station.serve.home.wx_binding]
type = "main"
sqlite = "{folder}/primary.sdb"
"""

Start = Callable[..., MosquittoBroker]
COUNT = 50


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a broker with ``acl``, and on it a primary of 50 records unless ``serve`` is False."""
    with ExitStack() as stack:

        def start_(
            acl: str = STATUS_RIGHTS + HOME_RIGHTS + COPY_RIGHTS, *, serve: bool = True, options: tuple[str, ...] = ()
        ) -> MosquittoBroker:
            broker = stack.enter_context(MosquittoBroker(users=USERS, acl=acl, options=options, persistence=False))
            if serve:
                serving = stack.enter_context(make_serving(broker.port, tmp_path))
                wait_for(lambda: serving.snapshots()[0].state == "live", 30, what="a primary that hears")
            return broker

        yield start_


def make_serving(port: int, folder: Path) -> Serving:
    path = write_database(folder / "primary.sdb")
    settings = ServeSettings(
        "home",
        (ServedBinding("wx_binding", SqliteLocation(path)),),
        ("replicate/request/home", "replicate/request"),
    )
    mqtt = MqttSettings("home", port=port, username="home", password="h")
    serving = Serving(settings, lambda subscriptions, on_event: MqttLink(mqtt, subscriptions, on_event))
    return serving


def write_database(path: Path, *, count: int = COUNT, schema: str = "wview_extended", unit_system: int = 1) -> Path:
    if not path.exists():
        write_year(path, count=count, end_time=int(time.time()) - 600, schema=schema, unit_system=unit_system)
    return path


def check(folder: Path, text: str, port: int, *spoils: tuple[str, str], patience_s: float = PATIENCE_S) -> Report:
    text = text.format(port=port, folder=folder)
    for old, new in spoils:
        assert old in text
        text = text.replace(old, new)
    path = folder / "samesky.toml"
    path.write_text(text)
    path.chmod(0o600)
    return check_file(path, online=True, patience_s=patience_s)


class Peer:
    """Somebody else on the broker: hears topics, answers if told how, and publishes."""

    def __init__(
        self, port: int, *topics: str, user: str = "home", answer: Callable[["Peer", Message], object] = print
    ) -> None:
        self.heard: list[Message] = []
        self._connected = False
        self._answer = answer
        mqtt = MqttSettings(f"peer-{user}", port=port, username=user, password=USERS[user])
        self.link = MqttLink(mqtt, [Subscription(topic) for topic in topics], self._take)

    def __enter__(self) -> "Peer":
        self.link.start()
        wait_for(lambda: self._connected, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def _take(self, event: Event) -> None:
        self._connected = self._connected or isinstance(event, Connected)
        if isinstance(event, Arrived):
            self.heard.append(event.message)
            self.link.acknowledge(event.message)
            self._answer(self, event.message)


# A copy


def test_a_copy_with_all_its_rights_hears_its_primary(tmp_path: Path, start: Start) -> None:
    report = check(tmp_path, FOLLOW, start().port)
    assert report.exit_status == 0, report.lines()
    assert not find(report, "warning")
    assert find(report, "info", "connected to 127.0.0.1:", "as copy-check, user copy")
    assert find(report, "info", "home/wx_binding: the primary speaks version 2")
    assert find(report, "info", f"the primary has {COUNT} records", "units US")
    assert find(report, "info", "may read replicate/response/copy: a message came")
    assert find(report, "info", "subscribed to replicate/archive", "only a message would prove")


@pytest.mark.parametrize("text", [FOLLOW, SERVE], ids=["copy", "primary"])
def test_who_may_not_tell_how_it_is_doing_is_warned_with_what_to_allow(tmp_path: Path, start: Start, text: str) -> None:
    report = check(tmp_path, text, start(HOME_RIGHTS + COPY_RIGHTS).port)
    assert report.exit_status == 0, report.lines()
    role = "copy" if text is FOLLOW else "primary"
    for topic in ("replicate/status/+", f"replicate/status/home/+/{role}/+"):
        assert find(report, "warning", f"topic write {topic}, or write status = false"), report.lines()
    off = check(tmp_path, text, start(HOME_RIGHTS + COPY_RIGHTS).port, ("[broker]", "[broker]\nstatus = false"))
    assert not find(off, "warning", "replicate/status")


def test_a_broker_that_is_not_there_is_status_3(tmp_path: Path) -> None:
    report = check(tmp_path, FOLLOW, find_free_port())
    assert (report.exit_status, report.ok) == (3, False)
    assert find(report, "error", "station.follow", "is the broker running there?")


def test_with_a_mistake_as_well_the_status_is_2(tmp_path: Path) -> None:
    report = check(tmp_path, FOLLOW + "protocol = 7\n[station.serve]\n", find_free_port())
    assert report.exit_status == 2


def test_a_wrong_password_is_a_mistake(tmp_path: Path, start: Start) -> None:
    report = check(tmp_path, FOLLOW, start(serve=False).port, ('"c"', '"wrong"'))
    assert report.exit_status == 2
    assert find(report, "error", "check username and password")


def test_a_primary_that_does_not_answer_is_status_3_and_says_what_to_look_at(tmp_path: Path, start: Start) -> None:
    report = check(tmp_path, FOLLOW, start(serve=False).port, patience_s=WITHOUT_ANSWER_S)
    assert report.exit_status == 3, report.lines()
    assert find(report, "error", "nobody answers for home/wx_binding", "is it called home", "replicate/response/copy")
    assert find(report, "info", "the right to read replicate/response/copy isn't proven")


def test_a_copy_that_may_not_ask_is_told_what_to_allow(tmp_path: Path, start: Start) -> None:
    rights = COPY_RIGHTS.replace("topic write replicate/request/home\ntopic write replicate/request\n", "")
    report = check(tmp_path, FOLLOW, start(HOME_RIGHTS + rights).port)
    assert report.exit_status == 2
    assert find(report, "error", "denies publishing to replicate/request/home", "topic write replicate/request/home")
    assert not find(report, "error", "nobody answers")


def test_a_copy_that_may_ask_on_the_plain_topic_alone_is_warned(tmp_path: Path, start: Start) -> None:
    rights = COPY_RIGHTS.replace("topic write replicate/request/home\n", "")
    report = check(tmp_path, FOLLOW, start(HOME_RIGHTS + rights).port)
    assert report.exit_status == 0, report.lines()
    assert find(report, "warning", "topic write replicate/request/home", "goes by replicate/request all the same")


def test_a_response_topic_that_the_copy_may_not_read_is_found_though_the_broker_granted_it(
    tmp_path: Path, start: Start
) -> None:
    rights = COPY_RIGHTS.replace("response/copy", "response/copy/copy-check")
    report = check(tmp_path, FOLLOW, start(HOME_RIGHTS + rights).port, patience_s=WITHOUT_ANSWER_S)
    assert report.exit_status == 2
    assert find(report, "error", "answers don't come on replicate/response/copy", "allow this user to read it")


def test_an_echo_proves_or_disproves_the_response_topic_where_nobody_answers(tmp_path: Path, start: Start) -> None:
    may_write = COPY_RIGHTS + "topic write replicate/response/copy\n"
    report = check(tmp_path, FOLLOW, start(may_write, serve=False).port, patience_s=WITHOUT_ANSWER_S)
    assert find(report, "info", "may read replicate/response/copy: an echo came back"), report.lines()
    deaf = start(may_write.replace("topic read replicate/response", "#"), serve=False)
    report = check(tmp_path, FOLLOW, deaf.port, patience_s=WITHOUT_ANSWER_S)
    assert report.exit_status == 2
    assert find(report, "error", "doesn't come", "topic read replicate/response/copy")


def test_a_stream_that_the_primary_does_not_serve_is_an_error(tmp_path: Path, start: Start) -> None:
    report = check(tmp_path, FOLLOW, start().port, ("home.wx_binding", "home.other"))
    assert report.exit_status == 2
    assert find(report, "error", "home/other", "the primary doesn't serve it", "primary_data_binding")


def test_a_copy_that_lacks_columns_is_told_by_its_policy(tmp_path: Path, start: Start) -> None:
    write_database(tmp_path / "copy.sdb", schema="wview_small")
    port = start().port
    for policy, severity in (("ignore", "warning"), ("add", "info"), ("stop", "error")):
        report = check(tmp_path, FOLLOW + f'missing_columns = "{policy}"\n', port)
        assert find(report, severity, "the copy lacks", f"missing_columns = {'stop' if policy == 'stop' else 'add'}")


def test_other_units_than_the_primary_s_are_an_error_without_weewx(tmp_path: Path, start: Start) -> None:
    write_database(tmp_path / "copy.sdb", unit_system=17)
    report = check(tmp_path, FOLLOW, start().port)
    assert find(report, "error", "the primary is in US, this copy in METRICWX", "only WeeWX converts")


def test_inside_weewx_other_units_days_and_intervals_are_warnings(
    tmp_path: Path, start: Start, make_conf: Callable[..., Path]
) -> None:
    with open_archive(SqliteLocation(write_database(tmp_path / "primary.sdb"))) as archive:
        description = archive.read_description((COLUMNS_TYPE,), now=time.time())
    elsewhere = replace(description, day_offsets=tuple((day + 3600, 13) for day, _ in description.day_offsets))

    def answer(peer: Peer, message: Message) -> None:
        peer.link.publish(encode_description(decode_request(message), elsewhere, qos=1))

    port = start(serve=False).port
    path = make_conf(
        ("enable = true", "enable = false"),
        ("client_id = copy", "client_id = copy\nusername = copy\npassword = c\narchive_interval = 60"),
        ("[[[away]]]", "[[[home]]]"),
        ("target_unit = US", "target_unit = METRIC"),
        port=port,
    )
    with Peer(port, "replicate/request/home", answer=answer):
        report = check_file(path, online=True, patience_s=PATIENCE_S)
    assert report.exit_status == 0, report.lines()
    assert find(report, "warning", "the primary is in US, this copy in METRIC", "target_unit = US")
    assert find(report, "warning", "time zone isn't the primary's", "/etc/localtime")
    assert find(report, "warning", "the primary archives every 300 s", "write archive_interval = 300")


def test_a_version_1_primary_is_recognized_and_hears_nothing_but_a_request_it_survives(
    tmp_path: Path, start: Start
) -> None:
    """It takes int(payload), answers with every later record, and ends over anything else."""

    def answer(peer: Peer, message: Message) -> None:
        assert message.response_topic
        after = int(message.payload)
        records = [time_ for time_ in range(now - 86_400, now, 300) if time_ > after]
        for time_ in records:
            record = {"dateTime": time_, "usUnits": 1, "interval": 5}
            peer.link.publish(encode_record(message.response_topic, "home/wx_binding", record, qos=1))

    now = int(time.time())
    rights = COPY_RIGHTS + "topic read replicate/response/copy/copy-check\n"
    broker = start(HOME_RIGHTS + rights, serve=False)
    with Peer(broker.port, "replicate/request/home", answer=answer) as primary:
        report = check(tmp_path, FOLLOW, broker.port, patience_s=WITHOUT_ANSWER_S)
        assert report.exit_status == 0, report.lines()
        assert find(report, "info", "home/wx_binding: the primary speaks version 1")
        to_copy = [message for message in primary.heard if message.response_topic == "replicate/response/copy"]
        assert to_copy
        assert all(int(message.payload) > now + 86_400 for message in to_copy)


def test_live_packets_prove_the_right_to_read_their_topic(tmp_path: Path, start: Start) -> None:
    with open_archive(SqliteLocation(write_database(tmp_path / "primary.sdb"))) as archive:
        description = archive.read_description((COLUMNS_TYPE,), now=time.time())

    def send(peer: Peer, message: Message) -> None:
        """A packet first: with the answer the check is nearly over."""
        peer.link.publish(encode_loop("replicate/loop", "home/wx_binding", {"dateTime": 1, "usUnits": 1}))
        peer.link.publish(encode_description(decode_request(message), description, qos=1))

    broker = start(serve=False)
    with Peer(broker.port, "replicate/request/home", answer=send):
        report = check(tmp_path, FOLLOW, broker.port, patience_s=PATIENCE_S)
    assert find(report, "info", "may read replicate/loop: a message came")
    assert report.exit_status == 0


@pytest.mark.parametrize("version", ["mqttv50", "mqttv311"])
def test_a_bridge_that_strips_properties_is_found(tmp_path: Path, version: str) -> None:
    """The primary is behind a mosquitto bridge; in version 3.1.1, its default, properties stay behind."""
    with ExitStack() as stack:
        rights = "user both\ntopic readwrite #\n" + HOME_RIGHTS
        remote = stack.enter_context(MosquittoBroker(users={**USERS, "both": "b"}, acl=rights, persistence=False))
        options = (
            "connection far",
            f"address 127.0.0.1:{remote.port}",
            f"bridge_protocol_version {version}",
            "remote_username both",
            "remote_password b",
            "topic replicate/# both 1",
        )
        local = stack.enter_context(
            MosquittoBroker(users=USERS, acl=HOME_RIGHTS + COPY_RIGHTS, options=options, persistence=False)
        )
        stack.enter_context(make_serving(remote.port, tmp_path))
        primary = stack.enter_context(Peer(remote.port, "replicate/request/#"))
        near = stack.enter_context(Peer(local.port, user="copy"))
        wait_for(lambda: near.link.publish(_request()) and primary.heard, 15, every_s=0.3)

        def live(*_: object) -> None:
            record = {"dateTime": int(time.time()), "usUnits": 1, "interval": 5}
            primary.link.publish(encode_record("replicate/archive", "home/wx_binding", record, qos=1))

        primary._answer = live
        report = check(tmp_path, FOLLOW, local.port, patience_s=WITHOUT_ANSWER_S)
    stripped = find(report, "error", "without user properties", "bridge_protocol_version mqttv50")
    assert bool(stripped) == (version == "mqttv311"), report.lines()


def _request() -> Message:
    return Message("replicate/request/home", b"2147483647", response_topic="replicate/response/none")


def test_a_broker_that_takes_small_packets_only_is_a_warning(tmp_path: Path, start: Start) -> None:
    report = check(tmp_path, FOLLOW, start(options=("max_packet_size 30000",)).port)
    assert report.exit_status == 0, report.lines()
    assert find(report, "warning", "packets of 30000 bytes at most", "max_packet_size")


# A primary


def test_a_primary_with_its_rights_is_told_what_was_proven_and_what_was_not(tmp_path: Path, start: Start) -> None:
    write_database(tmp_path / "primary.sdb")
    report = check(tmp_path, SERVE, start(serve=False).port)
    assert report.exit_status == 0, report.lines()
    for topic in ("replicate/response/home/home-check", "replicate/archive/summary", "replicate/loop"):
        assert find(report, "info", f"may publish to {topic}")
    assert find(report, "info", "the right to publish to replicate/archive wasn't tried")
    assert find(report, "info", "the right to read replicate/request/home isn't proven")


@pytest.mark.parametrize(
    ("right", "severity", "words"),
    [
        ("topic write replicate/archive/#", "error", ("topic write replicate/archive/#",)),
        ("topic write replicate/response/#", "error", ("topic write replicate/response/#",)),
        ("topic write replicate/loop", "warning", ("topic write replicate/loop",)),
    ],
)
def test_a_right_that_a_primary_lacks_is_named_with_the_line_to_write(
    tmp_path: Path, start: Start, right: str, severity: str, words: tuple[str, ...]
) -> None:
    write_database(tmp_path / "primary.sdb")
    report = check(tmp_path, SERVE, start(HOME_RIGHTS.replace(f"{right}\n", ""), serve=False).port)
    assert find(report, severity, "denies publishing", *words), report.lines()
    assert report.exit_status == (2 if severity == "error" else 0)


def test_an_echo_proves_or_disproves_that_a_primary_may_read_requests(tmp_path: Path, start: Start) -> None:
    write_database(tmp_path / "primary.sdb")
    rights = HOME_RIGHTS + "topic write replicate/request/#\n"
    report = check(tmp_path, SERVE, start(rights, serve=False).port, patience_s=WITHOUT_ANSWER_S)
    assert find(report, "info", "may read replicate/request/home"), report.lines()
    deaf = start(rights.replace("topic read replicate/request/#\n", ""), serve=False)
    report = check(tmp_path, SERVE, deaf.port, patience_s=WITHOUT_ANSWER_S)
    assert report.exit_status == 2
    assert find(report, "error", "requests on replicate/request/home don't come", "topic read")


def test_the_check_of_a_primary_disturbs_neither_it_nor_a_copy_of_either_version(tmp_path: Path, start: Start) -> None:
    all_rights = "user home\ntopic readwrite #\nuser copy\ntopic read #\n"
    broker = start(all_rights)
    with Peer(broker.port, "replicate/archive", "replicate/response/copy", user="copy") as version_1:
        report = check(tmp_path, SERVE, broker.port)
        assert find(report, "info", "a primary answers for home/wx_binding already"), report.lines()
        assert version_1.heard == []


def test_a_client_of_the_same_name_is_not_thrown_out(tmp_path: Path, start: Start) -> None:
    broker = start()
    reasons: list[Event] = []
    link = MqttLink(MqttSettings("copy", port=broker.port, username="copy", password="c"), [], reasons.append)
    with link:
        wait_for(lambda: link.connected, 30)
        check(tmp_path, FOLLOW, broker.port)
        assert link.connected
        assert [type(event) for event in reasons] == [Connected]


def test_the_command_prints_json_for_programs_and_ends_with_the_status(tmp_path: Path, start: Start) -> None:
    from click.testing import CliRunner

    from samesky.cli.main import samesky

    path = tmp_path / "samesky.toml"
    path.write_text(FOLLOW.format(port=start().port, folder=tmp_path))
    path.chmod(0o600)
    result = CliRunner().invoke(samesky, ["check", "--online", "--json", str(path)], standalone_mode=False)
    document = json.loads(result.output)
    assert result.return_value == 0
    assert (document["file"], document["ok"], set(document)) == (str(path), True, {"file", "findings", "ok"})
    assert {"severity", "where", "what"} == set(document["findings"][0])
