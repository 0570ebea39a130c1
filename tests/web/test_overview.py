from dataclasses import replace

import pytest
from tests.stands import web_streams as streams

from samesky.core.status import Snapshot
from samesky.web.layout import Page, split_parts
from samesky.web.noticeboard import Heard
from samesky.web.overview import MOST_SHOWN, render_overview

NOW = 1_790_000_000.0


def show(*snapshots: Snapshot, **more: object) -> Page:
    return render_overview([Heard(each, NOW - 3, "stand") for each in snapshots], NOW, **more)  # type: ignore[arg-type]


def sentence(page: Page) -> str:
    return split_parts(page.body)["said"].partition(">")[2].partition("<")[0]


def copies(count: int, **more: object) -> list[Snapshot]:
    return [streams.copy_of(f"home/{number}", NOW, **more) for number in range(count)]


@pytest.mark.parametrize(
    ("snapshots", "words"),
    [
        ([], "Nothing to show yet"),
        (copies(1), "The copy is the same"),
        (copies(2), "Both copies are the same"),
        (copies(7), "All 7 copies are the same"),
        ([streams.primary_of("a/b", NOW)], "It runs"),
        ([streams.primary_of("a/b", NOW), *copies(1)], "The copy is the same"),
        ([*copies(1), streams.copy_of("x/y", NOW, state="catching-up")], "1 of 2 is on its way"),
        (copies(3, state="catching-up"), "3 of 3 are on their way"),
        ([*copies(4), streams.copy_of("x/y", NOW, last_error="a page was damaged")], "1 of 5 had trouble"),
        ([*copies(5), *(streams.copy_of(f"x/{n}", NOW, different=True) for n in "12")], "2 of 7 need you"),
        ([*copies(1), streams.copy_of("x/y", NOW, state="stopped")], "1 of 2 needs you"),
        (copies(1, state="disconnected", last_error="the broker is gone"), "It needs you"),
        ([*copies(1), streams.copy_of("x/y", NOW, different=None, details={"compares": False})], "All 2 run"),
    ],
)
def test_one_sentence_says_whether_all_is_right(snapshots: list[Snapshot], words: str) -> None:
    assert sentence(show(*snapshots)) == words


def test_the_sentence_is_in_the_title_with_a_sign_that_can_be_seen_in_a_row_of_tabs() -> None:
    assert show(*copies(7)).title == "✓ All 7 copies are the same · samesky"
    assert show(*copies(1, state="stopped")).title == "✗ It needs you · samesky"


def test_it_says_of_all_copies_by_when_they_were_proven_the_same() -> None:
    page = show(streams.copy_of("a/1", NOW, proven_at=NOW - 30), streams.copy_of("a/2", NOW, proven_at=NOW - 300))
    assert ">5 min ago</time>" in split_parts(page.body)["hero"]
    assert "Each copy was proven the same at most" in split_parts(page.body)["hero"]


def test_what_is_not_proven_is_not_told_as_proven() -> None:
    page = show(*copies(2), streams.copy_of("x/y", NOW, proven_at=None, different=None))
    assert "2 of 3 copies were proven" in split_parts(page.body)["hero"]
    never = show(streams.copy_of("x/y", NOW, proven_at=None, different=None))
    assert "Nothing has been proven the same yet" in split_parts(never.body)["hero"]


def test_the_worst_comes_first() -> None:
    page = show(*streams.some_trouble(NOW))
    rows = [html for name, html in split_parts(page.body).items() if name.startswith("stream-")]
    station = [html.partition('class="stream ')[2].partition('"')[0] for html in rows[:3]]
    assert station == ["bad", "working", "good"]


def test_a_row_has_the_command_to_type() -> None:
    page = show(*streams.some_trouble(NOW))
    assert '<code class="command" data-copy>samesky repair --config /etc/weewx/weewx.conf --stream' in page.body


def test_a_lag_over_the_limit_is_bad() -> None:
    assert sentence(show(*copies(2, lag_s=40.0), max_lag_s=60.0)) == "Both copies are the same"
    assert sentence(show(*copies(2, lag_s=90.0), max_lag_s=60.0)) == "2 of 2 need you"


def test_words_from_outside_are_words_and_nothing_else() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
    snapshots = [
        streams.copy_of(evil, NOW, last_error=evil, hint=f"`{evil}` {evil}", unit=evil),
        replace(streams.neighbour(evil, NOW), details={evil: evil, f"{evil}: {evil}": evil}),
        streams.replica_of(evil, NOW, details={"value": evil, "key": evil}),
    ]
    page = show(*snapshots, places=evil, troubles=[evil])
    assert "<script" not in page.body
    assert "<img" not in page.body


def test_of_a_thousand_sites_the_worst_are_shown_and_the_others_are_a_step_away() -> None:
    sites = [streams.push_site(f"site-{number:04}", NOW) for number in range(1000)]
    page = show(*sites, streams.push_site("zzz", NOW, state="stopped"))
    rows = [name for name in split_parts(page.body) if name.startswith("stream-")]
    assert len(rows) == MOST_SHOWN
    assert page.body.index("zzz") < page.body.index("site-0000")
    assert 'href="/streams/push"' in page.body
    everything = show(*sites, only="push")
    assert len([name for name in split_parts(everything.body) if name.startswith("stream-")]) == 1000


def test_a_page_of_one_system_has_no_other() -> None:
    page = show(*streams.all_well(NOW), only="mesh")
    assert sentence(page) == "Both copies are the same"
    assert "hilltop" not in page.body
    assert page.here == "/streams/mesh"


def test_programs_get_the_same_as_people() -> None:
    document = show(*streams.some_trouble(NOW)).document
    assert document["words"] == "3 of 8 need you"
    assert document["level"] == "bad"
    assert len(document["streams"]) == 8  # type: ignore[arg-type]


def test_who_sees_nothing_is_told_where_was_looked_and_what_to_type() -> None:
    page = show(places="/run/samesky/status")
    assert "This page looks in /run/samesky/status." in page.body
    assert "samesky demo" in page.body


def test_what_could_not_be_read_is_told() -> None:
    page = show(*copies(1), troubles=["/etc/weewx/weewx.conf can't be read: Permission denied"])
    assert "Permission denied" in split_parts(page.body)["troubles"]


def test_where_not_all_could_be_read_not_all_is_called_right() -> None:
    page = show(*copies(2), troubles=["weewx.conf can't be read"])
    assert sentence(page) == "Both copies are the same, but not all could be read"
    assert 'class="hero attention"' in page.body
    worse = show(*copies(1, state="stopped"), troubles=["weewx.conf can't be read"])
    assert sentence(worse) == "It needs you"
