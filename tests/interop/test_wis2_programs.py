"""Programs of the WMO's WIS2 (pywis-pubsub and wis2downloader, as they are on PyPI) and our peers take files from each
other, and every notification that we make passes the WMO's schema and test suite."""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stands.mesh_listener import Listener
from stands.mesh_others import (
    EXAMPLES,
    SCHEMA,
    CannotInstall,
    PywisPubsub,
    ensure_environment,
    start_wis2downloader,
)
from stands.mesh_seed_node import Node, read_tree, wait_until_same

pytestmark = pytest.mark.slow

SYNOP = "wis2/ca-eccc-msc/data/core/weather/surface-based-observations/synop"
TOPIC = f"origin/a/{SYNOP}"
CHANNELS = ("origin/#", "cache/#")
FILES = {
    f"{SYNOP}/one.txt": b"AAXX 30034\n",
    f"{SYNOP}/two.bufr": bytes(range(256)) * 40,
    f"{SYNOP}/empty.txt": b"",
    f"{SYNOP}/a name + more%.txt": b"a name that URLs can't have as it is",
    "wis2/de-dwd/data/core/weather/prediction/forecast/été.grib2": b"GRIB of another centre",
    "wis2/de-dwd/metadata/record.json": b"{}",
}


@pytest.fixture(scope="module", autouse=True)
def environments() -> None:
    if not SCHEMA.exists() and "CI" not in os.environ:
        pytest.skip("the published schema isn't beside this repository")
    try:
        for name in ("pywis-pubsub", "wis2downloader"):
            ensure_environment(name)
    except CannotInstall as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"pip can't install the WIS2 programs: {error}")


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path / "ours") as node:
        yield node


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path / "theirs") as node:
        yield node


@pytest.fixture
def pywis(tmp_path: Path) -> PywisPubsub:
    return PywisPubsub(tmp_path / "pywis")


def has_text(file: Path, text: str) -> bool:
    """pywis-pubsub writes a file under its name, where it is empty at first."""
    return file.exists() and file.read_text() == text


# ---------------------------------------------------------------------- among themselves


def test_the_two_programs_download_from_our_web_server(ours: Node, pywis: PywisPubsub, tmp_path: Path) -> None:
    """So what they find of our notifications is ours."""
    ours.write("synop/one.txt", "AAXX 30034\n")
    with (
        start_wis2downloader(tmp_path / "wis2downloader", ours.guest_url, ["origin/a/wis2/#"]) as downloader,
        pywis.subscribe(ours.guest_url, ["origin/a/wis2/#"], tmp_path / "files") as subscriber,
    ):
        pywis.publish(ours.owner_url, TOPIC, f"{ours.base_url}/synop/one.txt")
        by_pywis = tmp_path / "files" / TOPIC / "one.txt"
        subscriber.wait_for(lambda: has_text(by_pywis, "AAXX 30034\n"), what="the file by pywis-pubsub")
        downloader.wait_for_text("Downloaded one.txt")
        (by_downloader,) = (tmp_path / "wis2downloader/files").rglob("one.txt")
        assert by_downloader.read_text() == "AAXX 30034\n"


def test_the_published_examples_pass_the_test_suite(pywis: PywisPubsub) -> None:
    verdicts = pywis.test([example.read_bytes() for example in sorted(EXAMPLES.glob("*.json"))])
    assert len(verdicts) == 7
    assert {failure for verdict in verdicts for failure in verdict.failed} == set()


# ---------------------------------------------------------------------- from us to them


@pytest.mark.parametrize("inline", [False, True], ids=["by-http", "inline"])
def test_what_we_notify_passes_the_test_suite_and_both_programs_download_it(
    ours: Node, theirs: Node, pywis: PywisPubsub, tmp_path: Path, inline: bool
) -> None:
    """Theirs speaks v03; ours says the same in WIS2: its own centre's files under origin, others' under cache."""
    peer = ours.start_peer(theirs, format="wis2", centre_id="ca-eccc-msc", inline=inline)
    with (
        start_wis2downloader(tmp_path / "wis2downloader", ours.guest_url, CHANNELS) as downloader,
        pywis.subscribe(ours.guest_url, CHANNELS, tmp_path / "files") as subscriber,
        ours.listen(*CHANNELS) as at_ours,
    ):
        theirs.publish(theirs.write("GTS/no-name-in-wis2.txt", "xyz\n"))
        theirs.publish(*(theirs.write(path, content) for path, content in FILES.items()))
        wait_until_same(theirs.data, ours.data, explain=peer)
        heard = at_ours.wait_for(len(FILES))
        assert {each.json["properties"]["data_id"] for each in heard} == set(FILES)
        assert {each.topic.split("/")[0] for each in heard if "/ca-eccc-msc/" in each.topic} == {"origin"}
        assert {each.topic.split("/")[0] for each in heard if "/de-dwd/" in each.topic} == {"cache"}
        assert {"content" in each.json["properties"] for each in heard} == ({True, False} if inline else {False})
        verdicts = pywis.test([each.payload for each in heard])
        assert [(verdict.passed, verdict.failed) for verdict in verdicts] == [(7, ())] * len(FILES)
        wait_until_same(theirs.data / "wis2", tmp_path / "files/wis2", explain=subscriber)
        downloader.wait_for_text("INFO - Downloaded", times=len(FILES))
        found = [file for file in (tmp_path / "wis2downloader/files").rglob("*") if file.is_file()]
        assert sorted(file.read_bytes() for file in found) == sorted(FILES.values())


def test_our_updates_are_followed(ours: Node, theirs: Node, pywis: PywisPubsub, tmp_path: Path) -> None:
    """Both programs keep what they have unless the link's rel is ``update``."""
    ours.start_peer(theirs, format="wis2", centre_id="ca-eccc-msc")
    path = f"{SYNOP}/one.txt"
    there = tmp_path / "files" / path
    with (
        pywis.subscribe(ours.guest_url, CHANNELS, tmp_path / "files") as subscriber,
        ours.listen(*CHANNELS) as at_ours,
    ):
        theirs.publish(theirs.write(path, "first\n"))
        subscriber.wait_for(lambda: has_text(there, "first\n"), what="the file")
        theirs.publish(theirs.write(path, "second\n"))
        heard = at_ours.wait_for(2)
        assert [each.json["links"][0]["rel"] for each in heard] == ["canonical", "update"]
        subscriber.wait_for(lambda: has_text(there, "second\n"), what="the update")
        assert [verdict.failed for verdict in pywis.test([each.payload for each in heard])] == [(), ()]


def test_our_removals_are_followed(ours: Node, theirs: Node, pywis: PywisPubsub, tmp_path: Path) -> None:
    ours.start_peer(theirs, format="wis2", centre_id="ca-eccc-msc", removals=True)
    path = f"{SYNOP}/one.txt"
    there = tmp_path / "files" / path
    with (
        pywis.subscribe(ours.guest_url, CHANNELS, tmp_path / "files") as subscriber,
        ours.listen(*CHANNELS) as at_ours,
        Listener(theirs.owner_url) as hand,
    ):
        theirs.publish(theirs.write(path, "first\n"))
        subscriber.wait_for(lambda: has_text(there, "first\n"), what="the file")
        pub_time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        removal = {"pubTime": pub_time, "baseUrl": theirs.base_url, "relPath": path, "fileOp": {"remove": ""}}
        hand.publish(f"xpublic/v03/post/{SYNOP}", removal)
        heard = at_ours.wait_for(2)
        assert [each.json["links"][0]["rel"] for each in heard] == ["canonical", "deletion"]
        assert [verdict.failed for verdict in pywis.test([each.payload for each in heard])] == [(), ()]
        subscriber.wait_for(lambda: not there.exists(), what="the removal")
    assert not (ours.data / path).exists()


# ---------------------------------------------------------------------- from them to us


def test_our_peer_keeps_a_copy_of_what_pywis_pubsub_publishes(
    ours: Node, theirs: Node, pywis: PywisPubsub, tmp_path: Path
) -> None:
    """As a Global Cache does: what is announced under origin is fetched, and announced under cache."""
    peer = ours.start_peer(theirs, subtopic="origin/a/wis2/#", format="wis2", centre_id="jp-jma")
    theirs.write("synop/one.txt", "AAXX 30034\n")
    with (
        start_wis2downloader(tmp_path / "wis2downloader", ours.guest_url, ["cache/a/wis2/#"]) as downloader,
        ours.listen("cache/#") as at_ours,
    ):
        pywis.publish(theirs.owner_url, TOPIC, f"{theirs.base_url}/synop/one.txt")
        (told,) = at_ours.wait_for(1)
        assert told.topic == TOPIC.replace("origin", "cache")
        assert told.json["properties"]["global-cache"] == "jp-jma"
        assert told.json["links"][0]["href"].startswith(ours.base_url)
        message = tmp_path / "message.json"
        message.write_bytes(told.payload)
        assert pywis.validate(message)["ets-report"]["summary"] == {"PASSED": 7, "FAILED": 0, "SKIPPED": 0}
        downloader.wait_for_text("Downloaded one.txt")
    (kept,) = ours.data.rglob("one.txt")
    (downloaded,) = (tmp_path / "wis2downloader/files").rglob("one.txt")
    assert kept.read_text() == downloaded.read_text() == "AAXX 30034\n"
    assert peer.running


def test_the_published_examples_are_taken(ours: Node, theirs: Node) -> None:
    """Their data isn't published: it is made here, their links lead to it, and checksums that are there are its own."""
    peer = ours.start_peer(theirs, subtopic="cache/a/wis2/#", allow_unchecked=True)
    data = b"what the example is about\n"
    theirs.write("data.bin", data)
    taken = []
    with Listener(theirs.owner_url) as feed:
        for example in sorted(EXAMPLES.glob("*.json")):
            message = json.loads(example.read_bytes())
            told = lead_to(message, f"{theirs.base_url}/data.bin", data)
            centre = f"xx-{example.stem.lower()}"
            feed.publish(f"cache/a/wis2/{centre}/data/core/weather", message)
            taken += [centre] if told else []
    assert len(taken) == 6
    peer.wait_for(lambda: len(read_tree(ours.data)) >= 6, what="six files")
    assert {Path(path).parts[1] for path in read_tree(ours.data)} == set(taken)
    assert set(read_tree(ours.data).values()) == {hashlib.sha256(data).hexdigest()}


def lead_to(message: dict, url: str, data: bytes) -> bool:
    """Make ``message`` one of ``data`` at ``url``; whether it tells of a file rather than of a deletion."""
    told = [link for link in message["links"] if link["rel"] in ("canonical", "update")]
    for link in told:
        link["href"], link["length"] = url, len(data)
    properties = message["properties"]
    properties.pop("content", None)
    if "integrity" in properties:
        value = base64.b64encode(hashlib.sha512(data).digest()).decode()
        properties["integrity"] = {"method": "sha512", "value": value}
    return bool(told)
