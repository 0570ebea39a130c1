"""The server as a whole: packed answers, faults of the centre itself, and more work than it can do."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from samesky.core.strict import Reason, Refused
from samesky.errors import DataError, Locked, Unreachable
from samesky.link.problems import Problem
from samesky.push.central_database import MissingParents, Older
from samesky.push.problems import describe_error
from stands.push_centre import DAY, PushedSite
from stands.push_server import PushServer
from stands.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PushServer]:
    with PushServer(f"sqlite:///{tmp_path / 'central.db'}") as running:
        running.central.sites.add("hill")
        yield running


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[PushServer]:
    with PushServer(f"sqlite:///{tmp_path / 'central.db'}", limits={"turn_s": 0.2}) as running:
        running.central.sites.add("hill")
        yield running


def test_long_answers_travel_packed(server: PushServer) -> None:
    site = PushedSite(server.central, "hill-farm")
    site.push([(DAY + i, 69, 0, 1, 1.0) for i in range(3000)])
    client = server.client(server.make_key("hill-farm"))
    packed, plain = (client.get("/rest/reading/", headers={"accept-encoding": way}) for way in ("gzip", "identity"))
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert packed.num_bytes_downloaded < plain.num_bytes_downloaded / 10


def test_a_fault_of_the_centre_says_no_more_than_that_and_the_log_says_more(
    server: PushServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = server.client(server.make_key("hill"))
    with sqlite3.connect(tmp_path / "central.db") as database:
        database.execute("DROP TABLE NodeState")
    database.close()
    with caplog.at_level(logging.ERROR, "samesky"):
        answer = client.get("/rest/nodestate/")
    assert (answer.status_code, answer.json()["type"]) == (500, "fault")
    assert "NodeState" not in answer.text
    assert "NodeState" in caplog.text
    assert client.get("/rest/reading/").status_code == 200


def test_who_waits_too_long_for_the_database_is_told_to_come_again(hurried: PushServer, tmp_path: Path) -> None:
    clients = [hurried.client(hurried.make_key("hill")) for _ in range(2)]
    for client in clients:
        client.get("/sync/v1/status")  # the key is known now
    other = sqlite3.connect(tmp_path / "central.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answers: list[httpx2.Response] = []
    asking = [threading.Thread(target=lambda at=at: answers.append(at.post("/sync/v1/runs"))) for at in clients]
    for thread in asking:
        thread.start()
    try:
        wait_for(lambda: answers, 60, what="an answer to the one that has no turn")
    finally:
        other.execute("ROLLBACK")
        other.close()
        for thread in asking:
            thread.join()
    assert [answer.status_code for answer in answers] == [503, 201]
    assert answers[0].json()["type"] == "busy"
    assert int(answers[0].headers["retry-after"]) >= 1


def test_an_address_without_a_route_is_a_problem_too(server: PushServer) -> None:
    client = server.client(server.make_key("hill"))
    assert (client.get("/nowhere").status_code, client.get("/nowhere").json()["type"]) == (404, "not-found")
    wrong = client.get("/sync/v1/runs")
    assert (wrong.status_code, wrong.json()["type"], wrong.headers["allow"]) == (405, "method", "POST")


def test_what_it_is_is_said_at_the_root(server: PushServer) -> None:
    told = server.client().get("/").json()
    assert server.client().get(f"/{told['sync']}").json()["name"] == told["name"] == "samesky push"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Refused(Reason.EMPTY, "empty"), 400, "refused"),
        (Refused(Reason.TYPE, "type"), 422, "refused"),
        (Refused(Reason.NOT_FOUND, "no such site"), 404, "refused"),
        (MissingParents({"Node": (1, 2)}), 409, "parent"),
        (Older("newer"), 409, "older"),
        (Locked("locked"), 503, "busy"),
        (Unreachable("gone"), 503, "busy"),
        (DataError("damaged"), 500, "fault"),
    ],
)
def test_every_error_has_its_answer(error: Exception, status: int, kind: str) -> None:
    problem = describe_error(error)  # type: ignore[arg-type]
    assert (problem.status, problem.kind) == (status, kind)
    assert ("retry-after" in problem.headers) == (status == 503)


def test_a_problem_is_rfc_9457() -> None:
    response = Problem(409, "parent", "words", members={"missing": {"Node": [1]}}).response()
    assert response.headers["content-type"] == "application/problem+json"
    assert b'"type": "parent", "title": "Conflict", "status": 409, "detail": "words"' in response.body


def test_answers_to_who_has_gone_do_no_harm(server: PushServer) -> None:
    async def leave() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /rest/sensortype/ HTTP/1.1\r\nHost: a\r\n\r\n")
        writer.transport.abort()

    for _ in range(20):
        asyncio.run(leave())
    # Each of them may still be at work, and so many at once are told to come again.
    wait_for(lambda: server.client().get("/rest/sensortype/").status_code == 200, 60, what="an answer")
