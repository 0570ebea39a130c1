"""The stands of the push do what the tests that use them believe."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.demo.push_sites import PLACES, write_site
from samesky.errors import Unreachable
from samesky.link.rest import RestClient
from stands.push_meaning import count_rows, read_meaning, read_readings
from stands.push_proxy import PushProxy
from stands.push_server import PushServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PushServer]:
    with PushServer(f"sqlite:///{tmp_path / 'central.db'}") as running:
        yield running


def test_the_proxy_carries_counts_and_cuts(server: PushServer) -> None:
    with PushProxy(server.port) as proxy, RestClient(proxy.url) as client:
        assert client.get("/sync/v1/").status == 200
        assert proxy.bytes_up > 50
        assert proxy.bytes_down > 50
        assert client.post("/sync/v1/heartbeat", b"x" * 100_000).status == 401
        proxy.cut_after(1)
        with pytest.raises(Unreachable):
            client.get("/sync/v1/")
        assert (proxy.connections, proxy.cuts) == (1, 1)
        assert client.get("/sync/v1/").status == 200


def test_the_proxy_takes_its_time(server: PushServer) -> None:
    with PushProxy(server.port, delay_s=0.05, rate_bytes_s=100_000) as proxy, RestClient(proxy.url) as client:
        began = time.monotonic()
        assert client.get("/openapi.json").status == 200
        assert time.monotonic() - began >= 2 * 0.05 + proxy.bytes_total / 100_000
        assert proxy.bytes_down > 1_000


def test_readings_with_another_meaning_are_told_apart(tmp_path: Path) -> None:
    one, other = (f"sqlite:///{tmp_path / name}" for name in ("one.db", "other.db"))
    for place, url in zip(PLACES, (one, other), strict=True):
        write_site(Path(url.removeprefix("sqlite:///")), place, days=1, until_s=1_790_035_200)
    assert count_rows(one, "Reading") == count_rows(other, "Reading") == 2592
    assert read_meaning(one) == read_meaning(one) != read_meaning(other)
    first = min(read_readings(one))
    assert first[:-1] == (1_789_948_800, 69, "CO2", "ppm", "1 Hill Road", "Master bedroom", "Bedroom")
