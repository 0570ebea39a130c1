"""Rows 1 to 48 of the table of bad inputs (column P): each has its answer, and the server serves on.

Values are proven one by one in `test_page` and `test_rest_objects`, bodies that come slowly (row 43) in `test_serving`.
Rows that aren't here have nothing to ask of a server: 29 to 32, 38, 40, 45.
"""

import base64
import gzip
import hashlib
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from samesky.push.bodies import CONTENT_TYPE
from samesky.push.keys import Scope
from stands.push_centre import DAY, PushedSite
from stands.push_server import PushServer

pytestmark = pytest.mark.slow

READING = {
    "__table__": "Reading",
    "time": "2023-11-15T00:00:00",
    "nodeId": 69,
    "type": 1,
    "locationId": 1,
    "value": 1.0,
}
BULK, READINGS = "/rest/bulk/", "/rest/reading/"
JSON = {"content-type": "application/json"}
COLUMNS = {"content-type": CONTENT_TYPE, "content-encoding": "gzip"}
DEEP = b"[" * 100_000
LIMIT = 1 << 20


@dataclass(frozen=True)
class Bad:
    """A request, and the status of its answer."""

    row: int
    what: str
    status: int
    method: str = "POST"
    path: str = READINGS
    body: Any = None
    """An object, or the bytes themselves."""
    headers: dict[str, str] = field(default_factory=dict)
    key: str | None = "site"
    sent: str = "append"

    def __str__(self) -> str:
        return f"{self.row} {self.what}"


def changed(**members: object) -> dict[str, object]:
    return {**READING, **members}


def page(*values: object, columns: object = None, name: str = "Reading") -> bytes:
    """The body of a page of one row, or of columns as they are given."""
    named = columns or [["time", "integer"], ["nodeId", "integer"], ["type", "integer"], ["locationId", "integer"]]
    named = [*named, ["value", "real"]] if columns is None else named
    table = {"name": name, "count": 1, "columns": named, "values": [[value] for value in values]}
    return gzip.compress(json.dumps({"tables": [table]}).encode())


def push(row: int, what: str, status: int, body: bytes, **options: Any) -> Bad:
    return Bad(row, what, status, path="/sync/v1/pages/Reading?run={run}", body=body, headers=COLUMNS, **options)


def get(row: int, what: str, status: int, path: str, **options: Any) -> Bad:
    return Bad(row, what, status, method="GET", path=path, **options)


DIGEST = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
REQUESTS = [
    Bad(1, "an empty body", 400, body=b""),
    push(1, "an empty page", 400, b""),
    Bad(2, "UTF-16", 400, body=json.dumps(READING).encode("utf-16")),
    Bad(2, "not UTF-8", 400, body=b'{"name": "\xff"}', path="/rest/roomtype/"),
    push(2, "a page that isn't UTF-8", 400, gzip.compress(b'{"tables": "\xff"}')),
    Bad(3, "JSON that is cut short", 400, body=json.dumps(READING).encode()[:-1]),
    push(3, "a page that is cut short", 400, page(DAY, 69, 0, 1, 1.0)[:-4]),
    push(3, "a page with JSON that is cut short", 400, gzip.compress(b'{"tables": [')),
    Bad(4, "a list for an object", 422, body=[READING]),
    Bad(4, "a number for an object", 422, body=5),
    Bad(4, "an object for a list", 422, path=BULK, body=READING),
    push(4, "a list for a page", 422, gzip.compress(b"[]")),
    Bad(5, "100,000 lists in one another", 400, body=DEEP),
    Bad(5, "100,000 objects in one another", 400, body=b'{"a":' * 100_000),
    push(5, "100,000 lists in a page", 400, gzip.compress(DEEP)),
    Bad(6, "NaN", 422, body=json.dumps(READING).replace("1.0", "NaN").encode()),
    Bad(6, "Infinity", 422, body=json.dumps(READING).replace("1.0", "-Infinity").encode()),
    Bad(6, "1e999", 422, body=json.dumps(READING).replace("1.0", "1e999").encode()),
    push(6, "1e999 in a page", 422, gzip.compress(gzip.decompress(page(DAY, 69, 0, 1, 1.5)).replace(b"1.5", b"1e999"))),
    Bad(7, "a member twice", 400, body=b'{"name": "a", "name": "b"}', path="/rest/roomtype/"),
    push(7, "a member of a page twice", 400, gzip.compress(b'{"tables": [], "tables": []}')),
    Bad(8, "an integer of 5,000 digits", 422, body=json.dumps(READING).replace("69", "9" * 5000).encode()),
    Bad(8, "an integer of 65 bits", 422, body=changed(nodeId=1 << 63)),
    push(8, "an integer of 65 bits in a page", 422, page(DAY, 1 << 63, 0, 1, 1.0)),
    Bad(9, "a body over the limit", 413, body=b" " * (LIMIT + 1)),
    push(9, "a page over the limit", 413, b" " * (LIMIT + 1)),
    push(
        9,
        "a page of too many rows",
        413,
        gzip.compress(b'{"tables":[{"name":"Reading","count":99999999,"columns":[],"values":[]}]}'),
    ),
    Bad(10, "a bomb", 413, body=gzip.compress(bytes(20 << 20)), headers={"content-encoding": "gzip"}),
    push(10, "a page that is a bomb", 413, gzip.compress(bytes(20 << 20))),
    Bad(11, "a body of another kind", 415, body=b"a=1", headers={"content-type": "application/x-www-form-urlencoded"}),
    Bad(
        11,
        "another version of pages",
        415,
        path="/sync/v1/pages/Reading?run=1",
        body=b"x",
        headers={"content-type": f"{CONTENT_TYPE}2"},
    ),
    Bad(11, "a packing that isn't known", 415, body=b"x", headers={"content-encoding": "zstd"}),
    Bad(12, "a column that isn't known", 422, body=changed(color=1)),
    push(12, "a page with a column that isn't known", 422, page(1, columns=[["color", "integer"]])),
    get(12, "a condition on a column that isn't known", 422, "/rest/reading/?color=1"),
    Bad(13, "SQL for a column", 422, body=changed(**{"value = 1; DROP TABLE Reading; --": 1})),
    push(13, "SQL for a column of a page", 422, page(1, columns=[["value; --", "integer"]])),
    get(13, "SQL for a column to sort by", 422, "/rest/reading/?sort=value;DROP%20TABLE%20Reading"),
    Bad(14, "a text for a number", 422, body=changed(value="warm")),
    Bad(14, "true for a number", 422, body=changed(value=True)),
    Bad(14, "an object for a number", 422, body=changed(value={})),
    push(14, "a text for a number in a page", 422, page(DAY, 69, 0, 1, "warm")),
    Bad(15, "no time", 422, body={name: value for name, value in READING.items() if name != "time"}),
    Bad(15, "NULL in a key", 422, body=changed(nodeId=None)),
    push(15, "NULL in a key of a page", 422, page(DAY, None, 0, 1, 1.0)),
    Bad(16, "the future", 422, body=changed(time="2242-01-01T00:00:00")),
    push(16, "the future in a page", 422, page(1 << 33, 69, 0, 1, 1.0)),
    Bad(17, "1970", 422, body=changed(time="1970-01-01T00:00:00")),
    *(push(17, f"{time} for a time", 422, page(time, 69, 0, 1, 1.0)) for time in (0, -5, DAY * 1000)),
    Bad(22, "a key that nobody made", 401, key="0123456789ab.forged"),
    Bad(23, "rows of another site", 403, body={"__table__": "Node", "id": 5, "siteId": 2}, path="/rest/node/"),
    Bad(25, "somewhere else to answer to", 422, path="/sync/v1/heartbeat", body={"callback": "http://127.1/"}),
    get(26, "abc for a range", 400, READINGS, headers={"range": "items=abc"}),
    get(26, "-1 for a range", 400, READINGS, headers={"range": "items=-1"}),
    get(26, "10^30 for a range", 400, READINGS, headers={"range": f"items=0-{10**30}"}),
    get(26, "abc for a key", 400, "/rest/node/abc"),
    get(26, "10^30 for a key", 400, f"/rest/node/{10**30}"),
    Bad(26, "abc for a run", 400, path="/sync/v1/pages/Reading?run=abc", body=b"x", headers=COLUMNS),
    get(28, "a table that isn't there", 404, "/rest/nowhere/"),
    get(28, "a table that isn't there, without a key", 401, "/rest/nowhere/", key=None),
    get(28, "a table that needs a key, without one", 401, READINGS, key=None),
    Bad(28, "pages of a table that isn't there", 404, path="/sync/v1/pages/Nowhere?run=1", body=b"x", headers=COLUMNS),
    Bad(33, "10,000 headers", 431, headers={f"x-{number}": "1" for number in range(10_000)}),
    get(34, "a NUL in a table's name", 404, "/rest/node%00/"),
    get(34, "wildcards for a table", 404, "/rest/+/"),
    Bad(
        34,
        "a page of another table",
        422,
        path="/sync/v1/pages/Reading?run={run}",
        body=page(1, name="a/b"),
        headers=COLUMNS,
    ),
    get(35, "a way upwards", 404, "/rest/..%2f..%2fetc%2fpasswd"),
    get(35, "a way upwards for a key", 400, "/rest/node/%2e%2e"),
    get(36, "a way upwards, encoded twice", 400, "/rest/node/%252e%252e"),
    Bad(37, "a name of 300 characters", 422, path="/rest/roomtype/", body={"name": "x" * 300}),
    Bad(37, "a NUL in a name", 422, path="/rest/roomtype/", body={"name": "a\0b"}),
    Bad(37, "half a character", 400, path="/rest/roomtype/", body=b'{"name": "\\ud800"}'),
    Bad(
        41, "an address of ours to call back", 422, path="/rest/roomtype/", body={"callback": "http://169.254.169.254/"}
    ),
    Bad(42, "another digest", 422, body=READING, headers={"content-digest": f"sha-256=:{DIGEST}:"}),
    Bad(
        42,
        "a digest that proves nothing",
        422,
        body=READING,
        headers={"content-digest": "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"},
    ),
    Bad(44, "bytes for a number", 422, body=changed(value="AAAA")),
    Bad(46, "no key", 401, body=READING, key=None),
    get(46, "a key in the address", 401, "/rest/reading/?key={site}"),
    Bad(46, "a key that only reads", 403, body=READING, key="reader"),
    get(46, "a huge Authorization", 431, READINGS, key="x" * 5000),
    Bad(47, "a parent that is missing", 409, body=changed(type=99)),
    Bad(47, "half a batch", 422, path=BULK, body=[READING, changed(value="warm")]),
    Bad(48, "a pickle", 415, body=pickle.dumps(READING), headers={"content-type": "application/octet-stream"}),
    Bad(48, "a pickle that says it is JSON", 400, body=pickle.dumps(READING)),
    Bad(48, "YAML", 415, body=b"!!python/object/apply:os.system [id]", headers={"content-type": "application/yaml"}),
    Bad(48, "a class for a table", 422, path=BULK, body=[{"__table__": "__class__"}]),
    Bad(
        48,
        "a question of an unknown kind",
        422,
        path="/sync/v1/digests/Reading",
        body={"from": 0, "to": 1, "by": "year"},
    ),
    Bad(48, "something to remove that isn't there", 404, method="DELETE", path="/rest/roomtype/9999"),
]


class Centre:
    """A server with one site and keys of three kinds."""

    def __init__(self, server: PushServer) -> None:
        self.server = server
        self.site = PushedSite(server.central, "hill")
        self.site.push([(DAY, 69, 0, 1, 1.0)])
        self.keys = {"site": server.make_key("hill"), "reader": server.make_key(None, Scope.READ)}
        self.http = server.client()
        self.stored = self.read()

    def ask(self, bad: Bad) -> Any:
        key = self.keys.get(bad.key or "", bad.key)
        own = {"authorization": f"Bearer {key}"} if key else {}
        body = bad.body if isinstance(bad.body, bytes | None) else json.dumps(bad.body).encode()
        path = bad.path.format(run=self.site.run, site=self.keys["site"]) if "{" in bad.path else bad.path
        kind = JSON if bad.method == "POST" else {}
        return self.http.request(bad.method, path, content=body, headers={**kind, **bad.headers, **own})

    def read(self) -> Any:
        """All that a bad request might have changed."""
        client = self.server.client(self.server.make_key(None, Scope.ADMIN))
        return [client.get(f"/rest/{table}/").json() for table in ("reading", "node", "roomtype", "sensortype")]


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    file = tmp_path_factory.mktemp("bad") / "central.db"
    with PushServer(f"sqlite:///{file}", limits={"requests_per_s": 10_000.0}) as server:
        yield Centre(server)


@pytest.mark.parametrize("bad", REQUESTS, ids=str)
def test_a_bad_request_has_its_answer(centre: Centre, bad: Bad) -> None:
    answer = centre.ask(bad)
    assert answer.status_code == bad.status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == bad.status
    assert all(problem[name] for name in ("type", "title", "detail"))
    assert centre.http.get("/rest/sensortype/").status_code == 200


def test_none_of_them_left_anything(centre: Centre) -> None:
    for bad in REQUESTS:
        assert centre.ask(bad).status_code == bad.status
    assert centre.read() == centre.stored


def site_of(centre: Centre) -> Any:
    return centre.server.client(centre.keys["site"])


def test_row_18_the_same_again_is_the_same_result(centre: Centre) -> None:
    first, again = site_of(centre).post(READINGS, json=READING), site_of(centre).post(READINGS, json=READING)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()


def test_row_19_the_same_key_with_other_content_is_a_conflict(centre: Centre) -> None:
    assert site_of(centre).post(READINGS, json=changed(value=2.0)).status_code == 409


def test_row_20_an_old_copy_after_a_correction_changes_nothing(centre: Centre) -> None:
    row = changed(time="2023-11-15T01:00:00")
    address = site_of(centre).post(READINGS, json=row).headers["location"]
    seen = {"if-match": site_of(centre).get(address).headers["etag"]}
    assert site_of(centre).put(address, json={**row, "value": 2.0}, headers=seen).status_code == 200
    assert site_of(centre).put(address, json=row, headers=seen).status_code == 412
    assert site_of(centre).post(READINGS, json=row).status_code == 409
    assert site_of(centre).delete(address).status_code == 204


def test_row_21_rows_may_come_in_any_order(centre: Centre) -> None:
    rows = [changed(time=f"2023-11-16T0{hour}:00:00") for hour in (3, 1, 2)]
    assert site_of(centre).post(BULK, json=rows).json()["accepted"] == 3
    for row in rows:
        assert site_of(centre).delete(f"/rest/reading/{row['time']},69,1").status_code == 204


def test_row_24_a_page_that_is_sent_again_is_all_duplicates(centre: Centre) -> None:
    again = {"params": {"run": centre.site.run}, "content": page(DAY, 69, 0, 1, 1.0), "headers": COLUMNS}
    for _ in range(2):
        answer = site_of(centre).post("/sync/v1/pages/Reading", **again)
        assert (answer.status_code, answer.json()["duplicate"]) == (200, 1)


def test_row_39_a_row_where_a_list_is_is_refused(centre: Centre) -> None:
    assert site_of(centre).put("/rest/reading/", json=READING).status_code == 405
    assert site_of(centre).delete("/rest/reading").status_code == 405


def test_row_47_an_idempotency_key_stands_for_one_request(centre: Centre) -> None:
    headers = {"idempotency-key": "row 47"}
    assert site_of(centre).post(READINGS, json=READING, headers=headers).status_code == 200
    assert site_of(centre).post(READINGS, json=changed(value=3.0), headers=headers).status_code == 422


def test_row_27_too_many_requests_are_told_to_wait(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("rate") / "central.db"
    with PushServer(f"sqlite:///{file}", limits={"requests_per_s": 1.0}) as server:
        server.central.sites.add("hill")
        client = server.client(server.make_key("hill"))
        answers = [client.get("/rest/reading/") for _ in range(100)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) > 50
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert server.client(server.make_key("hill")).get("/rest/reading/").status_code == 200


def test_row_46_an_expired_key_is_as_good_as_none(centre: Centre) -> None:
    keys = centre.server.central.keys
    expired = keys.add(centre.server.central.sites.find("hill"), scopes=[Scope.APPEND], lifetime_s=0).text
    answer = centre.server.client(expired).get(READINGS)
    assert (answer.status_code, "www-authenticate" in answer.headers) == (401, True)
