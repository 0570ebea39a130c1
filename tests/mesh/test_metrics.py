"""A peer's status in Prometheus' text format holds what the status holds."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from samesky.core.strict import Reason
from samesky.mesh.metrics import render_metrics
from samesky.mesh.status import Lag, MeshStatus, NeighbourStatus
from stands.prometheus_rules import find_mistakes

FIRST = NeighbourStatus(
    name="mqtt://guest@blacklab",
    state="live",
    received=12,
    fetched=7,
    inlined=2,
    size_bytes=14_000,
    failed=1,
    skipped={"same": 3},
    refused={Reason.PATH: 1, 'odd "one"\n': 2},
    lag=Lag(9, 0.01, 0.02, 0.03),
    queue=4,
    late=1,
    same=False,
    lacking=5,
    proven_at=1_700_000_000.0,
)
SECOND = NeighbourStatus(name="mqtt://guest@cwnp", state="disconnected")
STATUS = MeshStatus(
    node="a1", tree="/srv/data", at=2.0, started_at=1.0, files=7, newest=1_700_000_001.5, announced=6, post_state="live"
)


def values_of(status: MeshStatus) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(render_metrics(status).decode())
    return {
        (sample.name.removeprefix("samesky_mesh_"), tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_every_figure_of_the_status_is_there() -> None:
    values = values_of(MeshStatus(**{**_fields(STATUS), "neighbours": (FIRST, SECOND)}))
    blacklab, cwnp = FIRST.name, SECOND.name
    assert values["info", ("a1", "/srv/data")] == 1
    assert (values["files", ()], values["announced_total", ()], values["newest_seconds", ()]) == (7, 6, 1_700_000_001.5)
    assert values["announcements_received_total", (blacklab,)] == 12
    assert values["files_fetched_total", (blacklab,)] == 7
    assert values["bytes_stored_total", (blacklab,)] == 14_000
    assert values["announcements_skipped_total", (blacklab, "same")] == 3
    assert values["announcements_refused_total", (blacklab, "path")] == 1
    assert values["announcements_refused_total", (blacklab, 'odd "one"\n')] == 2
    assert (values["files_waiting", (blacklab,)], values["files_waiting_late", (blacklab,)]) == (4, 1)
    assert values["files_lacking", (blacklab,)] == 5
    assert [values["lag_seconds", (blacklab, of)] for of in ("mean", "p95", "max")] == [0.01, 0.02, 0.03]
    assert values["neighbour_same", (blacklab,)] == 0
    assert values["neighbour_proven_seconds", (blacklab,)] == 1_700_000_000.0
    assert (values["neighbour_connected", (blacklab,)], values["neighbour_connected", (cwnp,)]) == (1, 0)


def test_what_is_not_known_is_not_told() -> None:
    values = values_of(MeshStatus(node="a", tree="/t", at=0, started_at=0, neighbours=(SECOND,)))
    assert not [key for key in values if key[0] in ("lag_seconds", "neighbour_same", "neighbour_proven_seconds")]
    assert ("newest_seconds", ()) not in values
    assert values["files_lacking", (SECOND.name,)] == 0


def test_two_subscriptions_at_one_broker_are_two_neighbours() -> None:
    values = values_of(MeshStatus(node="a", tree="/t", at=0, started_at=0, neighbours=(FIRST, FIRST)))
    assert values["files_waiting", (FIRST.name,)] == values["files_waiting", (f"{FIRST.name} (2)",)] == 4


@pytest.mark.parametrize("neighbours", [(), (SECOND,), (FIRST, SECOND, FIRST)], ids=len)
def test_the_text_keeps_to_prometheus_rules(neighbours: tuple[NeighbourStatus, ...]) -> None:
    status = MeshStatus(**{**_fields(STATUS), "neighbours": neighbours})
    assert find_mistakes(render_metrics(status).decode()) == []


def _fields(status: MeshStatus) -> dict[str, object]:
    return {name: getattr(status, name) for name in MeshStatus.__slots__}
