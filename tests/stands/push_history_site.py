"""What happens in a site's database in a history: readings come, and people change what the readings are of."""

import random
from typing import Any

from samesky.push.building import BUILDING
from samesky.push.digests import DAY_S

from .push_history_ends import HistorySite, Row

READING, NODE_STATE = BUILDING.table("Reading"), BUILDING.table("NodeState")
NAMES = ("Bed", "Bath", "Hall", "Loft", None)
NAMED = {"RoomType": "name", "Room": "name", "SensorType": "name", "House": "address", "Deployment": "name"}
"""Tables whose rows people name, and the column of the name."""


class SiteLife:
    """Changes ``site`` as ``rng`` will have it; each change leaves a database whose references are sound."""

    def __init__(self, site: HistorySite, rng: random.Random) -> None:
        self._site = site
        self._rng = rng
        self._changes = (
            *[self._add_readings] * 8,
            *[self._add_late] * 3,
            *[self._correct] * 2,
            self._delete_reading,
            self._poison,
            *[self._rename] * 2,
            self._swap_names,
            self._renumber,
            self._reuse,
            self._double,
            self._move_node,
            self._end_house,
            self._add_node,
        )

    def begin(self, now: float) -> None:
        """The rows that a site begins with: two sites have other ids for the same, and equal node numbers."""
        self._add("Deployment", name="Trial", description=None, startDate=None, endDate=None)
        for address in self._rng.sample(["1 High St", "2 Low St", "Bath"], 2):
            deployment = self._rng.choice([None, *self._ids("Deployment")])
            self._add("House", deploymentId=deployment, address=address, startDate=0, endDate=None)
        for name in self._rng.sample(NAMES, 3):
            self._add("RoomType", name=name)
            self._add("Room", roomTypeId=self._rng.choice([None, *self._ids("RoomType")]), name=name)
            self._add("SensorType", name=name, code=None, units="C", c0=1, c1=None, c2=None, c3=None, active=1)
        for _ in range(4):
            self._add_location()
        for number in (69, 70):
            self._add_node(number)
        self.change(now)

    def change(self, now: float) -> None:
        """One change."""
        self._now = int(now)
        self._rng.choice(self._changes)()

    def mend(self, now: float) -> None:
        """Everything that a person would be told to mend: two rows with one name, values that are no numbers."""
        self._now = int(now)
        for table, column in NAMED.items():
            seen: set[tuple[Any, ...]] = set()
            for id, row in self._rows(table).items():
                key = tuple(row[name] for name in BUILDING.table(table).natural_key)
                if key in seen:
                    row[column] = f"{row[column]} {id}"
                seen.add(key)
        for key, row in list(self._site.growing["Reading"].items()):
            if row[4] in (float("inf"), -float("inf")):
                self._site.put(READING, (*key, row[3], 0.5))

    # ------------------------------------------------------------------ readings

    def _add_readings(self) -> None:
        time = self._now - self._rng.randint(0, 30)
        for _ in range(self._rng.randint(1, 6)):
            self._put_reading(time + self._rng.randint(0, 2))
        node = self._rng.choice(self._ids("Node"))
        self._site.put(NODE_STATE, (time, node, self._rng.randint(0, 3), None, time, self._rng.randint(-90, -30)))

    def _add_late(self) -> None:
        self._put_reading(self._now - self._rng.choice([60, 3600, DAY_S, 40 * DAY_S]))

    def _put_reading(self, time: int) -> None:
        node, type = self._rng.choice(self._ids("Node")), self._rng.choice(self._ids("SensorType"))
        value = self._rng.choice([None, -0.5, 21, self._rng.random()])
        location = self._rows("Node")[node]["locationId"]
        if (time, node, type) not in self._site.growing["Reading"]:
            self._site.put(READING, (time, node, type, location, value))

    def _correct(self) -> None:
        if row := self._pick_reading():
            self._site.put(READING, (*row[:4], self._rng.random()))

    def _delete_reading(self) -> None:
        if row := self._pick_reading():
            del self._site.growing["Reading"][row[:3]]

    def _poison(self) -> None:
        if (row := self._pick_reading()) and self._rng.random() < 0.3:
            self._site.put(READING, (*row[:4], float("inf")))

    def _pick_reading(self) -> tuple[Any, ...] | None:
        rows = self._site.growing["Reading"]
        return rows[self._rng.choice(sorted(rows))] if rows else None

    # ------------------------------------------------------------------ what they are of

    def _rename(self) -> None:
        table, id = self._pick_named()
        self._try(table, id, **{NAMED[table]: self._rng.choice(NAMES)})

    def _swap_names(self) -> None:
        table, one = self._pick_named()
        other, column = self._rng.choice(self._ids(table)), NAMED[table]
        rows = self._rows(table)
        rows[one][column], rows[other][column] = rows[other][column], rows[one][column]

    def _renumber(self) -> None:
        """A row gets another id, and what refers to it follows: it was deleted and made again."""
        table, id = self._pick_named()
        new = self._new_id(table)
        self._rows(table)[new] = self._rows(table).pop(id) | {"id": new}
        for other in BUILDING.tables:
            for column, parent in other.references.items():
                if parent == table:
                    self._refer(other.name, column, id, new)

    def _refer(self, table: str, column: str, old: int, new: int) -> None:
        for row in self._site.dimensions.get(table, {}).values():
            if row[column] == old:
                row[column] = new
        if table in self._site.growing:
            model, place = BUILDING.table(table), BUILDING.table(table).names.index(column)
            for key, row in list(self._site.growing[table].items()):
                if row[place] == old:
                    del self._site.growing[table][key]
                    self._site.put(model, (*row[:place], new, *row[place + 1 :]))

    def _reuse(self) -> None:
        """An id is given to something new, and what it stood for is another row now: a table was typed in again."""
        table, id = self._pick_named()
        new = self._new_id(table)
        self._rows(table)[new] = self._rows(table)[id] | {"id": new}
        self._rows(table)[id][NAMED[table]] = f"new {self._rng.randint(0, 99)}"

    def _double(self) -> None:
        """Two rows have one name for a while; readings may be of either."""
        table, id = self._pick_named()
        if self._rng.random() < 0.5:
            new = self._new_id(table)
            self._rows(table)[new] = self._rows(table)[id] | {"id": new}

    def _move_node(self) -> None:
        node = self._rng.choice(self._ids("Node"))
        self._rows("Node")[node]["locationId"] = self._rng.choice([None, *self._ids("Location")])

    def _end_house(self) -> None:
        house = self._rng.choice(self._ids("House"))
        self._rows("House")[house]["endDate"] = self._rng.choice([None, self._now - DAY_S, self._now + DAY_S])

    def _add_node(self, number: int = 0) -> None:
        number = number or self._rng.randint(60, 80)
        if number not in self._ids("Node"):
            location = self._rng.choice([None, *self._ids("Location")])
            self._rows("Node")[number] = {"id": number, "locationId": location, "nodeTypeId": None}
            type = self._rng.choice(self._ids("SensorType"))
            self._add("Sensor", sensorTypeId=type, nodeId=number, calibrationSlope=1.0, calibrationOffset=0)

    def _add_location(self) -> None:
        house, room = self._rng.choice(self._ids("House")), self._rng.choice([None, *self._ids("Room")])
        if (house, room) not in [(row["houseId"], row["roomId"]) for row in self._rows("Location").values()]:
            self._add("Location", houseId=house, roomId=room)

    # ------------------------------------------------------------------ rows

    def _pick_named(self) -> tuple[str, int]:
        table = self._rng.choice(list(NAMED))
        return table, self._rng.choice(self._ids(table))

    def _try(self, table: str, id: int, **values: Any) -> None:
        """Change a row, unless two would have one natural key then."""
        row = self._rows(table)[id]
        keys = BUILDING.table(table).natural_key
        wanted = [(row | values)[name] for name in keys]
        if all([other[name] for name in keys] != wanted for other in self._rows(table).values()):
            row |= values

    def _add(self, table: str, **values: Any) -> int:
        id = self._new_id(table)
        self._rows(table)[id] = {"id": id, **values}
        return id

    def _new_id(self, table: str) -> int:
        id = max([0, *self._ids(table)]) + self._rng.randint(1, 3)
        return id

    def _ids(self, table: str) -> list[int]:
        return sorted(self._rows(table))

    def _rows(self, table: str) -> dict[int, Row]:
        return self._site.dimensions[table]
