import pytest

from samesky.core.status import Snapshot
from samesky.web.noticeboard import Heard
from samesky.web.pieces import (
    describe_ago,
    describe_lag,
    describe_number,
    describe_span,
    name_role,
    render_ago,
    render_mark,
    render_name,
    render_todo,
    stream_path,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (121, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (172_800, "2 days"),
        (4e9, "46296 days"),
    ],
)
def test_a_span_of_time_has_one_unit(seconds: float, words: str) -> None:
    assert describe_span(seconds) == words


def test_what_is_to_come_is_told_as_such_but_clocks_may_differ_a_little() -> None:
    assert describe_ago(180) == "3 min ago"
    assert describe_ago(-2) == "0 s ago"
    assert describe_ago(-300) == "in 5 min"


def test_a_short_lag_is_told_in_milliseconds() -> None:
    assert describe_lag(0.0313) == "31 ms"
    assert describe_lag(95) == "95 s"


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0"), (1234, "1,234"), (12.44, "12.4"), (0.2033, "0.2"), (18400.4, "18,400"), (-3, "-3")]
)
def test_a_number_has_as_many_figures_as_say_something(number: float, words: str) -> None:
    assert describe_number(number) == words


def test_a_command_between_backquotes_can_be_copied() -> None:
    html = render_todo("If <that> is right: `samesky repair --stream a/b && true`. Else not.")
    assert html == (
        'If &lt;that&gt; is right: <code class="command" data-copy>samesky repair --stream a/b &amp;&amp; true</code>.'
        " Else not."
    )


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (
            "Restored? If the primary is right: samesky repair --config /etc/a.conf --stream a/b --accept-deletions 5",
            "samesky repair --config /etc/a.conf --stream a/b --accept-deletions 5",
        ),
        ("samesky verify --deep compares the records themselves.", "samesky verify --deep"),
        ("samesky check --online says what is wrong.", "samesky check --online"),
        ("see samesky push status --config x.toml, then wait", "samesky push status --config x.toml"),
        ("type samesky repair --stream home/wx_binding.", "samesky repair --stream home/wx_binding"),
    ],
)
def test_a_command_is_found_in_a_sentence_that_does_not_mark_it(text: str, command: str) -> None:
    assert f">{command}</code>" in render_todo(text)


def test_a_sentence_about_a_command_is_no_command() -> None:
    assert "<code" not in render_todo("samesky verify says where. Does another program change it?")


def test_a_mark_says_to_those_who_do_not_see_it_what_its_shape_and_colour_say() -> None:
    assert "Needs you" in render_mark("bad")
    assert len({render_mark(level, named=False) for level in ("good", "working", "attention", "bad")}) == 4


def test_the_path_of_a_stream_has_no_empty_parts_for_proxies_to_take_away() -> None:
    assert stream_path("station", "home/wx_binding") == "/stream/station/home/wx_binding"
    assert stream_path("mesh", "data/mqtt://a.b:1883") == "/stream/mesh/data/mqtt%3A/%2Fa.b%3A1883"
    assert stream_path("blocks", "é ?#%") == "/stream/blocks/%C3%A9%20%3F%23%25"


def test_a_name_may_be_broken_between_its_words_and_is_escaped() -> None:
    assert render_name("home/wx_binding") == "home/<wbr>wx_<wbr>binding"
    assert render_name("<b>&amp;") == "&lt;b&gt;&amp;amp;"


def test_a_moment_that_is_none_is_told_as_nothing() -> None:
    assert "nothing" in render_ago(None, 5.0)
    assert "nothing" in render_ago(1e30, 5.0)


def test_a_copy_elsewhere_is_named_with_its_place() -> None:
    copy = Snapshot(stream="a/b", role="requester", state="live")
    assert name_role(Heard(copy, 0.0, "x")) == "copy"
    assert name_role(Heard(copy, 0.0, "x", "balcony")) == "copy at balcony"
