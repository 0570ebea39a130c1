"""What the original got wrong, fault by fault: the naive way fails here, and ours passes on the same rows."""

import http.client
import json
import shutil
import sqlite3
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from samesky.cli.main import main
from samesky.demo.push_sites import DAY_S, PLACES, STEP_S, Place, add_readings, remove_readings, write_site
from samesky.push.keys import Scope
from stands import push_original as original
from stands.mariadb import MariadbServer
from stands.push_bulk import make_tables, mariadb_url
from stands.push_centre import PushedSite, open_centre
from stands.push_meaning import read_meaning, read_readings
from stands.push_runs import SiteCommands
from stands.push_serving import ServedCentre
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

HILLSIDE, HARBOUR = PLACES
NOW_S = 19_676 * DAY_S  # a midnight that has been; nothing here depends on which


class Pushing:
    """A site with a SQLite database, and how it pushes to the centre, in this process."""

    def __init__(self, folder: Path, centre: ServedCentre, place: Place, *, days: int = 1, **options: str) -> None:
        folder.mkdir()
        self.place = place
        self.path = folder / "site.db"
        self.count = write_site(self.path, place, days=days, until_s=NOW_S)
        key = centre.add_site(place.name)
        self.site = SiteCommands(folder, f"sqlite:///{self.path}", centre_url=centre.url, key=key, **options)

    def push(self, status: int = 0) -> None:
        assert main(["push", "run", "--config", str(self.site.config)]) == status

    def end_after(self, condition: Callable[[], bool]) -> None:
        """Begin a push, and end it once that is so; it mustn't end by itself, nor end well."""
        running = self.site.launch("run")
        wait_for(condition, 60, explain=lambda: running.text)
        assert running.process.poll() is None
        running.process.terminate()
        finished = running.wait(60)
        assert finished.status not in (0, 70), str(finished)

    def execute(self, *statements: str) -> list[dict[str, Any]]:
        """Do this in the site's database; returns the rows of the last."""
        return execute(self.path, *statements)

    def is_the_same_at(self, centre: ServedCentre) -> bool:
        """Whether every reading means the same there."""
        return read_meaning(self.site.database_url) == read_meaning(centre.database_url, site=self.place.name)


def name_place(place: Place, name: str) -> Place:
    """A place with a house of its own: what sites share nobody may change, and each begins another day."""
    return replace(place, name=name, deployment=f"The {name} study", address=f"1 {name} Road")


def execute(path: Path, *statements: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return [dict(row) for row in rows]


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedCentre]:
    """One centre for all tests here that don't break it; each test has sites of its own."""
    folder = tmp_path_factory.mktemp("centre")
    with ServedCentre(folder, f"sqlite:///{folder / 'central.db'}") as running:
        yield running


@pytest.fixture
def make_site(tmp_path: Path, centre: ServedCentre) -> Callable[..., Pushing]:
    """Makes sites; each needs a name that no other test has."""

    def make(name: str, place: Place = HILLSIDE, **options: Any) -> Pushing:
        return Pushing(tmp_path / name, centre, name_place(place, name), **options)

    return make


def read_central(centre: ServedCentre, statement: str) -> list[dict[str, Any]]:
    return execute(Path(centre.database_url.removeprefix("sqlite:///")), statement)


# ------------------------------------------------------------------ the map


def test_equal_names_with_other_ids_keep_their_meaning(make_site: Callable[..., Pushing], centre: ServedCentre) -> None:
    hill, harbour = make_site("map-hill", HILLSIDE), make_site("map-harbour", HARBOUR)
    hill.push()
    types, rooms = harbour.execute("SELECT * FROM RoomType"), harbour.execute("SELECT * FROM Room")
    remote = read_central(centre, "SELECT * FROM RoomType")
    mapped = original.map_by_name(types, remote)
    assert mapped[1] == 1  # the harbour's kitchen is the hillside's bedroom
    named = {row["id"]: row["name"] for row in remote}
    kitchen = next(row for row in original.translate(rooms, "roomTypeId", mapped) if row["name"] == "Kitchen")
    assert named[kitchen["roomTypeId"]] == "Bedroom"

    harbour.push()
    assert hill.is_the_same_at(centre)
    assert harbour.is_the_same_at(centre)


def test_node_69_of_two_sites_stays_two_nodes(make_site: Callable[..., Pushing], centre: ServedCentre) -> None:
    one, other = make_site("one-69", HILLSIDE), make_site("other-69", HARBOUR)
    naive = original.OriginalCentre()
    for site in (one, other):
        rows = site.execute("SELECT time, nodeId, type, locationId, value + 0.125 AS value FROM Reading")
        naive.store([tuple(row.values()) for row in rows])
    assert len(naive.read_values()) < one.count + other.count  # of every time of node 69 one value is gone

    one.push()
    other.push()
    assert one.is_the_same_at(centre)
    assert other.is_the_same_at(centre)
    nodes = read_central(
        centre,
        "SELECT Node.id, samesky_site.name FROM Node JOIN samesky_site ON samesky_site.id = Node.siteId"
        " WHERE Node.id = 69 AND samesky_site.name LIKE '%-69' ORDER BY samesky_site.name",
    )
    assert [tuple(node.values()) for node in nodes] == [(69, "one-69"), (69, "other-69")]


def test_a_map_does_not_outlive_the_restore_of_a_centre(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    database, backup = folder / "central.db", tmp_path / "backup.db"
    with ServedCentre(folder, f"sqlite:///{database}") as centre:
        first = Pushing(tmp_path / "first", centre, name_place(HILLSIDE, "first"))
        second = Pushing(tmp_path / "second", centre, name_place(HARBOUR, "second"))
        centre.stop()
        execute(database, "PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(database, backup)
        centre.start()
        first.push()
        found = execute(database, "SELECT id, name FROM RoomType")
        cached = {
            row["id"]: next(each["id"] for each in found if each["name"] == row["name"])
            for row in first.execute("SELECT id, name FROM RoomType")
        }
        centre.stop()
        for path in folder.glob("central.db*"):
            path.unlink()
        shutil.copy(backup, database)
        centre.start()
        second.push()
        named = {row["id"]: row["name"] for row in execute(database, "SELECT id, name FROM RoomType")}
        rooms = original.translate(first.execute("SELECT * FROM Room"), "roomTypeId", cached)
        assert named[next(room["roomTypeId"] for room in rooms if room["name"] == "Master bedroom")] != "Bedroom"

        first.push()
        assert first.is_the_same_at(centre)
        assert second.is_the_same_at(centre)


# ------------------------------------------------------------------ rows


def test_no_row_is_lost_where_a_page_ends_within_a_second(
    make_site: Callable[..., Pushing], centre: ServedCentre
) -> None:
    site = make_site("page-ends", target_options="page_rows = 100")
    with closing(sqlite3.connect(site.path)) as connection:
        naive = sum(map(len, original.read_pages_by_time(connection, 100)))
    assert naive < site.count  # nine rows have the same time; a hundred isn't a multiple of nine

    site.push()
    assert site.is_the_same_at(centre)


def test_rows_that_come_late_are_sent(make_site: Callable[..., Pushing], centre: ServedCentre) -> None:
    site = make_site("late", days=4)
    with closing(sqlite3.connect(site.path)) as connection, connection:
        day = (NOW_S - 3 * DAY_S, NOW_S - 2 * DAY_S)
        remove_readings(connection, 70, from_s=day[0], until_s=day[1])
        connection.execute("UPDATE Reading SET value = -1 WHERE nodeId = 69 AND time < ?", (told(day[0]),))
    site.push()
    assert site.is_the_same_at(centre)
    with closing(sqlite3.connect(site.path)) as connection, connection:
        (newest,) = connection.execute("SELECT max(time) FROM Reading").fetchone()
        added = add_readings(connection, site.place, from_s=day[0], until_s=day[1], nodes=[70])
        connection.execute("UPDATE Reading SET value = 19.5 WHERE nodeId = 69 AND value = -1")
        naive = sum(map(len, original.read_pages_by_time(connection, 1000, after=newest)))
    assert added == DAY_S // STEP_S * 3
    assert naive == 0

    site.push()
    assert site.is_the_same_at(centre)


def test_a_float_of_mariadb_arrives_with_all_its_digits(
    tmp_path: Path, centre: ServedCentre, mariadb: MariadbServer
) -> None:
    database = mariadb.create_database()
    url = mariadb_url(database)
    write_mariadb_site(mariadb, database.name, values=(1234567.75, 0.1, 16777216.0))
    told_values = mariadb.execute(f"SELECT value FROM {database.name}.Reading ORDER BY time")
    assert told_values[0][0] == 1234570.0  # the naive way

    site = SiteCommands(tmp_path / "site", url, centre_url=centre.url, key=centre.add_site("float"))
    assert main(["push", "run", "--config", str(site.config)]) == 0
    assert read_meaning(url) == read_meaning(centre.database_url, site="float")
    values = [row[-1] for row in sorted(read_readings(centre.database_url, site="float"))]
    assert values == [1234567.75, 0.10000000149011612, 16777216.0]


def write_mariadb_site(mariadb: MariadbServer, name: str, *, values: tuple[float, ...]) -> None:
    """A site of one node, its values in FLOAT as the original's are."""
    make_tables(mariadb, name)
    mariadb.execute(
        f"INSERT INTO {name}.SensorType (id, name) VALUES (1, 'Pressure')",
        f"INSERT INTO {name}.Node (id) VALUES (69)",
        *(
            f"INSERT INTO {name}.Reading (time, nodeId, type, value)"
            f" VALUES ('2026-01-01' + INTERVAL {number} HOUR, 69, 1, {value!r})"
            for number, value in enumerate(values)
        ),
    )


def told(moment_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment_s))


# ------------------------------------------------------------------ the link


class Stubborn(ThreadingHTTPServer):
    """Answers everything with one status; with none it never answers."""

    daemon_threads = True

    def __init__(self, status: int | None) -> None:
        ended = self.ended = threading.Event()
        asked = self.asked = list[str]()

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                asked.append(self.path)
                if status is None:
                    ended.wait()
                    return
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Answering)

    def __enter__(self) -> "Stubborn":
        threading.Thread(target=self.serve_forever, name="stubborn server", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.mark.parametrize("status", [404, 413])
def test_a_refusal_is_not_taken_for_success(
    status: int, make_site: Callable[..., Pushing], centre: ServedCentre
) -> None:
    site = make_site(f"status-{status}")
    whole = site.site.config.read_text()
    with Stubborn(status) as server:
        assert original.post(server.server_port, "/rest/bulk/", b"[]")  # "sent"

        site.site.config.write_text(whole.replace(centre.url, server.url))
        finished = site.site.call("run", deadline_s=60)
        assert finished.status in (2, 4), str(finished)
        assert "Traceback" not in finished.errors
    site.site.config.write_text(whole)
    site.push()
    assert site.is_the_same_at(centre)


def test_a_bad_gateway_is_not_taken_for_success_but_tried_again(
    make_site: Callable[..., Pushing], centre: ServedCentre
) -> None:
    site = make_site("status-502")
    whole = site.site.config.read_text()
    with Stubborn(502) as server:
        assert original.post(server.server_port, "/rest/bulk/", b"[]")
        site.site.config.write_text(whole.replace(centre.url, server.url))
        site.end_after(lambda: len(server.asked) >= 1 + 2)
    site.site.config.write_text(whole)
    site.push()
    assert site.is_the_same_at(centre)


def test_a_server_that_never_answers_is_given_up_and_asked_again(
    make_site: Callable[..., Pushing], centre: ServedCentre
) -> None:
    site = make_site("silence", target_options="timeout_s = 1")
    text = site.site.config.read_text()

    def push_naively() -> None:
        with suppress(http.client.HTTPException, OSError):  # at the end of the test
            original.post(server.server_port, "/rest/bulk/", b"[]")

    with Stubborn(None) as server:
        naive = threading.Thread(target=push_naively, name="original", daemon=True)
        naive.start()
        site.site.config.write_text(text.replace(centre.url, server.url))
        site.end_after(lambda: len(server.asked) >= 1 + 2)
        assert naive.is_alive()  # it began before, and would wait for ever
    naive.join()


# ------------------------------------------------------------------ filters and duplicates


def test_a_filter_keeps_underscores_and_none(make_site: Callable[..., Pushing], centre: ServedCentre) -> None:
    site = make_site("filters")
    site.execute(
        "INSERT INTO Room VALUES (90, 1, 'attic'), (91, 1, 'attic_room')",
        "INSERT INTO Location VALUES (91, 1, NULL)",  # the house as a whole
        "UPDATE Node SET locationId = 91 WHERE id = 69",
    )
    assert original.read_filter("name=attic_room") == ("name", "attic")
    with closing(sqlite3.connect(site.path)) as connection:
        found = original.find_location(connection, houseId=1, roomId=None)
    assert found is not None
    assert found["roomId"] is not None  # a room of the house, not the house

    site.push()
    key = centre.add_key("filters", Scope.READ)

    def ask(table: str, **columns: object) -> list[dict[str, Any]]:
        answer = centre.get(f"/rest/{table}/?{urllib.parse.urlencode(columns)}", key=key)
        assert isinstance(answer, list), json.dumps(answer)
        return answer

    (house,) = ask("house", address=site.place.address)
    (whole,) = ask("location", houseId=house["id"], roomId="null")
    assert whole["roomId"] is None
    (node,) = ask("node", id=69)
    assert node["locationId"] == whole["id"]
    assert [room["name"] for room in ask("room", name="attic_room")] == ["attic_room"]


def test_one_duplicate_in_a_page_costs_at_most_one_statement(database_url: str) -> None:
    rows = [(NOW_S + number, 69, 0, None, number / 8) for number in range(-6001, 0)]
    naive = original.OriginalCentre()
    naive.store(rows[:2000])
    assert naive.transactions == 1
    naive.store(rows[1999:4000])
    assert naive.transactions == 1 + 1 + 2001

    with open_centre(database_url) as central:
        site, statements = PushedSite(central), []
        event.listen(central.database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        site.push(rows[:2000])
        statements.clear()
        assert site.push(rows[2000:4000]).accepted == 2000
        without = len(statements)
        statements.clear()
        stored = site.push(rows[3999:6000])
        assert (stored.accepted, stored.duplicate, stored.changed) == (2000, 1, 0)
        assert len(statements) <= without + 1
