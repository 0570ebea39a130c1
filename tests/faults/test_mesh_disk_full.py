"""A peer whose disk runs full: nothing half-written is ever seen, it says so, and goes on when there is room again."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from stands.mesh_cluster import find_unfinished, running_nodes, say, wait_until_same, write_files
from stands.mesh_reader import Reader
from stands.small_disk import SmallDisk, mounted_disk
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

FILES = 400
SIZE_BYTES = 20_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Where the tree of the node named tight is: room for about half of the files."""
    (tmp_path / "tight").mkdir()
    with mounted_disk(tmp_path / "tight" / "tree", "4m") as disk:
        yield disk


def test_a_full_disk_shows_no_half_file_and_room_is_used_soon(tmp_path: Path, disk: SmallDisk) -> None:
    with running_nodes(tmp_path, ("roomy", "tight"), options=("--compare-interval", "5")) as (roomy, tight):
        roomy.join(roomy.broker_url)
        tight.join(roomy.broker_url)
        roomy.start()
        tight.start()
        with Reader([tight.tree]) as reader:
            paths = write_files(roomy, Random(1), FILES, size_bytes=SIZE_BYTES)
            roomy.publish(paths)

            def told() -> str:
                return str(tight.read_status())

            wait_for(
                lambda: "disk is full" in told() or "No space left" in told(),
                60,
                what="the full disk",
                explain=lambda: say(tight),
            )
            tight.check()
            wait_for(lambda: reader.read_count, 60, what="a file that is read")
            assert reader.read_count < FILES
            disk.grow("64m")
            wait_until_same([roomy, tight], FILES, 120)
        assert reader.faults == []
        assert find_unfinished(tight) == []
        wait_for(
            lambda: tight.read_status().get("last_error") == "",
            60,
            what="the end of the trouble",
            explain=lambda: say(tight),
        )
