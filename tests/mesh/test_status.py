"""The status of a peer goes into one log line and into JSON; lag is measured in bounded memory."""

import json
import math
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.mesh.status import Lag, LagMeter, MeshStatus, NeighbourStatus

NEIGHBOUR = NeighbourStatus(
    name="mqtt://guest@blacklab",
    state="live",
    since=1_700_000_000.0,
    received=12,
    fetched=7,
    size_bytes=14_000,
    skipped={"same": 4},
    refused={"path": 1},
    lag=Lag(7, 0.01, 0.02, 0.03),
    queue=2,
    late=1,
    same=True,
)
STATUS = MeshStatus(node="a1", tree="/srv/my data", at=2.0, started_at=1.0, files=7, neighbours=(NEIGHBOUR,))


def test_no_lag_was_measured_before_the_first_file() -> None:
    assert LagMeter().read(0.0) == Lag()


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300))
def test_mean_and_maximum_are_exact_and_p95_is_at_most_a_step_above(lags: list[float]) -> None:
    meter = LagMeter()
    for lag in lags:
        meter.add(lag, 1000.0)
    told = meter.read(1000.0)
    true_p95 = sorted(lags)[math.ceil(0.95 * len(lags)) - 1]
    assert (told.count, told.max_s) == (len(lags), max(lags))
    assert told.mean_s == pytest.approx(sum(lags) / len(lags))
    assert true_p95 * 0.999999 <= told.p95_s <= true_p95 * 1.05


def test_what_is_older_than_the_span_is_forgotten() -> None:
    meter = LagMeter(span_s=100.0)
    meter.add(50.0, 0.0)
    meter.add(1.0, 60.0)
    assert meter.read(60.0).max_s == 50.0
    assert meter.read(120.0) == Lag(1, 1.0, 1.0, 1.0)
    assert meter.read(1000.0) == Lag()


def test_a_clock_that_goes_back_loses_no_file_and_a_negative_lag_is_zero() -> None:
    meter = LagMeter(span_s=100.0)
    meter.add(2.0, 95.0)
    meter.add(-3.0, 89.0)
    assert meter.read(95.0) == Lag(2, 1.0, 2.0, 2.0)


def test_memory_is_bounded_whatever_the_rate() -> None:
    meter, draw = LagMeter(span_s=10.0), random.Random(1)
    for number in range(100_000):
        meter.add(draw.expovariate(0.01), number / 1000)
    slices = list(meter._slices)
    assert len(slices) <= 11
    assert sum(sys.getsizeof(each.steps) for each in slices) < 200_000
    assert 10_000 <= meter.read(99.999).count <= 11_000


def test_the_log_line_is_of_pairs_and_leaves_the_neighbours_to_lines_of_their_own() -> None:
    line = STATUS.describe()
    assert "neighbours" not in line
    assert 'tree="/srv/my data"' in line
    assert line.endswith("queue=2 late=1 lacking=0 same=yes")
    line = NEIGHBOUR.describe()
    assert "name=mqtt://guest@blacklab state=live" in line
    assert "skipped=same:4 refused=path:1 lag=count:7,mean_s:0.010,p95_s:0.020,max_s:0.030 queue=2" in line
    assert line.endswith("last_error=- remedy=-")


def test_the_status_is_json_with_everything_in_it() -> None:
    told = json.loads(json.dumps(STATUS.as_dict()))
    assert told["files"] == 7
    assert told["queue"] == 2
    assert told["neighbours"][0]["lag"] == {"count": 7, "mean_s": 0.01, "p95_s": 0.02, "max_s": 0.03}
    assert told["neighbours"][0]["refused"] == {"path": 1}


@pytest.mark.parametrize(
    ("each", "all_together"),
    [((), None), ((True,), True), ((True, None), None), ((True, False), False), ((None, False), False)],
)
def test_a_peer_is_the_same_when_it_is_so_with_every_neighbour(
    each: tuple[bool | None, ...], all_together: bool | None
) -> None:
    neighbours = tuple(NeighbourStatus(name=str(number), same=same) for number, same in enumerate(each))
    assert MeshStatus(node="a", tree="/t", at=0, started_at=0, neighbours=neighbours).same is all_together
