"""The seed's schema: deployments, houses, rooms, sensor nodes and their readings (seed 003)."""

from types import MappingProxyType

from .model import ColumnModel, Model, TableModel, ValueKind


def _integer(name: str, *, required: bool = False) -> ColumnModel:
    return ColumnModel(name, ValueKind.INTEGER, required=required)


def _text(name: str, size: int, *, required: bool = False) -> ColumnModel:
    return ColumnModel(name, ValueKind.TEXT, size, required)


def _time(name: str, *, required: bool = False) -> ColumnModel:
    return ColumnModel(name, ValueKind.TIME, required=required)


def _double(name: str) -> ColumnModel:
    return ColumnModel(name, ValueKind.DOUBLE)


_ID = _integer("id", required=True)

BUILDING = Model(
    "building",
    (
        TableModel(
            name="Deployment",
            columns=(_ID, _text("name", 255), _text("description", 255), _time("startDate"), _time("endDate")),
            natural_key=("name",),
            active_until="endDate",
        ),
        TableModel(
            name="House",
            columns=(_ID, _integer("deploymentId"), _text("address", 255), _time("startDate"), _time("endDate")),
            natural_key=("address", "deploymentId"),
            references=MappingProxyType({"deploymentId": "Deployment"}),
            active_until="endDate",
        ),
        TableModel(name="RoomType", columns=(_ID, _text("name", 20)), natural_key=("name",)),
        TableModel(
            name="Room",
            columns=(_ID, _integer("roomTypeId"), _text("name", 20)),
            natural_key=("name", "roomTypeId"),
            references=MappingProxyType({"roomTypeId": "RoomType"}),
        ),
        TableModel(
            name="Location",
            columns=(_ID, _integer("houseId"), _integer("roomId")),
            natural_key=("houseId", "roomId"),
            references=MappingProxyType({"houseId": "House", "roomId": "Room"}),
        ),
        TableModel(
            name="NodeType",
            columns=(
                _ID,
                _text("name", 20),
                _time("time"),
                _integer("seq"),
                _integer("updated_seq"),
                _integer("period"),
                ColumnModel("blink", ValueKind.FLAG),
                _text("configured", 10),
            ),
            natural_key=("name",),
        ),
        TableModel(
            name="Node",
            columns=(_ID, _integer("locationId"), _integer("nodeTypeId")),
            natural_key=("id",),
            references=MappingProxyType({"locationId": "Location", "nodeTypeId": "NodeType"}),
            of_site=True,
            keeps_id=True,
        ),
        TableModel(
            name="SensorType",
            columns=(
                _ID,
                _text("name", 255),
                _text("code", 50),
                _text("units", 20),
                _double("c0"),
                _double("c1"),
                _double("c2"),
                _double("c3"),
                ColumnModel("active", ValueKind.FLAG),
            ),
            natural_key=("name", "code", "units"),
        ),
        TableModel(
            name="Sensor",
            columns=(
                _ID,
                _integer("sensorTypeId"),
                _integer("nodeId"),
                _double("calibrationSlope"),
                _double("calibrationOffset"),
            ),
            natural_key=("nodeId", "sensorTypeId"),
            references=MappingProxyType({"sensorTypeId": "SensorType", "nodeId": "Node"}),
            of_site=True,
        ),
        TableModel(
            name="Reading",
            columns=(
                _time("time", required=True),
                _integer("nodeId", required=True),
                _integer("type", required=True),
                _integer("locationId"),
                _double("value"),
            ),
            key=("time", "nodeId", "type"),
            references=MappingProxyType({"nodeId": "Node", "type": "SensorType", "locationId": "Location"}),
            append_only=True,
            of_site=True,
        ),
        TableModel(
            name="NodeState",
            columns=(
                _time("time", required=True),
                _integer("nodeId", required=True),
                _integer("seq_num", required=True),
                _integer("parent"),
                _integer("localtime"),
                _integer("rssi"),
            ),
            key=("time", "nodeId", "seq_num"),
            references=MappingProxyType({"nodeId": "Node"}),
            append_only=True,
            of_site=True,
        ),
    ),
)
