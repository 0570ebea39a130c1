"""Models that users describe in samesky.toml."""

import tomllib
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from samesky.config import Findings
from samesky.push.building import BUILDING
from samesky.push.described import check_model, read_model
from samesky.push.keys import Scope
from samesky.push.model import ColumnModel, Model, TableModel, ValueKind
from stands.push_pair import PushPair
from stands.push_server import PushServer
from stands.push_site import DAY, make_site

RIVERS = """
[push.model]
name = "rivers"

[[push.model.table]]
name = "Station"
natural_key = ["name"]
active_until = "closed"
columns = { id = "integer", name = "text(80) required", closed = "time" }

[[push.model.table]]
name = "Level"
append_only = true
key = ["time", "stationId"]
references = { stationId = "Station" }
columns = { time = "time", stationId = "integer", level = "double", doubtful = "flag" }
"""


def read(text: str) -> tuple[Model, list[str]]:
    findings = Findings()
    model = read_model(tomllib.loads(text)["push"].get("model"), findings)
    return model, [str(finding) for finding in findings.errors]


def find_mistakes(model: Model) -> str:
    findings = Findings()
    check_model(model, findings)
    return "\n".join(map(str, findings.errors))


def with_table(changed: str, **changes: object) -> Model:
    """The seed's model with one table changed."""
    return Model(
        "changed", tuple(replace(table, **changes) if table.name == changed else table for table in BUILDING.tables)
    )


def test_a_model_is_read_as_it_is_described() -> None:
    model, mistakes = read(RIVERS)
    assert mistakes == []
    assert model == Model(
        "rivers",
        (
            TableModel(
                name="Station",
                columns=(
                    ColumnModel("id", ValueKind.INTEGER),
                    ColumnModel("name", ValueKind.TEXT, 80, required=True),
                    ColumnModel("closed", ValueKind.TIME),
                ),
                natural_key=("name",),
                active_until="closed",
            ),
            TableModel(
                name="Level",
                columns=(
                    ColumnModel("time", ValueKind.TIME),
                    ColumnModel("stationId", ValueKind.INTEGER),
                    ColumnModel("level", ValueKind.DOUBLE),
                    ColumnModel("doubtful", ValueKind.FLAG),
                ),
                key=("time", "stationId"),
                references=MappingProxyType({"stationId": "Station"}),
                append_only=True,
                of_site=True,
            ),
        ),
    )


def test_without_a_description_the_model_is_the_seeds() -> None:
    assert read("[push]") == (BUILDING, [])


def test_the_seeds_model_can_be_pushed() -> None:
    assert find_mistakes(BUILDING) == ""


def test_every_mistake_of_a_description_is_told_at_once() -> None:
    _, mistakes = read(
        """
        [[push.model.table]]
        name = 5
        colums = { id = "integer" }
        append_only = "yes"

        [[push.model.table]]
        name = "Level"
        key = "time"
        columns = { time = "datetime", level = "double(3)", name = 7 }

        [[push.model.table]]
        name = "Gauge"
        columns = { time = "datetime", level = "double(3)", note = "text(0)" }
        """
    )
    told = "\n".join(mistakes)
    for words in (
        "table 1 (5): colums is no option; did you mean columns?",
        "name should be a name in quotes",
        "append_only should be true or false",
        "columns are missing",
        "table 2 (Level): key should be a list of columns",
        "table 2 (Level): columns should be a table of texts",
        "table 3 (Gauge): column time = 'datetime' should be integer, double",
        "table 3 (Gauge): column level = 'double(3)' should be",
        "table 3 (Gauge): column note = 'text(0)' should be",
    ):
        assert words in told


@pytest.mark.parametrize("text", ["[push]\nmodel = 5", "[push.model]\nname = 'x'", "[push.model]\ntable = []"])
def test_a_model_without_tables_is_a_mistake(text: str) -> None:
    assert "at least one [[push.model.table]]" in read(text)[1][0]


@pytest.mark.parametrize(
    ("table", "changes", "words"),
    [
        ("Room", {"natural_key": ()}, "natural_key is missing"),
        ("Room", {"natural_key": ("nam",)}, "natural_key has nam, which is no column"),
        ("Room", {"natural_key": ("name", "name")}, "natural_key has a column twice"),
        ("Room", {"key": ("name",)}, 'must have the key ["id"]'),
        ("Room", {"keeps_id": True}, "keeps_id needs of_site"),
        ("Room", {"natural_key": ("id",)}, "need each other"),
        ("House", {"active_until": "address"}, "active_until must be a time"),
        ("SensorType", {"natural_key": ("c0",)}, "c0 is a double"),
        ("Room", {"references": {"roomTypeId": "Location"}}, "described before this one"),
        ("Room", {"references": {"roomTypeId": "Room"}}, "described before this one"),
        ("Room", {"references": {"name": "RoomType"}}, "must be an integer other than id"),
        ("NodeState", {"references": {"parent": "Reading"}}, "append_only and has no id"),
        ("Sensor", {"of_site": False}, "must have of_site = true as well"),
        ("Reading", {"of_site": False}, "rows of two sites would become one"),
        ("Reading", {"key": ("nodeId", "time")}, "must be its time"),
        ("Reading", {"key": ("time",)}, "must be its time"),
        ("Reading", {"key": ("time", "value")}, "second column must be an integer"),
        ("Reading", {"natural_key": ("time",)}, "mean nothing in an append_only table"),
        ("Room", {"name": "Server"}, "a table can't be called server"),
        ("Room", {"name": "samesky_run"}, "a table can't be called samesky_run"),
        ("Room", {"name": "house"}, "2 tables called house"),
        ("Room", {"name": "a b"}, "'a b': a table or column name must be"),
        (
            "NodeType",
            {"columns": (*BUILDING.table("NodeType").columns, ColumnModel("SITEID", ValueKind.INTEGER))},
            "siteid",
        ),
        ("NodeType", {"columns": BUILDING.table("NodeType").columns * 2}, "2 columns called blink"),
        ("RoomType", {"columns": (ColumnModel("id", ValueKind.INTEGER), ColumnModel("name", ValueKind.TEXT))}, "bound"),
        (
            "RoomType",
            {"columns": (ColumnModel("id", ValueKind.INTEGER), ColumnModel("name", ValueKind.TEXT, 5000))},
            "4000",
        ),
    ],
)
def test_what_cannot_be_pushed_is_told(table: str, changes: dict[str, object], words: str) -> None:
    assert words.lower() in find_mistakes(with_table(table, **changes)).lower()


def test_a_model_of_dimensions_alone_is_a_mistake() -> None:
    assert "nothing to push" in find_mistakes(Model("x", tuple(BUILDING.dimensions())))


@pytest.mark.slow
def test_what_is_described_is_pushed_mapped_and_proven(tmp_path: Path) -> None:
    model, _ = read(RIVERS)
    stations = {"hill": {1: "Upper weir", 2: "Mill"}, "harbour": {1: "Mill", 2: "Quay"}}
    with PushServer(f"sqlite:///{tmp_path / 'central.db'}", model=model) as server:
        everything = server.client(server.make_key(None, Scope.READ))
        for name, named in stations.items():
            folder = tmp_path / name
            folder.mkdir()
            url = f"sqlite:///{folder / 'site.db'}"
            with make_site(url, dimensions=False, model=model) as site:
                site.insert("Station", *({"id": number, "name": each} for number, each in named.items()))
                levels = [
                    {
                        "time": DAY + hour * 3600,
                        "stationId": number,
                        "level": len(each) + hour / 8,
                        "doubtful": hour % 2,
                    }
                    for number, each in named.items()
                    for hour in range(30)
                ]
                site.insert("Level", *levels)
                report = PushPair(site, server, folder, database=url, model=model, lag_window_s=0).run()
            level = report.tables["Level"]
            assert (level.accepted, level.trouble) == (60, None)
            assert level.proof is not None
            assert (level.proof.same, level.proof.rows) == (True, 60)
        ids = {row["id"]: row["name"] for row in everything.get("/rest/station/").json()}
        assert sorted(ids.values()) == ["Mill", "Quay", "Upper weir"]
        mean = {(ids[row["stationId"]], row["level"], row["doubtful"]) for row in everything.get("/rest/level/").json()}
    assert mean == {(name, len(name) + hour / 8, bool(hour % 2)) for name in ids.values() for hour in range(30)}
