from dataclasses import replace
from pathlib import Path

from tests.stands import web_streams as streams

from samesky.core.status import Snapshot
from samesky.web.details import name_detail, render_detail
from samesky.web.layout import Page, split_parts
from samesky.web.noticeboard import Heard
from samesky.web.stream_page import render_stream
from samesky.web.welcome import describe_waiting, render_waiting

NOW = 1_790_000_000.0


def hear(*snapshots: Snapshot) -> list[Heard]:
    return [Heard(each, NOW - 3, "stand") for each in snapshots]


def show(*snapshots: Snapshot, others: tuple[Snapshot, ...] = ()) -> Page:
    return render_stream(hear(*snapshots), NOW, others=hear(*others))


def facts(page: Page) -> dict[str, str]:
    """The facts of the page's first stream, names and HTML."""
    rows = page.body.split("<dt>")[1:]
    return {row.partition("</dt>")[0]: row.partition("<dd>")[2].partition("</dd>")[0] for row in rows}


def test_a_copy_is_told_with_what_was_proven() -> None:
    told = facts(show(streams.copy_of("home/a", NOW)))
    assert told["Records proven"] == "2,103,839"
    assert "74 s ago" in told["Proven the same"]
    assert told["Digest of it"] == "<code>5f1d6c02a9e4</code>"
    assert told["Waiting"] == "0 records"
    assert told["Speed"] == "10.8 records/h"


def test_what_differs_is_not_told_as_proven() -> None:
    told = facts(show(streams.copy_of("home/a", NOW, different=True)))
    assert "Proven the same" not in told
    assert "Was proven the same" in told
    assert "Records proven then" in told
    assert facts(show(streams.copy_of("home/a", NOW, proven_at=None)))["Proven the same"] == "not yet"


def test_a_primary_and_its_copy_on_one_machine_are_on_one_page() -> None:
    page = show(streams.primary_of("home/a", NOW), streams.copy_of("home/a", NOW, state="stopped"))
    assert len(split_parts(page.body)) == 2
    assert page.body.index("<h2>Copy</h2>") < page.body.index("<h2>Primary</h2>")  # the worst first
    assert page.here == "/stream/station/home/a"
    assert [each["role"] for each in page.document["streams"]] == ["responder", "requester"]  # type: ignore[attr-defined]


def test_what_only_a_neighbour_has_to_tell_is_told_in_words() -> None:
    told = facts(show(streams.lacking_neighbour("mqtt://b", NOW, lacking=12)))
    assert told["Lacking here"] == "12"
    assert told["Lag 95 %"] == "740 ms"
    assert told["Size of all that came"] == "91.3 MB"
    assert "4 s ago" in told["Newest file here"]


def test_the_tables_of_a_site_are_a_table() -> None:
    page = show(streams.push_site("hill", NOW))
    row = page.body.partition(">observation</th>")[2].partition("</tr>")[0]
    assert [cell.rpartition("</span>")[2] for cell in row.split("</td>")[:-1]] == [
        "2026-11-21 23:55",
        "0",
        "the same, 910,442 rows",
    ]
    assert '<th scope="col" role="columnheader">Rows to push</th>' in page.body


def test_a_block_is_told_with_its_value_and_age() -> None:
    told = facts(show(streams.replica_of("s.b", NOW)))
    assert told["Value"] == "<code>value[degC] = 20.44</code>"
    assert told["Age"] == "2 s"


def test_the_others_of_its_kind_are_below_a_stream() -> None:
    page = show(streams.neighbour("x", NOW), others=(streams.neighbour("y", NOW),))
    assert "Other neighbours" in page.body
    assert "/stream/mesh/data/y" in page.body


def test_words_from_outside_are_words_and_nothing_else() -> None:
    evil = "<script>alert(1)</script>\"'<img>"
    snapshot = replace(
        streams.copy_of(evil, NOW, last_error=evil, hint=evil, unit=evil, refused={evil: 1}, proven_digest=evil),
        details={evil: evil, f"{evil}: {evil}": evil, "value": evil},
    )
    body = show(snapshot, others=(snapshot,)).body
    assert "<script" not in body
    assert "<img" not in body


def test_a_detail_is_told_by_what_its_name_says_that_it_is() -> None:
    assert render_detail("wait_s", 300, NOW) == "5 min"
    assert render_detail("lag, s", 0.25, NOW) == "250 ms"
    assert render_detail("size_bytes", 2_500_000, NOW) == "2.5 MB"
    assert "in 5 min" in render_detail("next_run_at", NOW + 300, NOW)
    assert render_detail("x", True, NOW) == "yes"
    assert name_detail("wait_s") == "Wait"
    assert name_detail("clock_ahead_s") == "Its clock is ahead by"


def test_while_nothing_runs_the_page_says_what_it_waits_for_and_what_to_type() -> None:
    configs = [Path("/etc/weewx/weewx.conf"), Path("b c.toml")]
    assert describe_waiting(configs).startswith(
        "Waiting for what <code>/etc/weewx/weewx.conf</code> and <code>b c.toml"
    )
    assert "samesky check --config /etc/weewx/weewx.conf</code>" in render_waiting(configs, "/run")
    assert "samesky check --config &#x27;b c.toml&#x27;</code>" in render_waiting(configs[1:], "/run")
