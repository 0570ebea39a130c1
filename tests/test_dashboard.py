"""deploy/grafana/samesky.json asks for what /metrics has."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from docs.generator.metrics import read_metrics

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "deploy" / "grafana" / "samesky.json").read_text(encoding="utf-8")
)
METRICS = {name: set(labels) for name, _, labels, _ in read_metrics()["web"]}


def expressions() -> Iterator[str]:
    """All questions of the dashboard: those of its panels and of its variables."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def test_every_metric_that_is_asked_for_is_scraped() -> None:
    asked = {name for text in expressions() for name in re.findall(r"samesky_\w+", text)}
    assert asked
    assert asked - METRICS.keys() == set()


def test_every_label_that_is_asked_for_is_on_its_metric() -> None:
    for text in expressions():
        for name, selector in re.findall(r"(samesky_\w+)\{(.*?)\}", text):
            assert set(re.findall(r"(\w+)=", selector)) <= METRICS[name], text


def test_legends_name_labels_that_there_are() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            labels = set.union(*(METRICS[name] for name in re.findall(r"samesky_\w+", target["expr"])))
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, panel["title"]


def test_parentheses_of_every_question_close() -> None:
    for text in expressions():
        for opening, closing in ("()", "{}", "[]"):
            assert text.count(opening) == text.count(closing), text


def test_panels_lie_beside_each_other() -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in DASHBOARD["panels"]]
    for (first, one), (second, other) in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, f"{first} lies on {second}"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
