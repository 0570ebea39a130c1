"""Who hears whom (blocks/cycles.py)."""

import pytest

from samesky.blocks.cycles import find_cycle, matches
from samesky.blocks.links import Carrier, PrimaryLink, ReplicaLink


def primary(name: str, carrier: Carrier = "amqp") -> PrimaryLink:
    """A primary of ``service.id``."""
    service, _, id = name.partition(".")
    return PrimaryLink(service=service, id=id, interval_s=1, carrier=carrier)


def replica(name: str, key: str, carrier: Carrier = "amqp") -> ReplicaLink:
    """A replica ``service.id`` that follows ``key``."""
    service, _, id = name.partition(".")
    return ReplicaLink(service=service, id=id, key=key, carrier=carrier)


@pytest.mark.parametrize(
    ("pattern", "key", "heard"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a", False),
        ("*.b", "a.b", True),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("#", "a.b.c", True),
        ("#", "", True),
        ("#.c", "c", True),
        ("#.c", "a.b.c", True),
        ("#.c", "a.b.d", False),
        ("a.#.d", "a.d", True),
        ("a.#.d", "a.b.c.d", True),
        ("a.#.*", "a.b", True),
        ("a.#.*", "a", False),
        ("a*", "ab", False),
        ("a.+", "a.b", False),
    ],
)
def test_keys_are_matched_as_a_topic_exchange_does(pattern: str, key: str, heard: bool) -> None:
    assert matches(pattern, key) is heard


def test_many_wildcards_take_no_time() -> None:
    assert not matches(".".join(["#"] * 40 + ["x"]), ".".join(["a"] * 40))


def test_a_chain_is_no_cycle() -> None:
    assert find_cycle([primary("s.a"), primary("s.b")], [replica("s.b", "s.a"), replica("s.c", "s.b")]) == []


def test_a_block_that_follows_itself_is_found() -> None:
    assert find_cycle([primary("s.a")], [replica("s.a", "s.a")]) == [("s", "a")]


def test_two_services_that_follow_each_other_are_found() -> None:
    cycle = find_cycle([primary("s.a"), primary("t.b")], [replica("t.b", "s.a"), replica("s.a", "t.*")])
    assert sorted(cycle) == [("s", "a"), ("t", "b")]


def test_a_cycle_behind_a_chain_is_found_without_the_chain() -> None:
    primaries = [primary("s.a"), primary("s.b"), primary("s.c")]
    replicas = [replica("s.b", "s.a"), replica("s.c", "s.b"), replica("s.b", "s.c")]
    assert sorted(find_cycle(primaries, replicas)) == [("s", "b"), ("s", "c")]


def test_what_travels_another_way_is_not_heard() -> None:
    assert find_cycle([primary("s.a", "mqtt")], [replica("s.a", "s.a")]) == []
