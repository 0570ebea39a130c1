"""One flipped byte in a database file, behind the back of all sums: found when the rows themselves are compared."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.link.broker import MosquittoBroker
from samesky.station.mending import repair
from samesky.station.verification import verify
from stands.served_copy import STREAM, ServedCopy

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(tmp_path: Path, broker: MosquittoBroker) -> Iterator[ServedCopy]:
    with ServedCopy(tmp_path, broker.port) as pair:
        yield pair


def flip(pair: ServedCopy, path: Path) -> None:
    """Flip the lowest bit of one barometer reading in the file."""
    content = path.read_bytes()
    values = pair.rows("SELECT barometer FROM archive WHERE barometer IS NOT NULL")
    needles = (struct.pack(">d", value) for (value,) in values)
    # Of one that is in no other record, and in no daily summary.
    needle = next(each for each in needles if content.count(each) == 1)
    with path.open("r+b") as file:
        file.seek(content.index(needle) + 7)
        file.write(bytes([needle[7] ^ 1]))


@pytest.mark.parametrize("side", ["copy", "primary"])
def test_a_flipped_byte_on_either_side_is_found_and_mended_when_rows_are_compared(pair: ServedCopy, side: str) -> None:
    assert verify(pair.config, STREAM, state_dir=pair.state_dir).same
    flip(pair, pair.copy if side == "copy" else pair.primary)
    before = pair.everything(pair.primary)
    verdict = verify(pair.config, STREAM, state_dir=pair.state_dir, share=1.0)
    assert not verdict.same
    assert (verdict.missing.count, verdict.different.count, verdict.extra.count) == (0, 1, 0)
    mended = repair(pair.config, STREAM, state_dir=pair.state_dir, deep=True)
    assert mended.repaired.overwritten == 1
    assert pair.everything() == pair.everything(pair.primary) == before
    if pair.serving is not None:
        pair.restart_primary()  # it has no sums of before the byte was flipped any more
    assert verify(pair.config, STREAM, state_dir=pair.state_dir, share=1.0).same
