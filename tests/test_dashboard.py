"""deploy/grafana/samesky.json, and the alerts in deploy/prometheus, ask for what /metrics has."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from docs.generator.metrics import read_metrics

DEPLOY = Path(__file__).parents[1] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "samesky.json").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "samesky.rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
METRICS = {name: set(labels) for name, _, labels, _ in read_metrics()["web"]}


def expressions() -> Iterator[str]:
    """All questions of the dashboard, those of its panels and of its variables, and of the alerts."""
    yield from (rule["expr"] for rule in RULES)
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


def test_alerts_tell_with_labels_that_there_are() -> None:
    for rule in RULES:
        (name,) = re.findall(r"samesky_\w+", rule["expr"])
        words = " ".join(rule["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", words)) <= METRICS[name], rule["alert"]
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}


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
