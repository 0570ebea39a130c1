"""What docs/blocks.md says is what there is."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from samesky.blocks.blocks_settings import (
    DEFAULT_EXCHANGE,
    DEFAULT_LISTEN,
    DEFAULT_STATE,
    KNOWN,
    KNOWN_OF_SERVICE,
    read_blocks,
)
from samesky.blocks.brewcast import TIMEOUT_S
from samesky.blocks.brewcast_events import MAX_EVENT_BYTES
from samesky.blocks.broadcasting import LONGEST_PUBLISH_S
from samesky.blocks.envelope import MAX_BODY_BYTES, PREFIX, Metadata, encode_headers
from samesky.blocks.following import CONTROLLER_TIMEOUT_S
from samesky.blocks.json_store import MAX_BYTES as MAX_STORE_BYTES
from samesky.blocks.links import (
    LONGEST_S,
    MAX_ID_LENGTH,
    MAX_KEY_BYTES,
    MAX_PAIRS,
    SHORTEST_INTERVAL_S,
    decode_primary,
    decode_replica,
    encode_primary,
    encode_replica,
)
from samesky.blocks.loops import MOST_HOPS
from samesky.blocks.mqtt_presence import GRACE_S
from samesky.blocks.registry import MOST_LINKS
from samesky.blocks.replica import RETRY_S
from samesky.blocks.transforms import decode_transform
from samesky.cli.main import samesky
from samesky.config import Findings

PAGE = (Path(__file__).parents[2] / "docs" / "blocks.md").read_text(encoding="utf-8")
PRIMARY = decode_primary("a", {"id": "sensor", "interval": 1})
REPLICA = decode_replica("b", {"id": "dummy", "key": "a.sensor"})


def read_names(section: str) -> list[str]:
    """The names in the first column of the first table after the line ``section``."""
    table = PAGE.partition(f"\n{section}\n")[2].partition("\n|---")[2].partition("\n\n")[0]
    return [name for row in table.splitlines()[1:] for name in re.findall("`([^`]+)`", row.split("|")[1])]


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("A primary:", encode_primary(PRIMARY).keys()),
        ("A replica:", encode_replica(REPLICA).keys()),
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


def test_the_configuration_of_the_page_can_be_used() -> None:
    findings = Findings()
    settings = read_blocks(tomllib.loads(PAGE.partition("```toml\n")[2].partition("```")[0]), findings, given={})
    assert findings.found == []
    assert [each.kind for each in settings.services] == ["2018", "store", "brewcast"]


def test_every_option_is_in_the_tables_of_the_page() -> None:
    assert set(read_names("`[blocks]`:")) == KNOWN
    assert set(read_names("`[blocks.services.NAME]`, one for each service:")) == KNOWN_OF_SERVICE


def test_the_defaults_of_the_page_are_those_that_there_are() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| (`[^`]*`|[0-9]+) \|", PAGE.partition("`[blocks]`:")[2], re.MULTILINE))
    assert json.loads(told["listen"].strip("`")) == DEFAULT_LISTEN
    assert json.loads(told["state"].strip("`")) == DEFAULT_STATE
    assert json.loads(told["exchange"].strip("`")) == DEFAULT_EXCHANGE
    settings = read_blocks({"blocks": {"amqp": "amqp://a/", "services": {"a": {"store": "a"}}}}, Findings(), given={})
    assert settings.amqp is not None
    assert settings.amqp.heartbeat_s == int(told["heartbeat_s"])


@pytest.mark.parametrize(
    "words",
    [
        f"| {MOST_LINKS:,} |",
        f"{MAX_ID_LENGTH} characters; {MAX_KEY_BYTES} bytes",
        f"| {MAX_PAIRS} |",
        f"{MAX_BODY_BYTES >> 20} MiB",
        f"{SHORTEST_INTERVAL_S:g} s to {LONGEST_S / 86_400:.0f} days",
        f"{CONTROLLER_TIMEOUT_S:.0f} s, then the newest message is tried again every {RETRY_S:.0f} s",
        f"at most {LONGEST_PUBLISH_S:.0f} s",
        f"| {MOST_HOPS} |",
        f"{MAX_STORE_BYTES >> 20} MiB; one event of a service over MQTT: {MAX_EVENT_BYTES >> 20} MiB",
        f"believed when nothing has come from there for {GRACE_S:.0f} s",
        f"has failed when that takes longer than {TIMEOUT_S:.0f} s",
    ],
)
def test_the_limits_of_the_page_are_those_that_there_are(words: str) -> None:
    assert words in PAGE


def test_the_commands_of_the_page_are_there() -> None:
    lines = [shlex.split(line) for line in re.findall(r"^samesky (blocks (?!serve).*)$", PAGE, re.MULTILINE)]
    assert len(lines) == 7
    for line in lines:
        with samesky.make_context("samesky", list(line)) as context:
            group = samesky.get_command(context, line[0])
            assert isinstance(group, click.Group)
            command = group.get_command(context, line[1])
            assert command is not None
            command.make_context(line[1], line[2:])


def test_the_transforms_of_the_page_can_be_used() -> None:
    for name, examples in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (`[^|]*`) \|", PAGE, re.MULTILINE):
        told = dict(zip(re.findall(r"`(\w+)`", name), re.findall("`([^`]*)`", examples), strict=False))
        for transform in told.keys() & set(read_names("### Transforms")):
            decode_transform({transform: json.loads(told[transform])})
