"""What docs/blocks.md says is what there is."""

import json
import re
from pathlib import Path

import pytest

from samesky.blocks.envelope import PREFIX, Metadata, encode_headers
from samesky.blocks.links import decode_primary, decode_replica, encode_primary, encode_replica
from samesky.blocks.transforms import decode_transform

PAGE = (Path(__file__).parents[2] / "docs" / "blocks.md").read_text(encoding="utf-8")
PRIMARY = decode_primary("a", {"id": "sensor", "interval": 1})
REPLICA = decode_replica("b", {"id": "dummy", "key": "a.sensor"})
ONLY_ONE_SO_FAR = {"link"}
"""Which of the two carriers a link uses; the page tells of one."""


def read_names(section: str) -> list[str]:
    """The names in the first column of the first table after the line ``section``."""
    table = PAGE.partition(f"\n{section}\n")[2].partition("\n|---")[2].partition("\n\n")[0]
    return [name for row in table.splitlines()[1:] for name in re.findall("`([^`]+)`", row.split("|")[1])]


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("A primary:", encode_primary(PRIMARY).keys() - ONLY_ONE_SO_FAR),
        ("A replica:", encode_replica(REPLICA).keys() - ONLY_ONE_SO_FAR),
        ("### Nulls", {'"hold"', '"skip"', '"write"'}),
        ("### Transforms", {"default", "unit", "scale", "offset", "clamp", "round", "map"}),
        (
            "## Headers",
            encode_headers(Metadata(origin="a.b", epoch=1, sequence=1, interval_s=1.0, sent_s=1.0)).keys(),
        ),
    ],
)
def test_the_page_names_all_there_is(section: str, names: set[str]) -> None:
    assert set(read_names(section)) == set(names)


def test_the_headers_of_the_page_are_ours() -> None:
    assert all(name.startswith(PREFIX) for name in read_names("## Headers"))


def test_what_the_page_registers_can_be() -> None:
    bodies = [json.loads(body) for body in re.findall(r"-d '(\{.*?\})' ", PAGE)]
    primary, replica = decode_primary("spark-master", bodies[0]), decode_replica("spark-slave", bodies[1])
    assert replica.key == primary.key


def test_the_transforms_of_the_page_can_be_used() -> None:
    for name, examples in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (`[^|]*`) \|", PAGE, re.MULTILINE):
        told = dict(zip(re.findall(r"`(\w+)`", name), re.findall("`([^`]*)`", examples), strict=False))
        for transform in told.keys() & set(read_names("### Transforms")):
            decode_transform({transform: json.loads(told[transform])})
