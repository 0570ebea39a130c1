"""Three databases add up checksums of groups by themselves, and notice whatever changed in one."""

import itertools
import random
import struct
from collections import Counter
from collections.abc import Iterator

import pytest

from samesky.push.building import BUILDING
from samesky.push.checksums import read_checksums
from samesky.push.databases import Database
from samesky.push.digests import DAY_S, Group
from samesky.push.model import ColumnModel, Model, TableModel, ValueKind
from samesky.push.sql_words import TimeForm
from stands.push_centre import open_centre
from stands.push_site import DAY, PushSite, make_site

pytestmark = pytest.mark.slow
READING = BUILDING.table("Reading")
EVER = 4_000_000_000

NOTE = TableModel(
    name="note",
    columns=(
        ColumnModel("at", ValueKind.TIME, required=True),
        ColumnModel("node", ValueKind.INTEGER, required=True),
        ColumnModel("tag", ValueKind.TEXT, 20, required=True),
        ColumnModel("words", ValueKind.TEXT, 200),
        ColumnModel("until", ValueKind.TIME),
        ColumnModel("high", ValueKind.DOUBLE),
        ColumnModel("low", ValueKind.DOUBLE),
        ColumnModel("valid", ValueKind.FLAG),
    ),
    key=("at", "node", "tag"),
    append_only=True,
)


@pytest.fixture
def site(database_url: str) -> Iterator[PushSite]:
    with make_site(database_url) as made:
        yield made


def read(database: Database, from_s: int = 0, to_s: int = EVER, table: TableModel = READING) -> dict[Group, object]:
    with database.reading() as connection:
        return dict(read_checksums(connection, database.dialect, table, from_s=from_s, to_s=to_s))


def find_changed(before: dict[Group, object], after: dict[Group, object]) -> set[Group]:
    return {group for group in before.keys() | after.keys() if before.get(group) != after.get(group)}


def test_rows_are_counted_by_day_and_node(site: PushSite) -> None:
    rows = site.fill(3000)
    found = read(site.database)
    counts = Counter((int(str(row[0])) // DAY_S, row[1]) for row in rows)
    assert {group: told[0] for group, told in found.items()} == counts  # type: ignore[index]
    assert len({told[1] for told in found.values()}) == len(found)  # type: ignore[index]
    assert read(site.database) == found


def test_only_rows_between_the_times_count(site: PushSite) -> None:
    site.fill(3000)
    middle = DAY + DAY_S // 2
    whole, first, second = read(site.database), read(site.database, to_s=middle), read(site.database, middle)
    day = DAY // DAY_S
    assert first.keys() == {(day, node) for node in (69, 70, 71)}
    for group, (count, _) in whole.items():  # type: ignore[misc]
        parts = [part[group][0] for part in (first, second) if group in part]  # type: ignore[index]
        assert sum(parts) == count
    assert {g: told for g, told in second.items() if g[0] > day} == {g: told for g, told in whole.items() if g[0] > day}
    assert read(site.database, middle, middle) == {} == read(site.database, EVER - 1)
    assert sum(c for c, _ in read(site.database, middle, middle + 1).values()) == 9  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        "SET value = value + 1",
        "SET value = value * 1.0000002",
        "SET value = -value",
        "SET value = NULL",
        "SET value = 1e30",
        "SET value = 0.0000001",
        'SET "locationId" = 2',
        'SET "locationId" = NULL',
        "SET type = 5",
    ],
)
def test_a_change_of_one_row_is_noticed_in_its_group_alone(site: PushSite, change: str) -> None:
    site.fill(3000)
    before = read(site.database)
    time_text = "'2023-11-15 05:00:00.000000'" if site.database.dialect == "sqlite" else "'2023-11-15 05:00:00'"
    assert site.execute(f'UPDATE "Reading" {change} WHERE time = {time_text} AND "nodeId" = 70 AND type = 2') == 1
    assert find_changed(before, read(site.database)) == {(DAY // DAY_S, 70)}


def test_rows_that_come_go_move_and_exchange_their_values_are_noticed(site: PushSite) -> None:
    rows = site.fill(3000)
    last = "" if site.database.dialect != "sqlite" else ".000000"
    states = [read(site.database)]
    for statement in (
        f'DELETE FROM "Reading" WHERE time = \'2023-11-15 05:00:00{last}\' AND "nodeId" = 70 AND type = 2',
        f"INSERT INTO \"Reading\" VALUES ('2023-11-15 05:01:00{last}', 70, 2, 1, 20.5)",
        f"UPDATE \"Reading\" SET time = '2023-11-15 05:02:00{last}' WHERE time = '2023-11-15 05:01:00{last}'",
    ):
        assert site.execute(statement) == 1
        states.append(read(site.database))
    first, second = (row[4] for row in rows if row[:3] in ((DAY, 69, 0), (DAY + 600, 69, 0)))
    for minute, value in ((0, second), (10, first)):
        when = f"time = '2023-11-15 00:{minute:02}:00{last}' AND \"nodeId\" = 69 AND type = 0"
        assert site.execute(f'UPDATE "Reading" SET value = {value!r} WHERE {when}') == 1
    states.append(read(site.database))
    assert [find_changed(*pair) for pair in itertools.pairwise(states)] == [
        {(DAY // DAY_S, 70)},
        {(DAY // DAY_S, 70)},
        {(DAY // DAY_S, 70)},
        {(DAY // DAY_S, 69)},
    ]


def test_the_last_bit_of_a_float_and_integers_of_any_size_are_noticed(site: PushSite) -> None:
    state = BUILDING.table("NodeState")
    row = {"time": DAY, "nodeId": 69, "seq_num": 2**31 - 1, "parent": 5, "localtime": 1_700_000_000, "rssi": -80}
    rows = [{**row, "time": DAY + 10 * number, "localtime": 1_700_000_000 + 10 * number} for number in range(500)]
    site.insert("NodeState", *rows)
    before = read(site.database, table=state)
    for change in ({"localtime": row["localtime"] - 1}, {"rssi": -81}, {"rssi": None}, {"parent": 2**31 - 1}):
        site.replace("NodeState", {**row, **change})
        assert find_changed(before, read(site.database, table=state)) == {(DAY // DAY_S, 69)}, change
        site.replace("NodeState", row)
    assert read(site.database, table=state) == before
    for value in (0.0101318359375, 21.25, 1013.25, 101325.0, 7654321.0, -3.5e12):
        reading = {"time": DAY, "nodeId": 1, "type": 1, "locationId": 3, "value": value}
        others = [{**reading, "time": DAY + 60 * number, "type": 2} for number in range(300)]
        site.insert("Reading", reading, *others)
        before = read(site.database)
        ((mantissa,),) = struct.iter_unpack("<i", struct.pack("<f", value))
        site.replace("Reading", {**reading, "value": struct.unpack("<f", struct.pack("<i", mantissa + 1))[0]})
        assert find_changed(before, read(site.database)) == {(DAY // DAY_S, 1)}, value
        site.execute('DELETE FROM "Reading"')


def test_any_change_of_any_kind_of_column_is_noticed(database_url: str) -> None:
    chance = random.Random(7)
    draw = {
        "words": lambda: chance.choice([None, "", "a", "b", "ä", "ab" * chance.randrange(90)]),
        "until": lambda: chance.choice([None, DAY + chance.randrange(10**7)]),
        "high": lambda: chance.choice([None, chance.uniform(-1, 1), 1e12 + chance.random(), chance.uniform(-1e5, 1e5)]),
        "low": lambda: chance.choice([None, chance.uniform(-1, 1) * 1e-6, float(chance.randrange(100))]),
        "valid": lambda: chance.choice([None, 0, 1]),
    }
    rows = {
        (DAY + chance.randrange(DAY_S), node, tag): {name: make() for name, make in draw.items()}
        for node in (1, 2)
        for tag in ("x", "y", "ü")
        for _ in range(40)
    }
    with make_site(database_url, dimensions=False, model=Model("notes", (NOTE,))) as site:
        for (at, node, tag), values in rows.items():
            site.insert("note", {"at": at, "node": node, "tag": tag, **values})
        before = read(site.database, table=NOTE)
        for (at, node, tag), values in chance.sample(sorted(rows.items()), 25):
            name = chance.choice(list(draw))
            value = values[name]
            while value == values[name]:
                value = draw[name]()
            row = {"at": at, "node": node, "tag": tag, **values}
            site.replace("note", row | {name: value})
            found = read(site.database, table=NOTE)
            assert find_changed(before, found) == {(DAY // DAY_S, node)}, (name, values[name], value)
            site.replace("note", row)
            assert read(site.database, table=NOTE) == before


def test_times_may_be_numbers(database_url: str) -> None:
    with Database(database_url) as database:
        with database.writing() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE archive (at BIGINT, node INTEGER, value FLOAT, PRIMARY KEY (at, node))"
            )
            for at in range(DAY, DAY + 2 * DAY_S, 3600):
                connection.exec_driver_sql(f"INSERT INTO archive VALUES ({at}, 1, {at % 97})")
        key = tuple(ColumnModel(name, ValueKind.INTEGER) for name in ("at", "node"))
        value = ColumnModel("value", ValueKind.DOUBLE)
        table = TableModel(name="archive", columns=(*key, value), key=("at", "node"), append_only=True)
        with database.reading() as connection:
            found = read_checksums(
                connection, database.dialect, table, from_s=DAY + 3600, to_s=EVER, form=TimeForm.EPOCH
            )
        assert {group: told[0] for group, told in found.items()} == {(DAY // DAY_S, 1): 23, (DAY // DAY_S + 1, 1): 24}


def test_at_the_centre_each_site_has_its_own(database_url: str) -> None:
    with open_centre(database_url), Database(database_url) as database:
        into = 'INSERT INTO "Reading" ("siteId", time, "nodeId", type, value)'
        if database.dialect == "mysql":
            into = into.replace('"', "`")
        with database.writing() as connection:
            for site, value in ((1, 20.5), (2, 20.5), (3, 21.5)):
                connection.exec_driver_sql(f"{into} VALUES ({site}, '2023-11-15 00:00:00', 69, 1, {value})")
        with database.reading() as connection:
            one, two, three, four = (
                read_checksums(connection, database.dialect, READING, from_s=0, to_s=EVER, site_id=site)
                for site in (1, 2, 3, 4)
            )
    assert one == two != three
    assert one.keys() == {(DAY // DAY_S, 69)}
    assert four == {}
