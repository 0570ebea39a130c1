"""The REST interface of blocks as anybody asks it (blocks/api.py, api_guard.py, api_document.py, metrics.py)."""

import base64
import hashlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from samesky.blocks.api import decode_body
from samesky.core.strict import Reason, Refused
from stands.blocks_rest import JSON, ServedBlocks, Told

pytestmark = pytest.mark.slow

MASTER, SLAVE = "/master/remote/master", "/slave/remote/slave"
SENSOR = {"id": "sensor", "interval": 5}
KEY = "master.sensor"
DUMMY = {"id": "dummy", "key": KEY, "translations": {"value": "setting"}}
TOKEN = "a token that nobody guesses"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBlocks]:
    """Two services; no broker can be reached."""
    folder = tmp_path_factory.mktemp("blocks")
    with ServedBlocks(folder, master="", slave='writable = ["dummy*"]') as served:
        served.put("master", sensor={"value": 20.5}, other={"value": 1.0})
        served.put("slave", dummy={"setting": 1.0, "other": 2}, heater={"setting": 1.0})
        yield served


@pytest.fixture
def served(running: ServedBlocks) -> Iterator[ServedBlocks]:
    """The same without links."""
    running.clear()
    yield running
    assert "Traceback" not in running.command.errors


def refused_with(told: Told) -> tuple[int, str]:
    """Status, and the reason or type of the problem."""
    assert told.headers["content-type"] == "application/problem+json"
    assert told.json["status"] == told.status
    return told.status, told.json.get("reason", told.json["type"])


def test_a_master_is_answered_with_its_key_and_a_slave_with_null(served: ServedBlocks) -> None:
    for _ in range(2):  # the same once more changes nothing
        told = served.post(MASTER, SENSOR)
        assert (told.status, told.text) == (200, '{"key":"master.sensor"}')
        told = served.post(SLAVE, DUMMY)
        assert (told.status, told.text) == (200, "null")
    links = served.get("/remote").json
    ((master,), (slave,)) = links["masters"], links["slaves"]
    assert (master["key"], master["interval"], master["status"]["role"]) == (KEY, 5.0, "master")
    assert (slave["service"], slave["translations"]) == ("slave", {"value": "setting"})
    assert slave["status"]["freshness"] == "never"


def test_other_words_take_the_place_of_those_before(served: ServedBlocks) -> None:
    served.post(MASTER, SENSOR)
    served.post(MASTER, SENSOR | {"interval": 60})
    (master,) = served.get("/remote").json["masters"]
    assert master["interval"] == 60


def test_without_a_prefix_the_service_must_be_told_when_there_are_two(served: ServedBlocks) -> None:
    told = served.post("/remote/master", SENSOR)
    assert refused_with(told) == (404, "service")
    assert "master, slave" in told.json["detail"]
    assert served.post("/remote/master?service=master", SENSOR).json == {"key": KEY}


def test_links_are_shown_and_removed_by_key(served: ServedBlocks) -> None:
    served.post(MASTER, SENSOR)
    served.post(SLAVE, DUMMY)
    served.post(SLAVE, DUMMY | {"id": "dummy2"})
    shown = served.get(f"/remote/{KEY}").json
    assert (len(shown["masters"]), len(shown["slaves"])) == (1, 2)
    assert [len(links) for links in served.get("/slave/remote").json.values()] == [0, 2]
    assert served.ask("DELETE", f"/slave/remote/{KEY}?id=dummy2").json == {
        "removed": [{"role": "slave", "service": "slave", "id": "dummy2", "key": KEY}]
    }
    assert refused_with(served.ask("DELETE", f"/remote/{KEY}?role=slave&id=nobody")) == (404, "not-found")
    assert len(served.ask("DELETE", f"/remote/{KEY}").json["removed"]) == 2
    assert refused_with(served.get(f"/remote/{KEY}")) == (404, "not-found")
    assert refused_with(served.ask("DELETE", f"/remote/{KEY}")) == (404, "not-found")


def test_a_key_with_wildcards_and_slashes_is_found(served: ServedBlocks) -> None:
    assert served.post(SLAVE, {"id": "dummy", "key": "other/place.#"}).status == 200
    (slave,) = served.get("/remote/other%2Fplace.%23").json["slaves"]
    assert slave["key"] == "other/place.#"
    assert served.ask("DELETE", "/remote/other/place.%23").status == 200


def test_a_dry_run_shows_and_registers_nothing(served: ServedBlocks) -> None:
    assert served.post(f"{MASTER}?dry_run=true", SENSOR).json == {"key": KEY, "data": {"value": 20.5}}
    told = served.post(f"{SLAVE}?dry_run=true&wait=0.2", DUMMY).json
    assert told["before"] == {"setting": 1.0, "other": 2}
    assert (told["after"], told["held_back"]["reason"]) == (None, "waiting")
    assert refused_with(served.post(f"{SLAVE}?dry_run=true", DUMMY | {"id": "dummy9"})) == (404, "block")
    assert refused_with(served.post(f"{MASTER}?dry_run=maybe", SENSOR)) == (400, "parameters")
    assert refused_with(served.post(f"{SLAVE}?dry_run=true&wait=1e9", DUMMY)) == (400, "parameters")
    assert served.get("/remote").json == {"masters": [], "slaves": []}


def test_only_what_is_allowed_may_be_written(served: ServedBlocks) -> None:
    assert refused_with(served.post(SLAVE, DUMMY | {"id": "heater"})) == (403, "scope")
    assert refused_with(served.post(f"{SLAVE}?dry_run=true", DUMMY | {"id": "heater"})) == (403, "scope")


def test_a_circle_is_refused(served: ServedBlocks) -> None:
    assert served.post("/slave/remote/master", {"id": "dummy", "interval": 5}).status == 200
    told = served.post(SLAVE, {"id": "dummy", "key": "slave.dummy"})
    assert refused_with(told) == (409, "conflict")
    assert "slave.dummy → slave.dummy" in told.json["detail"]


BODIES: list[tuple[str, Any, int, Reason]] = [
    (MASTER, b"", 400, Reason.EMPTY),
    (MASTER, b'{"id": "\xff"}', 400, Reason.ENCODING),
    (MASTER, json.dumps(SENSOR).encode("utf-16"), 400, Reason.ENCODING),
    (MASTER, b'{"id": "sensor", "inter', 400, Reason.JSON),
    (MASTER, [SENSOR], 422, Reason.SHAPE),
    (MASTER, b"5", 422, Reason.SHAPE),
    (MASTER, b"[" * 30_000, 400, Reason.DEPTH),
    (MASTER, b'{"id": "sensor", "interval": NaN}', 422, Reason.NONFINITE),
    (MASTER, b'{"id": "sensor", "interval": 1e999}', 422, Reason.NONFINITE),
    (MASTER, b'{"id": "sensor", "interval": 5, "interval": 5}', 400, Reason.DUPKEY),
    (MASTER, b'{"id": "sensor", "interval": ' + b"9" * 5000 + b"}", 422, Reason.RANGE),
    (MASTER, SENSOR | {"intervall": 5}, 422, Reason.COLUMN),
    (MASTER, SENSOR | {"interval": "5"}, 422, Reason.TYPE),
    (MASTER, SENSOR | {"interval": True}, 422, Reason.TYPE),
    (MASTER, SENSOR | {"interval": 0}, 422, Reason.RANGE),
    (MASTER, SENSOR | {"interval": -1}, 422, Reason.RANGE),
    (MASTER, SENSOR | {"id": 5}, 422, Reason.TYPE),
    (MASTER, SENSOR | {"id": "a\x00b"}, 422, Reason.NAME),
    (MASTER, b'{"id": "\\ud800", "interval": 5}', 400, Reason.ENCODING),
    (MASTER, SENSOR | {"link": "mqtt"}, 404, Reason.NOT_FOUND),
    (MASTER, {"interval": 5}, 422, Reason.REQUIRED),
    (SLAVE, {"id": "dummy", "key": 5}, 422, Reason.TYPE),
    (SLAVE, {"id": "dummy", "key": ""}, 422, Reason.NAME),
    (SLAVE, {"id": "dummy", "key": "k" * 256}, 422, Reason.NAME),
    (SLAVE, DUMMY | {"translations": []}, 422, Reason.SHAPE),
    (SLAVE, DUMMY | {"translations": {f"s{n}": f"t{n}" for n in range(300)}}, 413, Reason.SIZE),
    (SLAVE, DUMMY | {"ttl": 0}, 422, Reason.RANGE),
    ("/nobody/remote/master", SENSOR, 404, Reason.NOT_FOUND),
]


@pytest.mark.parametrize(("path", "body", "status", "reason"), BODIES)
def test_a_bad_body_is_refused_with_its_reason(
    served: ServedBlocks, path: str, body: Any, status: int, reason: Reason
) -> None:
    assert refused_with(served.post(path, body)) == (status, reason)
    assert served.get("/remote").json == {"masters": [], "slaves": []}


BODY = json.dumps(SENSOR).encode()
REQUESTS: list[tuple[dict[str, str], bytes, int, str]] = [
    ({}, BODY, 415, "media-type"),
    ({"Content-Type": "text/plain"}, BODY, 415, "media-type"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, BODY, 415, "media-type"),
    ({"Content-Type": "application/json; charset=latin-1"}, BODY, 415, "media-type"),
    (JSON | {"Content-Encoding": "gzip"}, BODY, 415, "encoding"),
    (JSON | {"Content-Digest": "sha-256=:AAAA:"}, BODY, 422, "digest"),
    (JSON, b" " * 70_000 + BODY, 413, "size"),
    (JSON | {f"X-{number}": "1" for number in range(80)}, BODY, 431, "headers"),
    (JSON | {"Authorization": "B" * 2000}, BODY, 431, "headers"),
    (JSON | {"Host": "rebound.example"}, BODY, 403, "host"),
    (JSON | {"Host": "192.168.1.7:5000"}, BODY, 403, "host"),
]


@pytest.mark.parametrize(("headers", "body", "status", "kind"), REQUESTS)
def test_a_bad_request_is_refused(
    served: ServedBlocks, headers: dict[str, str], body: bytes, status: int, kind: str
) -> None:
    told = served.ask("POST", MASTER, body, headers)
    assert (told.status, told.json["type"]) == (status, kind)
    assert served.get("/remote").json["masters"] == []


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1", "[::1]:5000", "[::1]"])
def test_this_machine_is_known_by_its_names(served: ServedBlocks, host: str) -> None:
    assert served.get("/remote", Host=host).status == 200


def test_a_body_with_its_digest_and_charset_is_taken(served: ServedBlocks) -> None:
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    headers = {"Content-Type": "application/json; charset=UTF-8", "Content-Digest": f"sha-256=:{digest}:"}
    assert served.ask("POST", MASTER, BODY, headers).json == {"key": KEY}


def test_what_is_not_there_and_what_cannot_be_done_are_problems(served: ServedBlocks) -> None:
    assert served.get("/nothing").json["status"] == 404
    assert served.ask("PUT", "/remote", b"{}", JSON).json["status"] == 405
    assert served.get("/nobody/remote").json["type"] == "service"


def test_the_status_and_the_metrics_tell_how_it_is(served: ServedBlocks) -> None:
    served.post(MASTER, SENSOR)
    served.post(SLAVE, DUMMY)
    status = served.get("/status.json").json
    assert status["services"] == ["master", "slave"]
    assert [link["role"] for link in status["links"]] == ["master", "slave"]
    metrics = served.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    labels = f'id="dummy",key="{KEY}",role="slave",service="slave"'
    assert f"samesky_blocks_received_total{{{labels}}} 0.0" in metrics.text
    assert f"samesky_blocks_ok{{{labels}}} 0.0" in metrics.text
    assert 'samesky_blocks_carrier_ok{link="amqp"}' in metrics.text
    assert "mqtt" not in metrics.text


def test_the_page_says_how_to_ask(served: ServedBlocks) -> None:
    page = served.get("/docs").text
    assert "/{service}/remote/master" in page
    assert "spark-master.master-sensor" in page
    document = served.get("/openapi.json").json
    assert document["paths"]["/{service}/remote/slave"]["post"]["requestBody"]["required"]


def test_links_come_back_after_a_kill(tmp_path: Path) -> None:
    with ServedBlocks(tmp_path, spark="") as served:
        assert served.post("/remote/master", SENSOR).json == {"key": "spark.sensor"}  # the only service
        assert served.post("/spark/remote/slave", {"id": "dummy", "key": KEY}).status == 200
        links = [len(each) for each in served.get("/remote").json.values()]
        served.command.end(signal.SIGKILL)
        served.start()
        assert [len(each) for each in served.get("/remote").json.values()] == links == [1, 1]


def test_who_has_the_token_is_served_whatever_the_host(tmp_path: Path) -> None:
    def basic(password: str) -> str:
        return f"Basic {base64.b64encode(f'user:{password}'.encode()).decode()}"

    with ServedBlocks(tmp_path, options=f'token = "{TOKEN}"', spark="") as served:
        for good in (f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(TOKEN)):
            assert served.get("/remote", Authorization=good, Host="brewery.example").status == 200
        for bad in ("", "Bearer", f"Bearer {TOKEN[:-1]}", f"Digest {TOKEN}", TOKEN, basic("x"), "Basic %", "Bearer ü"):
            for path in ("/remote", "/status.json", "/metrics"):
                told = served.get(path, Authorization=bad)
                assert (told.status, told.json["type"]) == (401, "token")
                assert told.headers["www-authenticate"].startswith("Bearer")
        assert refused_with(served.post("/remote/master", SENSOR)) == (401, "token")
        assert served.get("/docs").status == served.get("/openapi.json").status == 200
        assert TOKEN not in served.command.errors


def test_a_backslash_at_the_end_of_a_line_is_white_space_between_tokens() -> None:
    assert decode_body(b'{ \\\n  "id": "a", \\\r\n "b": [1, \\\n 2] \\\n}') == {"id": "a", "b": [1, 2]}
    assert decode_body(b'{"a": "\\"\\\\"\\\n}') == {"a": '"\\'}


@pytest.mark.parametrize(
    "body", [b'{"a": "b\\\nc"}', b'{"a\\\n": 1}', b"{\\ \n}", b"{\\}", b"1\\\n2", b'"\\\n', b"\\\n"]
)
def test_a_backslash_elsewhere_is_no_json(body: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        decode_body(body)
    assert refusal.value.reason is Reason.JSON


def test_a_body_of_quotes_and_backslashes_costs_no_time() -> None:
    with pytest.raises(Refused):
        decode_body(b'"' + b'\\"' * 30_000 + b"\\\n")


@pytest.fixture(scope="module")
def described(running: ServedBlocks) -> Any:
    """The OpenAPI document as a source of requests."""
    return schemathesis.openapi.from_url(f"{running.url}/openapi.json")


OPERATIONS = [
    ("GET", "/status.json"),
    ("GET", "/metrics"),
    *(
        (method, f"{prefix}/remote{path}")
        for prefix in ("", "/{service}")
        for method, path in (
            ("POST", "/master"),
            ("POST", "/slave"),
            ("GET", ""),
            ("GET", "/{key}"),
            ("DELETE", "/{key}"),
        )
    ),
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_that_can_be_asked_makes_the_service_fail(
    described: Any, served: ServedBlocks, method: str, path: str
) -> None:
    @settings(
        max_examples=8,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def ask(case: schemathesis.Case) -> None:
        case.query.pop("wait", None)  # it may wait for a minute
        case.call_and_validate(checks=[not_a_server_error])

    ask()


def test_everything_that_can_be_asked_is_asked(described: Any) -> None:
    operations = {(found.ok().method.upper(), found.ok().path) for found in described.get_all_operations()}
    assert operations == set(OPERATIONS)
