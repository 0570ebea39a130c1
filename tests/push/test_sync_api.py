"""What a pusher says over HTTP: runs, catalogues, pages, digests, heartbeats; and how the fleet is doing."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import httpx2
import pytest

from samesky import __version__
from samesky.push.bodies import CONTENT_TYPE
from samesky.push.building import BUILDING
from samesky.push.catalogue import encode_catalogue
from samesky.push.digests import digest_group
from samesky.push.keys import Scope
from samesky.push.page import encode_page
from stands.push_centre import DAY, SMALL_SITE, make_catalogue, make_page
from stands.push_server import PushServer

pytestmark = pytest.mark.slow

NUMBERS = count(1)
PACKED = {"content-type": CONTENT_TYPE, "content-encoding": "gzip"}


class Site:
    """A pusher, step by step."""

    def __init__(self, server: PushServer, name: str) -> None:
        server.central.sites.add(name)
        self.name = name
        self.http = server.client(server.make_key(name))
        self.run = 0

    def begin(self) -> dict[str, Any]:
        answer = self.http.post("/sync/v1/runs")
        assert answer.status_code == 201
        self.run = answer.json()["run"]
        return dict(answer.json())

    def send_catalogue(self, rows: Mapping[str, Any] = SMALL_SITE, **options: object) -> httpx2.Response:
        body = encode_catalogue(make_catalogue(rows).tables)
        return self.http.post("/sync/v1/catalogue", params={"run": self.run, **options}, content=body, headers=PACKED)

    def send_page(
        self, rows: Sequence[Sequence[object]], *, position: object = None, table: str = "Reading", body: bytes = b""
    ) -> httpx2.Response:
        params = {"run": self.run} | ({} if position is None else {"position": json.dumps(position)})
        content = body or encode_page(make_page(rows, table))
        return self.http.post(f"/sync/v1/pages/{table}", params=params, content=content, headers=PACKED)

    def ready(self) -> "Site":
        self.begin()
        assert self.send_catalogue().status_code == 200
        return self


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushServer]:
    with PushServer(f"sqlite:///{tmp_path_factory.mktemp('sync') / 'central.db'}") as running:
        yield running


@pytest.fixture
def site(server: PushServer) -> Site:
    return Site(server, f"site-{next(NUMBERS)}")


@pytest.fixture(scope="module")
def visitor(server: PushServer) -> Site:
    """A site of which nothing is stored."""
    visitor = Site(server, "visitor")
    visitor.begin()
    return visitor


def test_everybody_may_ask_what_this_is(server: PushServer) -> None:
    assert server.client().get("/sync/v1/").json() == {"name": "samesky push", "version": __version__}


def test_a_run_begins_with_what_the_centre_has(site: Site) -> None:
    before = int(time.time())
    state = site.begin()
    assert before <= state["time"] <= time.time()
    assert state["site"] == site.name
    assert state["positions"] == {"Reading": None, "NodeState": None}
    assert state["catalogue"] is None
    assert state["limits"] == {"page_bytes": 1 << 20, "page_rows": 5000}
    site.send_catalogue()
    site.send_page([(DAY, 69, 0, 1, 21.5)], position=[DAY, 69, 0])
    later = site.begin()
    assert later["run"] > state["run"]
    assert later["centre"] == state["centre"]
    assert later["positions"]["Reading"] == [DAY, 69, 0]
    assert later["catalogue"] is not None


def test_a_catalogue_is_planned_without_being_stored(site: Site) -> None:
    site.begin()
    planned = site.send_catalogue(dry_run="true")
    assert planned.status_code == 200
    assert planned.json()["dry_run"] is True
    assert site.http.get("/rest/node/").json() == []
    assert site.send_catalogue().json()["dry_run"] is False
    assert len(site.http.get("/rest/node/").json()) == 2


def test_only_a_plan_needs_no_run(visitor: Site) -> None:
    body = encode_catalogue(make_catalogue(SMALL_SITE).tables)
    planned = visitor.http.post("/sync/v1/catalogue?dry_run=true", content=body, headers=PACKED)
    assert planned.json()["dry_run"] is True
    stored = visitor.http.post("/sync/v1/catalogue", content=body, headers=PACKED)
    assert (stored.status_code, stored.json()["type"]) == (400, "parameters")


def test_a_page_is_stored_and_counted(site: Site) -> None:
    site.ready()
    rows = [(DAY + i, 69, 0, 1, float(i)) for i in range(3)]
    stored = site.send_page(rows, position=[DAY + 2, 69, 0])
    assert stored.json() == {
        "accepted": 3,
        "duplicate": 0,
        "changed": 0,
        "rejected": [],
        "position": [DAY + 2, 69, 0],
    }
    again = site.send_page([*rows[:2], (DAY + 2, 69, 0, 1, 9.0), (DAY + 3, 69, 0, None, None)])
    assert [again.json()[name] for name in ("accepted", "duplicate", "changed")] == [1, 2, 1]


def test_a_page_need_not_be_packed(site: Site) -> None:
    site.ready()
    body = (
        b'{"tables":[{"name":"Reading","count":1,"columns":[["time","integer"],["nodeId","integer"],["type","integer"],'
    )
    body += b'["locationId","integer"],["value","real"]],"values":[[1700006400],[69],[0],[1],[21.5]]}]}'
    plain = {"content-type": CONTENT_TYPE}
    stored = site.http.post(f"/sync/v1/pages/Reading?run={site.run}", content=body, headers=plain)
    assert stored.json()["accepted"] == 1


def test_rows_whose_parents_are_missing_name_them(site: Site) -> None:
    site.ready()
    missing = site.send_page([(DAY, 71, 0, 1, 1.0), (DAY, 69, 8, 5, 1.0)])
    assert (missing.status_code, missing.json()["type"]) == (409, "parent")
    assert missing.json()["missing"] == {"Node": [71], "SensorType": [8], "Location": [5]}


def test_faulty_rows_are_named_and_nothing_is_stored(site: Site) -> None:
    site.ready()
    future = int(time.time()) + 7200
    faulty = site.send_page([(DAY, 69, 0, 1, 1.0), (future, 69, 0, 1, 1.0)])
    assert (faulty.status_code, faulty.json()["type"]) == (422, "rows")
    assert [(each["row"], each["column"], each["reason"]) for each in faulty.json()["errors"]] == [
        (1, "time", "future")
    ]
    assert site.http.get("/rest/reading/").json() == []


def test_an_older_run_stores_nothing_more(site: Site) -> None:
    old = site.ready().run
    site.begin()
    site.run = old
    for refused in (site.send_page([(DAY, 69, 0, 1, 1.0)]), site.send_catalogue()):
        assert (refused.status_code, refused.json()["type"]) == (409, "older")


@pytest.mark.parametrize(
    ("position", "status"),
    [
        ("[1,2]", 422),
        ("{}", 422),
        ("[1,2,true]", 422),
        ('["a",2,3]', 422),
        ("[1,2", 400),
        ("", 400),
        ("[1,2,1e999]", 422),
    ],
)
def test_a_position_is_a_key_of_the_table(visitor: Site, position: str, status: int) -> None:
    params = {"run": visitor.run, "position": position}
    body = encode_page(make_page([]))
    assert (
        visitor.http.post("/sync/v1/pages/Reading", params=params, content=body, headers=PACKED).status_code == status
    )


@pytest.mark.parametrize("table", ["Nowhere", "House", "Reading%2f..", "%00"])
def test_there_are_pages_of_append_only_tables_alone(visitor: Site, table: str) -> None:
    answer = visitor.http.post(f"/sync/v1/pages/{table}?run={visitor.run}", content=b"x", headers=PACKED)
    assert (answer.status_code, answer.json()["type"]) == (404, "not-found")


@pytest.mark.parametrize("run", ["", "abc", "-1", "0", "1e3", str(10**30)])
def test_a_run_is_a_number(visitor: Site, run: str) -> None:
    answer = visitor.http.post(f"/sync/v1/pages/Reading?run={run}", content=b"x", headers=PACKED)
    assert (answer.status_code, answer.json()["type"]) == (400, "parameters")


def test_digests_are_those_of_the_sites_own_rows(site: Site) -> None:
    site.ready()
    rows = [(DAY + i, 69, 0, 1, float(i)) for i in range(3)]
    site.send_page([*rows, (DAY, 70, 0, 2, 1.0)])
    question = {"from": DAY, "to": DAY + 86_400, "by": "group", "days": [DAY // 86_400]}
    groups = site.http.post("/sync/v1/digests/Reading", json=question).json()["groups"]
    expected = digest_group(BUILDING.table("Reading"), make_page(rows))
    assert [[DAY // 86_400, 69], 3, expected.digest.hex()] in groups
    assert len(groups) == 2


@pytest.mark.parametrize(
    "question",
    [[], {}, {"from": 0, "to": "x", "by": "all"}, {"from": 0, "to": 1, "by": "year"}, {"from": 0, "to": 1, "x": 1}],
)
def test_another_question_is_422(visitor: Site, question: object) -> None:
    answer = visitor.http.post("/sync/v1/digests/Reading", json=question)
    assert (answer.status_code, answer.json()["type"]) == (422, "refused")


def heartbeat(**members: object) -> dict[str, object]:
    usual = {"hostname": "hill", "localtime": 1_700_000_000, "version": "1.0", "backlog": 7, "proofs": []}
    return {**usual, **members}


def test_a_heartbeat_is_seen_in_the_fleet(site: Site, server: PushServer) -> None:
    server.central.sites.add(f"site-{next(NUMBERS)}")
    site.ready().send_page([(DAY, 69, 0, 1, 1.0)], position=[DAY, 69, 0])
    proof = {"table": "Reading", "same": True}
    assert site.http.post("/sync/v1/heartbeat", json=heartbeat(proofs=[proof])).status_code == 200
    status = site.http.get("/sync/v1/status").json()
    (own,) = status["sites"]
    assert status["site"] == own["site"] == site.name
    assert (own["hostname"], own["backlog"], own["proofs"]) == ("hill", 7, [proof])
    assert [(each["table"], each["rows"]) for each in own["tables"]] == [("Reading", 1)]
    fleet = server.client(server.make_key(None, Scope.READ)).get("/sync/v1/status").json()["sites"]
    assert own in fleet
    assert len(fleet) > 1


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        heartbeat(callback="http://169.254.169.254/"),
        heartbeat(hostname=5),
        heartbeat(hostname="x" * 256),
        heartbeat(hostname="a\nb"),
        heartbeat(hostname="a\0b"),
        heartbeat(localtime=-1),
        heartbeat(localtime=1 << 40),
        heartbeat(backlog=True),
        heartbeat(backlog=1.5),
        heartbeat(proofs={}),
        heartbeat(proofs=[5]),
    ],
)
def test_another_heartbeat_is_422(visitor: Site, document: object) -> None:
    answer = visitor.http.post("/sync/v1/heartbeat", json=document)
    assert (answer.status_code, answer.json()["type"]) == (422, "refused")


def test_what_was_refused_is_counted_for_who_looks_after_the_fleet(visitor: Site, server: PushServer) -> None:
    reader = server.client(server.make_key(None, Scope.READ))
    before = reader.get("/sync/v1/status").json()["refused"]
    visitor.http.post("/sync/v1/pages/Reading?run=1", content=b"x", headers={"content-type": "text/plain"})
    visitor.http.post("/sync/v1/heartbeat", content=b"{", headers={"content-type": "application/json"})
    after = reader.get("/sync/v1/status").json()["refused"]
    assert {name: after[name] - before.get(name, 0) for name in ("media-type", "json")} == {"media-type": 1, "json": 1}
    assert "refused" not in visitor.http.get("/sync/v1/status").json()


def test_a_key_of_no_site_pushes_nothing(server: PushServer) -> None:
    admin = server.client(server.make_key(None, Scope.ADMIN))
    reader = server.client(server.make_key(None, Scope.READ))
    for client in (admin, reader):
        assert client.post("/sync/v1/runs").status_code == 403
        assert client.post("/sync/v1/heartbeat", json=heartbeat()).status_code == 403
