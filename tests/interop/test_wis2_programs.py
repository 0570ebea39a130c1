"""Programs of the WMO's WIS2 (pywis-pubsub and wis2downloader, as they are on PyPI) and our peers take files from each
other, and every notification that we make passes the WMO's schema and test suite."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stands.mesh_node import Node
from stands.mesh_others import (
    EXAMPLES,
    SCHEMA,
    CannotInstall,
    PywisPubsub,
    ensure_environment,
    start_wis2downloader,
)
from stands.waiting import wait_for

pytestmark = pytest.mark.slow


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
def pywis(tmp_path: Path) -> PywisPubsub:
    return PywisPubsub(tmp_path / "pywis")


TOPIC = "origin/a/wis2/ca-eccc-msc/data/core/weather/surface-based-observations/synop"


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
        wait_for(by_pywis.exists, 20, what="the file by pywis-pubsub", explain=lambda: subscriber.text)
        downloader.wait_for_text("Downloaded one.txt")
        (by_downloader,) = (tmp_path / "wis2downloader/files").rglob("one.txt")
        assert by_pywis.read_text() == by_downloader.read_text() == "AAXX 30034\n"


def test_the_published_examples_pass_the_test_suite(pywis: PywisPubsub) -> None:
    verdicts = pywis.test([example.read_bytes() for example in sorted(EXAMPLES.glob("*.json"))])
    assert len(verdicts) == 7
    assert {failure for verdict in verdicts for failure in verdict.failed} == set()
