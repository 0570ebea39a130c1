from samesky.web.layout import digest_parts, leave_out_ages, name_file, read_file, render_page, render_part, split_parts
from samesky.web.pieces import render_ago


def test_a_part_is_found_again_in_the_page_it_stands_in() -> None:
    row = render_part("row-1", "<td>one</td>", tag="tr", class_="stream bad", aria_label='"quoted"')
    other = render_part("said", "words", tag="p")
    assert row.startswith('<tr data-part="row-1" class="stream bad" aria-label="&quot;quoted&quot;"><td>one</td></tr>')
    assert split_parts(f"<table>{row}</table>{other}") == {"row-1": row, "said": other}


def test_a_part_with_elements_of_its_own_kind_inside_is_found_whole() -> None:
    part = render_part("outer", "<div><div>a</div></div><div>b</div>")
    assert split_parts(f"{part}<div>after</div>") == {"outer": part}


def test_only_that_time_goes_by_is_no_change() -> None:
    early, late = (render_part("x", f"proven {render_ago(1000.0, now)}") for now in (1003.0, 1250.0))
    assert early != late
    assert leave_out_ages(early) == leave_out_ages(late)
    assert digest_parts({"x": early}) == digest_parts({"x": late})
    assert digest_parts({"x": early}) != digest_parts({"x": render_part("x", f"proven {render_ago(1001.0, 1003.0)}")})


def test_a_page_without_scripts_loads_itself_again() -> None:
    html = render_page("A title <b>", "<h1>x</h1>", here="/")
    assert '<noscript><meta http-equiv="refresh"' in html
    assert "<title>A title &lt;b&gt;</title>" in html
    assert "refresh" not in render_page("A day", "<h1>x</h1>", here="/", live=False)


def test_a_page_runs_and_loads_nothing_that_is_not_its_own() -> None:
    html = render_page("t", "<h1>x</h1>", here="/stream/station/home/a?year=2026")
    assert "http://" not in html
    assert "https://" not in html
    assert "style=" not in html
    assert html.count("<script") == html.count('<script src="/page.js?')
    assert 'href="/stream/station/home/a?year=2026&amp;format=json"' in html


def test_a_file_s_name_changes_with_the_file() -> None:
    assert name_file("page.js") != name_file("style.css")
    assert name_file("page.js") == name_file("page.js")
    assert b"use strict" in read_file("page.js")
