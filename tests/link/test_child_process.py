import itertools
import socket

import pytest

from samesky.link import child_process
from samesky.link.child_process import EPHEMERAL_PORT, LOWEST_PORT, find_free_port


def test_no_port_is_found_twice_and_none_that_the_system_gives_to_others() -> None:
    ports = [find_free_port() for _ in range(200)]
    assert len(set(ports)) == 200
    assert LOWEST_PORT <= min(ports) <= max(ports) < EPHEMERAL_PORT


def test_a_port_that_somebody_has_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_turns", itertools.count())
    with socket.create_server(("127.0.0.1", find_free_port())) as taken:
        monkeypatch.setattr(child_process, "_turns", itertools.count())
        assert find_free_port() != taken.getsockname()[1]
