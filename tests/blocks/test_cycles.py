"""Who hears whom (blocks/cycles.py)."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.blocks.cycles import Block, LinkGraph
from samesky.blocks.links import Carrier, PrimaryLink, ReplicaLink
from samesky.link.amqp_message import matches


def primary(name: str, carrier: Carrier = "amqp") -> PrimaryLink:
    """A primary of ``service.id``."""
    service, _, id = name.partition(".")
    return PrimaryLink(service=service, id=id, interval_s=1, carrier=carrier)


def replica(name: str, key: str, carrier: Carrier = "amqp") -> ReplicaLink:
    """A replica ``service.id`` that follows ``key``."""
    service, _, id = name.partition(".")
    return ReplicaLink(service=service, id=id, key=key, carrier=carrier)


def find_cycle(primaries: Sequence[PrimaryLink], replicas: Sequence[ReplicaLink]) -> list[Block]:
    """The first cycle that there is when the links are added one after the other."""
    graph = LinkGraph()
    for link in (*primaries, *replicas):
        cycle = graph.find_cycle(link)
        if cycle:
            return cycle
        graph.put(link)
    return []


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


def test_a_cycle_is_told_in_the_order_in_which_blocks_follow_each_other() -> None:
    primaries = [primary("s.a"), primary("s.b"), primary("s.c")]
    replicas = [replica("s.b", "s.a"), replica("s.c", "s.b"), replica("s.a", "s.c")]
    assert find_cycle(primaries, replicas) == [("s", "a"), ("s", "b"), ("s", "c")]
    assert find_cycle(replicas=replicas[::-1], primaries=primaries)[0] == ("s", "b")


def test_looking_for_a_cycle_changes_nothing() -> None:
    graph = LinkGraph()
    links = [primary("s.a"), replica("s.b", "s.a"), replica("s.b", "t.*")]
    for link in links:
        graph.put(link)
    assert graph.find_cycle(primary("s.b")) == []
    assert graph.find_cycle(PrimaryLink(service="s", id="a", interval_s=9, carrier="mqtt")) == []
    assert (graph.primaries(), graph.replicas(), len(graph)) == (links[:1], links[1:], 3)


def test_a_link_that_was_removed_is_heard_no_more() -> None:
    graph = LinkGraph()
    links = [replica("s.b", "s.a"), replica("s.b", "s.*"), replica("s.c", "s.a", "mqtt"), replica("s.d", "s.a")]
    for link in links:
        graph.put(link)
    assert list(graph.find_hearing("amqp", "s.a")) == [links[0], links[3], links[1]]
    for link in links[:3]:
        graph.remove(link)
        graph.remove(link)
    assert list(graph.find_hearing("amqp", "s.a")) == [links[3]]
    assert list(graph.find_hearing("mqtt", "s.a")) == []


BLOCKS = st.sampled_from(["s.a", "s.b", "t.c", "t.d"])
PATTERNS = BLOCKS | st.sampled_from(["s.*", "t.*", "#", "*.c"])
LINKS = st.lists(
    st.builds(primary, BLOCKS) | st.builds(replica, BLOCKS, PATTERNS, st.sampled_from(["amqp", "mqtt"])), max_size=8
)


@given(LINKS)
def test_there_is_a_cycle_when_a_block_is_reached_from_itself(links: list[PrimaryLink | ReplicaLink]) -> None:
    """As found by following all links as often as there are blocks."""
    graph = LinkGraph()
    for link in links:
        cycle = graph.find_cycle(link)
        assert bool(cycle) is reaches_itself([*graph.primaries(), *graph.replicas()], link)
        if not cycle:
            graph.put(link)


def reaches_itself(links: list[PrimaryLink | ReplicaLink], new: PrimaryLink | ReplicaLink) -> bool:
    primaries = [each for each in [*links, new] if isinstance(each, PrimaryLink)]
    replicas = [each for each in [*links, new] if isinstance(each, ReplicaLink)]
    edges = {
        ((one.service, one.id), (other.service, other.id))
        for one in primaries
        for other in replicas
        if one.carrier == other.carrier and matches(other.key, one.key)
    }
    for _ in range(4):
        edges |= {(a, d) for a, b in edges for c, d in edges if b == c}
    return any(a == b for a, b in edges)


@pytest.mark.slow
def test_thousands_of_links_are_searched_in_a_moment() -> None:
    graph = LinkGraph()
    began = time.process_time()
    for number in range(5000):
        for link in (primary(f"s.{number}"), replica(f"s.{number + 1}", f"s.{number}")):
            graph.put(link)
    assert graph.find_cycle(replica("s.0", "s.5000")) == []
    assert len(graph.find_cycle(replica("s.0", "s.4999"))) == 5000
    assert time.process_time() - began < 5
