"""The seed's interface: lists, rows and objects over HTTP, and who may see and change what."""

from collections.abc import Iterator
from itertools import count

import httpx2
import pytest

from samesky.push.keys import Scope
from samesky.push.rest_reading import CHUNK_ROWS
from stands.push_centre import DAY, DIALECTS, SMALL_SITE, PushedSite, make_empty
from stands.push_server import PushServer
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

FIRST, OF_TESTS = 1000, "Room "
NUMBERS = count(FIRST)
"""Names and nodes that no other test has; theirs may be there already, in whatever order they run."""
UNPACKED = {"accept-encoding": "identity"}
"""For a list that is to be long on its way, too."""


class Building:
    """A server with two sites that have the same nodes, and clients of each."""

    def __init__(self, server: PushServer) -> None:
        self.server = server
        self.hill = PushedSite(server.central, "hill-farm")
        house = [{"id": 7, "deploymentId": 1, "address": "Mill"}]
        locations = [{"id": number, "houseId": 7, "roomId": number} for number in (1, 2)]
        self.mill = PushedSite(server.central, "mill", {**SMALL_SITE, "House": house, "Location": locations})
        self.hill.push([(DAY + 300 * i, 69, 0, 1, float(i)) for i in range(5)], position=[DAY + 1200, 69, 0])
        self.owner = server.client(server.make_key("hill-farm"))
        self.miller = server.client(server.make_key("mill"))
        self.admin = server.client(server.make_key(None, Scope.ADMIN))
        self.reader = server.client(server.make_key(None, Scope.READ))
        self.stranger = server.client()


@pytest.fixture(scope="module", params=DIALECTS)
def at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Building]:
    url = make_empty(request, request.param, tmp_path_factory.mktemp("rest"))
    with PushServer(url, base_path="/building", limits={"requests_per_s": 1000.0}) as server:
        yield Building(server)


@pytest.fixture
def name() -> str:
    return f"{OF_TESTS}{next(NUMBERS)}"


def reading(**members: object) -> dict[str, object]:
    usual = {"__table__": "Reading", "time": "2023-11-16T00:00:00", "nodeId": 69, "type": 1, "locationId": 1}
    return {**usual, "value": 1.0, **members}


def kind(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"]


def test_the_sensor_types_are_shown_to_everybody(at: Building) -> None:
    for address in ("/rest/sensortype/", "/rest/SensorType", "/building/rest/sensortype/"):
        shown = at.stranger.get(address)
        assert shown.status_code == 200
        names = [each["name"] for each in shown.json()]
        assert [each for each in names if not each.startswith(OF_TESTS)] == ["Temperature", "Humidity"]
        assert shown.json()[0]["__table__"] == "SensorType"
        assert shown.json()[0]["active"] is True


def test_everything_else_needs_a_key(at: Building) -> None:
    for address in ("/rest/", "/rest/node/", "/rest/reading/", "/rest/house/1", "/rest/lastsync/?house=1"):
        assert kind(at.stranger.get(address)) == (401, "key")


def test_a_list_is_chosen_sorted_and_in_key_order(at: Building) -> None:
    asked = "/rest/reading/?ge_time=2023-11-15T00:05:00&le_time=2023-11-15T01:00:00&lt_value=4&sort=-time"
    listed = at.owner.get(asked).json()
    assert [each["time"] for each in listed] == [f"2023-11-15T00:{minute:02}:00" for minute in (15, 10, 5)]
    assert [each["value"] for each in at.owner.get("/rest/reading/?le_time=2023-11-15T01:00:00").json()] == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_null_is_found_by_null_alone(at: Building) -> None:
    room = at.owner.post("/rest/location/", json={"houseId": 1, "roomId": None}).json()
    for value in ("", "null", "None"):
        found = at.owner.get(f"/rest/location/?houseId=1&roomId={value}").json()
        assert [each["id"] for each in found] == [room["id"]]
    assert at.owner.delete(f"/rest/location/{room['id']}").status_code == 204


def test_part_of_a_list_is_206(at: Building) -> None:
    part = at.owner.get("/rest/reading/?le_time=2023-11-15T01:00:00", headers={"range": "items=1-2"})
    assert (part.status_code, part.headers["content-range"]) == (206, "items 1-2/5")
    assert [each["value"] for each in part.json()] == [1, 2]
    end = at.owner.get("/rest/reading/?le_time=2023-11-15T01:00:00", headers={"range": "items=3-99"})
    assert (end.status_code, end.headers["content-range"]) == (206, "items 3-4/5")


def test_a_part_behind_the_end_is_416(at: Building) -> None:
    behind = at.owner.get("/rest/nodestate/?nodeId=1", headers={"range": "items=1-2"})
    assert (*kind(behind), behind.headers["content-range"]) == (416, "range", "items */0")
    empty = at.owner.get("/rest/nodestate/?nodeId=1", headers={"range": "items=0-9"})
    assert (empty.status_code, empty.json(), empty.headers["content-range"]) == (200, [], "items */0")


def test_a_long_list_comes_whole_and_as_one_state(at: Building) -> None:
    many = 2 * CHUNK_ROWS + 1
    at.hill.push([(DAY + 864_000 + i, 70, 2, None, float(i)) for i in range(many)])
    asked = "/rest/reading/?nodeId=70&lt_time=2023-11-26T00:00:00"
    listed = at.owner.get(asked).json()
    assert [each["value"] for each in listed] == list(map(float, range(many)))
    exact = at.owner.get(asked, headers={"range": f"items=1-{CHUNK_ROWS}"}).json()
    assert len(exact) == CHUNK_ROWS


def test_a_reader_that_leaves_a_long_list_leaves_nothing_behind(at: Building) -> None:
    at.hill.push([(DAY + 1_728_000 + i, 70, 2, None, float(i)) for i in range(15 * CHUNK_ROWS)])
    for _ in range(3):  # more than a key may have under way
        with at.owner.stream("GET", "/rest/reading/", headers=UNPACKED) as list_:
            assert list_.status_code == 200
        wait_for(lambda: at.server.central.database.engine.pool.checkedout() == 0, 60, what="the list's end")


def test_no_more_lists_of_a_key_are_read_at_once_than_allowed(at: Building) -> None:
    at.hill.push([(DAY + 1_728_000 + i, 70, 2, None, float(i)) for i in range(15 * CHUNK_ROWS)])
    with (
        at.owner.stream("GET", "/rest/reading/", headers=UNPACKED),
        at.owner.stream("GET", "/rest/reading/", headers=UNPACKED),
    ):
        third = at.owner.get("/rest/reading/")
        assert kind(third) == (429, "rate")
        assert int(third.headers["retry-after"]) >= 1
        assert at.miller.get("/rest/reading/").status_code == 200


def test_a_site_sees_its_own_rows_and_those_that_it_shares(at: Building) -> None:
    nodes = at.miller.get(f"/rest/node/?lt_id={FIRST}").json()
    assert [each["id"] for each in nodes] == [69, 70]
    assert at.miller.get("/rest/reading/").json() == []
    assert [each["address"] for each in at.miller.get("/rest/house/").json()] == ["Mill"]
    assert [each["address"] for each in at.owner.get("/rest/house/").json()] == ["Hill Farm"]
    assert at.miller.get("/rest/house/1").status_code == 404
    assert [each["name"] for each in at.miller.get("/rest/room/").json()] == ["North", "Kitchen"]


def test_a_key_of_the_whole_centre_sees_all_with_the_site(at: Building) -> None:
    for client in (at.admin, at.reader):
        nodes = client.get("/rest/node/?id=69").json()
        assert [each["siteId"] for each in nodes] == [at.hill.id, at.mill.id]
        assert client.get(f"/rest/node/?id=69&siteId={at.mill.id}").json() == nodes[1:]
        assert kind(client.get("/rest/node/69")) == (409, "ambiguous")
        assert client.get(f"/rest/node/69?siteId={at.mill.id}").json() == nodes[1]
    assert "siteId" not in at.owner.get("/rest/node/69").json()
    assert kind(at.owner.get(f"/rest/node/?siteId={at.mill.id}")) == (422, "refused")


def test_a_row_is_made_and_found_where_it_is_said_to_be(at: Building, name: str) -> None:
    made = at.owner.post("/rest/roomtype/", json={"__table__": "RoomType", "name": name})
    assert made.status_code == 201
    assert made.headers["location"] == f"/building/rest/roomtype/{made.json()['id']}"
    assert at.owner.get(made.headers["location"]).json() == made.json()
    again = at.owner.post("/rest/roomtype/", json={"name": name})
    assert (again.status_code, again.json()) == (200, made.json())


def test_an_equal_natural_key_with_other_values_is_a_conflict(at: Building, name: str) -> None:
    type_ = at.owner.post("/rest/sensortype/", json={"name": name, "code": "x", "units": "m", "c0": 1}).json()
    conflict = at.owner.post("/rest/sensortype/", json={"name": name, "code": "x", "units": "m", "c0": 2})
    assert kind(conflict) == (409, "conflict")
    assert str(type_["id"]) in conflict.json()["detail"]


def test_a_site_makes_nodes_under_its_own_numbers(at: Building) -> None:
    number = next(NUMBERS)
    for client in (at.owner, at.miller):
        assert client.post("/rest/node/", json={"id": number}).status_code == 201
    assert at.owner.post("/rest/node/", json={"id": number}).status_code == 200
    assert len(at.admin.get(f"/rest/node/?id={number}").json()) == 2
    missing = at.owner.post("/rest/node/", json={"locationId": 1})
    assert missing.status_code == 409
    assert missing.json()["errors"][0]["reason"] == "required"


def test_a_sensor_gets_its_number_within_the_site(at: Building) -> None:
    sensor = at.owner.post("/rest/sensor/", json={"sensorTypeId": 2, "nodeId": 70, "calibrationSlope": 2})
    assert (sensor.status_code, sensor.json()["calibrationSlope"]) == (201, 2.0)
    assert at.miller.get(f"/rest/sensor/{sensor.json()['id']}").status_code in (200, 404)
    assert at.owner.get(f"/rest/sensor/{sensor.json()['id']}").json() == sensor.json()


def test_a_reading_is_stored_once(at: Building) -> None:
    first = at.owner.post("/rest/reading/", json=reading())
    assert (first.status_code, first.headers["location"]) == (201, "/building/rest/reading/2023-11-16T00:00:00,69,1")
    assert at.owner.get(first.headers["location"]).json() == first.json()
    assert at.owner.post("/rest/reading/", json=reading()).status_code == 200
    assert kind(at.owner.post("/rest/reading/", json=reading(value=2.0))) == (409, "conflict")


def test_a_parent_that_is_not_there_is_named(at: Building) -> None:
    missing = at.owner.post("/rest/reading/", json=reading(type=99, nodeId=12))
    assert kind(missing) == (409, "parent")
    assert missing.json()["missing"] == {"Node": [12], "SensorType": [99]}


def test_a_list_of_objects_is_stored_whole_with_what_it_refers_to(at: Building, name: str) -> None:
    number = next(NUMBERS)
    objects = [
        reading(nodeId=number),
        {"__table__": "Node", "id": number},
        reading(nodeId=number, time="2023-11-16T00:05:00"),
        reading(nodeId=number),
    ]
    stored = at.owner.post("/rest/bulk/", json=objects)
    assert (stored.status_code, stored.json()) == (201, {"accepted": 3, "duplicate": 1, "rejected": []})
    again = at.owner.post("/rest/bulk/", json=objects)
    assert (again.status_code, again.json()) == (200, {"accepted": 0, "duplicate": 4, "rejected": []})


def test_a_list_with_a_conflict_stores_nothing_and_names_it(at: Building) -> None:
    number = next(NUMBERS)
    node = {"__table__": "Node", "id": number}
    objects = [node, reading(nodeId=number), reading(nodeId=number, value=None)]
    refused = at.owner.post("/rest/bulk/", json=objects)
    assert kind(refused) == (409, "conflict")
    assert [(each["row"], each["reason"]) for each in refused.json()["errors"]] == [(2, "conflict")]
    assert at.owner.get(f"/rest/node/{number}").status_code == 404


def test_a_list_with_faulty_rows_stores_nothing_and_names_them(at: Building) -> None:
    number = next(NUMBERS)
    refused = at.owner.post("/rest/bulk/", json=[{"__table__": "Node", "id": number}, reading(value="warm")])
    assert kind(refused) == (422, "rows")
    assert [(each["row"], each["column"]) for each in refused.json()["errors"]] == [(1, "value")]
    assert at.owner.get(f"/rest/node/{number}").status_code == 404


def test_a_row_is_changed_wholly_and_only_as_it_was_seen(at: Building, name: str) -> None:
    address = at.owner.post("/rest/roomtype/", json={"name": name}).headers["location"]
    seen = at.owner.get(address)
    as_seen = {"if-match": seen.headers["etag"]}
    changed = at.owner.put(address, json={**seen.json(), "name": f"{name}!"}, headers=as_seen)
    assert (changed.status_code, changed.json()["name"]) == (200, f"{name}!")
    assert kind(at.owner.put(address, json=seen.json(), headers=as_seen)) == (412, "changed")
    assert kind(at.owner.delete(address, headers=as_seen)) == (412, "changed")
    same = at.owner.get(address, headers={"if-none-match": changed.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert kind(at.owner.put(address, json={"id": seen.json()["id"]})) == (422, "refused")


def test_a_key_can_not_be_changed_nor_a_natural_key_taken(at: Building, name: str) -> None:
    first = at.owner.post("/rest/roomtype/", json={"name": name}).json()
    second = at.owner.post("/rest/roomtype/", json={"name": f"{name}!"}).json()
    address = f"/rest/roomtype/{second['id']}"
    assert kind(at.owner.put(address, json={**second, "id": first["id"]})) == (409, "conflict")
    assert kind(at.owner.put(address, json={**second, "name": name})) == (409, "conflict")


def test_a_reading_is_corrected(at: Building) -> None:
    row = reading(time="2023-11-17T00:00:00")
    address = at.owner.post("/rest/reading/", json=row).headers["location"]
    assert at.owner.put(address, json={**row, "value": 2.5}).json()["value"] == 2.5
    assert at.owner.put(address, json={**row, "type": 99}).status_code == 409
    assert at.owner.delete(address).status_code == 204
    assert at.owner.get(address).status_code == 404


def test_a_row_that_other_sites_push_is_theirs_too(at: Building) -> None:
    shared = at.owner.get("/rest/roomtype/1").json()
    assert kind(at.owner.put("/rest/roomtype/1", json={**shared, "name": "Chamber"})) == (409, "shared")
    assert kind(at.admin.delete("/rest/roomtype/1")) == (409, "pushed")


def test_a_row_that_is_changed_here_is_looked_at_again_by_its_site(at: Building) -> None:
    run = at.owner.post("/sync/v1/runs").json()
    house = at.owner.get("/rest/house/1").json()
    assert run["catalogue"] is not None
    assert at.owner.put("/rest/house/1", json={**house, "endDate": "2026-01-01T00:00:00"}).status_code == 200
    again = at.owner.post("/sync/v1/runs").json()
    assert again["catalogue"] is None
    at.hill.run = again["run"]


def test_a_row_that_others_refer_to_stays(at: Building, name: str) -> None:
    type_ = at.owner.post("/rest/roomtype/", json={"name": name}).json()
    room = at.owner.post("/rest/room/", json={"name": name, "roomTypeId": type_["id"]}).json()
    assert kind(at.owner.delete(f"/rest/roomtype/{type_['id']}")) == (409, "referred-to")
    assert at.owner.delete(f"/rest/room/{room['id']}").status_code == 204
    assert at.owner.delete(f"/rest/roomtype/{type_['id']}").status_code == 204


def test_a_site_writes_for_itself_alone(at: Building) -> None:
    number = next(NUMBERS)
    foreign = at.owner.post("/rest/node/", json={"id": number, "siteId": at.mill.id})
    assert kind(foreign) == (403, "scope")
    assert at.owner.post("/rest/node/", json={"id": number, "siteId": at.hill.id}).status_code == 201
    assert kind(at.admin.post("/rest/node/", json={"id": number})) == (422, "refused")
    made = at.admin.post("/rest/node/", json={"id": number, "siteId": at.mill.id})
    assert (made.status_code, made.json()["siteId"]) == (201, at.mill.id)
    assert kind(at.admin.post("/rest/node/", json={"id": number, "siteId": 99})) == (422, "refused")
    moved = at.admin.put(f"/rest/node/{number}?siteId={at.mill.id}", json={**made.json(), "siteId": at.hill.id})
    assert kind(moved) == (409, "conflict")


def test_a_key_that_may_read_may_not_write(at: Building) -> None:
    assert kind(at.reader.post("/rest/roomtype/", json={"name": "x"})) == (403, "scope")
    assert kind(at.reader.delete("/rest/roomtype/1")) == (403, "scope")
    assert kind(at.reader.put("/rest/roomtype/1", json={"name": "x"})) == (403, "scope")


def test_the_last_reading_of_a_house_is_told(at: Building) -> None:
    at.hill.push([(DAY + 8_640_000, 69, 0, 2, 1.0)])
    told = at.owner.get("/rest/lastsync/?house=1")
    assert told.json() == {"house": 1, "lastsync": "2024-02-23T00:00:00"}
    assert at.admin.get("/rest/lastsync?house=1").json() == told.json()
    mill = at.miller.get("/rest/house/").json()[0]["id"]
    assert at.miller.get(f"/rest/lastsync/?house={mill}").json() == {"house": mill, "lastsync": None}
    assert at.miller.get("/rest/lastsync/?house=1").status_code == 404
    assert at.owner.get("/rest/lastsync/?house=Hill").status_code == 400


def test_a_request_with_an_idempotency_key_is_done_once(at: Building) -> None:
    row, headers = reading(time="2023-11-18T00:00:00"), {"idempotency-key": "one"}
    first = at.owner.post("/rest/reading/", json=row, headers=headers)
    again = at.owner.post("/rest/reading/", json=row, headers=headers)
    assert (again.status_code, again.headers["location"]) == (201, first.headers["location"])
    assert at.miller.post("/rest/roomtype/", json={"name": "Bedroom"}, headers=headers).status_code == 200


def test_tables_are_listed_with_where_they_are(at: Building) -> None:
    tables = at.owner.get("/rest/").json()
    assert tables["SensorType"] == "/building/rest/sensortype/"
    assert at.owner.get(tables["Reading"]).status_code == 200
