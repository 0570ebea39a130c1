"""The rules for metrics that ``promtool check metrics`` has, and some more, without promtool."""

import re
from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LABEL = re.compile(r"[a-z][a-z0-9_]*")
OTHER_UNITS = frozenset(
    re.findall(
        r"\w+",
        "milliseconds microseconds nanoseconds minutes hours days weeks kilobytes megabytes gigabytes kibibytes "
        "mebibytes bits percent fahrenheit kelvin grams pounds feet inches miles milliamperes",
    )
)
RESERVED = ("_count", "_sum", "_bucket")


def find_mistakes(text: str) -> list[str]:
    """What is wrong with a scrape; it is parsed by Prometheus' own client."""
    mistakes = [] if text.endswith("\n") else ["the last line doesn't end"]
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    mistakes += [f"{name}: described twice" for name in set(names) if names.count(name) > 1]
    # The parser takes `_total` off a counter's name, so what is declared is looked for in the text itself.
    kinds = dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$", text))
    helped = set(re.findall(r"(?m)^# HELP (\S+) \S", text))
    for name, kind in kinds.items():
        mistakes += [f"{name}: {words}" for words in _find_name_mistakes(name, kind, name in helped)]
    for family in families:
        mistakes += [f"{family.name}: {words}" for words in _find_sample_mistakes(family)]
    return mistakes


def _find_name_mistakes(name: str, kind: str, has_help: bool) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield "the name isn't in snake case"
    if not has_help:
        yield "there is no help"
    if kind in ("untyped", "unknown"):
        yield "it has no type"
    if (kind == "counter") != name.endswith("_total"):
        yield "counters, and they alone, end with _total"
    if kind not in ("histogram", "summary") and name.endswith(RESERVED):
        yield f"{RESERVED} are for histograms"
    if not {"gauge", "counter", "histogram", "summary", "info"}.isdisjoint(name.split("_")[:-1]):
        yield "the name holds the type"
    if unit := next((each for each in OTHER_UNITS if each in name.split("_")), ""):
        yield f"{unit} is no base unit"


def _find_sample_mistakes(family: Metric) -> Iterator[str]:
    seen = set()
    labels = {tuple(sorted(sample.labels)) for sample in family.samples}
    if len(labels) > 1:
        yield "its samples have different labels"
    for sample in family.samples:
        key = sample.name, tuple(sorted(sample.labels.items()))
        if key in seen:
            yield f"a sample is there twice: {key}"
        seen.add(key)
        if family.type == "counter" and not sample.value >= 0:
            yield f"a counter is {sample.value}"
        for label in sample.labels:
            if not LABEL.fullmatch(label):
                yield f"the label {label} isn't in snake case"
            if label in ("le", "quantile", "instance", "job"):
                yield f"the label {label} is Prometheus' own"
