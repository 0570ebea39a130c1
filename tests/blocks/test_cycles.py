"""Who hears whom (blocks/cycles.py)."""

from samesky.blocks.cycles import find_cycle
from samesky.blocks.links import Carrier, PrimaryLink, ReplicaLink


def primary(name: str, carrier: Carrier = "amqp") -> PrimaryLink:
    """A primary of ``service.id``."""
    service, _, id = name.partition(".")
    return PrimaryLink(service=service, id=id, interval_s=1, carrier=carrier)


def replica(name: str, key: str, carrier: Carrier = "amqp") -> ReplicaLink:
    """A replica ``service.id`` that follows ``key``."""
    service, _, id = name.partition(".")
    return ReplicaLink(service=service, id=id, key=key, carrier=carrier)


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
