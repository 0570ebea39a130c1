"""The metrics, as they are scraped."""

from collections.abc import Iterator
from dataclasses import fields

from prometheus_client.parser import text_string_to_metric_families

from samesky.blocks import metrics as of_blocks
from samesky.blocks.status import PrimaryStatus, ReplicaStatus
from samesky.core.status import Snapshot
from samesky.mesh import metrics as of_mesh
from samesky.mesh.status import Lag, MeshStatus, NeighbourStatus
from samesky.web.metrics import render_metrics
from samesky.web.noticeboard import Heard

SOURCES = {
    "`/metrics` of the page (`samesky web`, and `--web` of every serving command)": "web",
    "`/.samesky/metrics` of `samesky mesh peer --serve`": "mesh",
    "`/metrics` of `samesky blocks serve`": "blocks",
}


def render_all_metrics() -> Iterator[str]:
    """A table for each place that is scraped."""
    scraped = read_metrics()
    for title, source in SOURCES.items():
        yield f"### {title}"
        yield ""
        yield "| metric | type | labels | what it tells |"
        yield "|---|---|---|---|"
        for name, kind, labels, words in scraped[source]:
            yield f"| `{name}` | {kind} | {', '.join(labels)} | {words} |"
        yield ""


def read_metrics() -> dict[str, list[tuple[str, str, tuple[str, ...], str]]]:
    """Place -> (name, type, labels, words) of each metric there."""
    return {
        "web": list(_read(render_metrics([Heard(_make_snapshot(), 0.0, "owner")], 1.0))),
        "mesh": list(_read(of_mesh.render_metrics(_make_mesh()))),
        "blocks": list(_read(of_blocks.render_metrics(*_make_blocks(), {"amqp": True}))),
    }


def _read(scraped: bytes) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    for family in text_string_to_metric_families(scraped.decode()):
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        name = family.name if family.name.endswith(suffix) else family.name + suffix
        labels = dict.fromkeys(label for sample in family.samples for label in sample.labels)
        yield name, family.type, tuple(labels), family.documentation


def _make_snapshot() -> Snapshot:
    """A stream of which everything is known."""
    known = {"position": 1, "newest": 1, "behind": 1, "proven_through": 1, "proven_count": 1, "proven_at": 1.0}
    told = {"different": False, "lag_s": 1.0, "rate_per_s": 1.0, "refused": {"json": 1}}
    return Snapshot(stream="home/wx_binding", role="requester", state="live", **known, **told)  # type: ignore[arg-type]


def _make_mesh() -> MeshStatus:
    reasons = {each.name: {"path": 1} for each in fields(NeighbourStatus) if each.name in ("skipped", "refused")}
    neighbour = NeighbourStatus(
        name="mqtt://guest@here",
        same=True,
        proven_at=1.0,
        lag=Lag(1, 1, 1, 1),
        **reasons,  # type: ignore[arg-type]
    )
    return MeshStatus(node="a", tree="data", at=1.0, started_at=1.0, newest=1.0, neighbours=(neighbour,))


def _make_blocks() -> tuple[list[PrimaryStatus], list[ReplicaStatus]]:
    primary = PrimaryStatus(service="a", id="b", key="a.b", health="ok", failed={"size": 1}, age_s=1.0)
    replica = ReplicaStatus(
        service="a", id="b", key="a.b", health="ok", freshness="fresh", dropped={"null": 1}, age_s=1.0, lag_s=1.0
    )
    return [primary], [replica]
